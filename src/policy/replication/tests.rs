//! Plans follow from records; records follow from verdicts and own runs.

use super::*;
use crate::{
    domain::{Event, JobId, Spec},
    policy::fixture::{REQUESTER, accept, bid, deal, node, open, open_spec, opening, then},
};

const SECRET: Digest = Digest::new([5; 32]);

/// Every node of `kept` has twelve compared results in a row.
fn trusting(kept: &[u8]) -> Trust {
    let mut trust = Trust::new(TrustTerms::default());
    let fared: Vec<_> = kept.iter().map(|index| (node(*index), Fared::Kept)).collect();
    (0..12).for_each(|number| trust.compared(JobId::new([number; 32]), &fared));
    trust
}

fn nodes(indices: std::ops::Range<u8>) -> Vec<NodeId> {
    indices.map(node).collect()
}

/// A job under `deal` whose seats 0, 1, ... reveal these result hashes, decided.
fn decided(deal: Deal, hashes: &[u8]) -> Job {
    decided_of(open(Deal { method: Method::Hash, ..deal }), hashes)
}

fn decided_of(mut job: Job, hashes: &[u8]) -> Job {
    let indices = || 0..u8::try_from(hashes.len()).unwrap();
    indices().for_each(|index| bid(&mut job, index, 1000));
    indices().for_each(|index| accept(&mut job, index, 1000));
    let opening =
        |index: u8| Opening { result_hash: Digest::new([hashes[usize::from(index)]; 32]), ..opening(index) };
    for index in indices() {
        let commitment = opening(index).commitment(job.domain, job.id, index, node(index));
        then(&mut job, node(index), 1001, Event::Committed { commitment }).unwrap();
    }
    for index in indices() {
        then(&mut job, node(index), 1001, Event::Revealed { seat: index, opening: opening(index) }).unwrap();
    }
    let openings = indices().map(|index| (index, opening(index))).collect();
    let accepted = crate::rules::verdict_of(&job, &openings).accepted;
    then(&mut job, REQUESTER, 1002, Event::VerdictPosted { openings: vec![], accepted }).unwrap();
    job
}

#[test]
fn a_trusted_node_gets_one_seat_and_the_chance_of_more_and_any_other_three() {
    let trust = trusting(&[1]);
    let plans: Vec<Plan> = (0..3).map(|lot| Plan::draw(&trust, &nodes(1..4), lot).unwrap()).collect();
    assert_eq!(plans.iter().map(|plan| plan.first).collect::<Vec<_>>(), nodes(1..4));
    let terms = |plan: &Plan| {
        let terms = plan.terms(trust.terms(), deal());
        assert_eq!(terms.validate(), Ok(()));
        let audit = terms.audit.map(|audit| (audit.permille, audit.seats));
        (terms.concurrency, terms.confidence, audit, terms.escalation_limit)
    };
    assert_eq!(terms(&plans[0]), (1, 1, Some((100, 2)), 7));
    assert_eq!(terms(&plans[1]), (3, 2, None, 7));
    assert_eq!((plans[1].known, plans[1].trusted, plans[1].compared, plans[1].needed), (3, 1, 0, 10));
    let wide = widened(trust.terms(), plans[0].terms(trust.terms(), deal()));
    assert_eq!((wide.concurrency, wide.confidence, wide.audit), (3, 2, None));
}

#[test]
fn a_requester_keeps_to_its_circle_unless_few_of_it_are_here() {
    let circle: Vec<u8> = (1..=20).collect();
    let trust = trusting(&circle);
    let firsts = |nodes: &[NodeId]| -> std::collections::BTreeSet<NodeId> {
        (0..200).filter_map(|lot| Plan::draw(&trust, nodes, lot).map(|plan| plan.first)).collect()
    };
    assert_eq!(
        firsts(&nodes(1..41)),
        nodes(1..21).into_iter().collect(),
        "of 40 nodes the 20 that it has met"
    );
    assert_eq!(firsts(&nodes(2..41)).len(), 39, "one of the circle is away");
}

