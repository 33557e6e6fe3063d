//! What a compute node does for one job: bid, run, commit, reveal.
//!
//! [`super::capacity`] sees all jobs and decides whether the node has room.

use super::{
    ComputeLimits, Moment, Purses, Wake,
    sisters::{Among, Turn, turn},
};
use crate::domain::{
    Acceptance, AuditStage, BidStatus, Digest, Event, Facts, FailureKind, Job, JobId, JobState, NodeId,
    Opening, Pace, SeatStatus, Span, Timestamp,
};

/// How much later each further group of 2N nodes bids, in milliseconds, so that not all bid at once.
pub const RANK_STEP_MS: u64 = 100;

/// How long before the close of commits a node gives up an unfinished run, so that its report still counts.
///
/// At most half of the time that the deal leaves beyond its timeout, which is 60 s or more, so only a run that started
/// late is cut.
pub fn report_margin(job: &Job, pace: Pace) -> Span {
    let spare = job.deal.run.as_secs().saturating_sub(job.deal.timeout.as_secs());
    pace.report_margin.min(Span::from_secs(spare / 2))
}

/// What a compute node knows of one job.
#[derive(Debug, Clone, Copy)]
pub struct ComputeView<'a> {
    /// This node.
    pub me: NodeId,
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub moment: Moment,
    /// When this process first heard of the job, on the monotonic clock.
    pub heard_ms: u64,
    /// This node's place in the order of bidders; see [`rank`].
    pub rank: usize,
    /// The limits on the jobs that this node takes on.
    pub limits: &'a ComputeLimits,
    /// Whether its executor can get the image and the inputs.
    pub can_run: bool,
    /// The backend's facts about this node as a bidder.
    pub facts: Facts,
    /// The nodes of this node's operator, if it has several: at most one of them takes a seat.
    pub sisters: &'a [NodeId],
    /// What other bidders have.
    pub purses: Purses<'a>,
    /// How slow the log is.
    pub pace: Pace,
    /// The state of this node's run. A finished or failed run survives a restart.
    pub execution: Execution<'a>,
    /// Who orders the log.
    pub log: LogTrust,
    /// Whether the requester has given this node honest work before.
    pub knows_requester: bool,
}

/// The latest time at which a run may begin and still take its whole timeout before this node gives it up.
///
/// Before this time, missing inputs are the requester's fault. After it, a late run is the node's.
pub fn start_by(job: &Job, pace: Pace) -> Timestamp {
    job.commit_by.minus(job.deal.timeout).minus(report_margin(job, pace))
}

/// The state of this node's run of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution<'a> {
    /// Not started, or interrupted by a restart.
    None,
    /// In the executor.
    Running,
    /// A result, with its salt, both on disk.
    Finished(&'a Opening),
    /// No result.
    Failed(FailureKind),
}

/// Who orders the log, and how far this node follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTrust {
    /// A party without a stake in the job: a chain, or the one process.
    Neutral,
    /// The job's requester, who must not commit after it has read a reveal.
    Requester {
        /// Whether the stamps of live entries agree with this node's own clock.
        clock_agrees: bool,
        /// Whether the log was 30 s off this node's clock, broke the rules, or was forked.
        suspended: bool,
    },
}

/// What to do now.
#[expect(clippy::large_enum_variant, reason = "a step is looked at once and never kept")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComputeStep {
    /// Nothing before this, unless something happens.
    Wait(Wake),
    /// Sign and submit this. Ask again once the log has it or refused it.
    Submit(Event),
    /// Start the run.
    Run,
    /// Nothing more with this log: stop a run in progress. A later entry, such as a new deal, may bring more to do. If the
    /// job has not ended but is overdue, its sequencer is gone.
    Done,
}

/// How many of `members` come before `me` in the order of keccak256(job, node).
pub fn rank(job: JobId, me: NodeId, members: &[NodeId]) -> usize {
    let mine = job.lot(me);
    members.iter().filter(|member| job.lot(**member) < mine).count()
}

