//! One requester's log: what it appends, and what its followers make of it.

mod broken;

use super::*;
use crate::{
    domain::{Action, Amount, Deal, Event, JobId, JobState, Opening, SeatSet, Signature, Timestamp},
    scheduler::{
        EnvelopeRefusal,
        libp2p::{
            fixture::{self, DOMAIN, START, act, append, key, later, signed, submission},
            job_log::{MAX_AUTHOR_ACTIONS, MAX_LOG_ENTRIES},
        },
    },
};

fn open() -> Sequencer {
    Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &Deal::default(), 7)).unwrap()
}

fn bid() -> Event {
    Event::BidPlaced { price: Amount::ZERO }
}

/// The opening of the result that honest nodes have.
fn opening(salt: u8) -> Opening {
    fixture::opening(salt, 9)
}

fn commit(job: JobId, seat: u8, node: &NodeKey) -> Event {
    let commitment = opening(seat).commitment(DOMAIN, job, seat, node.node_id());
    Event::Committed { commitment }
}

/// A job whose three seats are filled, by keys 2, 3 and 4 in this order.
fn running() -> Sequencer {
    let mut sequencer = open();
    for byte in 2..5 {
        append(&mut sequencer, later(1), &key(byte), bid());
    }
    for byte in 2..5 {
        append(&mut sequencer, later(2), &key(1), Event::BidAccepted { node: key(byte).node_id() });
    }
    assert_eq!(sequencer.job_log().job().state, JobState::Running);
    sequencer
}

fn revealing() -> Sequencer {
    let mut sequencer = running();
    let job = sequencer.job_log().job().id;
    for seat in 0..3 {
        let node = key(seat + 2);
        append(&mut sequencer, later(3), &node, commit(job, seat, &node));
    }
    sequencer
}

fn finished() -> Sequencer {
    let mut sequencer = revealing();
    for seat in 0..3 {
        append(&mut sequencer, later(4), &key(seat + 2), Event::Revealed { seat, opening: opening(seat) });
    }
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b111) };
    append(&mut sequencer, later(5), &key(3), verdict);
    sequencer
}

/// An entry as a node has it that checked both signatures before.
fn as_kept(entry: Entry, job_log: &CheckedLog) -> Kept {
    let author = job_log.author_at(entry.height);
    Kept { author, ..Kept::new(entry, DOMAIN) }
}

fn follow(sequencer: &Sequencer) -> Follower {
    let entries = sequencer.job_log().entries_after(0).to_vec();
    Follower::rebuild(DOMAIN, None, entries).unwrap()
}

