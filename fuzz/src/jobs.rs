//! Bytes as the events of a job, folded by the rules; after each, what must hold does.
//!
//! Four bytes say how the job begins: its terms, the requester's price, the bond, and what is in the purses. Each four bytes after
//! them are a step: what happens, who does it, what about, and how long after the step before.

use assay::{
    domain::{
        Acceptance, Amount, Audit, AuditSecret, Deal, Digest, Event, Facts, FailureKind, FingerprintWord,
        JobId, LogDomain, MAX_SEATS, Method, NodeId, Opening, SeatOpening, SeatSet, Span, Spec, Stamped,
        Timestamp,
    },
    rules::{Ledger, held, openings_of, payouts, verdict_of},
};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// The requester, and those who bid.
const REQUESTER: NodeId = NodeId::new([0xAA; 20]);
const NODES: u8 = 8;

/// More steps than any job has.
const MAX_STEPS: usize = 256;

/// Steps of the bytes; true if the rules accepted one after the submission.
pub fn transition(bytes: &[u8]) -> bool {
    let Some((head, steps)) = bytes.split_first_chunk() else { return false };
    let Some(mut game) = Game::open(*head) else { return false };
    let steps = steps.as_chunks().0.iter().take(MAX_STEPS);
    steps.filter(|step| game.step(**step)).count() > 0
}

fn node(number: u8) -> NodeId {
    NodeId::new([number % NODES + 1; 20])
}

fn units(units: impl Into<u128>) -> Amount {
    Amount::new(units.into()).expect("the amounts are small")
}

/// Results that agree, but for those of a seat in `liars`.
fn opening(seat: u8, liars: u8) -> Opening {
    let lies = liars & (1 << (seat % 8)) != 0;
    Opening {
        result_hash: Digest::new([if lies { seat } else { 0xFF }; 32]),
        fingerprint: FingerprintWord([u8::from(lies); 32]),
        ..Opening::sample(seat)
    }
}

fn secret(which: u8) -> AuditSecret {
    AuditSecret::new([which % 4; 32])
}

fn deal([terms, price, bond, more]: [u8; 4]) -> Deal {
    let concurrency = (terms & 7) % 5 + 1;
    let method = [Method::Ball, Method::KMeans, Method::Hash, Method::Hash][usize::from(terms >> 6)];
    let audited = more & 1 != 0 && concurrency < 3;
    let audit = Audit { permille: 500, seats: 2, secret_hash: secret(terms).hash() };
    Deal {
        concurrency,
        confidence: concurrency / 2 + 1,
        method,
        deterministic: more & 2 != 0,
        acceptance: if more & 4 != 0 { Acceptance::FirstCome } else { Acceptance::Requester },
        price: units(price % 32),
        // One to ten times the price, or a little less, which is refused.
        bond: units(u128::from(price % 32) * u128::from(bond % 10 + 1) - u128::from(price & 1 & bond)),
        keeper_fee: units(price >> 5),
        require_work: terms >> 6 == 3,
        escalation_limit: if more & 8 != 0 { MAX_SEATS } else { 0 },
        audit: audited.then_some(audit),
        ..Deal::default()
    }
}

struct Game {
    ledger: Ledger,
    total: Option<Amount>,
    job: JobId,
    at: Timestamp,
    liars: u8,
    /// Whether events claim money that may not be there.
    boasts: bool,
}

impl Game {
    fn open(head: [u8; 4]) -> Option<Self> {
        let mut ledger = Ledger::new(LogDomain::default());
        // Some nodes cannot pay their bonds; a requester that cannot pay opens no job.
        let purses = (0..NODES).map(|number| (node(number), u128::from(head[3] >> 4) * 16));
        for (owner, purse) in purses.chain([(REQUESTER, 500)]) {
            ledger.accounts_mut().deposit(owner, units(purse)).expect("the purses are small");
        }
        let total = ledger.total_money();
        let (liars, boasts) = (head[1] ^ head[2], head[0] & 32 != 0);
        let mut game = Self { ledger, total, job: JobId::ZERO, at: START, liars, boasts };
        let deal = deal(head);
        game.submit(deal, 0).then_some(game)
    }

    fn submit(&mut self, deal: Deal, nonce: u64) -> bool {
        let spec = Spec::sample().to_document();
        let domain = self.ledger.domain();
        let job = domain.job_id(REQUESTER, nonce, Spec::hash_document(&spec), deal.revision());
        let is_new = self.ledger.get(job).is_none();
        let accepted = is_new && self.act(job, REQUESTER, Event::Submitted { deal, spec, nonce });
        if accepted {
            self.job = job;
        }
        accepted
    }

