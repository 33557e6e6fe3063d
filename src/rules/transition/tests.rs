use std::{collections::BTreeSet, sync::LazyLock};

use super::*;
use crate::{
    domain::{EventKind, Facts, FailureKind, JobId, Seed},
    rules::{Ledger, cases::Table},
};

mod audits;
mod money;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/transition.json");

/// Enumerated once: tests only read it.
static TABLE: LazyLock<Table> = LazyLock::new(Table::enumerate);

fn situation(name: &str) -> &'static Job {
    &TABLE.situations.iter().find(|situation| situation.name == name).unwrap().job
}

#[test]
fn the_vector_file_is_the_table_of_cases() {
    let table = serde_json::to_string(&*TABLE).unwrap() + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(VECTORS, &table).unwrap();
    }
    let file = std::fs::read_to_string(VECTORS).unwrap();
    assert!(
        file == table,
        "tests/vectors/transition.json is stale: run the tests once with UPDATE_VECTORS=1"
    );
}

#[test]
fn the_table_reaches_every_state_every_event_and_every_rejection_of_a_job() {
    let table = &*TABLE;
    let states: BTreeSet<_> = table.situations.iter().map(|situation| situation.job.state).collect();
    assert_eq!(states.len(), JobState::ALL.len());
    let mut kinds_accepted = BTreeSet::new();
    let mut outcomes = BTreeSet::new();
    let mut count = 0;
    for [_, event, _, _, outcome] in table.situations.iter().flat_map(|situation| &situation.cases) {
        count += 1;
        outcomes.insert((*outcome).min(1000));
        if *outcome >= 1000 {
            kinds_accepted.insert(table.events[usize::try_from(*event).unwrap()].kind());
        }
    }
    assert_eq!(count, table.count);
    let never_accepted: Vec<_> =
        EventKind::ALL.into_iter().filter(|kind| !kinds_accepted.contains(kind)).collect();
    assert_eq!(never_accepted, [EventKind::Submitted], "a submission is never accepted by a job that exists");
    let unreached: Vec<_> = Rejection::ALL
        .iter()
        .filter(|rejection| !outcomes.contains(&u64::from(rejection.index())))
        .copied()
        .collect();
    // What `open` alone refuses, and a bid too many, have tests of their own.
    let elsewhere = [
        Rejection::NoSuchJob,
        Rejection::InvalidSpec,
        Rejection::WrongJobId,
        Rejection::BadParent,
        Rejection::TooManyBids,
    ];
    assert_eq!(unreached, elsewhere);
}

#[test]
fn the_table_fills_failed_seats_again_up_to_the_last_second_in_which_a_run_fits() {
    let table = &*TABLE;
    let newest = |name: &str, kind: EventKind| {
        let situation = table.situations.iter().find(|situation| situation.name == name).unwrap();
        let filled = situation.cases.iter().filter(|[_, event, _, _, outcome]| {
            let same = table.events[usize::try_from(*event).unwrap()].kind() == kind;
            let head = usize::try_from(*outcome).unwrap().checked_sub(1000).map(|head| &table.heads[head]);
            same && head.is_some_and(|head| head.failed.is_empty())
        });
        (filled.map(|[_, _, at, _, _]| *at).max(), Some(situation.job.refill_by().as_secs()))
    };
    let (newest_filled, refill_by) =
        newest("running with time to spare, a seat failed", EventKind::BidAccepted);
    assert_eq!(newest_filled, refill_by);
    let (newest_filled, refill_by) =
        newest("running with time to spare, a seat failed, first come", EventKind::BidPlaced);
    assert_eq!(newest_filled, refill_by);
}

const REQUESTER: NodeId = NodeId::new([0xAA; 20]);

fn spec_document() -> Vec<u8> {
    situation("open, no bid").spec.to_document()
}

fn submission(deal: &Deal, document: &[u8], nonce: u64) -> Stamped<Event> {
    let domain = LogDomain::default();
    let job = domain.job_id(REQUESTER, nonce, Spec::hash_document(document), deal.revision());
    Stamped {
        job,
        author: REQUESTER,
        at: Timestamp::from_secs(1000),
        revision: deal.revision(),
        facts: Facts::MONEYLESS,
        event: Event::Submitted { deal: deal.clone(), spec: document.to_vec(), nonce },
    }
}

#[test]
fn a_submission_is_checked_terms_first_then_spec_id_and_money() {
    let (domain, document) = (LogDomain::default(), spec_document());
    let good = submission(&Deal::default(), &document, 1);
    assert_eq!(open(domain, None, &good).map(|job| job.state), Ok(JobState::Open));

    let bad_deal = Deal { confidence: 9, ..Deal::default() };
    assert_eq!(open(domain, None, &submission(&bad_deal, b"{", 1)), Err(Rejection::InvalidTerms));
    assert_eq!(open(domain, None, &submission(&Deal::default(), b"{", 1)), Err(Rejection::InvalidSpec));
    let foreign = Stamped { job: JobId::ZERO, ..good.clone() };
    assert_eq!(open(domain, None, &foreign), Err(Rejection::WrongJobId));
    let poor = Stamped { facts: Facts { funded: false, ..Facts::MONEYLESS }, ..good.clone() };
    assert_eq!(open(domain, None, &poor), Err(Rejection::NotFunded));
    assert_eq!(
        Ledger::new(domain).apply(&Stamped { event: Event::Cancelled, ..good }),
        Err(Rejection::NoSuchJob)
    );
}

