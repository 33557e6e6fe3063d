//! When a job needs nothing more of this node, whatever becomes of its log.

use crate::domain::{Job, JobState, NodeId, Timestamp};

/// Since when nothing more is done in a job: its end, or the last of its deadlines if it has no end, which is up to a requester
/// who orders the log. Not while this node has yet to follow it up.
pub fn over_at(job: &Job, me: NodeId, now: Timestamp, is_followed_up: bool) -> Option<Timestamp> {
    let awaits_follow_up = job.state == JobState::Inconclusive
        && job.requester == me
        && !is_followed_up
        && job.deal.escalated(job.id).is_some();
    if awaits_follow_up {
        return None;
    }
    if job.state.is_terminal() {
        return Some(job.ended_at);
    }
    job.next_deadline(now).filter(|deadline| *deadline < now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Deal, Digest, Event, Opening, SeatSet},
        policy::fixture::{
            REQUESTER, accept, at, bid, commit, deal, node, open, opening, reveal, running, then,
        },
    };

    const NOT: bool = false;

    #[test]
    fn a_job_without_an_end_is_over_with_its_last_deadline() {
        let me = node(0);
        let job = open(deal());
        assert_eq!(over_at(&job, me, job.open_by, NOT), None);
        assert_eq!(over_at(&job, me, at(job.open_by.as_secs() + 1), NOT), Some(job.open_by));
        // All have revealed, and the requester never orders a verdict.
        let mut job = running();
        (0..3).for_each(|index| commit(&mut job, index, 1100));
        (0..3).for_each(|index| reveal(&mut job, index, 1101));
        let (_, reveal_by) = job.state_at(at(1102));
        assert_eq!(over_at(&job, me, reveal_by, NOT), None);
        assert_eq!(over_at(&job, me, at(reveal_by.as_secs() + 1), NOT), Some(reveal_by));
        then(
            &mut job,
            REQUESTER,
            1103,
            Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b111) },
        )
        .unwrap();
        assert_eq!(over_at(&job, me, at(1104), NOT), Some(at(1103)));
    }

    #[test]
    fn a_job_that_its_requester_will_follow_up_is_not_over_for_it() {
        let mut job = open(Deal { escalation_limit: 7, ..deal() });
        (0..3).for_each(|index| bid(&mut job, index, 1010));
        (0..3).for_each(|index| accept(&mut job, index, 1010));
        let differing = |index: u8| Opening { result_hash: Digest::new([20 + index; 32]), ..opening(index) };
        for index in 0..3 {
            let commitment = differing(index).commitment(job.domain, job.id, index, node(index));
            then(&mut job, node(index), 1100, Event::Committed { commitment }).unwrap();
        }
        for index in 0..3 {
            let event = Event::Revealed { seat: index, opening: differing(index) };
            then(&mut job, node(index), 1101, event).unwrap();
        }
        let accepted = SeatSet::from_bits(0);
        then(&mut job, REQUESTER, 1102, Event::VerdictPosted { openings: Vec::new(), accepted }).unwrap();
        assert_eq!(job.state, JobState::Inconclusive);
        assert_eq!(over_at(&job, REQUESTER, at(90_000), NOT), None);
        assert_eq!(over_at(&job, REQUESTER, at(90_000), true), Some(at(1102)));
        assert_eq!(over_at(&job, node(0), at(90_000), NOT), Some(at(1102)));
    }
}
