//! What a requester does for its job: choose among bids, fill failed seats again, close what is over, follow up.

use std::fmt;

use super::{Moment, Wake};
use crate::domain::{Acceptance, AuditSecret, AuditStage, Deal, Digest, Event, Job, JobState, NodeId};

/// How long the requester gathers bids before it accepts fewer than twice the seats, in milliseconds.
pub const BID_WINDOW_MS: u64 = 500;

/// What a requester knows of its job.
#[derive(Clone, Copy)]
pub struct RequesterView<'a> {
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub moment: Moment,
    /// When this process first saw the job, on the monotonic clock.
    pub opened_ms: u64,
    /// This requester's record of a node.
    pub reputation: &'a dyn Fn(NodeId) -> Standing,
    /// A secret that orders bids and draws audits, so that nobody can make itself first or foresee an audit.
    pub secret: Digest,
    /// How many nodes may bid, as far as this node knows: the others, and itself if it runs jobs.
    pub members: usize,
    /// Whether this requester orders the job's log itself.
    pub orders_log: bool,
    /// Whether this job has a follow-up already.
    pub followed_up: bool,
}

/// A record of a node's earlier results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Results that a verdict accepted.
    pub accepted: u32,
    /// Results that a verdict rejected, and results promised but not given.
    pub rejected: u32,
}

impl Standing {
    /// Whether to take the node only if there are too few others: more than one of five results was bad.
    pub const fn is_below_floor(self) -> bool {
        self.rejected > self.accepted / 4
    }
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequesterStep {
    /// Nothing before this, unless something happens.
    Wait(Wake),
    /// Submit these, in this order. Ask again afterwards.
    Submit(Vec<Event>),
    /// Submit a new job with these terms and the same spec.
    Escalate(Box<Deal>),
    /// The job has ended.
    Done,
}

impl fmt::Debug for RequesterView<'_> {
    // Keeps the secret out of the output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequesterView")
            .field("job", &self.job.id)
            .field("moment", &self.moment)
            .field("opened_ms", &self.opened_ms)
            .field("members", &self.members)
            .field("orders_log", &self.orders_log)
            .field("followed_up", &self.followed_up)
            .finish_non_exhaustive()
    }
}

/// The next step.
pub fn next(view: &RequesterView<'_>) -> RequesterStep {
    let (job, now) = (view.job, view.moment.now);
    let state = job.state_at(now).0;
    if !state.is_terminal() && job.is_overdue(now) {
        return RequesterStep::Submit(vec![Event::Expired]);
    }
    match state {
        JobState::Open => fill(view),
        JobState::Running => refill(view),
        JobState::Revealing if view.orders_log && job.state != JobState::Revealing => {
            RequesterStep::Submit(vec![Event::Ticked])
        }
        JobState::Revealing if job.audit == AuditStage::Undrawn => publish_secret(view),
        JobState::Revealing => wait(view),
        JobState::Inconclusive => follow_up(view),
        JobState::Verified | JobState::Failed | JobState::Cancelled | JobState::Expired => {
            RequesterStep::Done
        }
    }
}

/// Publishes the secret of the audit once the first wave has committed.
///
/// A deal made with another key's secret cannot be drawn. Its first wave is paid at the deadline.
fn publish_secret(view: &RequesterView<'_>) -> RequesterStep {
    let secret = AuditSecret::of(view.secret, view.job.nonce);
    if view.job.deal.audit.is_some_and(|audit| audit.secret_hash == secret.hash()) {
        RequesterStep::Submit(vec![Event::SecretPublished { secret }])
    } else {
        wait(view)
    }
}

fn wait(view: &RequesterView<'_>) -> RequesterStep {
    RequesterStep::Wait(Wake::after_next_deadline(view.job, view.moment.now))
}

/// Fills every free seat at once, when the choice is good enough or enough time has passed.
fn fill(view: &RequesterView<'_>) -> RequesterStep {
    let job = view.job;
    let n = usize::from(job.asked());
    let standing = job.standing_bids().count();
    let free = n.saturating_sub(job.seats.len());
    if job.deal.acceptance == Acceptance::FirstCome || standing < free {
        return wait(view);
    }
    let bids = job.bids.values().filter(|bid| bid.epoch == job.epoch).count();
    let window_end_ms = view.opened_ms.saturating_add(BID_WINDOW_MS);
    if standing < job.wanted_bids() && bids < view.members && view.moment.elapsed_ms < window_end_ms {
        return RequesterStep::Wait(Wake::after(job.open_by).or_at(window_end_ms));
    }
    accept(view, free)
}

/// Gives failed seats to standing bids, while a whole run fits.
fn refill(view: &RequesterView<'_>) -> RequesterStep {
    let job = view.job;
    let in_time = view.moment.now <= job.refill_by() && job.deal.acceptance == Acceptance::Requester;
    let seats = usize::from(job.refillable().len()).min(job.standing_bids().count());
    if in_time && seats > 0 { accept(view, seats) } else { wait(view) }
}

fn accept(view: &RequesterView<'_>, seats: usize) -> RequesterStep {
    let chosen = ranked_bids(view).into_iter().take(seats);
    RequesterStep::Submit(chosen.map(|node| Event::BidAccepted { node }).collect())
}

/// Standing bids, best first: above the reputation floor, then by keccak256(secret, node).
///
/// Not by price: no bid exceeds the job's, and an owner of many nodes could take every seat with low bids.
fn ranked_bids(view: &RequesterView<'_>) -> Vec<NodeId> {
    let key = |node: NodeId| {
        let lot = Digest::keccak([view.secret.as_bytes().as_slice(), node.as_bytes()].concat());
        ((view.reputation)(node).is_below_floor(), lot)
    };
    let mut bids: Vec<_> = view.job.standing_bids().map(|(node, _)| (key(node), node)).collect();
    bids.sort_unstable();
    bids.into_iter().map(|(_, node)| node).collect()
}

fn follow_up(view: &RequesterView<'_>) -> RequesterStep {
    let deal = view.job.deal.escalated(view.job.id).filter(|_| !view.followed_up);
    deal.map_or(RequesterStep::Done, |deal| RequesterStep::Escalate(Box::new(deal)))
}

#[cfg(test)]
mod tests;
