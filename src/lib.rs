//! Assay runs container jobs on machines nobody has to trust, and tells you which results to keep.
//!
//! A *requester* submits a job, *compute nodes* bid, the requester accepts some of the bids, each accepted
//! node runs the same container, and a *verdict* says whose results agree. A *scheduler* orders these steps:
//! it is an authenticated, ordered, replayable log of job events. Everything else is a fold over that log or
//! a reaction to it.
//!
//! # Words
//!
//! - **job**: a *spec* under a *deal*, submitted by a requester.
//! - **spec**: what to run: image, command, environment, inputs, resources.
//! - **deal**: the terms: *concurrency* N, *confidence* M, *tolerance* Q, method, timeout, price, bond, durations of the phases.
//!   **revision**: the hash of a deal.
//! - **ask**: the price a node wants for a seat. **bid**: a node's promise to run the job at a price. **offer**: the jobs that
//!   a node says it takes on. **acceptance**: the requester's choice of bids. **seat**: an accepted node's place in a job.
//! - **execution**: one node's run. **last words**: why a run failed, and the end of what it printed.
//! - **result**: output root, exit code, *fingerprint* and *summary*. **fingerprint**: ten memory samples, the CPU time and
//!   the page faults, in one word. **summary**: up to ten numbers of the output, in one word, which the deal allows to differ a little.
//!   **mask**: a kind of text that may differ between right outputs, such as times.
//! - **commitment**: a salted hash of a result. **reveal**: its opening. **verdict**: whose results agree.
//! - **audit**: a draw after the first *wave* of seats has committed, which may open a second one. (The module [`mod@audit`] is
//!   the auditor of logs.)
//! - **follow-up**: a job that repeats an inconclusive one with more seats. **keeper**: a party that ends a job for a fee.
//! - **seed**: 32 bytes that follow from a job's id, the same in every seat and in follow-ups.
//! - **action**: what an author signs. **entry**: an action in its place in a job's *log*. **backend**: one way to agree on
//!   the log.
//!
//! # Layers
//!
//! The core is pure: [`domain`], [`rules`], [`verdict`] and [`policy`] are functions of values; time and
//! randomness are arguments. `cargo check --no-default-features` compiles the core alone, without any crate for
//! I/O. The rest is a thin shell around it; `ARCHITECTURE.md` has the map.
//!
//! # Examples
//!
//! `examples/` holds whole programs. `fold_a_log` checks an exported log offline. `job_in_memory` takes a job to its
//! verdict in one process. `own_backend`, `own_executor` and `own_verdict_method` each replace a part. A short example:
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
//! `node` (what any running node needs), `conformance` (the suite that every backend must pass), `libp2p` and
//! `contract` (a backend each), `docker` (an executor), `cli` (everything, with the binary; the default). A
//! feature adds modules and changes no behaviour.

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
pub mod explain;
#[cfg(feature = "node")]
pub mod identity;
#[cfg(feature = "libp2p")]
pub mod network;
#[cfg(feature = "node")]
pub mod node;
#[cfg(feature = "node")]
pub mod scheduler;
#[cfg(feature = "node")]
pub mod scope;
#[cfg(feature = "libp2p")]
pub mod sim;
#[cfg(feature = "node")]
pub mod store;
#[cfg(feature = "node")]
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
