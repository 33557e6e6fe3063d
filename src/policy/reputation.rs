//! What counts in a node's record of others: only its own acts, and only in jobs that no stranger can fake for free.
//!
//! A requester can write a job that must fail, or that honest nodes must disagree about. So a job counts only if it
//! costs its requester something, or if the requester has given this node honest work before.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{BidStatus, Conduct, FailureKind, Job, JobId, JobState, NodeId, Seat, SeatStatus},
    rules::did_its_part,
};

/// How many verified jobs, with this node's own result accepted, make a requester known.
pub const KNOWN_AFTER: usize = 3;

/// Whether the conduct of nodes in `job` may count for the node `me`.
///
/// A job with one seat compares nothing, and neither does the first wave of a job that the draw spared. A job that `me`
/// neither requested nor sat in is hearsay.
pub fn counts(job: &Job, me: NodeId, knows_requester: bool) -> bool {
    let sat = job.bids.get(&me).is_some_and(|bid| matches!(bid.status, BidStatus::Seated(_)));
    let has_stake = !job.deal.price.is_zero() || knows_requester;
    job.state.is_terminal() && job.asked() > 1 && (job.requester == me || (sat && has_stake))
}

/// Whether `job` speaks for its requester: `me` ran it, and the verdict accepted its result.
pub fn speaks_for_requester(job: &Job, me: NodeId) -> bool {
    let seat = job.seat_of(me);
    job.state == JobState::Verified
        && job.verdict.as_ref().zip(seat).is_some_and(|(verdict, seat)| verdict.accepted.contains(seat))
}

/// How much honest work each requester has given this node.
#[derive(Debug, Clone, Default)]
pub struct Acquaintances {
    honest: BTreeMap<NodeId, BTreeSet<JobId>>,
}

impl Acquaintances {
    /// Records what a job says about its requester.
    pub fn note(&mut self, job: &Job, me: NodeId) {
        if !speaks_for_requester(job, me) {
            return;
        }
        self.note_honest(job.requester, job.id);
    }

    /// Notes that `job` speaks for its requester.
    pub fn note_honest(&mut self, requester: NodeId, job: JobId) {
        let honest = self.honest.entry(requester).or_default();
        if honest.len() < KNOWN_AFTER {
            honest.insert(job);
        }
    }

    /// Whether a requester is known.
    pub fn knows(&self, requester: NodeId) -> bool {
        self.honest.get(&requester).is_some_and(|jobs| jobs.len() >= KNOWN_AFTER)
    }
}

/// The conduct of each node in an ended job. Leaves out nodes about which the job says nothing.
///
/// `reported` are the failures that nodes reported, including those whose seats went to others.
pub fn conduct(job: &Job, reported: &BTreeMap<NodeId, FailureKind>) -> BTreeMap<NodeId, Conduct> {
    let ran = match job.state {
        JobState::Verified | JobState::Inconclusive | JobState::Failed => true,
        JobState::Open
        | JobState::Running
        | JobState::Revealing
        | JobState::Cancelled
        | JobState::Expired => false,
    };
    if !ran {
        return BTreeMap::new();
    }
    let failed = reported.iter().filter(|(_, kind)| kind.is_fault_of_node());
    let failed = failed.map(|(node, _)| (*node, Conduct::Failed));
    let seated =
        (0..).zip(&job.seats).filter_map(|(seat, held)| Some((held.node, of_seat(job, seat, held)?)));
    failed.chain(seated).collect()
}

fn of_seat(job: &Job, seat: u8, held: &Seat) -> Option<Conduct> {
    if matches!(held.status, SeatStatus::Failed(_)) {
        return None;
    }
    let verdict = job.verdict.as_ref();
    if verdict.is_some_and(|verdict| verdict.accepted.contains(seat)) {
        return Some(Conduct::Kept);
    }
    if verdict.is_some_and(|verdict| verdict.rejected.contains(seat)) {
        return Some(Conduct::Rejected);
    }
    (!did_its_part(job, held.status)).then_some(Conduct::Absent)
}

#[cfg(test)]
mod tests;
