//! Second waves: what each side can do, and where the money goes.

use super::*;
use crate::{
    domain::{Audit, AuditStage, FingerprintWord, Span, SummaryWord},
    rules::payouts,
};

const STRANGER: NodeId = NodeId::new([0xEE; 20]);
const SECRET: AuditSecret = AuditSecret::new([5; 32]);

fn units(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

fn node(number: u8) -> NodeId {
    NodeId::new([number + 1; 20])
}

fn result(number: u8, output: u8) -> Opening {
    Opening {
        result_hash: Digest::new([output; 32]),
        output_root: Digest::ZERO,
        exit_code: 0,
        fingerprint: FingerprintWord::VOID,
        summary: SummaryWord::VOID,
        salt: Digest::new([number; 32]),
    }
}

/// A job with price 10, bond 20 and keeper fee 1, `n` seats first and two more if it is drawn.
struct Audited {
    ledger: Ledger,
    job: JobId,
    at: Timestamp,
}

impl Audited {
    /// The first wave has committed to these outputs.
    fn committed(permille: u16, outputs: &[u8]) -> Self {
        let n = u8::try_from(outputs.len()).unwrap().max(1);
        let audit = Audit { permille, seats: 2, secret_hash: SECRET.hash() };
        let deal = Deal {
            concurrency: n,
            confidence: 1,
            price: units(10),
            bond: units(20),
            keeper_fee: units(1),
            audit: Some(audit),
            ..Deal::default()
        };
        let submitted = submission(&deal, &spec_document(), 1);
        let mut ledger = Ledger::new(LogDomain::default());
        for party in (0..9).map(node).chain([REQUESTER]) {
            ledger.accounts_mut().deposit(party, units(100)).unwrap();
        }
        ledger.apply(&submitted).unwrap();
        let mut audited = Self { ledger, job: submitted.job, at: submitted.at };
        for number in 0..n + 3 {
            audited.act(node(number), Event::BidPlaced { price: units(10) });
        }
        audited.seat(0, outputs);
        audited
    }

    /// Nodes from this number on get seats, and commit to these outputs.
    fn seat(&mut self, from: u8, outputs: &[u8]) {
        let numbers = from..from + u8::try_from(outputs.len()).unwrap();
        for number in numbers.clone() {
            self.act(REQUESTER, Event::BidAccepted { node: node(number) });
        }
        for (number, output) in numbers.zip(outputs) {
            let commitment =
                result(number, *output).commitment(LogDomain::default(), self.job, number, node(number));
            self.act(node(number), Event::Committed { commitment });
        }
    }

    fn drawn(outputs: &[u8], second: &[u8]) -> Self {
        let mut audited = Self::committed(1000, outputs);
        audited.act(REQUESTER, Event::SecretPublished { secret: SECRET });
        audited.seat(u8::try_from(outputs.len()).unwrap(), second);
        audited
    }

    fn reveal(&mut self, outputs: &[u8]) {
        for (number, output) in (0..).zip(outputs) {
            self.act(node(number), Event::Revealed { seat: number, opening: result(number, *output) });
        }
    }

    fn decide(&mut self) -> &Job {
        let accepted = verdict_of(self.job(), &openings_of(self.job())).accepted;
        self.act(STRANGER, Event::VerdictPosted { openings: Vec::new(), accepted });
        self.job()
    }

    fn wait(&mut self, until: Timestamp) {
        self.at = until.plus(Span::from_secs(1));
    }

    fn attempt(&mut self, author: NodeId, event: Event) -> Result<(), Rejection> {
        let (job, at, revision, facts) = (self.job, self.at, self.job().revision, Facts::MONEYLESS);
        self.ledger.apply(&Stamped { job, author, at, revision, facts, event }).map(drop)
    }

    fn act(&mut self, author: NodeId, event: Event) {
        self.attempt(author, event).unwrap();
        self.ledger.assert_invariants();
    }

    fn job(&self) -> &Job {
        self.ledger.get(self.job).unwrap()
    }

    /// What the nodes have in the end of price and bond, by number; the requester's rest; burnt.
    fn money(&self, nodes: u8) -> (Vec<u128>, u128, u128) {
        let paid = payouts(self.job()).unwrap();
        let of = |node| paid.credits.get(&node).map_or(0, |amount| amount.units());
        ((0..nodes).map(|number| of(node(number))).collect(), of(REQUESTER), paid.burnt.units())
    }
}

#[test]
fn nobody_reveals_or_judges_before_the_draw() {
    let mut audited = Audited::committed(1000, &[1]);
    assert_eq!((audited.job().state, audited.job().audit), (JobState::Revealing, AuditStage::Undrawn));
    let reveal = Event::Revealed { seat: 0, opening: result(0, 1) };
    assert_eq!(audited.attempt(node(0), reveal), Err(Rejection::AwaitsSecret));
    let openings = vec![SeatOpening { seat: 0, opening: result(0, 1) }];
    let verdict = Event::VerdictPosted { openings, accepted: SeatSet::from_bits(1) };
    assert_eq!(audited.attempt(STRANGER, verdict), Err(Rejection::AwaitsSecret));
    assert_eq!(audited.attempt(STRANGER, Event::Expired), Err(Rejection::DeadlineNotReached));
}

#[test]
fn the_secret_is_the_requesters_and_the_one_in_the_deal() {
    let mut audited = Audited::committed(1000, &[1]);
    let secret = |secret| Event::SecretPublished { secret };
    assert_eq!(audited.attempt(STRANGER, secret(SECRET)), Err(Rejection::NotRequester));
    assert_eq!(audited.attempt(REQUESTER, secret(AuditSecret::ZERO)), Err(Rejection::WrongSecret));
    audited.act(REQUESTER, secret(SECRET));
    assert_eq!(audited.attempt(REQUESTER, secret(SECRET)), Err(Rejection::WrongState));
    let mut spared = Audited::committed(1, &[1]);
    spared.act(REQUESTER, secret(SECRET));
    assert_eq!(spared.attempt(REQUESTER, secret(SECRET)), Err(Rejection::NoDrawDue));
}

#[test]
fn a_spared_first_wave_decides_alone_and_the_second_is_not_paid_for() {
    let mut audited = Audited::committed(1, &[1]);
    audited.wait(audited.job().seats_changed_at);
    audited.act(REQUESTER, Event::SecretPublished { secret: SECRET });
    assert_eq!(audited.job().audit, AuditStage::Spared);
    assert_eq!(
        audited.job().reveal_by,
        audited.at.plus(audited.job().deal.reveal),
        "reveals begin with the draw"
    );
    audited.reveal(&[1]);
    assert_eq!(audited.decide().state, JobState::Verified);
    assert_eq!(audited.money(1), (vec![30], 20, 0), "31 were locked for three seats and the keeper");
    assert_eq!(audited.ledger.accounts().paid(node(0)), Amount::ZERO, "it was compared with nothing");
}

#[test]
fn a_lie_of_the_first_wave_is_outvoted_by_the_second() {
    let mut audited = Audited::drawn(&[9], &[1, 1]);
    assert_eq!(
        (audited.job().state, audited.job().asked(), audited.job().quorum()),
        (JobState::Revealing, 3, 2)
    );
    audited.reveal(&[9, 1, 1]);
    let verdict = audited.decide().verdict.clone().unwrap();
    assert_eq!((verdict.accepted, verdict.rejected), (SeatSet::from_bits(6), SeatSet::from_bits(1)));
    assert_eq!(audited.money(3), (vec![20, 30, 30], 10, 0));
}

#[test]
fn a_lone_seat_has_its_pay_on_record_once_others_were_compared_with_it() {
    let mut audited = Audited::drawn(&[1], &[1, 1]);
    audited.reveal(&[1, 1, 1]);
    assert_eq!(audited.decide().state, JobState::Verified);
    for number in 0..3 {
        assert_eq!(audited.ledger.accounts().paid(node(number)), units(10), "{number}");
    }
}

#[test]
fn the_second_wave_commits_before_the_first_reveals() {
    let mut audited = Audited::committed(1000, &[1]);
    audited.act(REQUESTER, Event::SecretPublished { secret: SECRET });
    let reveal = Event::Revealed { seat: 0, opening: result(0, 1) };
    assert_eq!((audited.job().state, audited.job().commit_by), (JobState::Open, Timestamp::ZERO));
    assert_eq!(audited.attempt(node(0), reveal.clone()), Err(Rejection::WrongState));
    for number in [1, 2] {
        audited.act(REQUESTER, Event::BidAccepted { node: node(number) });
        assert_eq!(audited.attempt(node(0), reveal.clone()), Err(Rejection::WrongState));
    }
    for number in [1, 2] {
        let commitment =
            result(number, 1).commitment(LogDomain::default(), audited.job, number, node(number));
        audited.act(node(number), Event::Committed { commitment });
    }
    assert_eq!(audited.attempt(node(0), reveal), Ok(()));
    assert_eq!(audited.attempt(REQUESTER, Event::Cancelled), Err(Rejection::WrongState));
}

#[test]
fn a_withheld_secret_costs_the_requester_the_price_of_the_first_wave_and_gives_no_verdict() {
    let mut audited = Audited::committed(1000, &[1, 1]);
    audited.wait(audited.job().reveal_by);
    let late = Event::SecretPublished { secret: SECRET };
    assert_eq!(audited.attempt(REQUESTER, late), Err(Rejection::DeadlinePassed));
    audited.act(STRANGER, Event::Expired);
    assert_eq!((audited.job().state, audited.job().verdict.as_ref()), (JobState::Failed, None));
    assert_eq!(audited.money(2), (vec![30, 30], 20, 0), "40 for four seats, less two");
    let did = audited.job().seats.iter().all(|seat| crate::rules::did_its_part(audited.job(), seat.status));
    assert!(did, "nobody is blamed for the requester's silence");
}

#[test]
fn a_second_wave_that_the_requester_does_not_fill_pays_the_first() {
    let mut audited = Audited::drawn(&[1], &[]);
    audited.act(REQUESTER, Event::BidAccepted { node: node(1) });
    audited.wait(audited.job().open_by);
    audited.act(STRANGER, Event::Expired);
    assert_eq!(audited.job().state, JobState::Failed);
    assert_eq!(audited.money(2), (vec![30, 20], 20, 0), "who only waited has its bond back");
}

#[test]
fn a_second_wave_without_a_quorum_of_both_fails_as_any_job() {
    let mut audited = Audited::drawn(&[1], &[]);
    for number in [1, 2] {
        audited.act(REQUESTER, Event::BidAccepted { node: node(number) });
    }
    for number in [1, 2] {
        let failed = Event::FailureReported { kind: FailureKind::Engine };
        audited.act(node(number), failed);
    }
    audited.wait(audited.job().commit_by);
    audited.act(STRANGER, Event::Expired);
    assert_eq!(audited.job().state, JobState::Failed);
    assert_eq!(audited.money(1), (vec![20], 30, 0));
}

#[test]
fn a_first_wave_that_fails_is_never_drawn() {
    let mut audited = Audited::committed(1000, &[]);
    audited.wait(audited.job().open_by);
    audited.act(STRANGER, Event::Expired);
    assert_eq!((audited.job().state, audited.job().audit), (JobState::Expired, AuditStage::Undrawn));
    assert_eq!(audited.money(0).2, 0);
}

#[test]
fn a_seat_that_commits_in_neither_wave_loses_its_bond() {
    for (permille, expected) in [(1, (vec![30, 30, 0], 30, 20)), (1000, (vec![30, 30, 0], 10, 20))] {
        let mut audited = Audited::missing_one(permille);
        audited.act(REQUESTER, Event::SecretPublished { secret: SECRET });
        if permille == 1000 {
            audited.seat(3, &[1, 1]);
            audited.wait(audited.job().commit_by);
        }
        let committed: Vec<u8> = audited.job().committed.iter().collect();
        for number in committed {
            audited.act(node(number), Event::Revealed { seat: number, opening: result(number, 1) });
        }
        audited.decide();
        let (paid, rest, burnt) = audited.money(3);
        assert_eq!((paid, rest, burnt), expected, "{permille}");
    }
}

impl Audited {
    /// Two of three seats of the first wave have committed when their time is over.
    fn missing_one(permille: u16) -> Self {
        let mut audited = Self::committed(permille, &[]);
        let deal = Deal { concurrency: 3, confidence: 1, ..audited.job().deal.clone() };
        audited.act(REQUESTER, Event::DealUpdated { deal });
        for number in 0..5 {
            audited.act(node(number), Event::BidPlaced { price: units(10) });
        }
        for number in 0..3 {
            audited.act(REQUESTER, Event::BidAccepted { node: node(number) });
        }
        for number in 0..2 {
            let commitment =
                result(number, 1).commitment(LogDomain::default(), audited.job, number, node(number));
            audited.act(node(number), Event::Committed { commitment });
        }
        audited.wait(audited.job().commit_by);
        audited
    }
}

#[test]
fn a_follow_up_of_an_audited_job_is_larger_than_both_waves_and_has_no_audit() {
    let audited = Audited::committed(1000, &[1]);
    let deal = Deal { escalation_limit: 31, ..audited.job().deal.clone() };
    let child = deal.escalated(audited.job).unwrap();
    assert_eq!((child.concurrency, child.audit), (7, None));
    assert_eq!(Deal { escalation_limit: 3, ..deal }.escalated(audited.job), None);
}
