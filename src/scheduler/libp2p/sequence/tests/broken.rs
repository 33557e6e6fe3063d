//! What a requester must not sign, and bytes that nobody signed.

use proptest::prelude::*;

use super::*;
use crate::scheduler::libp2p::entry::{EntryError, MAX_ENTRY_BYTES};

/// What the requester's key would sign next, whatever it is.
fn forge(job_log: &CheckedLog, at: Timestamp, action: SignedAction) -> Entry {
    Entry::sign(&key(1), DOMAIN, (job_log.height() + 1, job_log.head()), at, action)
}

#[test]
fn who_is_not_the_requester_cannot_extend_or_break_a_log() {
    let sequencer = running();
    let mut follower = follow(&sequencer);
    let job_log = sequencer.job_log();
    let action = act(job_log, &key(1), Event::Stopped);
    for height in [1, job_log.height(), job_log.height() + 1, job_log.height() + 7] {
        let entry = Entry::sign(&key(9), DOMAIN, (height, job_log.head()), later(3), action.clone());
        assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Forged);
    }
    let other =
        Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &Deal::default(), 8)).unwrap();
    let foreign = other.job_log().entries_after(0)[0].clone();
    assert_eq!(follower.receive(foreign, Arrival::Stored), Receipt::Forged);
    assert_eq!(follower.may_act(), Ok(()));
    let mut stolen = sequencer.job_log().entries_after(0)[0].clone();
    stolen.signature = key(9).sign(stolen.hash(DOMAIN));
    assert_eq!(Follower::open(DOMAIN, None, stolen).err(), Some(RebuildError::Forged));
}

#[test]
fn a_forged_author_breaks_the_log_of_who_ordered_it() {
    let sequencer = running();
    let mut follower = follow(&sequencer);
    let job_log = sequencer.job_log();
    let mut action = act(job_log, &key(2), commit(job_log.job().id, 0, &key(2)));
    action.signature = key(1).sign(action.action.signing_digest(DOMAIN));
    let entry = forge(job_log, later(3), action);
    assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Broken);
    assert!(matches!(follower.fault(), Some(Fault::Refused { error: Some(_), .. })));
}

#[test]
fn two_entries_at_one_height_are_proof_and_stop_the_follower() {
    let mut one = running();
    let mut two = one.clone();
    let mut follower = follow(&one);
    let job = one.job_log().job().id;
    let first = append(&mut one, later(3), &key(2), commit(job, 0, &key(2)));
    let second = append(&mut two, later(3), &key(3), commit(job, 1, &key(3)));
    assert_eq!(follower.receive(first.clone(), Arrival::Stored), Receipt::Appended);
    assert_eq!(follower.receive(second.clone(), Arrival::Stored), Receipt::Broken);
    let (held, other) = (Box::new(first), Box::new(second));
    assert_eq!(held.signer(DOMAIN), other.signer(DOMAIN));
    assert_eq!(follower.fault(), Some(&Fault::Equivocation { held, other }));
    assert!(matches!(follower.may_act(), Err(BackendError::BrokenLog { height: 8, .. })));
    let next = append(&mut one, later(3), &key(3), commit(job, 1, &key(3)));
    assert_eq!(follower.receive(next, Arrival::Stored), Receipt::Broken);
    assert_eq!(follower.job_log().height(), 8);
}

#[test]
fn an_entry_over_another_history_breaks_the_log() {
    let sequencer = running();
    let mut follower = follow(&sequencer);
    let job_log = sequencer.job_log();
    let place = (job_log.height() + 1, Digest::new([7; 32]));
    let entry = Entry::sign(&key(1), DOMAIN, place, later(3), act(job_log, &key(1), Event::Stopped));
    assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Broken);
    assert!(matches!(follower.fault(), Some(Fault::Fork { .. })));
}

#[test]
fn a_stamp_that_decreases_breaks_the_log() {
    let sequencer = running();
    let mut follower = follow(&sequencer);
    let entry = forge(sequencer.job_log(), later(1), act(sequencer.job_log(), &key(1), Event::Stopped));
    assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Broken);
    assert!(matches!(follower.fault(), Some(Fault::StampDecreased { .. })));
}

