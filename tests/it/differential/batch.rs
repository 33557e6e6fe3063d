//! The twins in Solidity asked about thousands of random cases: `Rules` held to `rules::transition`, `Verdicts` to
//! `verdict::decide`, hundreds in one `eth_call`, beyond what `tests/vectors` holds.
//!
//! The harness is `contracts/test/harness/Batch.sol`; its code comes with the call, so nothing is deployed.

mod verdicts;

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, Uint, hex};
use alloy_sol_types::{SolInterface, SolValue};
use assay::{
    domain::{
        Amount, Audit, Deal, Digest, Event, EventKind, Facts, FailureKind, FingerprintWord, Job, LogDomain,
        NodeId, Opening, Seat, SeatOpening, SeatSet, SeatStatus, Span, Stamped, SummaryWord, Timestamp,
        codec,
    },
    rules::{self, Rejection},
};
use serde_json::{Value, json};

use super::{
    START, STRANGER, keys,
    script::{Move, Script},
    sides::{Act, Kind, Side, Step},
    stored::{abi, head_word, slot_word},
};
use assay::sim::chance::Chance;

use crate::contract::chain::Chain;

/// Cases of one call.
const BATCH: usize = 250;

/// The harness, at an address where nothing is.
struct Harness {
    chain: Chain,
    artifact: Value,
}

impl Harness {
    async fn start() -> Self {
        let artifact = include_str!("../../../contracts/artifacts/Batch.json");
        Self { chain: Chain::start(None).await, artifact: serde_json::from_str(artifact).unwrap() }
    }

    /// Calls a function with one list, and reads the list that it answers with.
    fn ask<T>(&self, function: &str, cases: &Vec<T>) -> Vec<u8>
    where
        Vec<T>: SolValue,
    {
        let mut data = hex::decode(self.artifact[function].as_str().unwrap()).unwrap();
        data.extend(cases.abi_encode());
        let at = NodeId::new([0xBA; 20]);
        let request = json!({ "to": at, "data": hex::encode_prefixed(data), "gas": "0xffffffffffff" });
        let overrides = json!({ at.to_string(): { "code": self.artifact["code"] } });
        let answer = self.chain.rpc("eth_call", &json!([request, "latest", overrides]));
        hex::decode(answer.as_str().unwrap()).unwrap()
    }
}

/// Kind, terms, price, node, commitment, openings, accepted seats, length of the remark.
type EventThere = (abi::EventKind, abi::Terms, Uint<96, 2>, Address, B256, Vec<abi::SeatOpening>, U256, U256);

/// Author, time, funded, sat in the parent, names the revision, what was paid.
type StampThere = (Address, U256, bool, bool, bool, U256);

/// Job, requester, head, holders, whether failures are shared, bidders and their slots, event, deal, stamp.
type CaseThere =
    (B256, Address, U256, Vec<Address>, bool, Vec<Address>, Vec<U256>, EventThere, abi::Terms, StampThere);

/// Taken or not, head, node, its slot, the seat it took, the data of the revert.
type OutcomeThere = (bool, U256, Address, U256, U256, Bytes);

fn terms(deal: &Deal) -> abi::Terms {
    abi::Terms::abi_decode(&codec::encode_deal(deal)).unwrap()
}

fn opening(opening: &Opening) -> abi::Opening {
    abi::Opening::abi_decode(&codec::encode_opening(opening)).unwrap()
}

fn seat_opening(job: &Job, given: &SeatOpening) -> abi::SeatOpening {
    let held = job.seat(given.seat);
    abi::SeatOpening {
        seat: given.seat,
        node: held.map(|held| held.node).unwrap_or_default().into(),
        price: Uint::from(held.map_or(0, |held| held.price.units())),
        opening: opening(&given.opening),
    }
}

/// The openings of a verdict as the contract wants them: those of the log are given again.
fn all_openings(job: &Job, given: &[SeatOpening]) -> Vec<abi::SeatOpening> {
    let mut all = given.to_vec();
    if given.is_sorted_by(|a, b| a.seat < b.seat) {
        let named: SeatSet = given.iter().map(|given| given.seat).collect();
        let known = rules::openings_of(job).into_iter().filter(|(seat, _)| !named.contains(*seat));
        all.extend(known.map(|(seat, opening)| SeatOpening { seat, opening }));
        all.sort_by_key(|given| given.seat);
    }
    all.iter().map(|given| seat_opening(job, given)).collect()
}

