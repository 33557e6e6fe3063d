//! Where money goes, and that none is made or lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::rules::{MoneyError, held, payouts};

/// A random walk: events of the table, by any author, at growing times, with money.
fn walk() -> impl Strategy<Value = Vec<(usize, usize, u64)>> {
    proptest::collection::vec((0_usize..7, any::<prop::sample::Index>(), 0_u64..400), 0..60).prop_map(
        |steps| steps.into_iter().map(|(who, what, wait)| (who, what.index(1 << 20), wait)).collect(),
    )
}

fn money() -> (Ledger, Deal) {
    let units = |units| Amount::new(units).unwrap();
    let mut ledger = Ledger::new(LogDomain::default());
    let deal = Deal { price: units(10), bond: units(20), keeper_fee: units(3), ..Deal::default() };
    for byte in [0xAA, 1, 2, 3, 4, 5, 0xEE] {
        ledger.accounts_mut().deposit(NodeId::new([byte; 20]), units(50)).unwrap();
    }
    (ledger, deal)
}

proptest! {
    #[test]
    fn refusals_change_nothing_and_money_is_conserved(steps in walk(), is_audited: bool) {
        let table = &*TABLE;
        let (mut ledger, mut deal) = money();
        if is_audited {
            // The secret that the table's events publish.
            deal.audit = situation("audit, drawn").deal.audit;
            (deal.concurrency, deal.confidence) = (1, 1);
        }
        let submitted = submission(&deal, &spec_document(), 0);
        let facts = ledger.facts(submitted.job, REQUESTER, &submitted.event);
        ledger.apply(&Stamped { facts, ..submitted.clone() }).unwrap();
        let total = ledger.total_money();
        let mut at = submitted.at;
        for (who, what, wait) in steps {
            at = at.plus(crate::domain::Span::from_secs(u32::try_from(wait).unwrap()));
            let author = table.authors[who % table.authors.len()];
            let event = table.events[what % table.events.len()].clone();
            let facts = ledger.facts(submitted.job, author, &event);
            let job = ledger.get(submitted.job).unwrap().clone();
            let stamped = Stamped { job: job.id, author, at, revision: job.revision, facts, event };
            let before = ledger.clone();
            let expected = transition(&job, &stamped);
            match ledger.apply(&stamped) {
                Ok(next) => {
                    prop_assert_eq!(Ok(next.clone()), expected);
                    prop_assert!(job.state <= next.state || !next.state.is_terminal());
                    if next.state.is_terminal() && !job.state.is_terminal() {
                        let held: Option<Amount> = held(&job).unwrap().values().sum();
                        let freed = payouts(next).unwrap().total();
                        prop_assert_eq!(held, freed, "{:?}", next);
                    }
                }
                Err(rejection) => {
                    prop_assert_eq!(Err(rejection), expected);
                    prop_assert_eq!(&before, &ledger);
                }
            }
            ledger.assert_invariants();
            prop_assert_eq!(ledger.total_money(), total);
        }
    }

    #[test]
    fn money_is_conserved_whatever_facts_claim_and_however_little_there_is(
        purses in proptest::collection::vec(0_u128..60, 7),
        steps in walk(),
    ) {
        let table = &*TABLE;
        let (_, deal) = money();
        let mut ledger = Ledger::new(LogDomain::default());
        for (byte, purse) in [0xAA, 1, 2, 3, 4, 5, 0xEE].into_iter().zip(purses) {
            ledger.accounts_mut().deposit(NodeId::new([byte; 20]), units(purse)).unwrap();
        }
        let submitted = submission(&deal, &spec_document(), 0);
        let total = ledger.total_money();
        let affords = ledger.facts(submitted.job, REQUESTER, &submitted.event).funded;
        prop_assert_eq!(ledger.apply(&submitted).is_ok(), affords, "MONEYLESS claims that it is there");
        let mut at = submitted.at;
        for (who, what, wait) in steps {
            at = at.plus(crate::domain::Span::from_secs(u32::try_from(wait).unwrap()));
            let Some(job) = ledger.get(submitted.job).cloned() else { break };
            let event = table.events[what % table.events.len()].clone();
            let author = table.authors[who % table.authors.len()];
            let stamped = Stamped { job: job.id, author, at, revision: job.revision, facts: Facts::MONEYLESS, event };
            let before = ledger.clone();
            if ledger.apply(&stamped).is_err() {
                prop_assert_eq!(&before, &ledger);
            }
            prop_assert_eq!(ledger.total_money(), total);
        }
    }

    #[test]
    fn from_every_state_anyone_can_end_a_job_once_its_deadlines_passed(index: prop::sample::Index) {
        let table = &*TABLE;
        let situation = &table.situations[index.index(table.situations.len())];
        let mut job = situation.job.clone();
        let at = Timestamp::from_secs(u64::from(u32::MAX));
        let stranger = NodeId::new([0x77; 20]);
        let act = |job: &Job, event| {
            let facts = Facts::MONEYLESS;
            transition(job, &Stamped { job: job.id, author: stranger, at, revision: job.revision, facts, event })
        };
        if !job.state.is_terminal() {
            let accepted = verdict_of(&job, &openings_of(&job)).accepted;
            job = act(&job, Event::Expired)
                .or_else(|_| act(&job, Event::VerdictPosted { openings: vec![], accepted }))
                .unwrap();
        }
        prop_assert!(job.state.is_terminal());
        let events = table.events.iter().filter(|event| !matches!(event, Event::Remarked { .. }));
        for event in events {
            prop_assert!(act(&job, event.clone()).is_err(), "{event:?} changed a terminal job");
        }
    }
}

