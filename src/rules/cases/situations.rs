//! Jobs in every situation that the cases start from, each built of real events.

use super::{REQUESTER, STRANGER, one};
use crate::{
    domain::{
        Acceptance, Amount, Audit, AuditSecret, Deal, Digest, Event, Facts, FailureKind, FingerprintWord,
        Job, JobId, LogDomain, NodeId, Opening, RUN_MARGIN, SeatSet, Span, Spec, Stamped, SummaryWord,
        Timestamp,
    },
    rules::Ledger,
};

/// When every situation begins.
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

pub(super) const fn bidder(number: u8) -> NodeId {
    NodeId::new([number + 1; 20])
}

pub(super) fn units(units: u128) -> Amount {
    Amount::new(units).unwrap_or(Amount::MAX)
}

pub(super) fn deal() -> Deal {
    let standard = Deal::default();
    // As short as it may be, so that the last second of a re-fill is the first second of the run.
    let run = standard.timeout.plus(RUN_MARGIN);
    Deal { price: units(10), bond: units(20), keeper_fee: units(1), run, ..standard }
}

/// Seats 0 and 1 agree, seat 2 differs in output, memory and CPU time.
pub(super) fn opening(seat: u8) -> Opening {
    let lies = seat == 2;
    Opening {
        result_hash: Digest::new([if lies { 2 } else { 1 }; 32]),
        output_root: Digest::new([3; 32]),
        fingerprint: FingerprintWord([if lies { 1 } else { 0 }; 32]),
        ..Opening::sample(seat)
    }
}

/// An opening whose fingerprint word sets bits that no fingerprint has.
pub(super) fn dirty() -> Opening {
    let mut word = [0; 32];
    word[0] = 0xF0;
    Opening { fingerprint: FingerprintWord(word), ..opening(0) }
}

/// An opening whose summary word sets bits that no summary has.
pub(super) fn dirty_summary() -> Opening {
    Opening { summary: SummaryWord(dirty().fingerprint.0), ..opening(0) }
}

/// A secret whose draw opens a second wave of seats in every situation, and one whose draw opens none.
pub(super) fn secret(hits: bool) -> AuditSecret {
    AuditSecret::new([if hits { 7 } else { 8 }; 32])
}

/// One seat, and two more if the draw says so. Whether it does follows from the secret alone: one is drawn always, and the
/// chance of the other is one in a thousand.
fn audited(hits: bool) -> Deal {
    let secret_hash = secret(hits).hash();
    let permille = if hits { 1000 } else { 1 };
    Deal { concurrency: 1, confidence: 1, audit: Some(Audit { permille, seats: 2, secret_hash }), ..deal() }
}

/// A script that folds events into a job, a second apart.
struct Script {
    ledger: Ledger,
    job: JobId,
    at: Timestamp,
}

impl Script {
    fn open(deal: &Deal) -> Self {
        let document = Spec::sample().to_document();
        let domain = LogDomain::default();
        let job = domain.job_id(REQUESTER, 0, Spec::hash_document(&document), deal.revision());
        let mut script = Self { ledger: Ledger::new(domain), job, at: START };
        let submitted = Event::Submitted { deal: deal.clone(), spec: document, nonce: 0 };
        script.add(REQUESTER, submitted);
        script
    }

    fn add(&mut self, author: NodeId, event: Event) -> &mut Self {
        let revision = self.ledger.get(self.job).map_or(Digest::ZERO, |job| job.revision);
        let facts = Facts { paid: units(2), ..Facts::MONEYLESS };
        let stamped = Stamped { job: self.job, author, at: self.at, revision, facts, event };
        self.ledger.apply(&stamped).expect("a situation is built of events that the rules accept");
        self.at = self.at.plus(one());
        self
    }

    fn bid(&mut self, numbers: &[u8]) -> &mut Self {
        for number in numbers {
            self.add(bidder(*number), Event::BidPlaced { price: units(10) });
        }
        self
    }

    fn accept(&mut self, numbers: &[u8]) -> &mut Self {
        for number in numbers {
            self.add(REQUESTER, Event::BidAccepted { node: bidder(*number) });
        }
        self
    }

    fn commit(&mut self, seats: &[u8]) -> &mut Self {
        for seat in seats {
            let commitment = opening(*seat).commitment(LogDomain::default(), self.job, *seat, bidder(*seat));
            self.add(bidder(*seat), Event::Committed { commitment });
        }
        self
    }

    fn draw(&mut self, hits: bool) -> &mut Self {
        self.add(REQUESTER, Event::SecretPublished { secret: secret(hits) })
    }

    fn reveal(&mut self, seats: &[u8]) -> &mut Self {
        for seat in seats {
            self.add(bidder(*seat), Event::Revealed { seat: *seat, opening: opening(*seat) });
        }
        self
    }

    fn wait_until(&mut self, at: Timestamp) -> &mut Self {
        self.at = self.at.max(at);
        self
    }

    fn read(&self) -> Job {
        self.ledger.get(self.job).expect("the script submitted it").clone()
    }
}

