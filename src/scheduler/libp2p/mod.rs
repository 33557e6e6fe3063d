//! The log without a chain: each requester orders the log of its own jobs.
//!
//! - [`entry`]: an action in its place, signed by the requester over the entry before.
//! - [`chain`]: a job's log, and what may come next in it.
//! - [`sequence`]: the requester's side and everybody else's, as pure values.

pub mod chain;
pub mod entry;
pub mod sequence;