fn refusal(sequencer: &mut Sequencer, now: Timestamp, action: SignedAction) -> EnvelopeRefusal {
    match sequencer.append(now, action) {
        Err(SubmitError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_job_is_sequenced_and_followed() {
    let sequencer = finished();
    assert_eq!(sequencer.job_log().job().state, JobState::Verified);
    let follower = follow(&sequencer);
    assert_eq!(follower.job_log().job(), sequencer.job_log().job());
    assert_eq!(follower.job_log().head(), sequencer.job_log().head());
    assert_eq!(follower.may_act(), Ok(()));
}

#[test]
fn a_restarted_sequencer_goes_on_where_it_was() {
    let mut before = revealing();
    let entries =
        before.job_log().entries_after(0).iter().map(|entry| Entry::decode(&entry.encode()).unwrap());
    let mut after = Sequencer::rebuild(key(1), DOMAIN, None, entries).unwrap();
    assert_eq!(after.job_log().closing_height(), before.job_log().closing_height());
    let reveal = act(before.job_log(), &key(2), Event::Revealed { seat: 0, opening: opening(0) });
    assert_eq!(before.append(later(9), reveal.clone()), after.append(later(9), reveal));
    assert_eq!(before.job_log().head(), after.job_log().head());
}

#[test]
fn a_log_rebuilt_from_known_authors_is_the_followed_one() {
    let sequencer = finished();
    let job_log = sequencer.job_log();
    let kept: Vec<Kept> =
        job_log.entries_after(0).iter().map(|entry| as_kept(entry.clone(), job_log)).collect();
    assert!(kept.iter().all(|kept| kept.author.is_some()));
    let followed = follow(&sequencer);
    for unknown in [vec![], vec![0], vec![3, 7], (0..kept.len()).collect()] {
        let mut kept = kept.clone();
        for index in unknown {
            kept[index].author = None;
        }
        let rebuilt = Follower::rebuild_kept(DOMAIN, None, kept.clone()).unwrap();
        assert_eq!(format!("{rebuilt:?}"), format!("{followed:?}"));
        let rebuilt = Sequencer::rebuild_kept(key(1), DOMAIN, None, kept).unwrap();
        assert_eq!(format!("{:?}", rebuilt.job_log()), format!("{job_log:?}"));
    }
}

#[test]
fn a_known_author_vouches_for_signatures_alone() {
    let sequencer = finished();
    let job_log = sequencer.job_log();
    let kept = |height| as_kept(job_log.entry(height).unwrap().clone(), job_log);
    let rebuild = |entries: Vec<Kept>| Follower::rebuild_kept(DOMAIN, None, entries).unwrap_err();
    assert_eq!(rebuild(vec![kept(1), kept(3)]), RebuildError::Gap { after_height: 1 });
    assert_eq!(rebuild(vec![kept(2)]), RebuildError::Forged);
    let stranger = Kept { author: Some(key(9).node_id()), ..kept(5) };
    let before = (1..5).map(kept).chain([stranger]).collect();
    assert_eq!(rebuild(before), RebuildError::Broken(5), "only the requester accepts");
    let restamped = as_kept(Entry { at: Timestamp::ZERO, ..job_log.entry(2).unwrap().clone() }, job_log);
    assert_eq!(rebuild(vec![kept(1), restamped]), RebuildError::Broken(2));
    let stolen = Sequencer::rebuild_kept(key(2), DOMAIN, None, (1..5).map(kept));
    assert_eq!(stolen.err(), Some(RebuildError::Forged));
}

#[test]
fn a_log_of_another_key_is_not_continued() {
    let entries = open().job_log().entries_after(0).to_vec();
    let stolen = Sequencer::rebuild(key(2), DOMAIN, None, entries);
    assert_eq!(stolen.err(), Some(RebuildError::Forged));
    let submission = submission(&key(1), &Deal::default(), 0);
    let opened = Sequencer::open(key(2), DOMAIN, None, START, submission);
    assert_eq!(opened.err(), Some(SubmitError::Rejected(Rejection::NotRequester)));
}

#[test]
fn the_same_action_again_has_its_old_place() {
    let mut sequencer = open();
    let action = act(sequencer.job_log(), &key(2), bid());
    assert!(matches!(sequencer.append(START, action.clone()), Ok(Place::New(_))));
    append(&mut sequencer, START, &key(3), bid());
    assert_eq!(sequencer.append(later(1000), action), Ok(Place::Known(2)));
    assert_eq!(sequencer.job_log().height(), 3);
}

#[test]
fn sequences_have_no_gap_and_no_second_use() {
    let mut sequencer = open();
    let mut action = act(sequencer.job_log(), &key(2), bid()).action;
    action.sequence = 1;
    let skipped = refusal(&mut sequencer, START, signed(&key(2), action.clone()));
    assert_eq!(skipped, EnvelopeRefusal::WrongSequence { expected: 0 });
    append(&mut sequencer, START, &key(2), bid());
    action.sequence = 0;
    action.event = Event::BidWithdrawn;
    let reused = refusal(&mut sequencer, START, signed(&key(2), action));
    assert_eq!(reused, EnvelopeRefusal::WrongSequence { expected: 1 });
}

#[test]
fn stamps_never_decrease() {
    let mut sequencer = open();
    append(&mut sequencer, later(10), &key(2), bid());
    assert_eq!(append(&mut sequencer, later(5), &key(3), bid()).at, later(10));
}

#[test]
fn a_malformed_signature_is_refused() {
    let mut sequencer = open();
    let mut action = act(sequencer.job_log(), &key(2), bid());
    action.signature = Signature::new([0xff; 65]);
    assert_eq!(refusal(&mut sequencer, START, action), EnvelopeRefusal::BadSignature);
}

#[test]
fn seen_must_name_an_entry_of_this_log() {
    let mut sequencer = open();
    let mut action = act(sequencer.job_log(), &key(2), bid()).action;
    action.seen = Digest::new([5; 32]);
    let foreign = refusal(&mut sequencer, START, signed(&key(2), action.clone()));
    assert_eq!(foreign, EnvelopeRefusal::WrongSeen);
    action.seen = Digest::ZERO;
    assert!(sequencer.append(START, signed(&key(2), action)).is_ok(), "a first bid may have seen nothing");
    let mut second = act(sequencer.job_log(), &key(2), Event::BidWithdrawn).action;
    second.seen = Digest::ZERO;
    let blind = refusal(&mut sequencer, START, signed(&key(2), second));
    assert_eq!(blind, EnvelopeRefusal::WrongSeen);
}

#[test]
fn terms_with_money_are_refused() {
    let wei = Amount::new(1).unwrap();
    for deal in
        [Deal { price: wei, bond: wei, ..Deal::default() }, Deal { keeper_fee: wei, ..Deal::default() }]
    {
        let opened = Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &deal, 0));
        assert_eq!(opened.err(), Some(SubmitError::Refused(EnvelopeRefusal::Moneyless)));
        let mut sequencer = open();
        let update = act(sequencer.job_log(), &key(1), Event::DealUpdated { deal });
        assert_eq!(refusal(&mut sequencer, START, update), EnvelopeRefusal::Moneyless);
    }
}

#[test]
fn the_rules_refuse_here_too() {
    let mut sequencer = running();
    let stranger =
        act(sequencer.job_log(), &key(9), Event::FailureReported { kind: crate::domain::FailureKind::Disk });
    assert_eq!(sequencer.append(later(3), stranger), Err(SubmitError::Rejected(Rejection::NotSeatHolder)));
    let other = Action { job: JobId::ZERO, ..act(sequencer.job_log(), &key(9), bid()).action };
    let other = sequencer.append(later(3), signed(&key(9), other));
    assert_eq!(other, Err(SubmitError::Rejected(Rejection::NoSuchJob)));
}

#[test]
fn a_commitment_after_the_close_is_refused() {
    let mut sequencer = running();
    let job = sequencer.job_log().job().id;
    for seat in 0..2 {
        let node = key(seat + 2);
        append(&mut sequencer, later(3), &node, commit(job, seat, &node));
    }
    let past = sequencer.job_log().job().commit_by.plus(Span::from_secs(1));
    let late = act(sequencer.job_log(), &key(4), commit(job, 2, &key(4)));
    append(&mut sequencer, past, &key(1), Event::Ticked);
    assert_eq!(sequencer.job_log().closing_height(), Some(sequencer.job_log().height()));
    // The requester's clock went back, but its stamps do not.
    assert_eq!(refusal(&mut sequencer, later(4), late), EnvelopeRefusal::CommitsClosed);
}

#[test]
fn nothing_is_opened_before_the_closing_entry() {
    let mut sequencer = running();
    let job = sequencer.job_log().job().id;
    for seat in 0..2 {
        let node = key(seat + 2);
        append(&mut sequencer, later(3), &node, commit(job, seat, &node));
    }
    let past = sequencer.job_log().job().commit_by.plus(Span::from_secs(1));
    let reveal = act(sequencer.job_log(), &key(2), Event::Revealed { seat: 0, opening: opening(0) });
    assert_eq!(refusal(&mut sequencer, past, reveal.clone()), EnvelopeRefusal::WrongSeen);
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::EMPTY };
    let verdict = act(sequencer.job_log(), &key(1), verdict);
    assert_eq!(refusal(&mut sequencer, past, verdict), EnvelopeRefusal::WrongSeen);
    append(&mut sequencer, past, &key(1), Event::Ticked);
    assert_eq!(refusal(&mut sequencer, past, reveal), EnvelopeRefusal::WrongSeen);
    append(&mut sequencer, past, &key(2), Event::Revealed { seat: 0, opening: opening(0) });
}