#[test]
fn whoever_did_its_part_in_a_failed_job_has_its_bond_back() {
    // The quorum is 2, so with the third seat gone the job reveals; with nobody revealing it fails.
    let job = situation("running, two committed").clone();
    let at = |timestamp: Timestamp| timestamp.plus(crate::domain::Span::from_secs(1));
    let end = at(job.commit_by.plus(job.deal.reveal));
    let stamped = Stamped {
        job: job.id,
        author: REQUESTER,
        at: end,
        revision: job.revision,
        facts: Facts::MONEYLESS,
        event: Event::Expired,
    };
    let failed = transition(&job, &stamped).unwrap();
    assert_eq!(failed.state, JobState::Failed);
    let paid = payouts(&failed).unwrap();
    let (deal, bond) = (&job.deal, job.deal.bond);
    assert_eq!(paid.burnt, bond, "nobody revealed, so the commitments are not to blame; one never committed");
    let credits = [(REQUESTER, deal.escrow().unwrap()), (job.seats[0].node, bond), (job.seats[1].node, bond)];
    assert_eq!(paid.credits, BTreeMap::from(credits));

    let job = situation("running, one committed, two failed").clone();
    let stamped = Stamped { job: job.id, at: at(job.refill_by()), revision: job.revision, ..stamped };
    let failed = transition(&job, &stamped).unwrap();
    assert_eq!((failed.state, failed.commonest_failure()), (JobState::Failed, Some(FailureKind::Memory)));
    let paid = payouts(&failed).unwrap();
    assert!(paid.burnt.is_zero(), "the committed seat did its part, the others reported");
    assert_eq!(paid.credits[&job.seats[0].node], job.deal.bond);
}

#[test]
fn a_failure_too_late_for_another_node_costs_a_quarter_of_the_bond_unless_the_job_is_to_blame() {
    use FailureKind::{Disk, Engine, Memory};
    let ended = |late: u32, kinds: [FailureKind; 2], keeper: NodeId| {
        let mut priced = Priced::open(Deal { confidence: 3, ..Deal::default() });
        priced.seat(3);
        priced.at = priced.job().refill_by().plus(crate::domain::Span::from_secs(late));
        for (seat, kind) in (0..).zip(kinds) {
            priced.act(Priced::node(seat), Event::FailureReported { kind });
        }
        let free_at_once: Option<Amount> = held(priced.job()).unwrap().values().sum();
        priced.at = priced.at.plus(crate::domain::Span::from_secs(1));
        priced.act(keeper, Event::Expired);
        let (_, [first, second, third, fee, back], burnt) = priced.paid();
        (free_at_once.unwrap().units(), [first, second, third, fee, back], burnt)
    };
    // Held are the escrow of 31, one bond of 20, and a quarter of each bond that failed late.
    assert_eq!(ended(0, [Engine, Engine], KEEPER), (51, [0, 0, 20, 1, 30], 0));
    assert_eq!(ended(1, [Engine, Engine], KEEPER), (61, [0, 0, 20, 1, 30], 10));
    assert_eq!(ended(1, [Disk, Memory], KEEPER), (61, [0, 0, 20, 1, 30], 10));
    assert_eq!(ended(1, [Memory, Memory], KEEPER), (61, [5, 5, 20, 1, 30], 0));
    // Whoever failed earns no fee.
    assert_eq!(ended(0, [Engine, Disk], Priced::node(1)), (51, [0, 0, 20, 0, 31], 0));
    assert_eq!(ended(0, [Engine, Disk], Priced::node(2)), (51, [0, 0, 21, 0, 30], 0));
}