#[test]
fn a_banned_node_is_never_drawn_and_one_that_was_rejected_often_only_for_want_of_others() {
    let mut trust = trusting(&[]);
    for number in 0..3 {
        let fared = [(node(1), Fared::Rejected), (node(2), Fared::Rejected)];
        trust.compared(JobId::new([number; 32]), &fared);
        trust.proven(JobId::new([number; 32]), &[(node(2), Fared::Rejected, false)]);
    }
    let first = |nodes: &[NodeId], lot| Plan::draw(&trust, nodes, lot).map(|plan| plan.first);
    assert!((0..9).all(|lot| first(&nodes(1..4), lot) == Some(node(3))));
    assert!((0..9).all(|lot| first(&nodes(1..3), lot) == Some(node(1))));
    assert_eq!(first(&nodes(2..3), 0), None);
}

#[test]
fn compared_results_earn_trust_and_the_requesters_own_seat_does_not() {
    let mut trust = trusting(&[]);
    let fared = note(&mut trust, &decided(deal(), &[7, 7, 9]), node(1));
    assert_eq!(fared, [(node(0), Fared::Kept), (node(2), Fared::Rejected)]);
    let record =
        |trust: &Trust, index| trust.record(node(index)).map(|record| (record.compared, record.rejected));
    assert_eq!([0, 1, 2].map(|index| record(&trust, index)), [Some((1, 0)), None, Some((0, 1))]);
    let alone = decided(Deal { concurrency: 1, confidence: 1, ..deal() }, &[7]);
    assert_eq!(note(&mut trust, &alone, REQUESTER), [(node(0), Fared::Kept)]);
    assert_eq!(trust.record(node(0)).map(|record| (record.compared, record.kept)), Some((1, 2)));
    assert_eq!(note(&mut trust, &decided(deal(), &[7, 8, 9]), REQUESTER), [], "nobody is to blame");
}

#[test]
fn an_own_run_is_made_where_results_disagree_and_of_one_in_a_hundred_others() {
    let trust = trusting(&[]);
    let wants =
        |job: &Job, secret| wants_own_run(&trust, job, &note(&mut trust.clone(), job, REQUESTER), secret);
    assert!(wants(&decided(deal(), &[7, 7, 9]), SECRET), "one was rejected");
    assert!(wants(&decided(deal(), &[7, 8, 9]), SECRET), "none has a majority");
    let agreed = decided(deal(), &[7, 7, 7]);
    let secret = |number: u16| Digest::keccak(number.to_be_bytes());
    let count = (0..2000).filter(|number| wants(&agreed, secret(*number))).count();
    // Three standard deviations of a binomial of 2000 draws at one in a hundred. The lots are fixed.
    assert!((7..=33).contains(&count), "{count}");
}

#[test]
fn an_own_run_proves_who_lied_and_restores_whom_liars_rejected() {
    let job = decided(deal(), &[9, 9, 7]);
    let (results, said) = judge(&job, REQUESTER, (Digest::new([7; 32]), SummaryWord::VOID));
    let expected = [(0, Fared::Kept, false), (1, Fared::Kept, false), (2, Fared::Rejected, true)];
    assert_eq!(results, expected.map(|(index, fared, is_right)| (node(index), fared, is_right)));
    assert_eq!(said, OwnRun::Wrong);
    let said = |job: &Job, own: u8| judge(job, REQUESTER, (Digest::new([own; 32]), SummaryWord::VOID)).1;
    assert_eq!(said(&decided(deal(), &[7, 7, 9]), 7), OwnRun::Right);
    assert_eq!(said(&decided(deal(), &[7, 8, 9]), 8), OwnRun::Judged);
}

#[test]
fn a_difference_proves_nothing_where_right_outputs_differ() {
    let loose = |seeded: bool| {
        let spec = Spec { seeded, ..Spec::sample() };
        let open = open_spec(&spec, REQUESTER, 0, 1000, Deal { method: Method::Ball, ..deal() });
        let job = decided_of(open, &[9, 9, 7]);
        judge(&job, REQUESTER, (Digest::new([7; 32]), SummaryWord::VOID))
    };
    assert_eq!(loose(false), (vec![(node(2), Fared::Rejected, true)], OwnRun::Judged));
    assert_eq!(loose(true).1, OwnRun::Wrong, "a seed makes them equal");
}
