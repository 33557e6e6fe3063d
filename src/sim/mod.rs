//! Whole networks in virtual time, replayed from a seed: what the protocol promises, in any weather.
//!
//! The nodes decide with the same [`policy`](crate::policy), and fold logs with the same [`rules`](crate::rules) and
//! sequencers, as in production. What is simulated is the network, the clock, the chain, the engine and the disk. After
//! every step the job that changed must be sound and all money must be there; once all is over, the promises to honest
//! parties must have been kept. The method is that of FoundationDB and TigerBeetle: one thread, no real time, and one seed
//! from which everything follows.
//!
//! - [`Setup`] says what to simulate; [`simulate`] does it, and [`shrink()`] makes a failing one smaller
//! - `world`: the queue of what happens, messages and outages; `node`: one node, which asks the policies
//! - `promises`: what must hold of jobs that are over; `story`: what happened to one job, to be read
//! - `weather`, `temper`: what goes wrong, and who behaves how
//!
//! ```
//! use assay::sim::{Order, Setup, simulate};
//!
//! let setup = Setup { jobs: 3, ..Setup::new(7, Order::Neutral) };
//! let report = simulate(&setup)?;
//! assert_eq!(report.jobs, report.ended.values().sum::<usize>());
//! assert_eq!(simulate(&setup)?, report, "a seed says all");
//! # Ok::<(), assay::sim::Violation>(())
//! ```

pub mod chance;
mod node;
mod promises;
mod replica;
mod setup;
mod shrink;
mod story;
mod temper;
mod weather;
mod world;

pub use node::Node;
pub use promises::kept;
pub use replica::DOMAIN;
pub use setup::{Report, Setup, simulate, simulate_under};
pub use shrink::{MOST_ATTEMPTS, shrink};
pub use story::story;
pub use temper::{BadNodes, ParseBadNodesError, Temper};
pub use weather::{Fault, ParseFaultError, Weather};
pub use world::{Counts, Law, Order, Outage, OutageKind, Violation, World, deal, spec};
