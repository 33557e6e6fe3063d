//! Why each seat of a decided job stands as it does: values, which callers put into words.

use std::collections::BTreeMap;

use super::transition::{run_order, runs_of};
use crate::{
    domain::{Digest, FailureKind, Job, Opening, Seat, SeatStatus},
    verdict::{Reason, Terms, reasons},
};

/// Why a seat stands as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatReason {
    /// It committed to nothing.
    NotCommitted,
    /// Its run gave no result.
    Failed(FailureKind),
    /// It committed and did not reveal.
    NotRevealed,
    /// It sent the commitment of another seat, which only that seat could open.
    Copied {
        /// That seat.
        of: u8,
    },
    /// It revealed, and terms and runs that are none compared it with nothing.
    NotCompared,
    /// It revealed, and was compared.
    Compared(Reason),
}

/// Why each seat stands as it does, by seat. Asked of a job that ended, or whose reveals are over.
pub fn reasons_of(job: &Job) -> Vec<SeatReason> {
    let openings: BTreeMap<u8, Opening> =
        (0..).zip(&job.seats).filter_map(|(seat, held)| Some((seat, opening(held)?))).collect();
    let order = run_order(job, &openings);
    let compared = reasons(&Terms::of(&job.deal), &runs_of(&order, &openings));
    let compared: BTreeMap<u8, Reason> =
        order.into_iter().zip(compared).filter_map(|(seat, reason)| Some((seat, reason?))).collect();
    (0..)
        .zip(&job.seats)
        .map(|(seat, held)| match held.status {
            SeatStatus::Accepted => SeatReason::NotCommitted,
            SeatStatus::Failed(kind) => SeatReason::Failed(kind),
            SeatStatus::Committed(commitment) => original(job, &openings, commitment)
                .map_or(SeatReason::NotRevealed, |of| SeatReason::Copied { of }),
            SeatStatus::Revealed(_) => {
                compared.get(&seat).map_or(SeatReason::NotCompared, |reason| SeatReason::Compared(*reason))
            }
        })
        .collect()
}

fn opening(held: &Seat) -> Option<Opening> {
    match held.status {
        SeatStatus::Revealed(opening) => Some(opening),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    }
}

/// The seat that opened this commitment as its own. A seat that cannot open it has copied it.
fn original(job: &Job, openings: &BTreeMap<u8, Opening>, commitment: Digest) -> Option<u8> {
    let opens = |(seat, opening): &(&u8, &Opening)| {
        let node = job.seat(**seat).map(|held| held.node);
        node.is_some_and(|node| opening.commitment(job.domain, job.id, **seat, node) == commitment)
    };
    openings.iter().find(opens).map(|(seat, _)| *seat)
}

#[cfg(test)]
mod tests;
