//! What happens next: mostly a sensible step, sometimes one that the rules must refuse.

mod deals;
mod steer;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use assay::domain::{
    Acceptance, Amount, Audit, AuditSecret, AuditStage, BidStatus, Deal, Digest, Event, EventKind,
    FailureKind, Fingerprint, FingerprintWord, Job, JobState, Method, NodeId, Opening, SeatOpening, SeatSet,
    SeatStatus, Span, SummaryWord, Timestamp,
};
use assay::rules::{self, Rejection};

use super::{
    NODES, REQUESTER, STRANGER,
    sides::{Act, Step, Submission},
};
use assay::sim::chance::Chance;

/// Most parties of a job that may sit in its follow-up's stead.
const MOST_SEATS: u8 = 5;

pub(super) enum Move {
    Wait(Timestamp),
    Take(Box<Step>),
}

pub(super) struct Script {
    chance: Chance,
    ids: Vec<NodeId>,
    with_money: bool,
    nonce: u64,
    /// How many submissions were made to be refused.
    bad: u64,
    submissions: Vec<Submission>,
    /// Who has, or had, a seat in each job.
    seated: BTreeMap<usize, BTreeSet<NodeId>>,
    /// What each node committed to, by job.
    sealed: BTreeMap<(usize, NodeId), Opening>,
    /// Jobs that want a follow-up, and its terms.
    follow_ups: Vec<(usize, Deal)>,
    /// Whether a failed seat was filled again, and a bid passed over.
    refilled: bool,
    skipped: bool,
    /// Whether somebody without a seat, and so without the log, has opened a commitment.
    stranger_opened: bool,
    /// What was seen so far, so that the rest can be looked for.
    taken: BTreeSet<EventKind>,
    rejected: BTreeSet<Rejection>,
}

/// The secret of the submission with this nonce.
fn secret(nonce: u64) -> AuditSecret {
    AuditSecret::of(Digest::ZERO, nonce)
}

fn with_secret(deal: Deal, nonce: u64) -> Deal {
    let secret_hash = secret(nonce).hash();
    Deal { audit: deal.audit.map(|audit| Audit { secret_hash, ..audit }), ..deal }
}

impl Script {
    pub(super) fn new(seed: u64, ids: Vec<NodeId>, with_money: bool) -> Self {
        Self {
            chance: Chance::new(seed),
            ids,
            with_money,
            nonce: 0,
            bad: 0,
            submissions: Vec::new(),
            seated: BTreeMap::new(),
            sealed: BTreeMap::new(),
            follow_ups: Vec::new(),
            refilled: false,
            skipped: false,
            stranger_opened: false,
            taken: BTreeSet::new(),
            rejected: BTreeSet::new(),
        }
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.chance.permille(10 * percent)
    }

    fn anybody(&mut self) -> usize {
        usize::try_from(self.chance.within(0..u64::try_from(self.ids.len()).unwrap())).unwrap()
    }

    fn node(&mut self) -> usize {
        1 + self.anybody() % NODES
    }

    fn take(who: usize, job: usize, act: Act) -> Move {
        Move::Take(Box::new(Step { who, job, knows_deal: true, act }))
    }

    fn plain(who: usize, job: usize, event: Event) -> Move {
        Self::take(who, job, Act::Plain(event))
    }

    pub(super) fn submission(&mut self, deal: Deal, parent: Option<usize>) -> Submission {
        self.nonce += 1;
        let deal = with_secret(deal, self.nonce);
        Submission { deal, parent, is_spec_right: true, nonce: self.nonce, is_id_right: true }
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, number: usize, job: &Job) {
        let next = Some(job).filter(|job| job.state == JobState::Inconclusive);
        let next = next.and_then(|job| job.deal.escalated(job.id));
        self.follow_ups.extend(next.map(|deal| (number, deal)));
    }