#[test]
fn a_follow_up_needs_its_own_inconclusive_parent_and_its_terms() {
    let document = spec_document();
    let escalating = Deal { confidence: 3, escalation_limit: 7, ..Deal::default() };
    let mut ledger = Ledger::new(LogDomain::default());
    let parent = submission(&escalating, &document, 1);
    ledger.apply(&parent).unwrap();
    let child = |deal: &Deal, nonce| submission(&deal.escalated(parent.job).unwrap(), &document, nonce);
    assert_eq!(ledger.apply(&child(&escalating, 2)), Err(Rejection::BadParent), "the parent is open");

    conclude(&mut ledger, parent.job);
    assert_eq!(ledger.get(parent.job).unwrap().state, JobState::Inconclusive);
    let other = Deal { tolerance_kib: 9, ..escalating.clone() };
    assert_eq!(ledger.apply(&child(&other, 2)), Err(Rejection::BadParent), "other terms");
    ledger.apply(&child(&escalating, 2)).unwrap();
    assert_eq!(ledger.apply(&child(&escalating, 3)), Err(Rejection::BadParent), "a second child");

    let sat = NodeId::new([1; 20]);
    let bid = Event::BidPlaced { price: Amount::ZERO };
    let child_id = child(&escalating, 2).job;
    assert!(ledger.facts(child_id, sat, &bid).sat_in_parent);
    assert!(!ledger.facts(child_id, NodeId::new([9; 20]), &bid).sat_in_parent);
}

#[test]
fn every_follow_up_has_the_seed_of_the_first_job() {
    let document = spec_document();
    let terms = Deal { confidence: 3, escalation_limit: 31, ..Deal::default() };
    let mut ledger = Ledger::new(LogDomain::default());
    let first = submission(&terms, &document, 1);
    let child = submission(&terms.escalated(first.job).unwrap(), &document, 2);
    let Event::Submitted { deal, .. } = &child.event else { unreachable!() };
    let grandchild = submission(&deal.escalated(child.job).unwrap(), &document, 3);
    let other = submission(&terms, &document, 4);
    let mut seeds = Vec::new();
    for submitted in [&first, &child, &grandchild, &other] {
        ledger.apply(submitted).unwrap();
        seeds.push(ledger.get(submitted.job).unwrap().seed());
        conclude(&mut ledger, submitted.job);
    }
    assert_eq!(seeds, [first.job, first.job, first.job, other.job].map(Seed::of));
}

/// Runs a job whose outputs and traces all differ.
fn conclude(ledger: &mut Ledger, job: JobId) {
    let at = Timestamp::from_secs(1010);
    let act = |ledger: &mut Ledger, author, event| {
        let revision = ledger.get(job).unwrap().revision;
        let facts = Facts::MONEYLESS;
        ledger.apply(&Stamped { job, author, at, revision, facts, event }).unwrap();
    };
    let seats = ledger.get(job).unwrap().deal.concurrency;
    let nodes: Vec<NodeId> = (1..=seats).map(|byte| NodeId::new([byte; 20])).collect();
    let opening = |seat: u8| Opening {
        result_hash: Digest::new([seat; 32]),
        output_root: Digest::ZERO,
        exit_code: 0,
        fingerprint: crate::domain::FingerprintWord::VOID,
        summary: crate::domain::SummaryWord::VOID,
        salt: Digest::ZERO,
    };
    for node in &nodes {
        act(ledger, *node, Event::BidPlaced { price: Amount::ZERO });
        act(ledger, REQUESTER, Event::BidAccepted { node: *node });
    }
    for (seat, node) in (0..).zip(&nodes) {
        let commitment = opening(seat).commitment(LogDomain::default(), job, seat, *node);
        act(ledger, *node, Event::Committed { commitment });
    }
    let openings = (0..seats).map(|seat| SeatOpening { seat, opening: opening(seat) }).collect();
    act(ledger, nodes[0], Event::VerdictPosted { openings, accepted: SeatSet::EMPTY });
}

#[test]
fn a_job_keeps_a_bounded_number_of_bids() {
    let submitted = submission(&Deal::default(), &spec_document(), 1);
    let mut ledger = Ledger::new(LogDomain::default());
    ledger.apply(&submitted).unwrap();
    let bid = |number: usize| {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Stamped {
            author: NodeId::new(bytes),
            event: Event::BidPlaced { price: Amount::ZERO },
            ..submitted.clone()
        }
    };
    for number in 0..MAX_BIDS {
        ledger.apply(&bid(number)).unwrap();
    }
    let one_more = bid(MAX_BIDS);
    assert_eq!(ledger.apply(&one_more), Err(Rejection::TooManyBids));
    let paid_for = Facts { bids_bounded: false, ..one_more.facts };
    ledger.apply(&Stamped { facts: paid_for, ..one_more }).unwrap();
}

#[test]
fn runs_are_ordered_by_a_beacon_that_every_salt_moves() {
    let job = situation("revealing, all revealed");
    let openings = openings_of(job);
    let order = run_order(job, &openings);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 3);
    let orders: BTreeSet<Vec<u8>> = (0..32)
        .map(|salt| {
            let mut openings = openings.clone();
            openings.get_mut(&2).unwrap().salt = Digest::new([salt; 32]);
            run_order(job, &openings)
        })
        .collect();
    assert!(orders.len() > 3, "the last salt must move the order: {orders:?}");
}
