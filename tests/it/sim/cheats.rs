//! A requester that orders its job's log, holds a seat in it, and tries every cheat: what stops each.
//!
//! It can always leave a job undecided. What it must not be able to do without leaving proof is to have an
//! honest node's result before its own commitment stands, or to end with another verdict than the rules give.

use assay::{
    domain::{
        Action, Amount, Ask, Deal, Digest, Event, Facts, FailureKind, Job, JobState, MIN_REVEAL, NodeId,
        Opening, Pace, SeatSet, SignedAction, Span, Spec, Timestamp,
    },
    identity::NodeKey,
    policy::{
        ComputeLimits, Moment, Purses,
        compute::{self, ComputeStep, ComputeView, Execution, LogTrust},
    },
    rules::Rejection,
    scheduler::{
        EnvelopeRefusal, SubmitError,
        libp2p::{
            entry::Entry,
            job_log::CheckedLog,
            sequence::{Arrival, Fault, Follower, Place, Receipt, Sequencer},
        },
    },
    sim::{DOMAIN, Order, deal, spec},
};

/// When the third seat was given; commits close 150 s later.
const SEATED: u64 = 1010;
const CLOSE: u64 = SEATED + 150;

/// The cheat sits in seat 2, honest nodes in seats 0 and 1.
const CHEAT: usize = 2;

#[derive(Debug)]
struct Table {
    keys: [NodeKey; 3],
    log: Sequencer,
    followers: [Follower; 2],
}

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// The honest nodes' results differ in their salts alone.
fn opening(seat: u8) -> Opening {
    Opening::sample(seat)
}

/// The next action of `author`, who has seen all of `log`.
fn action(job_log: &CheckedLog, author: &NodeKey, event: Event) -> SignedAction {
    let (job, revision) = (job_log.job().id, job_log.job().revision);
    let (sequence, seen) = (job_log.next_sequence(author.node_id()), job_log.head());
    sign(author, Action { job, revision, sequence, seen, event })
}

fn sign(author: &NodeKey, action: Action) -> SignedAction {
    SignedAction { signature: author.sign(action.signing_digest(DOMAIN)), action }
}

fn commitment(job: &Job, seat: u8, node: NodeId) -> Event {
    Event::Committed { commitment: opening(seat).commitment(DOMAIN, job.id, seat, node) }
}

impl Table {
    /// Every seat is given, everybody holds the log so far.
    fn running() -> Self {
        let keys = [key(1), key(2), key(3)];
        let deal: Deal = deal(Order::Requester, 3, 2);
        let (document, revision) = (spec("pure").to_document(), deal.revision());
        let id = DOMAIN.job_id(keys[CHEAT].node_id(), 0, Spec::hash_document(&document), revision);
        let event = Event::Submitted { deal, spec: document, nonce: 0 };
        let submission = Action { job: id, revision, sequence: 0, seen: Digest::ZERO, event };
        let submission = sign(&keys[CHEAT], submission);
        let log = Sequencer::open(keys[CHEAT].clone(), DOMAIN, None, at(1000), submission).unwrap();
        let first = log.job_log().entry(1).unwrap().clone();
        let follower = Follower::open(DOMAIN, None, first).unwrap();
        let mut table = Self { keys, log, followers: [follower.clone(), follower] };
        for node in [0, 1, CHEAT] {
            table.honestly(node, 1005, Event::BidPlaced { price: Amount::ZERO });
        }
        for node in [0, 1, CHEAT] {
            let node = table.keys[node].node_id();
            table.honestly(CHEAT, SEATED, Event::BidAccepted { node });
        }
        table
    }

    /// Both honest nodes have committed, the cheat has not.
    fn committed() -> Self {
        let mut table = Self::running();
        table.commits(0, 1100);
        table.commits(1, 1101);
        table
    }

    fn commits(&mut self, node: usize, secs: u64) {
        let seat = u8::try_from(node).unwrap();
        let event = commitment(self.log.job_log().job(), seat, self.keys[node].node_id());
        self.honestly(node, secs, event);
    }

    /// What an honest requester does with an action: orders it and shows it to everybody.
    fn honestly(&mut self, author: usize, secs: u64, event: Event) -> Entry {
        let entry = self.ordered(author, secs, event);
        for node in 0..2 {
            assert_eq!(self.show(node, secs, &entry), Receipt::Appended);
        }
        entry
    }