    /// The next job: the follow-up of an earlier one, if one wants it.
    pub(super) fn new_job(&mut self, jobs: usize) -> Step {
        let follow_up = self.follow_ups.pop();
        let submission = match follow_up {
            Some((parent, deal)) => self.submission(deal, Some(parent)),
            None => {
                let deal = self.deal();
                self.submission(deal, None)
            }
        };
        self.submissions.push(submission.clone());
        Step { who: REQUESTER, job: jobs, knows_deal: true, act: Act::Submit(submission) }
    }

    /// A submission that must be refused; `parent` is any job.
    pub(super) fn bad_job(&mut self, parent: usize) -> Step {
        let deal = self.deal();
        let mut made = self.submission(deal, None);
        self.bad += 1;
        match self.bad % 6 {
            0 => made.deal.confidence = made.deal.concurrency + 1,
            1 => made.is_spec_right = false,
            2 => made.is_id_right = false,
            3 => made.parent = Some(parent),
            4 => {
                return Step {
                    who: STRANGER,
                    job: usize::MAX,
                    knows_deal: true,
                    act: Act::Plain(Event::Stopped),
                };
            }
            _ if self.with_money => {
                (made.deal.price, made.deal.bond) =
                    (Amount::new(1 << 60).unwrap(), Amount::new(1 << 60).unwrap());
            }
            _ => made.deal.reveal = Span::from_secs(59),
        }
        Step { who: REQUESTER, job: usize::MAX, knows_deal: true, act: Act::Submit(made) }
    }

    pub(super) fn next(&mut self, number: usize, job: &Job, now: Timestamp) -> Move {
        let seated = job.bids.iter().filter(|(_, bid)| matches!(bid.status, BidStatus::Seated(_)));
        self.seated.insert(number, seated.map(|(node, _)| *node).collect());
        self.refilled |= self.seated[&number].len() > job.seats.len();
        self.skipped |= job.bids.values().any(|bid| bid.status == BidStatus::Skipped);
        if self.percent(80)
            && let Some(towards) = self.steer(number, job, now)
        {
            return towards;
        }
        if self.percent(35)
            && let Some(unseen) = self.unseen(number, job, now)
        {
            return unseen;
        }
        match self.chance.within(0..100) {
            0..68 => self.onward(number, job, now),
            68..78 => self.time(job, now),
            _ => self.astray(number, job, now),
        }
    }

    /// A little later, or around the next moment that matters.
    fn time(&mut self, job: &Job, now: Timestamp) -> Move {
        let one = Span::from_secs(1);
        let jumps = match job.state_at(now).0 {
            JobState::Open => 10,
            JobState::Running => 15,
            _ => 25,
        };
        let next = job.next_deadline(now).filter(|_| self.percent(jumps));
        let later = now.plus(Span::from_secs(self.chance.pick(&[1, 2, 20])));
        Move::Wait(next.map_or(later, |at| self.chance.pick(&[at.minus(one), at, at.plus(one)]).max(later)))
    }

