//! The signed path: what nodes sign reaches the contract in a transaction of somebody else.
//!
//! A requester *offers* a job to nodes before the contract knows it. To each of them the offer is a [`drafts`] job: the
//! policies see it as any other job in the log. A bid for it goes to its requester as signed bytes, and the
//! requester's acceptance becomes one `submitSigned` with the bids ([`offers`]). Nothing of a draft is in the log: once
//! the contract has the job, or the offer is over, readers are told that the draft is forgotten.
//!
//! What its seats sign in a job that began so is gathered in the [`pool`], and [`carry`] brings it to the contract.
//!
//! Every step falls back on a transaction of its author's. So a [`courier`] may lose anything; [`wire`] is what it
//! carries.

mod carry;
pub(super) mod courier;
pub(super) mod drafts;
mod offers;
pub(super) mod pool;
pub(super) mod wire;