/// The commitments of a job, each as the result hash of an opening: an event has no other list.
fn commitments(job: &Job) -> Vec<abi::SeatOpening> {
    let of = |(seat, held): (u8, &Seat)| {
        let SeatStatus::Committed(result_hash) = held.status else { return None };
        let (output_root, salt, exit_code) = (Digest::ZERO, Digest::ZERO, 0);
        let (fingerprint, summary) = (FingerprintWord::VOID, SummaryWord::VOID);
        let opening = Opening { result_hash, output_root, exit_code, fingerprint, summary, salt };
        Some(seat_opening(job, &SeatOpening { seat, opening }))
    };
    (0..).zip(&job.seats).filter_map(of).collect()
}

fn event_there(job: &Job, event: &Event) -> EventThere {
    let kind = abi::EventKind::try_from(event.kind().index()).unwrap();
    let mut there: EventThere =
        (kind, terms(&job.deal), Uint::ZERO, Address::ZERO, B256::ZERO, Vec::new(), U256::ZERO, U256::ZERO);
    match event {
        Event::DealUpdated { deal } => there.1 = terms(deal),
        Event::BidPlaced { price } => there.2 = Uint::from(price.units()),
        Event::BidAccepted { node } | Event::BidRejected { node } => there.3 = (*node).into(),
        Event::Committed { commitment } => there.4 = (*commitment).into(),
        Event::Revealed { seat, opening } => {
            there.5 = vec![seat_opening(job, &SeatOpening { seat: *seat, opening: *opening })];
        }
        Event::VerdictPosted { openings, accepted } => {
            (there.5, there.6) = (all_openings(job, openings), U256::from(accepted.bits()));
        }
        Event::SecretPublished { secret } => {
            (there.4, there.5) = ((*secret).into(), commitments(job));
        }
        Event::Remarked { node, remark } => (there.3, there.7) = ((*node).into(), U256::from(remark.len())),
        Event::Submitted { .. }
        | Event::Cancelled
        | Event::BidWithdrawn
        | Event::FailureReported { .. }
        | Event::Stopped
        | Event::Expired
        | Event::Ticked => {}
    }
    there
}

fn case_there(job: &Job, stamped: &Stamped<Event>) -> CaseThere {
    let Facts { funded, paid, sat_in_parent, bids_bounded: _ } = stamped.facts;
    let is_current = stamped.revision == job.revision;
    let (author, at) = (Address::from(stamped.author), U256::from(stamped.at.as_secs()));
    (
        job.id.into(),
        job.requester.into(),
        head_word(job),
        job.seats.iter().map(|seat| seat.node.into()).collect(),
        FailureKind::ALL.into_iter().any(|kind| job.is_shared_failure(kind)),
        job.bids.keys().map(|node| (*node).into()).collect(),
        job.bids.keys().map(|node| slot_word(job, *node)).collect(),
        event_there(job, &stamped.event),
        terms(&job.deal),
        (author, at, funded, sat_in_parent, is_current, U256::from(paid.units())),
    )
}

/// What the contract must answer: the job after the event, or the name of the error.
#[derive(Debug)]
struct Expected {
    job: Job,
    stamped: Stamped<Event>,
    outcome: Result<Job, Rejection>,
}

/// How often each outcome was compared.
#[derive(Debug, Default)]
struct Compared {
    taken: BTreeMap<EventKind, usize>,
    rejected: BTreeMap<Rejection, usize>,
}

