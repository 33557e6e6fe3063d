//! Assay runs container jobs on machines nobody has to trust, and tells which results to keep.
//!
//! A *requester* submits a job, *compute nodes* bid, the requester accepts some of the bids, each accepted
//! node runs the same container, and a *verdict* says whose results agree. Who orders these steps is a
//! *scheduler*: an authenticated, ordered, replayable log of job events. Everything else is a fold over
//! that log or a reaction to it.
//!
//! # Words
//!
//! - **job**: what is asked: a *spec* under a *deal*.
//! - **spec**: image, command, environment, inputs, resources, timeout.
//! - **deal**: the terms: *concurrency* N, *confidence* M, *tolerance* Q, method, price, bond, durations.
//! - **ask**: what a node wants for a seat. **bid**, **acceptance**, **seat** (an accepted node's place in a job), **execution** (one node's run).
//! - **result**: output root, exit code and *fingerprint* (ten memory samples and CPU time in one word).
//! - **commitment**: salted hash of a result. **reveal**: its opening. **verdict**: who agreed.
//! - **backend**: one way to agree on the log.
//!
//! # Layers
//!
//! The heart is pure: [`domain`], [`rules`], [`verdict`] and [`policy`] are functions of values, with time
//! and randomness passed in. `cargo check --no-default-features` compiles them alone, so the compiler
//! proves that nothing in them does I/O. The rest is a thin shell around them; `ARCHITECTURE.md` has the map.
//!
//! # Examples
//!
//! `examples/` holds whole programs: `fold_a_log` checks an exported log offline, `job_in_memory` brings a job to its
//! verdict in one process, `own_backend`, `own_executor` and `own_verdict_method` put something else in place
//! of a part. In small:
//!
//! ```
//! use assay::{
//!     domain::{Deal, LogDomain, Spec, Timestamp},
//!     scheduler::{Scheduler, local::LocalLog},
//! };
//!
//! let spec = Spec::builder("assay/demo:1").command(["sh", "-c", "echo 42"]).build()?;
//! let deal = Deal { concurrency: 3, confidence: 2, ..Deal::default() };
//! deal.validate()?;
//! let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(1_700_000_000));
//! let me = assay::identity::NodeKey::generate()?.node_id();
//! assert!(log.join(me).holds_money());
//! # assert_eq!(Spec::from_document(&spec.to_document()), Ok(spec));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `node` (what any running node needs), `conformance` (the suite that every backend must pass), `libp2p` and `contract` (a backend each), `docker` (an executor), `cli`
//! (all of it, with the binary; the default). A feature adds modules and changes no behaviour.

pub mod domain;
pub mod policy;
pub mod rules;
pub mod verdict;

#[cfg(feature = "node")]
pub mod api;
#[cfg(feature = "libp2p")]
pub mod audit;
#[cfg(feature = "node")]
pub mod executor;
#[cfg(feature = "node")]
pub mod identity;
#[cfg(feature = "libp2p")]
pub mod network;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod scheduler;
#[cfg(feature = "node")]
pub mod store;
#[cfg(feature = "contract")]
pub mod tls;

#[cfg(feature = "cli")]
pub mod assembly;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod devstack;
#[cfg(feature = "cli")]
pub mod escape;
#[cfg(feature = "cli")]
pub mod telemetry;
