use super::*;
use crate::{
    domain::{Digest, FailureKind, Opening, SeatSet},
    policy::fixture::{at, bid, commit, deal, moment, node, open, opening, reveal, running, then},
};

fn view(job: &Job, secs: u64) -> VerifierView<'_> {
    VerifierView { job, moment: moment(secs), rank: 0, in_charge: true, due_since_ms: secs * 1000 }
}

fn after(secs: u64) -> VerifierStep {
    VerifierStep::Wait(Wake::after(at(secs)))
}

fn accepting(seats: &[u8]) -> VerifierStep {
    let accepted: SeatSet = seats.iter().copied().collect();
    VerifierStep::Submit(Event::VerdictPosted { openings: vec![], accepted })
}

fn committed() -> Job {
    let mut job = running();
    (0..3).for_each(|index| commit(&mut job, index, 1100));
    job
}

#[test]
fn the_verdict_is_posted_once_every_committed_seat_has_revealed() {
    let mut job = committed();
    (0..2).for_each(|index| reveal(&mut job, index, 1100));
    assert_eq!(next(&view(&job, 1100)), after(1160));
    reveal(&mut job, 2, 1101);
    assert_eq!(next(&view(&job, 1101)), accepting(&[0, 1, 2]));
}

#[test]
fn after_the_deadline_a_quorum_will_do() {
    let mut job = committed();
    (0..2).for_each(|index| reveal(&mut job, index, 1100));
    assert_eq!(next(&view(&job, 1160)), after(1160));
    assert_eq!(next(&view(&job, 1161)), accepting(&[0, 1]));
}

#[test]
fn a_seat_with_another_result_is_left_out() {
    let mut job = running();
    let lie = Opening { result_hash: Digest::new([1; 32]), ..opening(2) };
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    let commitment = lie.commitment(job.domain, job.id, 2, node(2));
    then(&mut job, node(2), 1100, Event::Committed { commitment }).unwrap();
    (0..2).for_each(|index| reveal(&mut job, index, 1100));
    then(&mut job, node(2), 1100, Event::Revealed { seat: 2, opening: lie }).unwrap();
    assert_eq!(next(&view(&job, 1100)), accepting(&[0, 1]));
}

#[test]
fn an_overdue_job_is_expired_in_every_state() {
    let expires = |job: &Job, last: u64| {
        assert!(matches!(next(&view(job, last)), VerifierStep::Wait(_)), "{job:?}");
        assert_eq!(next(&view(job, last + 1)), VerifierStep::Submit(Event::Expired), "{job:?}");
    };
    let mut bids = open(deal());
    bid(&mut bids, 0, 1000);
    expires(&bids, 1100);
    let mut job = running();
    commit(&mut job, 0, 1100);
    expires(&job, 1410);
    expires(&committed(), 1160);
    let mut job = running();
    for index in 0..2 {
        then(&mut job, node(index), 1100, Event::FailureReported { kind: FailureKind::Engine }).unwrap();
    }
    expires(&job, 1250);
}

#[test]
fn others_wait_longer_the_higher_their_rank() {
    let mut job = committed();
    (0..3).for_each(|index| reveal(&mut job, index, 1100));
    for (rank, delay_ms) in [(0, 5_000), (1, 10_000), (7, 40_000)] {
        let turn_ms = 1_100_000 + delay_ms;
        let at = |elapsed_ms| VerifierView {
            rank,
            in_charge: false,
            due_since_ms: 1_100_000,
            moment: Moment { now: at(1101), elapsed_ms },
            ..view(&job, 1101)
        };
        assert_eq!(next(&at(turn_ms - 1)), VerifierStep::Wait(Wake::NEVER.or_at(turn_ms)));
        assert_eq!(next(&at(turn_ms)), accepting(&[0, 1, 2]));
    }
}

#[test]
fn nothing_is_due_once_a_job_is_over() {
    let mut job = open(deal());
    then(&mut job, node(9), 1101, Event::Expired).unwrap();
    assert!(!is_due(&job, at(9999)));
    assert_eq!(next(&view(&job, 9999)), VerifierStep::Done);
}