#[test]
fn a_failure_that_seats_share_ends_a_job_once_its_quorum_is_lost() {
    use FailureKind::{Disk, Engine, Image, Memory};
    let may_end = |concurrency: u8, kinds: &[FailureKind]| {
        let mut priced = Priced::open(Deal { concurrency, ..Deal::default() });
        for seat in 0..concurrency {
            priced.act(Priced::node(seat), Event::BidPlaced { price: units(4) });
            priced.act(REQUESTER, Event::BidAccepted { node: Priced::node(seat) });
        }
        for (seat, kind) in (0..).zip(kinds) {
            priced.act(Priced::node(seat), Event::FailureReported { kind: *kind });
        }
        priced.job().is_overdue(priced.at)
    };
    assert!(may_end(3, &[Memory, Memory]));
    assert!(!may_end(3, &[Memory]), "one seat says nothing about the job");
    assert!(!may_end(3, &[Memory, Disk]), "each failed in its way");
    assert!(!may_end(3, &[Engine, Engine]), "nodes are to blame for their engines");
    // Two seats in one hand must not end what the others can finish.
    assert!(!may_end(5, &[Memory, Memory]));
    assert!(may_end(5, &[Memory, Memory, Image]));
}

#[test]
fn a_log_without_money_keeps_no_books() {
    let deal = Deal { price: units(10), bond: units(20), keeper_fee: units(1), ..Deal::default() };
    let mut ledger = Ledger::new(LogDomain::default());
    let submitted = submission(&deal, &spec_document(), 1);
    ledger.apply(&submitted).unwrap();
    let cancelled = Stamped { event: Event::Cancelled, ..submitted };
    assert_eq!(ledger.apply(&cancelled).unwrap().state, JobState::Cancelled);
    assert!(!ledger.accounts().is_used(), "money that nobody deposited was made up");
}

#[test]
fn books_refuse_what_facts_vouch_for_and_they_do_not_hold() {
    let (mut ledger, deal) = money();
    let rich = Deal { price: units(17), ..deal.clone() };
    let submitted = submission(&rich, &spec_document(), 1);
    let before = ledger.clone();
    assert_eq!(ledger.apply(&submitted), Err(Rejection::NotFunded), "54 are locked, 50 are there");
    assert_eq!(ledger, before);

    let submitted = submission(&deal, &spec_document(), 1);
    ledger.apply(&submitted).unwrap();
    let act = |ledger: &mut Ledger, author, event| {
        ledger.apply(&Stamped { author, event, ..submitted.clone() }).map(drop)
    };
    let poor = NodeId::new([0x55; 20]);
    act(&mut ledger, poor, Event::BidPlaced { price: units(10) }).unwrap();
    let before = ledger.clone();
    let accepted = act(&mut ledger, REQUESTER, Event::BidAccepted { node: poor });
    assert_eq!(accepted, Err(Rejection::NotFunded), "it has no bond");
    assert_eq!(ledger, before, "the seat is not taken");
}