#[test]
fn one_author_cannot_fill_a_log() {
    let mut sequencer = open();
    append(&mut sequencer, START, &key(2), bid());
    let mut used = 1;
    while used < MAX_AUTHOR_ACTIONS {
        let deal = Deal { tolerance_kib: u32::try_from(used).unwrap(), ..Deal::default() };
        append(&mut sequencer, START, &key(1), Event::DealUpdated { deal });
        append(&mut sequencer, START, &key(2), bid());
        used += 1;
    }
    let more = act(sequencer.job_log(), &key(2), Event::BidWithdrawn);
    assert_eq!(refusal(&mut sequencer, START, more), EnvelopeRefusal::TooMany);
    assert!(sequencer.job_log().height() < u64::try_from(MAX_LOG_ENTRIES).unwrap());
    append(&mut sequencer, START, &key(1), Event::Cancelled);
}

#[test]
fn entries_out_of_order_are_asked_for_and_duplicates_are_ignored() {
    let sequencer = finished();
    let entries = sequencer.job_log().entries_after(0);
    let mut follower = Follower::open(DOMAIN, None, entries[0].clone()).unwrap();
    assert_eq!(follower.receive(entries[2].clone(), Arrival::Stored), Receipt::Gap { after_height: 1 });
    for entry in &entries[1..] {
        assert_eq!(follower.receive(entry.clone(), Arrival::Stored), Receipt::Appended);
        assert_eq!(follower.receive(entry.clone(), Arrival::Stored), Receipt::Duplicate);
    }
    assert_eq!(follower.job_log().head(), sequencer.job_log().head());
}