pub(super) fn situations() -> Vec<(&'static str, Job)> {
    let fail = Event::FailureReported { kind: FailureKind::Memory };
    let build = |deal: Deal, steps: &dyn Fn(&mut Script)| {
        let mut script = Script::open(&deal);
        steps(&mut script);
        script.read()
    };
    let running = |script: &mut Script| {
        script.bid(&[0, 1, 2, 3]).accept(&[0, 1, 2]);
    };
    let first_come = Deal { acceptance: Acceptance::FirstCome, ..deal() };
    let allowing = Deal { allow_list: vec![bidder(0), bidder(1), bidder(2)], min_paid: units(1), ..deal() };
    // The default terms leave no second in which a whole run would still fit.
    let roomy = Deal { run: deal().run.plus(Span::from_secs(600)), ..deal() };
    let late_failure = |script: &mut Script| {
        let refill_by = script.read().refill_by();
        script.commit(&[0, 1]).wait_until(refill_by.plus(one())).add(bidder(2), fail.clone());
    };
    vec![
        ("open, no bid", build(deal(), &|_| {})),
        (
            "open, bids of every status",
            build(deal(), &|script| {
                script.bid(&[0, 1, 2, 3, 4]).add(bidder(1), Event::BidWithdrawn);
                script.add(REQUESTER, Event::BidRejected { node: bidder(2) });
                script.add(bidder(4), Event::BidWithdrawn);
                script.add(REQUESTER, Event::BidAccepted { node: bidder(4) });
            }),
        ),
        (
            "open, bids void after an update",
            build(deal(), &|script| {
                script.bid(&[0, 1]);
                script.add(REQUESTER, Event::DealUpdated { deal: Deal { tolerance_kib: 7, ..deal() } });
            }),
        ),
        (
            "open, two seats filled",
            build(deal(), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0, 1]);
            }),
        ),
        ("open, allow-list and a minimum of pay", build(allowing, &|_| {})),
        (
            "open, first come",
            build(first_come.clone(), &|script| {
                script.bid(&[0, 1]);
            }),
        ),
        ("running", build(deal(), &running)),
        (
            "running, a seat failed",
            build(deal(), &|script| {
                running(script);
                script.add(bidder(0), fail.clone());
            }),
        ),
        (
            "running, a seat failed, first come",
            build(first_come, &|script| {
                script.bid(&[0, 1, 2]).add(bidder(0), fail.clone());
            }),
        ),
        (
            "running, two committed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1]);
            }),
        ),
        (
            "running, two committed, the third failed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1]).add(bidder(2), fail.clone());
            }),
        ),
        (
            "running, one committed, two failed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0]).add(bidder(1), fail.clone()).add(bidder(2), fail.clone());
            }),
        ),
        (
            "running, one committed, two failed differently",
            build(deal(), &|script| {
                let other = Event::FailureReported { kind: FailureKind::Disk };
                running(script);
                script.commit(&[0]).add(bidder(1), fail.clone()).add(bidder(2), other);
            }),
        ),
        (
            "running, two failed alike by their own fault",
            build(deal(), &|script| {
                let own = Event::FailureReported { kind: FailureKind::Engine };
                running(script);
                script.add(bidder(1), own.clone()).add(bidder(2), own);
            }),
        ),
        (
            "revealing after a failure too late for another node",
            build(deal(), &|script| {
                running(script);
                late_failure(script);
            }),
        ),
        (
            "revealing",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1, 2]);
            }),
        ),
        (
            "revealing, a word no fingerprint has",
            build(deal(), &|script| {
                running(script);
                let commitment = dirty().commitment(LogDomain::default(), script.job, 0, bidder(0));
                script.add(bidder(0), Event::Committed { commitment }).commit(&[1, 2]);
            }),
        ),
        (
            "revealing, a word no summary has",
            build(deal(), &|script| {
                running(script);
                let commitment = dirty_summary().commitment(LogDomain::default(), script.job, 0, bidder(0));
                script.add(bidder(0), Event::Committed { commitment }).commit(&[1, 2]);
            }),
        ),
        (
            "revealing, one revealed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0]);
            }),
        ),
        (
            "revealing, all revealed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0, 1, 2]);
            }),
        ),
        (
            "revealing, all revealed, one states another exit code",
            build(deal(), &|script| {
                running(script);
                let false_exit = Opening { exit_code: 1, salt: opening(2).salt, ..opening(0) };
                let commitment = false_exit.commitment(LogDomain::default(), script.job, 2, bidder(2));
                script.commit(&[0, 1]).add(bidder(2), Event::Committed { commitment }).reveal(&[0, 1]);
                script.add(bidder(2), Event::Revealed { seat: 2, opening: false_exit });
            }),
        ),
        (
            "verified",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0, 1, 2]);
                script.add(
                    STRANGER,
                    Event::VerdictPosted { openings: vec![], accepted: SeatSet::from_bits(3) },
                );
            }),
        ),
        (
            "inconclusive",
            build(Deal { confidence: 3, ..deal() }, &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0, 1, 2]);
                script.add(STRANGER, Event::VerdictPosted { openings: vec![], accepted: SeatSet::EMPTY });
            }),
        ),
        (
            "failed",
            build(deal(), &|script| {
                running(script);
                let commit_by = script.read().commit_by;
                script.wait_until(commit_by.plus(one())).add(STRANGER, Event::Expired);
            }),
        ),
        (
            "stopped",
            build(deal(), &|script| {
                running(script);
                script.add(REQUESTER, Event::Stopped);
            }),
        ),
        (
            "cancelled",
            build(deal(), &|script| {
                script.add(REQUESTER, Event::Cancelled);
            }),
        ),
        (
            "expired",
            build(deal(), &|script| {
                let open_by = script.read().open_by;
                script.wait_until(open_by.plus(one())).add(STRANGER, Event::Expired);
            }),
        ),
        (
            "running with time to spare, a seat failed",
            build(roomy.clone(), &|script| {
                running(script);
                script.add(bidder(0), fail.clone());
            }),
        ),
        (
            "running with time to spare, a seat failed, first come",
            build(Deal { acceptance: Acceptance::FirstCome, ..roomy.clone() }, &|script| {
                script.bid(&[0, 1, 2]).add(bidder(0), fail.clone());
            }),
        ),
        (
            "running with time to spare, two committed, the third failed",
            build(roomy.clone(), &|script| {
                running(script);
                script.commit(&[0, 1]).add(bidder(2), fail.clone());
            }),
        ),
        (
            "running, a failed seat given to another node",
            build(roomy, &|script| {
                running(script);
                script.add(bidder(0), fail.clone()).accept(&[3]).commit(&[1]);
            }),
        ),
        (
            "audit, its first wave runs",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]);
            }),
        ),
        (
            "audit, the secret is awaited",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]);
            }),
        ),
        (
            "audit, another secret is awaited",
            build(audited(false), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]);
            }),
        ),
        (
            "audit, spared",
            build(audited(false), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]).draw(false);
            }),
        ),
        (
            "audit, spared after a seat missed its time",
            build(Deal { concurrency: 3, confidence: 2, ..audited(false) }, &|script| {
                script.bid(&[0, 1, 2]).accept(&[0, 1, 2]).commit(&[0, 1]);
                let commit_by = script.read().commit_by;
                script.wait_until(commit_by.plus(one())).draw(false);
            }),
        ),
        (
            "audit, drawn",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]).draw(true);
            }),
        ),
        (
            "audit, drawn, first come",
            build(Deal { acceptance: Acceptance::FirstCome, ..audited(true) }, &|script| {
                script.bid(&[0]).commit(&[0]).draw(true).bid(&[1]);
            }),
        ),
        (
            "audit, drawn after a seat missed its time",
            build(Deal { concurrency: 3, confidence: 2, ..audited(true) }, &|script| {
                script.bid(&[0, 1, 2]).accept(&[0, 1, 2]).commit(&[0, 1]);
                let commit_by = script.read().commit_by;
                script.wait_until(commit_by.plus(one())).draw(true);
            }),
        ),
        (
            "audit, the second wave runs",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2, 3]).accept(&[0]).commit(&[0]).draw(true).accept(&[1, 2]);
            }),
        ),
        (
            "audit, the second wave has committed",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]).draw(true).accept(&[1, 2]).commit(&[1, 2]);
            }),
        ),
        (
            "audit, all revealed",
            build(audited(true), &|script| {
                script.bid(&[0, 1, 2]).accept(&[0]).commit(&[0]).draw(true).accept(&[1, 2]);
                script.commit(&[1, 2]).reveal(&[0, 1, 2]);
            }),
        ),
        (
            "audit, spared and revealed",
            build(audited(false), &|script| {
                script.bid(&[0]).accept(&[0]).commit(&[0]).draw(false).reveal(&[0]);
            }),
        ),
        (
            "audit, the secret was withheld",
            build(audited(true), &|script| {
                script.bid(&[0]).accept(&[0]).commit(&[0]);
                let reveal_by = script.read().reveal_by;
                script.wait_until(reveal_by.plus(one())).add(STRANGER, Event::Expired);
            }),
        ),
        (
            "audit, the second wave was never filled",
            build(audited(true), &|script| {
                script.bid(&[0, 1]).accept(&[0]).commit(&[0]).draw(true).accept(&[1]);
                let open_by = script.read().open_by;
                script.wait_until(open_by.plus(one())).add(STRANGER, Event::Expired);
            }),
        ),
        (
            "revealing, the liar has not revealed",
            build(deal(), &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0, 1]);
            }),
        ),
        (
            "revealing, all revealed, too few agree",
            build(Deal { confidence: 3, ..deal() }, &|script| {
                running(script);
                script.commit(&[0, 1, 2]).reveal(&[0, 1, 2]);
            }),
        ),
    ]
}
