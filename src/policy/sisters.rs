//! Nodes of one operator: at most one of them takes a seat in a job.
//!
//! An operator that says so gives each of its nodes the same list. While a job fills its seats, they have turns in the order
//! of the job's lots, each an equal part of that time. A turn ends early, so that what was sent in it is in the log when the
//! next begins; and nobody bids where the log has another's bid. If one is away or busy, the next takes its place. A bid that
//! takes longer than that to be read, as on a chain that is dear, may meet the next one's: then both may get seats.

use crate::domain::{BidStatus, Job, JobState, NodeId, Span, Timestamp};

/// Whether it is this node's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may bid.
    Now,
    /// It may bid from then on.
    From(Timestamp),
    /// Another has the seat, or will have it.
    Never,
}

/// A node among those of its operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Among<'a> {
    pub(super) me: NodeId,
    /// The others; it may be one of them.
    pub(super) sisters: &'a [NodeId],
    pub(super) job: &'a Job,
    pub(super) now: Timestamp,
    /// How long a bid may take until all have read it.
    pub(super) margin: Span,
}

/// Whose turn it is among this node and those of its operator.
pub(super) fn turn(view: &Among<'_>) -> Turn {
    let job = view.job;
    let others: Vec<NodeId> = view.sisters.iter().copied().filter(|node| *node != view.me).collect();
    if others.is_empty() {
        return Turn::Now;
    }
    if others.iter().any(|node| has_part(job, *node)) {
        return Turn::Never;
    }
    let before = others.iter().filter(|node| job.id.lot(**node) < job.id.lot(view.me)).count();
    let (begin, end) = bounds(view, before, others.len() + 1);
    match () {
        () if view.now < begin => Turn::From(begin),
        () if view.now < end => Turn::Now,
        () => Turn::Never,
    }
}

/// Whether a node has, or had, a seat in the job, or has a bid that may get one.
fn has_part(job: &Job, node: NodeId) -> bool {
    let bid = job.bids.get(&node).filter(|bid| bid.epoch == job.epoch);
    bid.is_some_and(|bid| matches!(bid.status, BidStatus::Standing | BidStatus::Seated(_)))
}

/// When the turn of the node that comes after `before` others begins and ends, out of `all`. In a job that runs, the first
/// alone has one: a failed seat is filled as soon as somebody bids.
fn bounds(view: &Among<'_>, before: usize, all: usize) -> (Timestamp, Timestamp) {
    let job = view.job;
    let never = (Timestamp::ZERO, Timestamp::ZERO);
    if job.state == JobState::Running {
        return if before == 0 { (Timestamp::ZERO, job.refill_by().plus(Span::from_secs(1))) } else { never };
    }
    let [before, all] = [before, all].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let (part, margin) = (job.deal.open.as_secs() / all, view.margin);
    let opened = job.open_by.minus(job.deal.open);
    if part > 2 * margin.as_secs() {
        let begin = opened.plus(Span::from_secs(part.saturating_mul(before)));
        return (begin, begin.plus(Span::from_secs(part)).minus(margin));
    }
    // Too short for turns: the first has all of it.
    if before == 0 { (opened, job.open_by.plus(Span::from_secs(1))) } else { never }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Acceptance, Deal, Event, Facts, FailureKind, Pace},
        policy::{
            Purses,
            compute::{self, ComputeStep, ComputeView, Execution, LogTrust},
            fixture::{LIMITS, accept, bid, deal, moment, node, open, then},
        },
    };

    const OURS: [u8; 4] = [0, 1, 2, 3];

    fn view<'a>(job: &'a Job, me: u8, sisters: &'a [NodeId], secs: u64) -> ComputeView<'a> {
        ComputeView {
            me: node(me),
            job,
            moment: moment(secs),
            heard_ms: 0,
            rank: 0,
            limits: &LIMITS,
            can_run: true,
            facts: Facts::MONEYLESS,
            sisters,
            purses: Purses::FULL,
            pace: Pace::QUICK,
            execution: Execution::None,
            log: LogTrust::Neutral,
            knows_requester: false,
        }
    }

    fn long() -> Job {
        open(Deal { open: Span::from_secs(400), ..deal() })
    }

    fn bids(job: &Job, me: u8, secs: u64) -> bool {
        let sisters = OURS.map(node);
        let step = compute::next(&view(job, me, &sisters, secs));
        matches!(step, ComputeStep::Submit(Event::BidPlaced { .. }))
    }

    #[test]
    fn sisters_bid_one_after_another_and_never_within_the_time_that_a_bid_takes_to_be_read() {
        let job = long();
        let who = |secs| OURS.into_iter().filter(|me| bids(&job, *me, secs)).collect::<Vec<_>>();
        let mut order: Vec<(u8, u64)> = Vec::new();
        for secs in 1000..=1400 {
            let now = who(secs);
            assert!(now.len() <= 1, "{now:?} at {secs}");
            order.extend(now.first().map(|me| (*me, secs)));
        }
        for ((one, at), (other, next)) in order.iter().zip(&order[1..]) {
            let margin = u64::from(Pace::QUICK.report_margin.as_secs());
            assert!(one == other || next - at > margin, "{one} at {at}, {other} at {next}");
        }
        let mut turns: Vec<u8> = order.into_iter().map(|(me, _)| me).collect();
        turns.dedup();
        let mut by_lot = OURS;
        by_lot.sort_by_key(|me| job.id.lot(node(*me)));
        assert_eq!(turns, by_lot, "each has one turn, by the job's lot");
    }

    #[test]
    fn nobody_bids_beside_a_sister() {
        let mut job = long();
        let first = OURS.into_iter().find(|me| bids(&job, *me, 1000)).unwrap();
        bid(&mut job, first, 1000);
        let others = || OURS.into_iter().filter(|me| *me != first);
        assert!((1000..=1400).all(|secs| others().all(|me| !bids(&job, me, secs))));
        then(&mut job, node(first), 1001, Event::BidWithdrawn).unwrap();
        assert!(others().any(|me| (1000..=1400).any(|secs| bids(&job, me, secs))), "it took its bid back");
    }

    #[test]
    fn a_seat_that_failed_at_one_goes_to_no_sister_and_any_other_to_the_first_alone() {
        let refills = |holder: u8| {
            let mut job = open(Deal { acceptance: Acceptance::Requester, ..deal() });
            for index in [holder, 8, 9] {
                bid(&mut job, index, 1000);
                accept(&mut job, index, 1000);
            }
            then(&mut job, node(holder), 1010, Event::FailureReported { kind: FailureKind::Engine }).unwrap();
            OURS.into_iter().filter(|me| bids(&job, *me, 1011)).count()
        };
        assert_eq!((refills(0), refills(7)), (0, 1));
    }

    #[test]
    fn a_job_that_is_open_for_a_short_time_is_left_to_the_first() {
        let job = open(Deal { open: Span::from_secs(100), ..deal() });
        let able: Vec<u8> =
            OURS.into_iter().filter(|me| (1000..=1100).any(|secs| bids(&job, *me, secs))).collect();
        assert_eq!(able.len(), 1);
        assert!(bids(&job, able[0], 1100), "until its end");
    }

    #[test]
    fn a_node_without_sisters_bids_as_ever() {
        let job = open(deal());
        for sisters in [&[][..], &[node(0)]] {
            let now = moment(1099).now;
            let among = Among { me: node(0), sisters, job: &job, now, margin: Pace::QUICK.report_margin };
            assert_eq!(turn(&among), Turn::Now);
        }
    }
}
