//! The log without a chain: each requester orders the log of its own jobs.
//!
//! - [`entry`]: an action in its place, signed by the requester over the entry before.
//! - [`job_log`]: a job's log, and what may come next in it.
//! - [`sequence`]: the requester's side and everybody else's, as pure values.
//! - [`wire`]: what nodes say to each other of logs.
//! - [`announce`]: what is gossiped of a new job; `room`: which of them are kept.
//!
//! [`Libp2pScheduler`] brings these to the network and to the store. Authors send actions to the requester, who
//! stores the entry, then answers, then pushes it to everybody with a bid or a seat. What is lost on the way is
//! asked for. A requester that breaks its log is found out by whoever reads it ([`sequence::Fault`]); one that
//! leaves actions out is seen by the seats, to whom commitments and reveals are sent as well.

pub mod announce;
mod announcer;
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
pub mod wire;
mod witness;

pub use interest::Interest;
pub use node::{Libp2pConfig, Libp2pScheduler, Running, StartError};
pub use shared::LogCounters;
