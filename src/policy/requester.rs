//! What a requester does for its job: choose among bids, fill failed seats again, close what is over, follow up.

use std::fmt;

use super::{
    Moment, Purses, Wake,
    compute::has_enough_bids,
    replication::{TRUSTED_WAIT_MS, widened},
    trust::{Level, TrustTerms},
};
use crate::domain::{
    Acceptance, AuditSecret, AuditStage, Bid, BidStatus, Deal, Digest, Event, Job, JobState, NodeId, Pace,
    Span, Tally,
};

/// Most bids that a requester declines so that nodes that it knows bid. Each costs two entries of the log, which all bidders get.
const MOST_DECLINED: usize = 64;

/// What a requester knows of its job.
#[derive(Clone, Copy)]
pub struct RequesterView<'a> {
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub moment: Moment,
    /// When this process first saw the job, on the monotonic clock.
    pub opened_ms: u64,
    /// How slow the log is.
    pub pace: Pace,
    /// This requester's record of a node.
    pub reputation: &'a dyn Fn(NodeId) -> Standing,
    /// What each bidder has.
    pub purses: Purses<'a>,
    /// A secret that orders bids and draws audits, so that nobody can make itself first or foresee an audit.
    pub secret: Digest,
    /// How many nodes may bid, as far as this node knows: the others, and itself if it runs jobs.
    pub members: usize,
    /// Whether this requester orders the job's log itself.
    pub orders_log: bool,
    /// Whether this job has a follow-up already.
    pub followed_up: bool,
    /// Whether this node decided how many nodes run the job: then only trusted ones run it alone.
    pub is_auto: bool,
}

/// A record of a node's earlier results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// How it did in jobs.
    pub tally: Tally,
    /// How far this node trusts it as a requester.
    pub level: Level,
}

