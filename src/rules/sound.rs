//! What holds of every job, whatever happened to it.

use std::collections::BTreeSet;

use super::payout::owes_first_wave;
use crate::domain::{BidStatus, Job, JobState, SeatStatus, Timestamp};

/// A job that no log makes: the rules are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsound(&'static str);

const fn holds(is_so: bool, or: &'static str) -> Result<(), Unsound> {
    if is_so { Ok(()) } else { Err(Unsound(or)) }
}

/// Checks what must hold of a job after every event.
///
/// # Errors
/// What does not.
pub fn sound(job: &Job) -> Result<(), Unsound> {
    let n = job.asked();
    let seats = u8::try_from(job.seats.len()).map_err(|_| Unsound("it has more seats than any job"))?;
    holds(seats <= n, "it has more seats than it asks for")?;
    holds(job.committed.len() + job.failed.len() <= seats, "more seats committed or failed than there are")?;
    holds(
        job.revealed.iter().all(|seat| job.committed.contains(seat)),
        "a seat revealed and never committed",
    )?;
    holds(job.late.iter().all(|seat| job.failed.contains(seat)), "a seat failed late and did not fail")?;
    let holders: BTreeSet<_> = job.seats.iter().map(|seat| seat.node).collect();
    holds(holders.len() == job.seats.len(), "a node holds two seats")?;
    for (index, seat) in (0..n).zip(&job.seats) {
        let says = match seat.status {
            SeatStatus::Accepted => (false, false, false),
            SeatStatus::Failed(_) => (true, false, false),
            SeatStatus::Committed(_) => (false, true, false),
            SeatStatus::Revealed(_) => (false, true, true),
        };
        let bits = (job.failed.contains(index), job.committed.contains(index), job.revealed.contains(index));
        holds(says == bits, "a bitmap differs from its seats")?;
        holds(seat.price <= job.deal.price, "a seat costs more than the deal allows")?;
        let bid = job.bids.get(&seat.node).map(|bid| bid.status);
        holds(bid == Some(BidStatus::Seated(index)), "a seat's holder has no bid that was seated")?;
    }
    holds(job.state.is_terminal() == job.ended_by.is_some(), "it ended and nobody ended it, or the reverse")?;
    let verdict = job.verdict.as_ref();
    match job.state {
        JobState::Open | JobState::Expired => {
            holds(job.commit_by == Timestamp::ZERO, "it has seats to fill and a time to commit by")
        }
        JobState::Failed if owes_first_wave(job) => {
            holds(seats >= job.deal.concurrency, "it owes a first wave that was never full")
        }
        JobState::Running | JobState::Revealing | JobState::Failed => {
            holds(seats == n, "it ran with seats to fill")
        }
        JobState::Verified => {
            let counts =
                verdict.map(|v| (v.accepted.len(), v.accepted.len() + v.rejected.len() + v.absent.len()));
            let (accepted, judged) = counts.ok_or(Unsound("it is verified without a verdict"))?;
            holds(accepted >= job.quorum(), "it is verified without a quorum")?;
            holds(judged == n, "its verdict leaves seats out")
        }
        JobState::Inconclusive => {
            let blames = verdict.map(|v| !v.accepted.is_empty() || !v.rejected.is_empty());
            holds(blames == Some(false), "it is inconclusive and judges somebody, or has no verdict")
        }
        JobState::Cancelled => holds(seats == 0 || seats == n, "it was cancelled with seats to fill"),
    }
}
