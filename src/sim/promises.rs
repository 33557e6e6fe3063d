//! What the protocol promises of a job that is over, to those who kept to it.

use std::fmt::Display;

use super::{
    temper::Temper,
    world::{Outage, Violation, World},
};
use crate::domain::{AuditStage, Job, JobState, NodeId, SeatStatus, Span, Timestamp};

/// A party that was out of reach for longer than this, in all, while it had to act may lose by it.
const MOST_OUTAGE_MS: u64 = 20_000;

/// How long after the last deadline somebody ends a job at the latest.
const GRACE: Span = Span::from_secs(120);

/// How long nodes may take to learn that the last job is over.
const LAST_NEWS_MS: u64 = 600_000;

/// Checks what must have happened by now.
///
/// # Errors
/// The first promise that was not kept.
pub(super) fn in_time(world: &World) -> Result<(), Violation> {
    let now_ms = world.now_ms();
    let late = |job: &&Job| !job.state.is_terminal() && world.ms_of(latest_end(job)) < now_ms;
    if let Some(job) = world.truth().open_jobs().find(late) {
        return Err(broken(world, job, "a job did not end in time", &""));
    }
    let last = world.truth().jobs().max_by_key(|job| job.ended_at);
    match last {
        Some(last) if world.unfinished() == 0 && world.ms_of(last.ended_at) + LAST_NEWS_MS < now_ms => {
            Err(broken(world, last, "not every node learns that a job is over", &""))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks a job that is over.
///
/// # Errors
/// The first promise that was not kept.
pub fn kept(world: &World, job: &Job) -> Result<(), Violation> {
    let broken = |promise, detail: &dyn Display| Err(broken(world, job, promise, detail));
    let is_honest = |node| temper_of(world, node) == Temper::Honest;
    // Who orders a log, or must answer in it, harms others by its absence.
    let was_there = |node| was_there(world, job, node) && was_there(world, job, job.requester);
    if job.ended_at > latest_end(job) {
        return broken("a job did not end in time", &"");
    }
    let went_far = |status| matches!(status, SeatStatus::Committed(_) | SeatStatus::Revealed(_));
    let sound = job.seats.iter().filter(|seat| is_honest(seat.node) && went_far(seat.status));
    let all_there = sound.clone().all(|seat| was_there(seat.node));
    // A second wave that nobody came for leaves the first one undecided, and paid.
    let is_full = job.seats.len() == usize::from(job.asked());
    let decided = all_there && is_full && sound.count() >= usize::from(job.quorum());
    if decided && job.state != JobState::Verified {
        return broken("a quorum was honest, and the job is not verified", &format!("it is {}", job.state));
    }
    let verdict = job.verdict.as_ref();
    for (index, seat) in (0..).zip(&job.seats) {
        let accepted = verdict.is_some_and(|verdict| verdict.accepted.contains(index));
        let named = format!("seat {index}");
        if temper_of(world, seat.node) == Temper::Faker && decided && accepted {
            return broken("a lie was accepted", &named);
        }
        if !is_honest(seat.node) || !was_there(seat.node) {
            continue;
        }
        if decided && went_far(seat.status) && !accepted {
            return broken("an honest result was not accepted", &named);
        }
        let lost = match (job.state, seat.status) {
            (JobState::Verified | JobState::Inconclusive, status) => {
                matches!(status, SeatStatus::Accepted | SeatStatus::Committed(_))
            }
            (JobState::Failed, SeatStatus::Accepted) => job.ended_at > job.commit_by,
            (JobState::Failed, SeatStatus::Committed(_)) => job.reveal_by.as_secs() != 0,
            _ => false,
        };
        if lost {
            return broken("an honest node lost its bond", &named);
        }
    }
    Ok(())
}

fn broken(world: &World, job: &Job, promise: &'static str, detail: &dyn Display) -> Violation {
    Violation::new(world.now_ms(), job.id, promise, detail)
}

/// When somebody must have ended a job.
fn latest_end(job: &Job) -> Timestamp {
    // A second wave takes its own time, after that of the draw.
    let waves = if job.audit == AuditStage::Drawn { 2 } else { 1 };
    let draw = if job.audit == AuditStage::None { Span::from_secs(0) } else { job.deal.reveal };
    let longest =
        [job.deal.open, job.deal.run].repeat(waves).into_iter().chain([job.deal.reveal, draw, GRACE]);
    longest.fold(job.submitted_at, Timestamp::plus)
}

fn temper_of(world: &World, node: NodeId) -> Temper {
    world.node(node).map_or(Temper::Honest, |node| node.temper())
}

/// Whether a node was within reach while the job lasted, but for moments.
fn was_there(world: &World, job: &Job, node: NodeId) -> bool {
    let place = world.place_of(node);
    let is_own = |outage: &&Outage| Some(outage.node) == place;
    let (from, to) = (world.ms_of(job.submitted_at), world.ms_of(job.ended_at).saturating_add(1_000));
    let overlap = |outage: &Outage| outage.to_ms.min(to).saturating_sub(outage.from_ms.max(from));
    world.outages().iter().filter(is_own).map(overlap).sum::<u64>() <= MOST_OUTAGE_MS
}
