//! The log without a chain: each requester orders the log of its own jobs.
//!
//! - [`entry`]: an action in its place, signed by the requester over the entry before.
//! - [`job_log`]: a job's log, and what may come next in it.
//! - [`sequence`]: the requester's side and the followers' side, as pure values.
//! - [`wire`]: the messages about logs.
//! - [`announce`]: the announcement of a new job; `room`: which announced jobs are kept.
//!
//! [`Libp2pScheduler`] connects these to the network and the store. Authors send actions to the requester, who stores
//! the entry, then answers, then pushes it to every node that has acted in the job. Nodes ask for entries that were
//! lost on the way. Every reader of a log notices if its requester breaks it ([`sequence::Fault`]); if a requester
//! leaves actions out, the seats notice, because commitments and reveals are sent to them as well. Nodes compare
//! their clocks (`clocks`, `timekeeper`): followers compare the requester's stamps with their own clocks.

pub mod announce;
mod announcer;
mod clocks;
mod compare;
mod convert;
mod courier;
pub mod entry;
#[cfg(test)]
pub(crate) mod fixture;
mod follow;
mod interest;
pub mod job_log;
mod logs;
mod node;
mod parcel;
mod room;
pub mod sequence;
mod serve;
mod shared;
mod timekeeper;
pub mod wire;
mod witness;

pub use interest::Interest;
pub use node::{Libp2pConfig, Libp2pScheduler, Running, StartError};
pub use shared::LogCounters;
