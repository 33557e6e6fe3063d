//! What anyone does to end a job: post the verdict that the rules give, or the expiry.

use super::{Moment, Wake};
use crate::{
    domain::{Event, Job, JobState, SeatStatus, Timestamp},
    rules,
};

/// How long each further node waits for those before it, in milliseconds.
pub const FALLBACK_STEP_MS: u64 = 5_000;

/// What a verifier knows of one job.
#[derive(Debug, Clone, Copy)]
pub struct VerifierView<'a> {
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub moment: Moment,
    /// See [`super::compute::rank`].
    pub rank: usize,
    /// Whether this node acts at once, as the requester does. Other nodes act only if nobody did.
    pub in_charge: bool,
    /// Since when this process has found [`is_due`] true without a break, on the monotonic clock; now if it just became
    /// true.
    pub due_since_ms: u64,
}

/// What to do now.
#[expect(clippy::large_enum_variant, reason = "a step is looked at once and never kept")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifierStep {
    /// Nothing before this, unless something happens.
    Wait(Wake),
    /// Submit this. Ask again afterwards.
    Submit(Event),
    /// The job has ended.
    Done,
}

/// Whether anyone may end the job at `now`.
pub fn is_due(job: &Job, now: Timestamp) -> bool {
    job.is_overdue(now) || verdict_is_due(job, now)
}

/// Whether every committed seat has revealed, or the time to reveal is over and a quorum has revealed.
fn verdict_is_due(job: &Job, now: Timestamp) -> bool {
    let (state, reveal_by) = job.state_at(now);
    let enough = job.revealed.len() >= job.quorum();
    state == JobState::Revealing && enough && (now > reveal_by || job.revealed == job.committed)
}

/// The next step.
pub fn next(view: &VerifierView<'_>) -> VerifierStep {
    let (job, now) = (view.job, view.moment.now);
    if job.state.is_terminal() {
        return VerifierStep::Done;
    }
    if !is_due(job, now) {
        return VerifierStep::Wait(Wake::after_next_deadline(job, now));
    }
    let turn_ms = view.due_since_ms.saturating_add(delay_ms(view));
    if view.moment.elapsed_ms < turn_ms {
        return VerifierStep::Wait(Wake::NEVER.or_at(turn_ms));
    }
    VerifierStep::Submit(if job.is_overdue(now) { Event::Expired } else { verdict(job) })
}

/// Zero for the party in charge. For others it grows with the rank, so that they do not all send at once.
fn delay_ms(view: &VerifierView<'_>) -> u64 {
    let place = u64::try_from(view.rank).unwrap_or(u64::MAX).saturating_add(1);
    if view.in_charge { 0 } else { place.saturating_mul(FALLBACK_STEP_MS) }
}

/// The verdict over the openings in the log. They need not be sent again.
fn verdict(job: &Job) -> Event {
    let openings = (0..).zip(&job.seats).filter_map(|(index, seat)| match seat.status {
        SeatStatus::Revealed(opening) => Some((index, opening)),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    });
    let accepted = rules::verdict_of(job, &openings.collect()).accepted;
    Event::VerdictPosted { openings: Vec::new(), accepted }
}

#[cfg(test)]
mod tests;