    /// Orders an action as the rules allow, and keeps the entry back.
    fn ordered(&mut self, author: usize, secs: u64, event: Event) -> Entry {
        let action = action(self.log.job_log(), &self.keys[author], event);
        match self.log.append(at(secs), action).unwrap() {
            Place::New(entry) => *entry,
            Place::Known(height) => panic!("known at {height}"),
        }
    }

    /// An entry as the rules never would allow it.
    fn forged(&self, secs: u64, action: SignedAction) -> Entry {
        let job_log = self.log.job_log();
        Entry::sign(&self.keys[CHEAT], DOMAIN, (job_log.height() + 1, job_log.head()), at(secs), action)
    }

    fn show(&mut self, node: usize, secs: u64, entry: &Entry) -> Receipt {
        self.followers[node].receive(entry.clone(), Arrival::Live(at(secs)))
    }

    /// What an honest node's policy says at this time of its own clock.
    fn step(&self, node: usize, secs: u64) -> ComputeStep {
        let follower = &self.followers[node];
        let job = follower.job_log().job();
        let result = opening(u8::try_from(node).unwrap());
        let limits = ComputeLimits {
            max_bond: Amount::ZERO,
            ask: Ask::ALL,
            max_resources: job.spec.resources,
            max_timeout: Span::from_secs(3600),
            max_run: Span::from_secs(7200),
            min_reveal: MIN_REVEAL,
            max_reveal: Span::from_secs(3600),
            min_price: Amount::ZERO,
        };
        compute::next(&ComputeView {
            me: self.keys[node].node_id(),
            job,
            moment: Moment { now: at(secs), elapsed_ms: secs * 1000 },
            heard_ms: 0,
            rank: 0,
            limits: &limits,
            can_run: true,
            facts: Facts::MONEYLESS,
            sisters: &[],
            purses: Purses::FULL,
            pace: Pace::QUICK,
            execution: Execution::Finished(&result),
            log: LogTrust::Requester {
                clock_agrees: follower.skew().is_none(),
                suspended: follower.may_act().is_err(),
            },
            knows_requester: false,
        })
    }

    fn reveals(&self, node: usize, secs: u64) -> bool {
        matches!(self.step(node, secs), ComputeStep::Submit(Event::Revealed { .. }))
    }

    /// Asserts that a node reveals at no time from `from` on, and gives the job up in the end.
    fn assert_never_reveals(&self, node: usize, from: u64) {
        assert!((from..from + 1000).all(|secs| !self.reveals(node, secs)));
        assert_eq!(self.step(node, CLOSE + 61), ComputeStep::Done);
    }

    /// Asserts that a node holds `refused` as proof that the requester broke the log.
    fn assert_refused(&self, node: usize, refused: &SubmitError) {
        match self.followers[node].fault() {
            Some(Fault::Refused { entry, error: Some(error) }) => {
                assert_eq!(error, refused);
                assert_eq!(entry.signer(DOMAIN), Ok(self.keys[CHEAT].node_id()), "its own hand");
            }
            fault => panic!("{fault:?}"),
        }
    }
}

#[test]
fn without_a_cheat_everybody_reveals() {
    let mut table = Table::committed();
    table.commits(CHEAT, 1102);
    assert!(table.reveals(0, 1102) && table.reveals(1, 1102));
}

#[test]
fn a_changed_action_is_no_longer_its_authors() {
    let mut table = Table::running();
    let mut stolen =
        action(table.log.job_log(), &table.keys[0], Event::FailureReported { kind: FailureKind::Disk });
    let swapped = Event::Committed { commitment: Digest::new([1; 32]) };
    stolen.action.event = swapped;
    assert_ne!(stolen.author(DOMAIN), Ok(table.keys[0].node_id()));
    assert!(table.log.append(at(1100), stolen.clone()).is_err());
    let entry = table.forged(1100, stolen);
    assert_eq!(table.show(1, 1100, &entry), Receipt::Broken);
    assert!(matches!(table.followers[1].fault(), Some(Fault::Refused { error: Some(_), .. })));
}

#[test]
fn an_action_cannot_be_used_twice_or_in_another_place() {
    let mut table = Table::committed();
    let again = table.log.job_log().entries_after(0).last().unwrap().action.clone();
    let entry = table.forged(1103, again);
    assert_eq!(table.show(0, 1103, &entry), Receipt::Broken);
    assert!(matches!(table.followers[0].fault(), Some(Fault::Refused { error: None, .. })));
    table.assert_never_reveals(0, 1103);
}