    /// What an honest party, or one that cheats within the rules, would do next.
    fn onward(&mut self, number: usize, job: &Job, now: Timestamp) -> Move {
        let plain = |who, event| Self::plain(who, number, event);
        let after = |at: Timestamp| Move::Wait(at.plus(Span::from_secs(1)));
        if job.is_overdue(now) {
            let by = self.anybody();
            return if self.percent(40) { plain(by, Event::Expired) } else { self.astray(number, job, now) };
        }
        let (state, reveal_by) = job.state_at(now);
        match state {
            JobState::Open => match self.chance.within(0..100) {
                0..3 => plain(REQUESTER, Event::Cancelled),
                3..7 => self.update(number, job),
                7..10 => plain(self.node(), Event::BidWithdrawn),
                10..13 => self.reject(number, job),
                13..15 => self.remark(number, job),
                15..55 => self.bid(number, job),
                _ => self.fill(number, job).unwrap_or_else(|| self.bid(number, job)),
            },
            JobState::Running => match self.chance.within(0..100) {
                0..2 => plain(REQUESTER, Event::Stopped),
                2..4 => self.remark(number, job),
                4..30 if !job.failed.is_empty() => {
                    self.fill(number, job).unwrap_or_else(|| self.bid(number, job))
                }
                30..34 if job.deal.acceptance == Acceptance::Requester => self.reject(number, job),
                _ => self.end_run(number, job).unwrap_or_else(|| after(job.next_deadline(now).unwrap())),
            },
            JobState::Revealing if job.audit == AuditStage::Undrawn && self.percent(80) => {
                let secret = secret(self.submissions[number].nonce);
                plain(REQUESTER, Event::SecretPublished { secret })
            }
            JobState::Revealing => match self.chance.within(0..100) {
                0..55 if now <= reveal_by => {
                    self.reveal(number, job).unwrap_or_else(|| self.verdict(number, job, now))
                }
                _ if now <= reveal_by && self.percent(5) => after(reveal_by),
                _ if now > reveal_by && self.percent(20) => plain(self.anybody(), Event::Expired),
                _ => self.verdict(number, job, now),
            },
            JobState::Verified
            | JobState::Inconclusive
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired => self.astray(number, job, now),
        }
    }

    fn update(&mut self, number: usize, job: &Job) -> Move {
        let parent = job.deal.parent.map(|_| self.submissions[number].parent.unwrap());
        let mut deal = self.deal();
        if self.percent(20) {
            deal.confidence = 0;
        } else if self.with_money && self.percent(10) {
            (deal.price, deal.bond) = (Amount::new(1 << 60).unwrap(), Amount::new(1 << 60).unwrap());
        }
        let parent = if self.percent(10) { Some(usize::MAX) } else { parent };
        Self::take(REQUESTER, number, Act::Update { deal, parent })
    }

    fn bid(&mut self, number: usize, job: &Job) -> Move {
        let barred = self.submissions[number].parent.and_then(|parent| self.seated.get(&parent));
        let barred = barred.cloned().filter(|_| !self.percent(10)).unwrap_or_default();
        let has_bid = |id: &NodeId| job.bids.get(id).is_some_and(|bid| bid.epoch == job.epoch);
        let may = |id: &NodeId| !has_bid(id) && !barred.contains(id);
        let nodes: Vec<usize> = (1..=NODES).filter(|node| may(&self.ids[*node])).collect();
        let who = if nodes.is_empty() { STRANGER } else { self.chance.pick(&nodes) };
        let less = job.deal.price.checked_sub(Amount::new(1).unwrap()).unwrap_or_default();
        let more = job.deal.price.checked_add(Amount::new(1).unwrap()).unwrap();
        let price = self.chance.pick(&[job.deal.price, job.deal.price, job.deal.price, less, less, more]);
        let knows_deal = !self.percent(8);
        Move::Take(Box::new(Step {
            who,
            job: number,
            knows_deal,
            act: Act::Plain(Event::BidPlaced { price }),
        }))
    }

    fn fill(&mut self, number: usize, job: &Job) -> Option<Move> {
        // Withdrawn bids and void ones too: an acceptance passes them over.
        let open = |status| matches!(status, BidStatus::Standing | BidStatus::Withdrawn);
        let bids: Vec<NodeId> =
            job.bids.iter().filter(|(_, bid)| open(bid.status)).map(|(node, _)| *node).collect();
        (!bids.is_empty()).then(|| {
            let node = self.chance.pick(&bids);
            Self::plain(REQUESTER, number, Event::BidAccepted { node })
        })
    }

    fn remark(&mut self, number: usize, job: &Job) -> Move {
        let bids: Vec<NodeId> = job.bids.keys().copied().collect();
        let node = if bids.is_empty() { self.ids[STRANGER] } else { self.chance.pick(&bids) };
        Self::plain(REQUESTER, number, Event::Remarked { node, remark: "slow".to_owned() })
    }