impl Compared {
    fn compare(&mut self, expected: &Expected, found: OutcomeThere) {
        let (is_taken, head, node, slot, seat, reason) = found;
        match &expected.outcome {
            Ok(next) => {
                let error = abi::IJobSchedulerErrors::abi_decode(&reason);
                assert!(is_taken, "refused there ({error:?}), taken here: {expected:#?}");
                assert_eq!(head, head_word(next), "another head: {expected:#?}");
                let node = NodeId::from(node);
                assert_eq!(slot, slot_word(next, node), "another slot of {node}: {expected:#?}");
                let is_new = next.seat_of(node).filter(|_| expected.job.seat_of(node).is_none());
                let seat = Some(seat).filter(|seat| *seat != U256::from(255));
                assert_eq!(seat, is_new.map(U256::from), "another seat: {expected:#?}");
                *self.taken.entry(expected.stamped.event.kind()).or_default() += 1;
            }
            Err(rejection) => {
                assert!(!is_taken, "taken there, refused here ({rejection:?}): {expected:#?}");
                let error = abi::IJobSchedulerErrors::abi_decode(&reason).expect("an error of the interface");
                let text = format!("{error:?}");
                let name = text.split('(').next().unwrap();
                assert_eq!(name, format!("{rejection:?}"), "another refusal: {expected:#?}");
                if let (abi::IJobSchedulerErrors::InvalidTerms(error), Event::DealUpdated { deal }) =
                    (&error, &expected.stamped.event)
                {
                    same_term(error.term, deal);
                }
                *self.rejected.entry(*rejection).or_default() += 1;
            }
        }
    }
}

/// The first term out of bounds is the same one; a deal that is within them has another parent.
fn same_term(term: abi::Term, deal: &Deal) {
    let here = deal.validate().map_or_else(|bad| format!("{:?}", bad.term), |()| "Parent".to_owned());
    assert_eq!(format!("{term:?}"), here, "{deal:?}");
}

/// A deal of which any term may be out of bounds.
fn any_deal(chance: &mut Chance, deal: &Deal) -> Deal {
    let mut deal = deal.clone();
    let spans = [0, 1, 59, 60, 600, 660, 2_592_000, 2_592_001, u32::MAX].map(Span::from_secs);
    let amounts = [0, 1, 10, 100, 101, 1 << 95, (1 << 96) - 1].map(|units| Amount::new(units).unwrap());
    for _ in 0..chance.within(1..4) {
        match chance.within(0..13) {
            0 => deal.concurrency = chance.pick(&[0, 1, 2, 31, 32, 255]),
            1 => deal.confidence = chance.pick(&[0, 1, 2, 31, 32, 255]),
            2 => deal.relative_permille = chance.pick(&[0, 1000, 1001, u16::MAX]),
            3 => deal.price = chance.pick(&amounts),
            4 => deal.bond = chance.pick(&amounts),
            5 => deal.keeper_fee = chance.pick(&amounts),
            6 => deal.open = chance.pick(&spans),
            7 => deal.timeout = chance.pick(&spans),
            8 => deal.run = chance.pick(&spans),
            9 => deal.reveal = chance.pick(&spans),
            10 => {
                let length = usize::try_from(chance.pick(&[1, 2, 63, 64, 65])).unwrap();
                deal.allow_list = (0..length).map(|i| NodeId::new([u8::try_from(i).unwrap(); 20])).collect();
                if chance.permille(300) {
                    deal.allow_list.reverse();
                }
            }
            11 => {
                let audit = Audit::requested(
                    chance.pick(&[0, 1, 1000, 1001, 2047]),
                    chance.pick(&[0, 1, 28, 30, 31]),
                );
                let unset = Audit { secret_hash: Default::default(), ..audit };
                deal.audit = chance.pick(&[None, Some(audit), Some(audit), Some(unset)]);
            }
            _ => deal.escalation_limit = chance.pick(&[0, 1, 2, 3, 31, 32, 255]),
        }
    }
    deal
}

