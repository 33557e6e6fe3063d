use std::collections::BTreeMap;

use super::*;
use crate::{
    domain::{Amount, Deal, Digest, Event, Opening, SeatSet},
    policy::fixture::{REQUESTER, accept, bid, commit, deal, node, open, opening, reveal, running, then},
    rules::Rejection,
};

const NOBODY: BTreeMap<NodeId, FailureKind> = BTreeMap::new();

fn fails(job: &mut Job, index: u8, secs: u64, kind: FailureKind) {
    then(job, node(index), secs, Event::FailureReported { kind }).unwrap();
}

/// Node 2 is rejected because its run gave another result.
fn verified(deal: Deal) -> Job {
    let mut job = open(deal);
    (0..4).for_each(|index| bid(&mut job, index, 1010));
    (0..3).for_each(|index| accept(&mut job, index, 1010));
    let other = Opening { result_hash: Digest::new([9; 32]), ..opening(2) };
    for index in 0..2 {
        commit(&mut job, index, 1100);
    }
    let commitment = other.commitment(job.domain, job.id, 2, node(2));
    then(&mut job, node(2), 1100, Event::Committed { commitment }).unwrap();
    for index in 0..2 {
        reveal(&mut job, index, 1101);
    }
    then(&mut job, node(2), 1101, Event::Revealed { seat: 2, opening: other }).unwrap();
    post(&mut job, 1102, 0b011).unwrap();
    job
}

fn post(job: &mut Job, secs: u64, accepted: u32) -> Result<(), Rejection> {
    let accepted = SeatSet::from_bits(accepted);
    then(job, REQUESTER, secs, Event::VerdictPosted { openings: Vec::new(), accepted })
}

#[test]
fn a_verdict_counts_for_those_it_accepts_and_against_those_it_rejects() {
    let fared = conduct(&verified(deal()), &NOBODY);
    let expected = [(node(0), Conduct::Kept), (node(1), Conduct::Kept), (node(2), Conduct::Rejected)];
    assert_eq!(fared, BTreeMap::from(expected));
}

#[test]
fn a_job_that_fails_on_every_node_counts_against_none() {
    for kind in FailureKind::ALL {
        let mut job = running();
        (0..3).for_each(|index| fails(&mut job, index, 1100, kind));
        then(&mut job, REQUESTER, 1500, Event::Expired).unwrap();
        let reported = (0..3).map(|index| (node(index), kind)).collect();
        let blamed = conduct(&job, &reported).len();
        assert_eq!(blamed, if kind.is_fault_of_node() { 3 } else { 0 }, "{kind}");
    }
}

#[test]
fn whose_seat_went_to_another_is_judged_by_what_it_reported() {
    for kind in FailureKind::ALL {
        let mut job = running();
        fails(&mut job, 0, 1020, kind);
        accept(&mut job, 3, 1030);
        for index in 1..4 {
            commit(&mut job, index, 1100);
        }
        for index in 1..4 {
            reveal(&mut job, index, 1101);
        }
        post(&mut job, 1102, 0b111).unwrap();
        let fared = conduct(&job, &BTreeMap::from([(node(0), kind)]));
        assert_eq!(fared.get(&node(0)), kind.is_fault_of_node().then_some(&Conduct::Failed), "{kind}");
        assert_eq!(fared.get(&node(3)), Some(&Conduct::Kept));
    }
}

#[test]
fn silence_is_a_broken_promise() {
    let mut job = running();
    commit(&mut job, 0, 1100);
    then(&mut job, REQUESTER, 1411, Event::Expired).unwrap();
    let fared = conduct(&job, &NOBODY);
    assert_eq!(fared, BTreeMap::from([(node(1), Conduct::Absent), (node(2), Conduct::Absent)]));
}

#[test]
fn results_that_all_differ_count_against_nobody() {
    let mut job = running();
    let differing = |index: u8| Opening { result_hash: Digest::new([20 + index; 32]), ..opening(index) };
    for index in 0..3 {
        let commitment = differing(index).commitment(job.domain, job.id, index, node(index));
        then(&mut job, node(index), 1100, Event::Committed { commitment }).unwrap();
    }
    for index in 0..3 {
        then(&mut job, node(index), 1101, Event::Revealed { seat: index, opening: differing(index) })
            .unwrap();
    }
    post(&mut job, 1102, 0).unwrap();
    assert_eq!(job.state, JobState::Inconclusive);
    assert_eq!(conduct(&job, &NOBODY), BTreeMap::new());
}

#[test]
fn an_unpaid_job_of_a_stranger_does_not_count() {
    let free = verified(deal());
    assert!(!counts(&free, node(0), false));
    assert!(counts(&free, node(0), true), "its requester is known");
    assert!(counts(&free, REQUESTER, false), "its own job");
    let wei = Amount::new(1).unwrap();
    let paid = verified(Deal { price: wei, bond: wei, ..deal() });
    assert!(counts(&paid, node(0), false));
    assert!(!counts(&paid, node(3), true), "it bid and never sat");
    assert!(!counts(&paid, node(9), true), "it has nothing to do with the job");
    assert!(!counts(&running(), REQUESTER, true), "it is not over");
}