#[test]
fn a_fork_is_proven_by_any_two_readers() {
    let mut table = Table::committed();
    let mut other = table.log.clone();
    let here = table.ordered(CHEAT, CLOSE + 1, Event::Ticked);
    let remark = Event::Remarked { node: table.keys[0].node_id(), remark: String::new() };
    let there = action(other.job_log(), &table.keys[CHEAT], remark);
    let Place::New(there) = other.append(at(CLOSE + 1), there).unwrap() else { panic!("it is new") };
    assert_eq!(table.show(0, CLOSE + 1, &here), Receipt::Appended);
    assert_eq!(table.show(1, CLOSE + 1, &there), Receipt::Appended);
    assert_eq!(table.show(0, CLOSE + 1, &there), Receipt::Broken);
    let Some(Fault::Equivocation { held, other }) = table.followers[0].fault() else { panic!("no proof") };
    let cheat = Ok(table.keys[CHEAT].node_id());
    assert!(held.height == other.height && held.signer(DOMAIN) == cheat && other.signer(DOMAIN) == cheat);
    table.assert_never_reveals(0, CLOSE + 1);
}

#[test]
fn entries_in_another_order_are_not_taken_and_over_another_history_are_proof() {
    let mut table = Table::running();
    let event = commitment(table.log.job_log().job(), 0, table.keys[0].node_id());
    let first = table.ordered(0, 1100, event);
    let event = commitment(table.log.job_log().job(), 1, table.keys[1].node_id());
    let second = table.ordered(1, 1100, event);
    let after_height = first.height - 1;
    assert_eq!(table.show(0, 1100, &second), Receipt::Gap { after_height });
    assert_eq!(table.followers[0].job_log().height(), after_height);

    let place = (first.height, second.hash(DOMAIN));
    let moved = Entry::sign(&table.keys[CHEAT], DOMAIN, place, at(1100), second.action);
    assert_eq!(table.show(1, 1100, &moved), Receipt::Broken);
    assert!(matches!(table.followers[1].fault(), Some(Fault::Fork { .. })));
}

#[test]
fn a_node_whose_commitment_was_dropped_opens_nothing() {
    let mut table = Table::running();
    table.commits(1, 1100);
    table.commits(CHEAT, 1100);
    table.honestly(CHEAT, CLOSE + 1, Event::Ticked);
    assert!(table.reveals(1, CLOSE + 1));
    table.assert_never_reveals(0, CLOSE + 1);
}

#[test]
fn nothing_is_opened_while_the_requester_can_still_commit() {
    let table = Table::committed();
    table.assert_never_reveals(0, 1101);
    table.assert_never_reveals(1, 1101);
}

#[test]
fn a_commitment_made_after_reading_an_opening_is_refused_and_proof() {
    let mut table = Table::committed();
    table.honestly(CHEAT, CLOSE + 1, Event::Ticked);
    assert!(table.reveals(0, CLOSE + 1));
    table.honestly(0, CLOSE + 2, Event::Revealed { seat: 0, opening: opening(0) });
    let copied = commitment(table.log.job_log().job(), 2, table.keys[CHEAT].node_id());
    let late = action(table.log.job_log(), &table.keys[CHEAT], copied);
    let refused = SubmitError::Refused(EnvelopeRefusal::CommitsClosed);
    assert_eq!(table.log.append(at(CLOSE + 3), late.clone()), Err(refused.clone()));
    let entry = table.forged(CLOSE + 3, late);
    assert_eq!(table.show(1, CLOSE + 3, &entry), Receipt::Broken);
    table.assert_refused(1, &refused);
    table.assert_never_reveals(1, CLOSE + 3);
}

#[test]
fn an_opening_has_no_place_over_another_history() {
    let mut table = Table::committed();
    let mut other = table.log.clone();
    let close = table.ordered(CHEAT, CLOSE + 1, Event::Ticked);
    table.show(0, CLOSE + 1, &close);
    assert!(table.reveals(0, CLOSE + 1), "so the requester reads it");
    let opened = action(
        table.followers[0].job_log(),
        &table.keys[0],
        Event::Revealed { seat: 0, opening: opening(0) },
    );

    let copied = commitment(other.job_log().job(), 2, table.keys[CHEAT].node_id());
    let copied = action(other.job_log(), &table.keys[CHEAT], copied);
    let Place::New(copied) = other.append(at(CLOSE), copied).unwrap() else { panic!("it is new") };
    assert_eq!(other.append(at(CLOSE), opened), Err(SubmitError::Refused(EnvelopeRefusal::WrongSeen)));
    assert_eq!(table.show(1, CLOSE + 2, &copied), Receipt::Appended, "alone, node 1 cannot know");
    assert_eq!(table.show(1, CLOSE + 2, &close), Receipt::Broken, "what node 0 holds proves it");
    assert!(matches!(table.followers[1].fault(), Some(Fault::Equivocation { .. })));
    table.assert_never_reveals(1, CLOSE + 2);
}