/// A job whose log nobody paid for may name bonds that exceed 96 bits together.
#[test]
fn amounts_that_no_log_can_hold_are_an_error_and_no_panic() {
    let price = units(Amount::MAX.units() / 31);
    let bond = price.checked_mul(10).unwrap();
    let deal = Deal { price, bond, concurrency: 31, confidence: 31, ..Deal::default() };
    assert_eq!(deal.validate(), Ok(()));
    let mut ledger = Ledger::new(LogDomain::default());
    let submitted = submission(&deal, &spec_document(), 1);
    ledger.apply(&submitted).unwrap();
    let act = |ledger: &mut Ledger, author, at, event| {
        ledger.apply(&Stamped { author, at, event, ..submitted.clone() }).unwrap();
    };
    let nodes: Vec<NodeId> = (0..31).map(|byte| NodeId::new([byte; 20])).collect();
    for node in &nodes {
        act(&mut ledger, *node, submitted.at, Event::BidPlaced { price });
        act(&mut ledger, REQUESTER, submitted.at, Event::BidAccepted { node: *node });
    }
    assert_eq!(ledger.total_money(), None);
    let late = ledger.get(submitted.job).unwrap().commit_by.plus(crate::domain::Span::from_secs(1));
    act(&mut ledger, KEEPER, late, Event::Expired);
    assert_eq!(payouts(ledger.get(submitted.job).unwrap()), Err(MoneyError::TooMuch), "31 bonds are burnt");

    // A requester that takes a seat of its own job locks escrow and bond in one sum.
    let mut ledger = Ledger::new(LogDomain::default());
    ledger.apply(&submitted).unwrap();
    act(&mut ledger, REQUESTER, submitted.at, Event::BidPlaced { price });
    act(&mut ledger, REQUESTER, submitted.at, Event::BidAccepted { node: REQUESTER });
    assert_eq!(held(ledger.get(submitted.job).unwrap()), Err(MoneyError::TooMuch));
    let update = Event::DealUpdated { deal: deal.clone() };
    assert!(!ledger.facts(submitted.job, REQUESTER, &update).funded);
}