#[test]
fn a_commitment_ordered_after_the_close_breaks_the_log() {
    let mut sequencer = running();
    let job = sequencer.job_log().job().id;
    let late = act(sequencer.job_log(), &key(4), commit(job, 2, &key(4)));
    for seat in 0..2 {
        let node = key(seat + 2);
        append(&mut sequencer, later(3), &node, commit(job, seat, &node));
    }
    let past = sequencer.job_log().job().commit_by.plus(Span::from_secs(1));
    append(&mut sequencer, past, &key(1), Event::Ticked);
    let mut follower = follow(&sequencer);
    let entry = forge(sequencer.job_log(), past, late);
    assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Broken);
}

#[test]
fn an_action_ordered_twice_breaks_the_log() {
    let sequencer = running();
    let mut follower = follow(&sequencer);
    let again = sequencer.job_log().entry(2).unwrap().action.clone();
    let entry = forge(sequencer.job_log(), later(3), again);
    assert_eq!(follower.receive(entry, Arrival::Stored), Receipt::Broken);
    assert!(matches!(follower.fault(), Some(Fault::Refused { error: None, .. })));
}

#[test]
fn a_stamp_from_the_future_stops_actions_and_an_old_one_does_only_live() {
    let sequencer = running();
    let stop = forge(sequencer.job_log(), later(100), act(sequencer.job_log(), &key(1), Event::Stopped));
    for (now, sound) in [(70, true), (69, false), (130, true), (131, false)] {
        let mut follower = follow(&sequencer);
        assert_eq!(follower.receive(stop.clone(), Arrival::Live(later(now))), Receipt::Appended);
        assert_eq!(follower.may_act().is_ok(), sound, "{now}");
    }
    for (now, sound) in [(70, true), (69, false), (130, true), (1_000_000, true)] {
        let mut follower = follow(&sequencer);
        assert_eq!(follower.receive(stop.clone(), Arrival::Synced(later(now))), Receipt::Appended);
        assert_eq!(follower.may_act().is_ok(), sound, "{now}");
    }
    let mut follower = follow(&sequencer);
    assert_eq!(follower.receive(stop, Arrival::Stored), Receipt::Appended);
    assert_eq!(follower.may_act(), Ok(()));
}

#[test]
fn an_oversized_entry_is_refused_unread() {
    let bytes = vec![1; MAX_ENTRY_BYTES + 1];
    assert_eq!(Entry::decode(&bytes), Err(EntryError::TooLong { actual: bytes.len() }));
    assert_eq!(Entry::decode(&[]), Err(EntryError::Version { found: None }));
    assert_eq!(Entry::decode(&[2]), Err(EntryError::Version { found: Some(2) }));
}

#[test]
fn every_altered_byte_is_noticed() {
    let sequencer = running();
    let entry = sequencer.job_log().entry(2).unwrap();
    let bytes = entry.encode();
    assert_eq!(Entry::decode(&bytes).as_ref(), Ok(entry));
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        let same = Entry::decode(&altered).is_ok_and(|entry| entry.signer(DOMAIN) == Ok(key(1).node_id()));
        assert!(!same, "byte {index}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_bytes_are_no_entry(bytes: Vec<u8>) {
        prop_assert!(Entry::decode(&bytes).is_err());
        let versioned = [&[1], bytes.as_slice()].concat();
        prop_assert!(Entry::decode(&versioned).is_err());
    }

    #[test]
    fn altered_entries_never_panic_and_never_pass(at in 0_usize..4096, with: u8, pick in 0_usize..14) {
        let sequencer = finished();
        let entries = sequencer.job_log().entries_after(0);
        let mut bytes = entries[pick].encode();
        let at = at % bytes.len();
        bytes[at] = with;
        let mut follower = follow(&sequencer);
        if let Ok(entry) = Entry::decode(&bytes) {
            // The hash names an entry, so another signature under the same one is that entry again.
            let receipt = follower.receive(entry, Arrival::Stored);
            prop_assert!(matches!(receipt, Receipt::Duplicate | Receipt::Forged), "{:?}", receipt);
        }
        prop_assert_eq!(follower.may_act(), Ok(()));
    }

    #[test]
    fn any_order_of_arrival_gives_the_same_log(order in Just((0..14_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let sequencer = finished();
        let entries = sequencer.job_log().entries_after(0);
        let mut follower = Follower::open(DOMAIN, None, entries[0].clone()).unwrap();
        for _round in 0..entries.len() {
            for index in &order {
                let entry = entries[*index].clone();
                let receipt = follower.receive(entry, Arrival::Stored);
                prop_assert!(!matches!(receipt, Receipt::Broken | Receipt::Forged));
            }
        }
        prop_assert_eq!(follower.job_log().head(), sequencer.job_log().head());
    }
}