#[test]
fn a_follow_up_needs_its_parent_and_refuses_its_nodes() {
    let deal = Deal { escalation_limit: 7, confidence: 3, ..Deal::default() };
    let mut parent = Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &deal, 0)).unwrap();
    for byte in 2..5 {
        append(&mut parent, START, &key(byte), bid());
        append(&mut parent, START, &key(1), Event::BidAccepted { node: key(byte).node_id() });
    }
    let job = parent.job_log().job().id;
    let differing = |seat: u8| Opening { result_hash: Digest::new([seat; 32]), ..opening(seat) };
    for seat in 0..3 {
        let node = key(seat + 2);
        let commitment = differing(seat).commitment(DOMAIN, job, seat, node.node_id());
        append(&mut parent, START, &node, Event::Committed { commitment });
    }
    for seat in 0..3 {
        append(&mut parent, START, &key(seat + 2), Event::Revealed { seat, opening: differing(seat) });
    }
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::EMPTY };
    append(&mut parent, START, &key(1), verdict);
    let parent = parent.job_log().job();
    assert_eq!(parent.state, JobState::Inconclusive);

    let action = submission(&key(1), &deal.escalated(job).unwrap(), 1);
    let orphan = Sequencer::open(key(1), DOMAIN, None, START, action.clone());
    assert_eq!(orphan.err(), Some(SubmitError::Rejected(Rejection::BadParent)));
    let mut child = Sequencer::open(key(1), DOMAIN, Some(parent), START, action).unwrap();
    let again = act(child.job_log(), &key(2), bid());
    assert_eq!(child.append(START, again), Err(SubmitError::Rejected(Rejection::SatInParent)));
    append(&mut child, START, &key(5), bid());
    let entries = child.job_log().entries_after(0).to_vec();
    let follower = Follower::rebuild(DOMAIN, Some(parent), entries.clone()).unwrap();
    assert_eq!(follower.job_log().job(), child.job_log().job());
    assert!(Follower::rebuild(DOMAIN, None, entries).is_err());
}