/// The next step.
pub fn next(view: &ComputeView<'_>) -> ComputeStep {
    let (job, now) = (view.job, view.moment.now);
    let (state, reveal_by) = job.state_at(now);
    if state.is_terminal() || (view.by_requester() && job.is_overdue(now)) {
        return ComputeStep::Done;
    }
    if view.suspended() {
        return wait(view);
    }
    let Some(seat) = job.seat_of(view.me) else {
        return without_seat(view, state);
    };
    match job.seats[usize::from(seat)].status {
        SeatStatus::Accepted => accepted(view, state, seat),
        SeatStatus::Committed(commitment) => committed(view, state, reveal_by, seat, commitment),
        SeatStatus::Failed(_) | SeatStatus::Revealed(_) => ComputeStep::Done,
    }
}

impl ComputeView<'_> {
    const fn by_requester(&self) -> bool {
        matches!(self.log, LogTrust::Requester { .. })
    }

    const fn suspended(&self) -> bool {
        matches!(self.log, LogTrust::Requester { suspended: true, .. })
    }
}

fn wait(view: &ComputeView<'_>) -> ComputeStep {
    ComputeStep::Wait(Wake::after_next_deadline(view.job, view.moment.now))
}

/// Bids, or waits for the fate of its bid, while the job fills its seats.
fn without_seat(view: &ComputeView<'_>, state: JobState) -> ComputeStep {
    let job = view.job;
    let filled_by = match state {
        JobState::Open => job.open_by,
        JobState::Running => job.refill_by(),
        // A draw may open a second wave, and a standing bid still counts there.
        JobState::Revealing if job.audit == AuditStage::Undrawn && !job.is_overdue(view.moment.now) => {
            return wait(view);
        }
        JobState::Revealing
        | JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => return ComputeStep::Done,
    };
    if view.moment.now > filled_by {
        return ComputeStep::Done;
    }
    match job.bids.get(&view.me).filter(|bid| bid.epoch == job.epoch).map(|bid| bid.status) {
        None => bid(view, filled_by),
        Some(status) if status.may_bid_again() => bid(view, filled_by),
        Some(BidStatus::Standing) => ComputeStep::Wait(Wake::after(filled_by)),
        Some(BidStatus::Withdrawn | BidStatus::Rejected | BidStatus::Skipped | BidStatus::Seated(_)) => {
            ComputeStep::Done
        }
    }
}

fn bid(view: &ComputeView<'_>, filled_by: Timestamp) -> ComputeStep {
    let job = view.job;
    let failed = usize::from(job.refillable().len());
    let first_come = job.deal.acceptance == Acceptance::FirstCome;
    let takes_bids = job.state == JobState::Open || first_come || failed > 0;
    let Some(price) = view.limits.ask.of(job.deal.price).filter(|_| takes_bids && is_eligible(view)) else {
        return ComputeStep::Done;
    };
    let seat_free = job.seats.len() < usize::from(job.asked()) || failed > 0;
    if has_enough_bids(job, view.purses) || !seat_free || !has_means(view) {
        return ComputeStep::Wait(Wake::after(filled_by));
    }
    let (me, sisters, now, margin) = (view.me, view.sisters, view.moment.now, view.pace.report_margin);
    match turn(&Among { me, sisters, job, now, margin }) {
        Turn::Now => {}
        Turn::From(at) => return ComputeStep::Wait(Wake::after(at.minus(Span::from_secs(1)))),
        Turn::Never => return ComputeStep::Wait(Wake::after(filled_by)),
    }
    let steps = u64::try_from(view.rank / job.wanted_bids().max(1)).unwrap_or(u64::MAX);
    let turn_ms = view.heard_ms.saturating_add(steps.saturating_mul(RANK_STEP_MS));
    if view.moment.elapsed_ms < turn_ms {
        return ComputeStep::Wait(Wake::after(filled_by).or_at(turn_ms));
    }
    ComputeStep::Submit(Event::BidPlaced { price })
}

/// Whether the deal admits this node and the node takes the deal on, whatever it has now.
fn is_eligible(view: &ComputeView<'_>) -> bool {
    let (deal, limits) = (&view.job.deal, view.limits);
    let fits = limits.suit(deal, view.job.spec.resources, view.me) && deal.bond <= limits.max_bond;
    fits && !view.facts.sat_in_parent && view.can_run
}

/// Whether the node has the bond, and was paid enough before. Both may change while the job is open.
fn has_means(view: &ComputeView<'_>) -> bool {
    view.facts.funded && view.facts.paid >= view.job.deal.min_paid
}