#[test]
fn every_end_in_the_table_pays_out_what_the_job_held() {
    let table = &*TABLE;
    let mut ends = BTreeSet::new();
    for situation in &table.situations {
        let total: Option<Amount> = held(&situation.job).unwrap().values().sum();
        for [author, event, at, facts, outcome] in &situation.cases {
            let facts = Facts {
                funded: facts & 1 != 0,
                sat_in_parent: facts & 2 != 0,
                paid: Amount::new((facts >> 3).into()).unwrap(),
                ..Facts::MONEYLESS
            };
            if *outcome < 1000 || situation.job.state.is_terminal() {
                continue;
            }
            let stamped = Stamped {
                job: situation.job.id,
                author: table.authors[usize::try_from(*author).unwrap()],
                at: Timestamp::from_secs(*at),
                revision: situation.job.revision,
                facts,
                event: table.events[usize::try_from(*event).unwrap()].clone(),
            };
            let next = transition(&situation.job, &stamped).unwrap();
            if next.state.is_terminal() {
                ends.insert(next.state);
                assert_eq!(payouts(&next).unwrap().total(), total, "{}: {stamped:?}", situation.name);
                assert!(held(&next).unwrap().is_empty());
            }
        }
    }
    let expected = JobState::ALL.into_iter().filter(|state| state.is_terminal());
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

fn units(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

const KEEPER: NodeId = NodeId::new([0xEE; 20]);

/// A job with price 10, bond 20 and keeper fee 1, whose three seats asked for 4, 6 and 10.
struct Priced {
    ledger: Ledger,
    job: JobId,
    at: Timestamp,
}

impl Priced {
    fn open(terms: Deal) -> Self {
        let deal = Deal { price: units(10), bond: units(20), keeper_fee: units(1), ..terms };
        let submitted = submission(&deal, &spec_document(), 1);
        let mut ledger = Ledger::new(LogDomain::default());
        ledger.apply(&submitted).unwrap();
        Self { ledger, job: submitted.job, at: submitted.at }
    }

    fn act(&mut self, author: NodeId, event: Event) {
        let revision = self.job().revision;
        let (job, at, facts) = (self.job, self.at, Facts::MONEYLESS);
        self.ledger.apply(&Stamped { job, author, at, revision, facts, event }).unwrap();
    }

    fn job(&self) -> &Job {
        self.ledger.get(self.job).unwrap()
    }

    fn node(seat: u8) -> NodeId {
        NodeId::new([seat + 1; 20])
    }

    fn seat(&mut self, seats: u8) {
        for (seat, price) in (0..seats).zip([4, 6, 10]) {
            self.act(Self::node(seat), Event::BidPlaced { price: units(price) });
            self.act(REQUESTER, Event::BidAccepted { node: Self::node(seat) });
        }
    }

    /// Seats 0 and 1 agree, seat 2 has another output.
    fn opening(seat: u8) -> Opening {
        Opening {
            result_hash: Digest::new([seat / 2; 32]),
            output_root: Digest::ZERO,
            ..Opening::sample(seat)
        }
    }

    /// All seats commit, those of `revealing` reveal, and the keeper ends the job as soon as it may.
    fn end(terms: Deal, revealing: &[u8]) -> Self {
        let mut priced = Self::open(terms);
        priced.seat(3);
        for seat in 0..3 {
            let node = Self::node(seat);
            let commitment = Self::opening(seat).commitment(LogDomain::default(), priced.job, seat, node);
            priced.act(node, Event::Committed { commitment });
        }
        for seat in revealing {
            priced.act(Self::node(*seat), Event::Revealed { seat: *seat, opening: Self::opening(*seat) });
        }
        if revealing.len() < 3 {
            priced.at = priced.job().reveal_by.plus(crate::domain::Span::from_secs(1));
        }
        let openings = openings_of(priced.job());
        let enough = revealing.len() >= usize::from(priced.job().quorum());
        let accepted = verdict_of(priced.job(), &openings).accepted;
        let verdict = Event::VerdictPosted { openings: Vec::new(), accepted };
        priced.act(KEEPER, if enough { verdict } else { Event::Expired });
        priced
    }

    /// The state, what seats 0 to 2, the keeper and the requester get, and what is burnt.
    fn paid(&self) -> (JobState, [u128; 5], u128) {
        let payouts = payouts(self.job()).unwrap();
        let parties = [Self::node(0), Self::node(1), Self::node(2), KEEPER, REQUESTER];
        let of = |party| payouts.credits.get(&party).map_or(0, |amount| amount.units());
        (self.job().state, parties.map(of), payouts.burnt.units())
    }
}

#[test]
fn money_goes_where_the_rules_send_it() {
    use JobState::{Cancelled, Expired, Failed, Inconclusive, Verified};
    let terms = Deal::default();
    let exact = Deal { deterministic: true, ..terms.clone() };
    let unanimous = Deal { confidence: 3, ..terms.clone() };
    let all = [0, 1, 2];
    for (terms, revealing, expected) in [
        (&terms, &all[..], (Verified, [24, 26, 20, 1, 20], 0)),
        (&exact, &all, (Verified, [24, 26, 0, 1, 10], 30)),
        (&terms, &all[..2], (Verified, [24, 26, 0, 1, 20], 20)),
        (&unanimous, &all, (Inconclusive, [22, 23, 25, 1, 20], 0)),
        (&terms, &[0, 2], (Inconclusive, [22, 0, 25, 1, 23], 20)),
        (&unanimous, &[0, 2], (Failed, [20, 0, 20, 1, 30], 20)),
        (&terms, &[1], (Failed, [0, 20, 0, 1, 30], 40)),
        (&terms, &[], (Failed, [20, 20, 20, 1, 30], 0)),
    ] {
        assert_eq!(Priced::end(terms.clone(), revealing).paid(), expected, "{revealing:?} {terms:?}");
    }

    let mut stopped = Priced::open(terms.clone());
    stopped.seat(3);
    let failure = Event::FailureReported { kind: FailureKind::Engine };
    stopped.act(Priced::node(1), failure);
    stopped.act(REQUESTER, Event::Stopped);
    assert_eq!(stopped.paid(), (Cancelled, [24, 0, 30, 0, 17], 0), "the bond of seat 1 is back already");

    let mut expired = Priced::open(terms);
    expired.seat(2);
    expired.at = expired.job().open_by.plus(crate::domain::Span::from_secs(1));
    expired.act(KEEPER, Event::Expired);
    assert_eq!(expired.paid(), (Expired, [20, 20, 0, 1, 30], 0));
}
