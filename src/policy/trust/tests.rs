//! Trust is earned by comparison, lost by rejection, and taken for good by proof alone.

use super::*;

const LIAR: NodeId = NodeId::new([9; 20]);
const HONEST: NodeId = NodeId::new([1; 20]);
const OTHER: NodeId = NodeId::new([2; 20]);

fn job(number: u8) -> JobId {
    JobId::new([number; 32])
}

fn trust() -> Trust {
    Trust::new(TrustTerms::default())
}

/// `count` compared jobs, all kept.
fn keep(trust: &mut Trust, node: NodeId, count: u8) {
    for number in 0..count {
        trust.compared(job(number), &[(node, Fared::Kept), (OTHER, Fared::Kept)]);
    }
}

#[test]
fn ten_compared_results_in_a_row_make_a_node_trusted_and_each_rejection_doubles_them() {
    let mut trust = trust();
    keep(&mut trust, HONEST, 9);
    assert_eq!(trust.level(HONEST), Level::Untrusted);
    keep(&mut trust, HONEST, 1);
    assert_eq!(trust.level(HONEST), Level::Trusted);
    trust.compared(job(0), &[(HONEST, Fared::Rejected)]);
    keep(&mut trust, HONEST, 19);
    assert_eq!(trust.level(HONEST), Level::Untrusted);
    keep(&mut trust, HONEST, 1);
    assert_eq!(trust.level(HONEST), Level::Trusted);
}

#[test]
fn results_that_were_compared_with_nothing_earn_no_trust() {
    let mut trust = trust();
    for number in 0..100 {
        trust.accepted_alone(job(number), HONEST);
    }
    assert_eq!(trust.level(HONEST), Level::Untrusted);
}

#[test]
fn trusted_nodes_run_alone_and_may_be_audited_more_often_while_their_record_is_short() {
    let mut trust = trust();
    assert_eq!(trust.wave(HONEST), Wave { seats: 3, audit_permille: 0, audit_seats: 0 });
    keep(&mut trust, HONEST, 10);
    assert_eq!(trust.wave(HONEST), Wave { seats: 1, audit_permille: 100, audit_seats: 2 });
    let mut rash = Trust::new(TrustTerms { compared: 1, ..TrustTerms::default() });
    keep(&mut rash, HONEST, 3);
    assert_eq!(rash.wave(HONEST).audit_permille, 334);
}

#[test]
fn an_unlike_trace_doubles_the_chance_of_an_audit_until_one_is_alike_and_rejects_nobody() {
    let mut trust = trust();
    keep(&mut trust, HONEST, 10);
    let chances = [false, false, false, false, true, true, true, true].map(|agrees| {
        trust.traced(HONEST, agrees);
        trust.wave(HONEST).audit_permille
    });
    assert_eq!(chances, [200, 400, 800, 800, 400, 200, 100, 100]);
    assert_eq!(trust.level(HONEST), Level::Trusted);
}

#[test]
fn a_dispute_grows_to_seven_seats() {
    let trust = trust();
    let mut seats = vec![1];
    seats.extend(std::iter::successors(trust.grown(1), |seats| trust.grown(*seats)));
    assert_eq!(seats, [1, 3, 7]);
    assert_eq!(trust.grown(5), Some(7));
}

#[test]
fn no_verdict_bans_a_node_and_a_second_proof_does() {
    let mut trust = trust();
    for number in 0..200 {
        trust.compared(job(number), &[(LIAR, Fared::Rejected)]);
    }
    assert_eq!(trust.level(LIAR), Level::Doubted);
    trust.proven(job(201), &[(LIAR, Fared::Rejected, false)]);
    assert_eq!(trust.level(LIAR), Level::Doubted);
    trust.proven(job(202), &[(LIAR, Fared::Rejected, false)]);
    assert_eq!(trust.level(LIAR), Level::Banned);
}

#[test]
fn a_node_that_errs_once_in_a_thousand_is_not_doubted() {
    let mut trust = trust();
    for _ in 0..5 {
        for number in 0..200 {
            trust.accepted_alone(job(number), HONEST);
        }
        trust.compared(job(0), &[(HONEST, Fared::Rejected)]);
    }
    assert_eq!(trust.level(HONEST), Level::Untrusted);
}

#[test]
fn the_last_64_unchecked_results_of_a_proven_liar_are_run_again_once() {
    let mut trust = trust();
    for number in 0..100 {
        trust.accepted_alone(job(number), LIAR);
        trust.accepted_alone(job(number), HONEST);
    }
    let again = trust.proven(job(99), &[(LIAR, Fared::Kept, false), (HONEST, Fared::Kept, true)]);
    assert_eq!(again, (36..99).map(job).collect::<Vec<_>>(), "all but the one that was just run");
    assert_eq!(trust.proven(job(100), &[(LIAR, Fared::Rejected, false)]), []);
    assert_eq!(trust.level(HONEST), Level::Untrusted);
}

#[test]
fn a_result_that_a_lying_majority_rejected_is_restored() {
    let mut trust = trust();
    let fared = [(HONEST, Fared::Rejected), (LIAR, Fared::Kept), (OTHER, Fared::Kept)];
    trust.compared(job(1), &fared);
    assert_eq!(trust.record(HONEST).map(|record| record.rejected), Some(1));
    let results = fared.map(|(node, fared)| (node, fared, node == HONEST));
    trust.proven(job(1), &results);
    assert_eq!(trust.record(HONEST).map(|record| record.rejected), Some(0));
    assert_eq!(trust.record(LIAR).map(|record| (record.rejected, record.proofs)), Some((1, 1)));
}