/// Whether as many nodes have bid, and can pay their bond, as the free seats of the job want.
pub(super) fn has_enough_bids(job: &Job, purses: Purses<'_>) -> bool {
    if job.state == JobState::Running && job.deal.acceptance == Acceptance::Requester {
        return purses.backed_bids(job) >= 2 * usize::from(job.refillable().len());
    }
    let seated = job.seats.iter().filter(|seat| !matches!(seat.status, SeatStatus::Failed(_))).count();
    purses.backed_bids(job) + seated >= job.wanted_bids()
}

/// Waits until every seat is filled, then runs and reports.
fn accepted(view: &ComputeView<'_>, state: JobState, seat: u8) -> ComputeStep {
    let (job, now) = (view.job, view.moment.now);
    if state == JobState::Open && now <= job.open_by {
        return wait(view);
    }
    if state != JobState::Running || now > job.commit_by {
        return ComputeStep::Done;
    }
    let give_up_after = job.commit_by.minus(report_margin(job, view.pace));
    match view.execution {
        Execution::Finished(opening) => {
            let commitment = opening.commitment(job.domain, job.id, seat, view.me);
            ComputeStep::Submit(Event::Committed { commitment })
        }
        Execution::Failed(kind) => ComputeStep::Submit(Event::FailureReported { kind }),
        Execution::None | Execution::Running if now > give_up_after => {
            ComputeStep::Submit(Event::FailureReported { kind: FailureKind::Interrupted })
        }
        Execution::None => ComputeStep::Run,
        Execution::Running => ComputeStep::Wait(Wake::after(give_up_after)),
    }
}

/// Opens the commitment once nobody can profit from it any more.
fn committed(
    view: &ComputeView<'_>,
    state: JobState,
    reveal_by: Timestamp,
    seat: u8,
    commitment: Digest,
) -> ComputeStep {
    let (job, now) = (view.job, view.moment.now);
    let filling = matches!(state, JobState::Open | JobState::Running);
    if (filling || job.audit == AuditStage::Undrawn) && !job.is_overdue(now) {
        return wait(view);
    }
    let Execution::Finished(opening) = view.execution else {
        return ComputeStep::Done;
    };
    let mine = opening.commitment(job.domain, job.id, seat, view.me) == commitment;
    if state != JobState::Revealing || now > reveal_by || !mine {
        return ComputeStep::Done;
    }
    match doubt(view, reveal_by) {
        Some(until) => ComputeStep::Wait(Wake::after(until)),
        None => ComputeStep::Submit(Event::Revealed { seat, opening: *opening }),
    }
}

/// How long to hold an opening back if the log does not yet prove to this node that commits are closed.
///
/// An entry that closes commits is proof, and the only proof in a log that the requester orders: the requester might show a
/// close to read openings, and commit afterwards. If a deadline rather than the last commitment closed commits there, this
/// node's own clock must agree. In a neutral log the deadline is enough once earlier entries, such as a failed seat's new
/// holder, cannot be in flight to this node any more.
fn doubt(view: &ComputeView<'_>, reveal_by: Timestamp) -> Option<Timestamp> {
    let closed_by_entry = view.job.state == JobState::Revealing;
    let (now, deadline) = (view.moment.now, closing_deadline(view.job));
    match view.log {
        LogTrust::Neutral if closed_by_entry => None,
        LogTrust::Neutral => {
            deadline.map(|deadline| deadline.plus(view.pace.report_margin)).filter(|until| now <= *until)
        }
        LogTrust::Requester { .. } if !closed_by_entry => Some(reveal_by),
        LogTrust::Requester { clock_agrees, suspended: _ } => match deadline? {
            deadline if now <= deadline => Some(deadline),
            _ => (!clock_agrees).then_some(reveal_by),
        },
    }
}

/// The deadline that closed commits; `None` when every seat has committed, which needs no clock.
fn closing_deadline(job: &Job) -> Option<Timestamp> {
    let (committed, n) = (job.committed.len(), job.asked());
    let all_said = committed + job.failed.len() == n;
    (committed < n).then(|| if all_said { job.refill_by() } else { job.commit_by })
}

#[cfg(test)]
mod tests;