/// Jobs on random ways, and at every step of theirs many events tried on them.
struct Walk {
    side: Side,
    script: Script,
    chance: Chance,
    now: Timestamp,
    cases: Vec<Expected>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let keys = keys(seed);
        let ids = keys.iter().map(assay::identity::NodeKey::node_id).collect();
        let side = Side::local(&keys, LogDomain::default());
        let script = Script::new(seed, ids, true);
        Self { side, script, chance: Chance::new(!seed), now: START, cases: Vec::new() }
    }

    async fn job(&mut self, number: usize) {
        let submission = self.script.new_job(number);
        self.side.take(&submission).await;
        for _ in 0..60 {
            let Some(job) = self.side.job(number).cloned() else { return };
            self.try_many(&job, number);
            match self.script.next(number, &job, self.now) {
                Move::Wait(at) => {
                    self.now = self.now.max(at);
                    self.side.set_now(self.now).await;
                }
                Move::Take(step) => {
                    self.case(&job, &step);
                    self.side.take(&step).await;
                }
            }
        }
        let job = self.side.job(number).unwrap().clone();
        self.script.ended(number, &job);
    }

    fn try_many(&mut self, job: &Job, number: usize) {
        let pointed = self.script.pointed(number, job, self.now);
        for _ in 0..4 {
            let index = usize::try_from(self.chance.within(0..1 << 30)).unwrap() % pointed.len();
            self.case(job, &pointed[index]);
            let astray = self.script.astray(number, job, self.now);
            if let Move::Take(step) = astray {
                self.case(job, &step);
            }
        }
        if self.chance.permille(200) {
            let deal = any_deal(&mut self.chance, &job.deal);
            let act = Act::Plain(Event::DealUpdated { deal });
            self.case(job, &Step { who: 0, job: number, knows_deal: true, act });
        }
    }

    /// A step with facts of its own, tried on a job.
    fn case(&mut self, job: &Job, step: &Step) {
        let (id, revision, event) = self.side.event(step);
        // A tick is no event of a chain, and a job of another id no case of this job.
        if event == Event::Ticked || id != job.id {
            return;
        }
        let facts = Facts {
            funded: !self.chance.permille(150),
            paid: Amount::new(self.chance.pick(&[0, 1, 2])).unwrap(),
            sat_in_parent: self.chance.permille(50),
            ..Facts::MONEYLESS
        };
        let stamped =
            Stamped { job: id, author: self.side.id(step.who), at: self.now, revision, facts, event };
        let outcome = rules::transition(job, &stamped);
        let kind = stamped.event.kind();
        self.script.note(kind, outcome.as_ref().err().copied());
        self.cases.push(Expected { job: job.clone(), stamped, outcome });
    }
}

#[tokio::test]
async fn thousands_of_random_events_end_in_solidity_as_in_rust() {
    let harness = Harness::start().await;
    let mut compared = Compared::default();
    let mut count = 0;
    for seed in 0..5 {
        let mut walk = Walk::new(seed);
        if let Kind::Local(_) = walk.side.kind {
            for who in 0..=STRANGER {
                walk.side.deposit(who, Amount::new(1_000_000).unwrap()).await;
            }
        }
        for number in 0..6 {
            walk.job(number).await;
        }
        count += walk.cases.len();
        for batch in walk.cases.chunks(BATCH) {
            let cases: Vec<CaseThere> =
                batch.iter().map(|expected| case_there(&expected.job, &expected.stamped)).collect();
            let answer = harness.ask("steps", &cases);
            let found = Vec::<OutcomeThere>::abi_decode(&answer).unwrap();
            assert_eq!(found.len(), batch.len(), "the contract answers every case");
            for (expected, found) in batch.iter().zip(found) {
                compared.compare(expected, found);
            }
        }
    }
    let seen = compared.taken.values().sum::<usize>() + compared.rejected.values().sum::<usize>();
    assert_eq!(seen, count, "every case was compared");
    assert!(count > 5000 && compared.taken.values().sum::<usize>() > 500, "{count}: {compared:#?}");
    // A submission on a job that is there is always refused, and a chain has no ticks.
    let never = [EventKind::Submitted, EventKind::Ticked];
    let missing: Vec<_> = EventKind::ALL
        .into_iter()
        .filter(|kind| !never.contains(kind) && !compared.taken.contains_key(kind))
        .collect();
    assert!(missing.is_empty(), "never taken: {missing:?}");
    // Of a submission, of many bids, and of ticks.
    let elsewhere = [
        Rejection::NoSuchJob,
        Rejection::InvalidSpec,
        Rejection::WrongJobId,
        Rejection::BadParent,
        Rejection::TooManyBids,
        Rejection::NothingDue,
    ];
    let missing: Vec<_> = Rejection::ALL
        .iter()
        .filter(|rejection| !elsewhere.contains(rejection) && !compared.rejected.contains_key(rejection))
        .collect();
    assert!(missing.is_empty(), "never refused with: {missing:?}");
}