    fn reject(&mut self, number: usize, job: &Job) -> Move {
        let bids: Vec<NodeId> = job.bids.keys().copied().collect();
        let node = if bids.is_empty() { self.ids[STRANGER] } else { self.chance.pick(&bids) };
        Self::plain(REQUESTER, number, Event::BidRejected { node })
    }

    /// A seat commits or fails.
    fn end_run(&mut self, number: usize, job: &Job) -> Option<Move> {
        let running = (0_u8..).zip(&job.seats).filter(|(_, seat)| seat.status == SeatStatus::Accepted);
        let running: Vec<(u8, NodeId)> = running.map(|(index, seat)| (index, seat.node)).collect();
        if running.is_empty() {
            return None;
        }
        let (seat, node) = self.chance.pick(&running);
        let who = self.ids.iter().position(|id| *id == node).unwrap();
        if self.percent(12) {
            let kind = self.chance.pick(&FailureKind::ALL);
            return Some(Self::plain(who, number, Event::FailureReported { kind }));
        }
        let result = (!self.percent(3)).then(|| self.result(job.deal.method));
        if let Some(result) = result {
            self.sealed.insert((number, node), result);
        }
        Some(Self::take(who, number, Act::Commit { seat, result }))
    }

    /// Outputs that are often equal, memory that is mostly alike, and now and then a word that is no fingerprint.
    pub(super) fn result(&mut self, method: Method) -> Opening {
        let output = self.chance.pick(&[1, 1, 1, 1, 2, 3, 4, 5, 6]);
        let level = self.chance.pick(&[64_000, 64_000, 64_064, 65_000, 500]);
        let (w, q) = ([level; 10], [level; 10]);
        let word = FingerprintWord::pack(&Fingerprint { w, q, cpu_ms: 900, faults: 9000 }, method);
        let fingerprint = match self.chance.within(0..100) {
            0..6 => FingerprintWord::VOID,
            6..24 if !self.rejected.contains(&Rejection::BadFingerprint) => FingerprintWord([0xF0; 32]),
            6..9 => FingerprintWord([0xF0; 32]),
            _ => word,
        };
        let untried = !self.rejected.contains(&Rejection::BadSummary);
        let lane = self.chance.pick(&[0, 32, 64, 65]);
        let summary = match self.chance.within(0..100) {
            0..6 => SummaryWord::VOID,
            6..24 if untried => SummaryWord([0xF0; 32]),
            6..9 => SummaryWord([0xF0; 32]),
            _ => SummaryWord(U256::from(lane).to_be_bytes()),
        };
        Opening {
            result_hash: Digest::new([output; 32]),
            output_root: Digest::new([3; 32]),
            exit_code: self.chance.pick(&[0, 1, -1]),
            fingerprint,
            summary,
            salt: Digest::new(self.chance.bytes()),
        }
    }

    fn opening(&self, number: usize, job: &Job, seat: u8) -> Option<Opening> {
        self.sealed.get(&(number, job.seat(seat)?.node)).copied()
    }

    fn reveal(&mut self, number: usize, job: &Job) -> Option<Move> {
        let hidden: Vec<u8> = job.committed.iter().filter(|seat| !job.revealed.contains(*seat)).collect();
        if hidden.is_empty() {
            return None;
        }
        let seat = self.chance.pick(&hidden);
        let right = self.opening(number, job, seat);
        let wrong = self.result(job.deal.method);
        let opening = right.filter(|_| !self.percent(10)).unwrap_or(wrong);
        let who = self.ids.iter().position(|id| *id == job.seats[usize::from(seat)].node).unwrap();
        Some(Self::plain(who, number, Event::Revealed { seat, opening }))
    }