#[test]
fn closing_early_with_a_fast_clock_opens_nothing_before_the_deadline() {
    let mut table = Table::committed();
    let tick = table.ordered(CHEAT, CLOSE + 1, Event::Ticked);
    assert_eq!(table.show(0, CLOSE - 20, &tick), Receipt::Appended);
    assert!((CLOSE - 20..=CLOSE).all(|secs| !table.reveals(0, secs)), "its own clock does not agree");
    assert!(table.reveals(0, CLOSE + 1));
    assert_eq!(table.show(1, CLOSE - 31, &tick), Receipt::Appended);
    assert!(table.followers[1].may_act().is_err(), "no clock is so wrong");
    table.assert_never_reveals(1, CLOSE - 31);
}

#[test]
fn closing_early_opens_nothing_when_the_entry_comes_as_history_either() {
    let mut table = Table::committed();
    let tick = table.ordered(CHEAT, CLOSE + 1, Event::Ticked);
    let synced = Arrival::Synced(at(CLOSE - 31));
    assert_eq!(table.followers[0].receive(tick, synced), Receipt::Appended);
    table.assert_never_reveals(0, CLOSE - 31);
}

#[test]
fn closing_late_or_never_opens_nothing_and_frees_the_slot() {
    let mut table = Table::committed();
    table.assert_never_reveals(0, 1101);
    assert_eq!(table.step(0, CLOSE + 61), ComputeStep::Done, "the requester is gone");
    table.honestly(CHEAT, CLOSE + 61, Event::Ticked);
    table.assert_never_reveals(0, CLOSE + 61);
    assert!(table.followers[0].job_log().job().is_overdue(at(CLOSE + 61)), "anyone can tell");
}

#[test]
fn a_stamp_before_the_one_it_follows_is_proof() {
    let mut table = Table::committed();
    let own = commitment(table.log.job_log().job(), 2, table.keys[CHEAT].node_id());
    let entry = table.forged(1050, action(table.log.job_log(), &table.keys[CHEAT], own));
    assert_eq!(table.show(0, 1102, &entry), Receipt::Broken);
    assert!(matches!(table.followers[0].fault(), Some(Fault::StampDecreased { .. })));
    table.assert_never_reveals(0, 1102);
}

#[test]
fn a_backdated_commitment_stops_whoever_sees_it_come() {
    let mut table = Table::committed();
    let own = commitment(table.log.job_log().job(), 2, table.keys[CHEAT].node_id());
    let entry = table.ordered(CHEAT, CLOSE, own);
    assert_eq!(table.show(0, CLOSE + 31, &entry), Receipt::Appended);
    table.assert_never_reveals(0, CLOSE + 31);
}

#[test]
fn a_wrong_verdict_is_refused_and_proof() {
    let mut table = Table::committed();
    table.commits(CHEAT, 1102);
    for node in [0, 1, CHEAT] {
        let seat = u8::try_from(node).unwrap();
        table.honestly(node, 1103, Event::Revealed { seat, opening: opening(seat) });
    }
    let wrong = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b110) };
    let wrong = action(table.log.job_log(), &table.keys[CHEAT], wrong);
    let refused = SubmitError::Rejected(Rejection::VerdictMismatch);
    assert_eq!(table.log.append(at(1104), wrong.clone()), Err(refused.clone()));
    let entry = table.forged(1104, wrong);
    assert_eq!(table.show(0, 1104, &entry), Receipt::Broken);
    table.assert_refused(0, &refused);
    assert_eq!(table.followers[0].job_log().job().state, JobState::Revealing);
}

#[test]
fn entries_of_anybody_else_say_nothing_about_the_log() {
    let mut table = Table::committed();
    let tick = action(table.log.job_log(), &table.keys[CHEAT], Event::Ticked);
    let (height, prev) = (table.log.job_log().height() + 1, table.log.job_log().head());
    let entry = Entry::sign(&table.keys[1], DOMAIN, (height, prev), at(CLOSE + 1), tick);
    assert_eq!(table.show(0, CLOSE + 1, &entry), Receipt::Forged);
    assert_eq!(table.followers[0].may_act(), Ok(()));
    assert!(!table.reveals(0, CLOSE + 1));
}
