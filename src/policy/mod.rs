//! What each role decides: pure functions from a job and the time to the next step.
//!
//! Policies are level-triggered and keep no state. The caller passes what the log says of one job, what this node
//! has done for it so far, and the time; the policy answers with the next step. A driver asks after every change of
//! the log, after every finished run and at the [`Wake`] of the last answer, and carries out the step. So a restart,
//! a repeated entry or a lost wake-up costs only another question.
//!
//! - [`job`]: all roles of one job together: whose turn it is, and when to retry.
//! - [`compute`]: bid, run, commit, reveal, in one job.
//! - [`admission`]: what an operator lets a node work for, and when.
//! - [`capacity`]: which of a node's jobs get its slots. It is the one policy that keeps state: the times since when things
//!   are so.
//! - [`requester`]: choose among bids, fill failed seats again, close what is over, follow up.
//! - [`replication`]: how many nodes run a job, and what its end says of them.
//! - [`outlook`]: why a node has a seat or none, as far as others can see it.
//! - [`over`]: when a job needs nothing more of this node.
//! - [`reputation`]: what counts in a node's record of others.
//! - [`delivery`]: when a node delivers a result to the contract that asked for it.
//! - [`retention`]: what a node may delete of jobs that ended.
//! - [`economics`]: what lying costs and gains in a job.
//! - [`trust`]: how far to trust nodes, and how many seats and checks follow from it.
//! - [`verifier`]: post verdicts and expiries.
//!
//! ```
//! use assay::{
//!     domain::{Deal, Event, Facts, LogDomain, NodeId, Spec, Stamped, Timestamp},
//!     policy::{
//!         Moment,
//!         verifier::{self, VerifierStep, VerifierView},
//!     },
//!     rules,
//! };
//!
//! let (requester, deal, spec) = (NodeId::new([1; 20]), Deal::default(), Spec::sample().to_document());
//! let domain = LogDomain::default();
//! let job = rules::open(domain, None, &Stamped {
//!     job: domain.job_id(requester, 0, Spec::hash_document(&spec), deal.revision()),
//!     author: requester,
//!     at: Timestamp::from_secs(1000),
//!     revision: deal.revision(),
//!     facts: Facts::MONEYLESS,
//!     event: Event::Submitted { deal, spec, nonce: 0 },
//! })?;
//! let step_at = |now: Timestamp| {
//!     let moment = Moment { now, elapsed_ms: 0 };
//!     verifier::next(&VerifierView { job: &job, moment, rank: 0, in_charge: true, due_since_ms: 0 })
//! };
//! assert!(matches!(step_at(job.submitted_at), VerifierStep::Wait(_)));
//! let late = Timestamp::from_secs(job.open_by.as_secs() + 1);
//! assert_eq!(step_at(late), VerifierStep::Submit(Event::Expired));
//! # Ok::<(), rules::Rejection>(())
//! ```

pub mod admission;
mod attempts;
pub mod capacity;
pub mod compute;
pub mod delivery;
pub mod economics;
#[cfg(test)]
mod fixture;
mod hours;
pub mod job;
mod limits;
mod moment;
pub mod outlook;
pub mod over;
mod pattern;
#[cfg(test)]
mod properties;
mod purses;
pub mod replication;
pub mod reputation;
pub mod requester;
pub mod retention;
mod sisters;
pub mod trust;
pub mod verifier;

pub use attempts::RESEND;
pub use hours::{Hours, ParseHoursError};
pub use limits::ComputeLimits;
pub use moment::{Moment, Wake};
pub use pattern::{ParsePatternError, Pattern};
pub use purses::Purses;