    /// By anybody, mostly right.
    fn verdict(&mut self, number: usize, job: &Job, now: Timestamp) -> Move {
        let is_late = now > job.state_at(now).1;
        let mut known = rules::openings_of(job);
        let mut given = Vec::new();
        let brings = self.percent(50);
        for seat in job.committed.iter().filter(|_| brings) {
            // Those of the log may be given again; after the deadline no others.
            let wanted =
                if job.revealed.contains(seat) { self.percent(30) } else { !is_late || self.percent(30) };
            if let Some(opening) = self.opening(number, job, seat).filter(|_| wanted) {
                known.insert(seat, opening);
                given.push(SeatOpening { seat, opening });
            }
        }
        let right = rules::verdict_of(job, &known).accepted;
        if self.percent(5) && given.len() > 1 {
            given.reverse();
        }
        let bits = u32::try_from(self.chance.within(0..1 << 31)).unwrap();
        let all = (1_u32 << job.asked()) - 1;
        let wrong = self.chance.pick(&[0, bits & all, all, bits]);
        let accepted = if self.percent(15) { SeatSet::from_bits(wrong) } else { right };
        Self::plain(self.anybody(), number, Event::VerdictPosted { openings: given, accepted })
    }

    /// Anything, by anybody.
    pub(super) fn astray(&mut self, number: usize, job: &Job, now: Timestamp) -> Move {
        // Mostly by those whose role it is, so that more than the role is looked at.
        let holders: Vec<NodeId> = job.seats.iter().map(|seat| seat.node).collect();
        let holder = if holders.is_empty() { self.ids[REQUESTER] } else { self.chance.pick(&holders) };
        let holder = self.ids.iter().position(|id| *id == holder).unwrap();
        let who = self.anybody();
        let who = self.chance.pick(&[who, who, REQUESTER, holder, holder]);
        let node = self.anybody();
        let node = self.ids[node];
        let result = self.result(job.deal.method);
        let event = match self.chance.within(0..19) {
            0 => {
                let made = self.submissions[number].clone();
                return Self::take(REQUESTER, number, Act::Submit(made));
            }
            1 => {
                let Move::Take(step) = self.update(number, job) else { unreachable!("an update is a step") };
                return Move::Take(Box::new(Step { who, ..*step }));
            }
            2 => Event::Cancelled,
            3 => {
                let Move::Take(step) = self.bid(number, job) else { unreachable!("a bid is a step") };
                return Move::Take(Box::new(Step { who, ..*step }));
            }
            4 => Event::BidWithdrawn,
            5 | 6 => Event::BidAccepted { node },
            7 => Event::BidRejected { node },
            8 => Event::FailureReported { kind: FailureKind::Engine },
            9 => {
                let seat = job.seat_of(self.ids[who]).unwrap_or(0);
                return Self::take(who, number, Act::Commit { seat, result: None });
            }
            10 => Event::Stopped,
            own_or_made @ (11 | 12) => {
                let own = self.sealed.get(&(number, self.ids[who])).copied();
                let seat = job.seat_of(self.ids[who]).unwrap_or(0);
                Event::Revealed { seat, opening: own.filter(|_| own_or_made == 12).unwrap_or(result) }
            }
            13 => {
                let seat = self.chance.pick(&[0, 1, 4, 31]);
                let openings = vec![SeatOpening { seat, opening: result }];
                Event::VerdictPosted { openings, accepted: SeatSet::from_bits(1) }
            }
            14 => return self.verdict(number, job, now),
            15 => Event::Expired,
            16 => return Self::plain(self.chance.pick(&[REQUESTER, who]), number, Event::Ticked),
            17 => {
                let nonce = self.submissions[number].nonce;
                Event::SecretPublished { secret: self.chance.pick(&[secret(nonce), secret(nonce + 1)]) }
            }
            _ => {
                let remark = if self.percent(20) { "x".repeat(257) } else { "slow".to_owned() };
                // Nobody but the requester can send more than a wire takes.
                let who = if remark.len() > 256 { REQUESTER } else { who };
                return Self::plain(who, number, Event::Remarked { node, remark });
            }
        };
        let job = if self.percent(2) { usize::MAX } else { number };
        Self::plain(who, job, event)
    }
}