    fn step(&mut self, [what, who, about, wait]: [u8; 4]) -> bool {
        self.wait(wait);
        let Some(job) = self.ledger.get(self.job) else { return false };
        let seat = about % MAX_SEATS;
        let holder = job.seats.get(usize::from(seat)).map_or(node(who), |seat| seat.node);
        let stranger = if who & 8 != 0 { REQUESTER } else { node(who) };
        let (author, event) = match what % 18 {
            0 => (node(who), Event::BidPlaced { price: units(about) }),
            1 => (node(who), Event::BidWithdrawn),
            2 => (REQUESTER, Event::BidAccepted { node: node(about) }),
            3 => (REQUESTER, Event::BidRejected { node: node(about) }),
            4 => {
                let kind = FailureKind::ALL[usize::from(about) % FailureKind::ALL.len()];
                (stranger, Event::FailureReported { kind })
            }
            5 => {
                let opening = opening(seat, self.liars);
                let commitment = opening.commitment(job.domain, job.id, seat, holder);
                (holder, Event::Committed { commitment })
            }
            6 => (stranger, Event::Committed { commitment: Digest::new([about; 32]) }),
            7 => (holder, Event::Revealed { seat, opening: opening(seat, self.liars) }),
            8 => (stranger, Event::Revealed { seat, opening: opening(seat, about) }),
            9 => {
                // The verdict of the rules, with openings that are not in the log yet.
                let committed = job.committed.iter().filter(|seat| !job.revealed.contains(*seat));
                let given = committed.take(usize::from(about));
                let given: Vec<SeatOpening> =
                    given.map(|seat| SeatOpening { seat, opening: opening(seat, self.liars) }).collect();
                let mut all = openings_of(job);
                all.extend(given.iter().map(|given| (given.seat, given.opening)));
                let accepted = verdict_of(job, &all).accepted;
                (stranger, Event::VerdictPosted { openings: given, accepted })
            }
            10 => {
                let accepted = SeatSet::from_bits(about.into());
                (stranger, Event::VerdictPosted { openings: Vec::new(), accepted })
            }
            11 => (stranger, Event::Expired),
            12 => (stranger, Event::Ticked),
            13 => (REQUESTER, Event::Stopped),
            14 => (stranger, Event::SecretPublished { secret: secret(about) }),
            15 if about & 1 == 0 => (stranger, Event::Cancelled),
            15 => (stranger, Event::Remarked { node: node(about), remark: "late".to_owned() }),
            16 => (stranger, Event::DealUpdated { deal: deal([about, who, wait, what]) }),
            _ => {
                let follow_up = job.deal.escalated(job.id);
                return follow_up.is_some_and(|deal| self.submit(deal, about.into()));
            }
        };
        self.act(self.job, author, event)
    }

    /// Some seconds, some half hours, or until just before, at or after the job's next deadline.
    fn wait(&mut self, wait: u8) {
        let seconds = u32::from(wait & 63);
        let next = self.ledger.get(self.job).and_then(|job| job.next_deadline(self.at));
        self.at = match (wait >> 6, next) {
            (0 | 1, _) => self.at.plus(Span::from_secs(seconds)),
            (3, Some(next)) if next > self.at => {
                next.plus(Span::from_secs(seconds % 3)).minus(Span::from_secs(1))
            }
            _ => self.at.plus(Span::from_secs(seconds * 1800)),
        };
    }

    /// Folds an event; afterwards nothing may be lost, and a refusal may have changed nothing.
    fn act(&mut self, job: JobId, author: NodeId, event: Event) -> bool {
        let facts = self.ledger.facts(job, author, &event);
        let facts = if self.boasts { Facts { funded: true, ..facts } } else { facts };
        let known = self.ledger.get(job).cloned();
        let revision = known.as_ref().map_or(Digest::ZERO, |job| job.revision);
        let stamped = Stamped { job, author, at: self.at, revision, facts, event };
        let before = self.ledger.clone();
        let expected = before.preview(&stamped);
        let accepted = match self.ledger.apply(&stamped) {
            Ok(next) => {
                assert_eq!(expected.as_ref(), Ok(next), "a reader sees another job");
                if let Some(known) = &known {
                    assert!(!known.state.is_terminal() || known.state == next.state, "an ended job goes on");
                    if next.state.is_terminal() && !known.state.is_terminal() {
                        let held: Option<Amount> = held(known).expect("amounts are small").values().sum();
                        let freed = payouts(next).expect("amounts are small").total();
                        assert_eq!(held, freed, "{next:?}");
                    }
                }
                true
            }
            Err(rejection) => {
                let lacks_money = self.boasts && expected.is_ok();
                assert!(lacks_money || expected == Err(rejection), "a reader sees another refusal");
                assert_eq!(before, self.ledger, "a refused event changed something");
                false
            }
        };
        self.ledger.assert_invariants();
        assert_eq!(self.ledger.total_money(), self.total, "money was made or lost");
        accepted
    }
}