impl Standing {
    /// Whether to take the node only if there are too few others: more than one of five results was bad.
    pub const fn is_below_floor(self) -> bool {
        self.tally.broken() > self.tally.accepted / 4
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
            .field("pace", &self.pace)
            .field("members", &self.members)
            .field("orders_log", &self.orders_log)
            .field("followed_up", &self.followed_up)
            .field("is_auto", &self.is_auto)
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
    let free = usize::from(job.asked()).saturating_sub(job.seats.len());
    if job.deal.acceptance == Acceptance::FirstCome {
        return wait(view);
    }
    let eligible = ranked_bids(view);
    if eligible.len() < free {
        let instead = || if is_for_trusted(view) { widen(view) } else { wait(view) };
        return decline(view).unwrap_or_else(instead);
    }
    let bids = job.bids.values().filter(|bid| bid.epoch == job.epoch).count();
    let window_ms = bid_window_ms(view);
    let window_end_ms = view.opened_ms.saturating_add(window_ms);
    // An acceptance takes about as long to reach the log.
    let last_call = job.open_by.minus(Span::from_secs(u32::try_from(window_ms / 1000).unwrap_or(u32::MAX)));
    let has_time = view.moment.elapsed_ms < window_end_ms && view.moment.now <= last_call;
    if has_time && let Some(step) = prefer_circle(view, &eligible, free) {
        return step;
    }
    if eligible.len() < job.wanted_bids() && bids < view.members && has_time {
        return RequesterStep::Wait(Wake::after(last_call).or_at(window_end_ms));
    }
    accept(eligible, free)
}

/// For how long bids are gathered. They come at once to a requester that orders the log, as it does while an offer is no job of
/// the chain yet.
const fn bid_window_ms(view: &RequesterView<'_>) -> u64 {
    if view.orders_log { Pace::QUICK.bid_window_ms } else { view.pace.bid_window_ms }
}

/// Whether the seats that are free now are for trusted nodes alone: those of a first wave of one.
fn is_for_trusted(view: &RequesterView<'_>) -> bool {
    let job = view.job;
    view.is_auto && job.deal.concurrency == 1 && job.audit == AuditStage::Undrawn
}

/// Offers a job for trusted nodes to all, once no trusted one has bid for a while and enough others have.
///
/// Nodes stop bidding at [`Job::wanted_bids`], which may be fewer than the seats of the new terms: to wait for more would be
/// to wait until bids close.
fn widen(view: &RequesterView<'_>) -> RequesterStep {
    let (job, terms) = (view.job, TrustTerms::default());
    // A declined node may bid again under new terms.
    let others = backed_bids(view).chain(declined(job));
    let others = others.filter(|node| (view.reputation)(*node).level < Level::Banned).count();
    let seats = usize::from(terms.seats);
    if !job.seats.is_empty() || may_bid(view) < seats || others < seats.min(job.wanted_bids()) {
        return wait(view);
    }
    let wait_end_ms = wait_end_ms(view);
    if view.moment.elapsed_ms < wait_end_ms {
        return RequesterStep::Wait(Wake::after(job.open_by).or_at(wait_end_ms));
    }
    RequesterStep::Submit(vec![Event::DealUpdated { deal: widened(&terms, job.deal.clone()) }])
}

/// Gives failed seats to standing bids, while a whole run fits.
fn refill(view: &RequesterView<'_>) -> RequesterStep {
    let job = view.job;
    let in_time = view.moment.now <= job.refill_by() && job.deal.acceptance == Acceptance::Requester;
    let refillable = usize::from(job.refillable().len());
    if !in_time || refillable == 0 {
        return wait(view);
    }
    let eligible = ranked_bids(view);
    if eligible.is_empty() {
        return decline(view).unwrap_or_else(|| wait(view));
    }
    accept(eligible, refillable)
}

/// Declines bids of strangers, except as many as there are seats, while they keep nodes of the circle from bidding.
fn prefer_circle(view: &RequesterView<'_>, eligible: &[NodeId], free: usize) -> Option<RequesterStep> {
    let is_stranger = |node: &NodeId| (view.reputation)(*node).level == Level::Stranger;
    let is_short = view.is_auto && eligible.iter().take(free).any(is_stranger);
    if !is_short || !has_enough_bids(view.job, view.purses) {
        return None;
    }
    let events = eligible.iter().skip(free).filter(|node| is_stranger(node)).take(may_decline(view));
    let events: Vec<_> = events.map(|node| Event::BidRejected { node: *node }).collect();
    (!events.is_empty()).then_some(RequesterStep::Submit(events))
}

/// How many nodes may bid under these terms, as far as this node knows.
fn may_bid(view: &RequesterView<'_>) -> usize {
    let allowed = &view.job.deal.allow_list;
    if allowed.is_empty() { view.members } else { view.members.min(allowed.len()) }
}

/// How many more bids may be declined in the hope of better ones.
///
/// A declined node does not bid again under these terms, so enough nodes stay: one for each seat, and two for each of a second wave.
/// On a slow chain each refusal is a transaction, which costs more than it saves.
fn may_decline(view: &RequesterView<'_>) -> usize {
    let job = view.job;
    if view.pace != Pace::QUICK {
        return 0;
    }
    let second_wave = job.deal.audit.map_or(0, |audit| usize::from(audit.seats));
    let stay = usize::from(job.deal.concurrency) + 2 * second_wave;
    may_bid(view).saturating_sub(stay).min(MOST_DECLINED).saturating_sub(declined(job).count())
}

/// Declines bids that get no seat, where they keep other nodes from bidding: those of banned nodes, and for a while those of
/// nodes that are not trusted in a job for trusted ones.
///
/// For want of trusted bids [`widen`] makes new terms, under which all may bid again.
fn decline(view: &RequesterView<'_>) -> Option<RequesterStep> {
    let job = view.job;
    if !has_enough_bids(job, view.purses) {
        return None;
    }
    // A seat that failed can only go to another node under the same terms.
    let has_time = !job.seats.is_empty() || view.moment.elapsed_ms < wait_end_ms(view);
    let mut left = if is_for_trusted(view) && has_time { may_decline(view) } else { 0 };
    let bids = job.standing_bids().map(|(node, _)| node).filter(|node| {
        view.purses.back(job, *node) != Some(false)
            && match (view.reputation)(*node).level {
                Level::Banned => true,
                Level::Untrusted | Level::Stranger | Level::Doubted if left > 0 => {
                    left -= 1;
                    true
                }
                Level::Trusted | Level::Untrusted | Level::Stranger | Level::Doubted => false,
            }
    });
    let events: Vec<_> = bids.map(|node| Event::BidRejected { node }).collect();
    (!events.is_empty()).then_some(RequesterStep::Submit(events))
}

/// Nodes whose bids were declined under these terms.
fn declined(job: &Job) -> impl Iterator<Item = NodeId> {
    let is_declined = |bid: &Bid| bid.epoch == job.epoch && bid.status == BidStatus::Rejected;
    job.bids.iter().filter(move |(_, bid)| is_declined(bid)).map(|(node, _)| *node)
}

/// When a job for trusted nodes has waited long enough for one, on the monotonic clock.
fn wait_end_ms(view: &RequesterView<'_>) -> u64 {
    view.opened_ms.saturating_add(TRUSTED_WAIT_MS.max(bid_window_ms(view)))
}

fn accept(ranked: Vec<NodeId>, seats: usize) -> RequesterStep {
    RequesterStep::Submit(ranked.into_iter().take(seats).map(|node| Event::BidAccepted { node }).collect())
}

/// Standing bids with the money for their bond that may have a seat, best first: of the circle where this node decides how many
/// nodes run the job, above the reputation floor, then by keccak256(secret, job, node).
///
/// Not by price: no bid exceeds the job's, and an owner of many nodes could take every seat with low bids. The job is in the
/// lot, since else the same nodes would be the first in every job, and two of one owner would decide them all.
fn ranked_bids(view: &RequesterView<'_>) -> Vec<NodeId> {
    let for_trusted = is_for_trusted(view);
    let key = |node: NodeId| {
        let standing = (view.reputation)(node);
        let may_sit = match standing.level {
            Level::Trusted => true,
            Level::Untrusted | Level::Stranger | Level::Doubted => !for_trusted,
            Level::Banned => false,
        };
        let is_last = standing.is_below_floor() || standing.level > Level::Stranger;
        let is_stranger = view.is_auto && standing.level == Level::Stranger;
        let lot = [view.secret.as_bytes().as_slice(), view.job.id.as_bytes(), node.as_bytes()].concat();
        may_sit.then(|| (is_last, is_stranger, Digest::keccak(lot)))
    };
    let mut bids: Vec<_> = backed_bids(view).filter_map(|node| Some((key(node)?, node))).collect();
    bids.sort_unstable();
    bids.into_iter().map(|(_, node)| node).collect()
}

/// Standing bids that are known to have the money for their bond.
fn backed_bids(view: &RequesterView<'_>) -> impl Iterator<Item = NodeId> {
    let (job, purses) = (view.job, view.purses);
    job.standing_bids().map(|(node, _)| node).filter(move |node| purses.back(job, *node) == Some(true))
}

fn follow_up(view: &RequesterView<'_>) -> RequesterStep {
    let deal = view.job.deal.escalated(view.job.id).filter(|_| !view.followed_up);
    deal.map_or(RequesterStep::Done, |deal| RequesterStep::Escalate(Box::new(deal)))
}

#[cfg(test)]
mod tests;