fn met(number: u32) -> NodeId {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    NodeId::new(bytes)
}

/// A requester that has met this many nodes, each by one compared result.
fn having_met(count: u32) -> Trust {
    let mut trust = trust();
    for number in 0..count {
        trust.compared(job(0), &[(met(number), Fared::Kept)]);
    }
    trust
}

#[test]
fn a_stranger_is_one_only_once_the_circle_is_full() {
    assert_eq!(having_met(19).level(HONEST), Level::Untrusted);
    let full = having_met(20);
    assert_eq!((full.level(HONEST), full.level(met(0))), (Level::Stranger, Level::Untrusted));
    assert_eq!(full.wave(HONEST).seats, 3);
    let records = full.records.clone();
    assert_eq!(Trust::restored(TrustTerms::default(), records).level(HONEST), Level::Stranger);
}

#[test]
fn the_circle_grows_by_a_node_for_400_results_and_by_one_for_each_that_it_loses() {
    let mut trust = having_met(20);
    // With the 20 results by which they were met.
    for number in 0..20 * 400 + 379 {
        trust.accepted_alone(job(0), met(number % 20));
    }
    assert_eq!(trust.level(HONEST), Level::Stranger, "20 nodes for less than 21 times 400 results");
    trust.accepted_alone(job(0), met(0));
    assert_eq!(trust.level(HONEST), Level::Untrusted, "there is room for one more");
    trust.compared(job(0), &[(HONEST, Fared::Kept)]);
    assert_eq!(trust.level(OTHER), Level::Stranger);
    for _ in 0..5 {
        trust.compared(job(0), &[(met(0), Fared::Rejected)]);
    }
    assert_eq!((trust.level(met(0)), trust.level(OTHER)), (Level::Doubted, Level::Untrusted));
    // Two of its results were right after all: three of more than 400 remain.
    for _ in 0..2 {
        trust.proven(job(0), &[(met(0), Fared::Rejected, true)]);
    }
    assert_eq!((trust.level(met(0)), trust.level(OTHER)), (Level::Untrusted, Level::Stranger));
}

#[test]
fn a_lot_falls_as_often_as_it_says() {
    let hits = |permille| (0..10_000).filter(|lot| falls(*lot, permille)).count();
    assert_eq!([0, 10, 100, 1000].map(hits), [0, 100, 1000, 10_000]);
}

/// Jobs of three seats that begin at once, each offered to all of 60 nodes, as its requester ranks them.
fn sweep(trust: &mut Trust, jobs: u8) -> BTreeSet<NodeId> {
    let nodes = (0..60).map(|number| NodeId::new([100 + number; 20]));
    let mut all = BTreeSet::new();
    for number in 0..jobs {
        let lot = |node: NodeId| crate::domain::Digest::keccak([&[number][..], node.as_bytes()].concat());
        let mut ranked: Vec<_> = nodes.clone().map(|node| (trust.level(node), lot(node), node)).collect();
        ranked.sort_unstable();
        let chosen: BTreeSet<_> = ranked.into_iter().take(3).map(|(.., node)| node).collect();
        all.extend(chosen.iter().copied());
        trust.seated(job(number), chosen);
    }
    all
}

#[test]
fn a_first_sweep_of_many_jobs_at_once_keeps_to_the_circle() {
    let mut trust = trust();
    let met = sweep(&mut trust, 100);
    let seats = usize::from(TrustTerms::default().seats);
    // The last job that finds room may need all of its seats.
    assert!((20..20 + seats).contains(&met.len()), "{}", met.len());
    let stranger = NodeId::new([9; 20]);
    assert_eq!(trust.level(stranger), Level::Stranger);
    assert!(met.iter().all(|node| trust.level(*node) == Level::Untrusted));
}

#[test]
fn nodes_whose_jobs_ended_without_a_result_of_theirs_leave_room_in_the_circle() {
    let mut trust = trust();
    sweep(&mut trust, 100);
    (0..100).for_each(|number| trust.seated(job(number), BTreeSet::new()));
    assert_eq!(trust.level(NodeId::new([9; 20])), Level::Untrusted);
}

#[test]
fn a_node_that_sits_in_two_jobs_is_met_once_and_until_both_have_ended() {
    let mut trust = Trust::new(TrustTerms { circle: 2, ..TrustTerms::default() });
    let others = |trust: &Trust| trust.level(NodeId::new([9; 20]));
    for number in 0..2 {
        trust.seated(job(number), BTreeSet::from([HONEST]));
        trust.seated(job(number), BTreeSet::from([HONEST]));
    }
    assert_eq!(others(&trust), Level::Untrusted, "one of two");
    trust.seated(job(2), BTreeSet::from([OTHER]));
    assert_eq!(others(&trust), Level::Stranger);
    trust.seated(job(0), BTreeSet::new());
    assert_eq!(others(&trust), Level::Stranger);
    trust.seated(job(1), BTreeSet::new());
    assert_eq!(others(&trust), Level::Untrusted);
    // What a node did is not counted twice.
    trust.compared(job(2), &[(OTHER, Fared::Kept)]);
    assert_eq!(others(&trust), Level::Untrusted, "one of two");
}
