//! Logs that fill up, and requesters that choose.

use super::*;
use crate::{
    domain::{Action, Amount, Deal, Digest, Span, recoveries},
    scheduler::libp2p::fixture::{DOMAIN, START, key, signed, submission},
    store::{Db, EndedJob},
};

fn first_entry(key: &NodeKey, at: Timestamp, nonce: u64) -> Entry {
    Entry::sign(key, DOMAIN, (1, Digest::ZERO), at, submission(key, &Deal::default(), nonce))
}

fn open() -> Logs {
    Logs::open(key(1), DOMAIN, EventLog::new(Db::in_memory().unwrap()), START).unwrap()
}

#[test]
fn a_flood_of_one_requester_pushes_out_its_own_jobs_alone() {
    let logs = open();
    let honest = first_entry(&key(3), START, 0);
    logs.adopt(START, honest.clone(), None).unwrap();
    let count = u64::try_from(BOUNDS.jobs_of_requester).unwrap();
    let flood: Vec<Entry> = (0..=count).map(|nonce| first_entry(&key(2), START, nonce)).collect();
    let taken = flood.iter().filter(|entry| logs.adopt(START, (*entry).clone(), None).is_ok()).count();
    assert!(taken >= BOUNDS.jobs_of_requester);
    let held = |entry: &&Entry| logs.view(entry.job()).is_some();
    assert_eq!(flood.iter().filter(held).count(), BOUNDS.jobs_of_requester);
    assert!(logs.view(honest.job()).is_some());
    let stored = logs.store().jobs().unwrap();
    assert_eq!(stored.len(), BOUNDS.jobs_of_requester + 1, "the store keeps no more than memory");
}

#[test]
fn whoever_asks_for_a_job_that_is_being_forgotten_waits_until_it_is() {
    let logs = open();
    let [gone, kept] = [2, 3].map(|requester| first_entry(&key(requester), START, 0));
    [&gone, &kept].into_iter().for_each(|entry| logs.adopt(START, entry.clone(), None).unwrap());
    let told = BTreeSet::from([gone.job(), kept.job()]);
    std::thread::scope(|threads| {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let (asked, room) = (&logs, logs.room());
        // The first half of what makes room: the store has the job still.
        logs.lock().remove(gone.job());
        threads.spawn(move || answer.send(asked.missing(told)).unwrap());
        let early = answered.recv_timeout(std::time::Duration::from_millis(100));
        assert!(early.is_err(), "neither held nor forgotten: {early:?}");
        logs.store().forget(&[gone.job()]).unwrap();
        drop(room);
        let Missing { held, forgotten } = answered.recv().unwrap();
        assert_eq!((held, forgotten), (BTreeSet::from([kept.job()]), vec![gone.job()]));
    });
}

#[test]
fn jobs_whose_requester_fell_silent_keep_no_place_for_ever() {
    let logs = open();
    let (silent, heard) = (first_entry(&key(2), START, 0), first_entry(&key(3), START, 0));
    logs.adopt(START, silent.clone(), None).unwrap();
    logs.adopt(START, heard.clone(), None).unwrap();
    let later = START.plus(BOUNDS.silence);
    logs.hear_again(later, heard.job());
    logs.adopt(later.plus(Span::from_secs(1)), first_entry(&key(4), later, 0), None).unwrap();
    assert!(logs.view(silent.job()).is_none() && logs.view(heard.job()).is_some());
}

#[test]
fn a_requester_chooses_from_twice_its_seats_on_until_it_accepts() {
    let logs = open();
    let submission = first_entry(&key(1), START, 0).action;
    let (job, revision) = (submission.action.job, submission.action.revision);
    logs.sequence(START, vec![submission]).unwrap();
    let act = |author: &NodeKey, sequence, event| {
        let seen = logs.lock().jobs[&job].job_log().head();
        let action = Action { job, revision, sequence, seen, event };
        logs.sequence(START, vec![signed(author, action)]).unwrap();
    };
    let seats = Deal::default().concurrency;
    for bidder in 0..2 * seats {
        assert!(!logs.is_choosing(job), "after {bidder} bids");
        act(&key(10 + bidder), 0, Event::BidPlaced { price: Amount::ZERO });
    }
    for seat in 0..seats {
        assert_eq!(logs.is_choosing(job), seat == 0, "before acceptance {seat}");
        act(&key(1), u64::from(seat) + 1, Event::BidAccepted { node: key(10 + seat).node_id() });
    }
    assert!(!logs.is_choosing(job));
    assert!(!logs.is_choosing(JobId::ZERO));
}

#[test]
fn what_a_requester_does_at_once_waits_for_the_disk_once_and_stays_up_to_what_is_refused() {
    let logs = open();
    let job = order(&logs, 0, 10..14);
    let accept = |sequence, bidder| {
        let (seen, revision) = {
            let inner = logs.lock();
            (inner.jobs[&job].job_log().head(), inner.jobs[&job].job().revision)
        };
        let event = Event::BidAccepted { node: key(bidder).node_id() };
        signed(&key(1), Action { job, revision, sequence, seen, event })
    };
    let before = logs.store().commits();
    // The third one names a node without a bid.
    let acceptances = vec![accept(1, 10), accept(2, 11), accept(3, 20), accept(4, 12)];
    let placed = logs.sequence(START, acceptances).unwrap();
    assert_eq!((placed.height, placed.entries.len(), logs.store().commits() - before), (7, 2, 1));
    assert!(placed.refused.is_some() && placed.cursor.is_some());
    assert_eq!(logs.view(job).unwrap().seats.len(), 2);
}

/// Orders a job of this node with a bid of each of `bidders`.
fn order(logs: &Logs, nonce: u64, bidders: std::ops::Range<u8>) -> JobId {
    let submission = first_entry(&key(1), START, nonce).action;
    let (job, revision) = (submission.action.job, submission.action.revision);
    logs.sequence(START, vec![submission]).unwrap();
    for bidder in bidders {
        let seen = logs.lock().jobs[&job].job_log().head();
        let event = Event::BidPlaced { price: Amount::ZERO };
        let action = Action { job, revision, sequence: 0, seen, event };
        logs.sequence(START, vec![signed(&key(bidder), action)]).unwrap();
    }
    job
}

fn job_logs(logs: &Logs) -> Vec<String> {
    logs.lock().jobs.values().map(|log| format!("{:?}", log.job_log())).collect()
}

#[test]
fn a_restart_recovers_no_signature_of_what_the_store_holds() {
    let root = tempfile::tempdir().unwrap();
    let dir = crate::store::DataDir::open(root.path()).unwrap();
    let reopened = || {
        let before = recoveries();
        let logs = Logs::open(key(1), DOMAIN, EventLog::new(Db::open(&dir).unwrap()), START).unwrap();
        (job_logs(&logs), recoveries() - before)
    };
    let logs = Logs::open(key(1), DOMAIN, EventLog::new(Db::open(&dir).unwrap()), START).unwrap();
    order(&logs, 0, 10..80);
    // A log of another node's, in which a bid follows.
    let theirs = Logs::open(key(2), DOMAIN, EventLog::new(Db::in_memory().unwrap()), START).unwrap();
    let first = first_entry(&key(2), START, 0);
    let job = theirs.sequence(START, vec![first.action.clone()]).map(|_| first.job()).unwrap();
    let event = Event::BidPlaced { price: Amount::ZERO };
    let revision = first.action.action.revision;
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    let second = theirs.sequence(START, vec![signed(&key(3), action)]).unwrap().entries.remove(0);
    let first = theirs.lock().jobs[&job].job_log().entry(1).unwrap().clone();
    logs.adopt(START, first, None).unwrap();
    let received = logs.receive(job, vec![second], Arrival::Synced(START)).unwrap();
    assert_eq!(received, Received::Here { appended: 1 });
    let before = job_logs(&logs);
    let entries = logs.store().read_after(0, 99).unwrap().len();
    drop(logs);

    assert_eq!(reopened(), (before.clone(), 0));
    // As a program wrote the rows that knew neither authors nor checksums.
    let database = rusqlite::Connection::open(dir.database()).unwrap();
    let changed = database.execute("UPDATE entries SET author = NULL, checksum = NULL", ()).unwrap();
    assert_eq!(changed, entries);
    drop(database);
    let (after, recovered) = reopened();
    assert_eq!(after, before);
    assert!(recovered >= 2 * u64::try_from(entries).unwrap(), "both signatures of {entries}: {recovered}");
    assert_eq!(reopened(), (before, 0), "what was recovered once is noted");
}

#[test]
fn the_proof_of_a_fork_outlives_the_node_that_found_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = crate::store::DataDir::open(root.path()).unwrap();
    let open = || Logs::open(key(1), DOMAIN, EventLog::new(Db::open(&dir).unwrap()), START).unwrap();
    let (first, other) =
        (first_entry(&key(2), START, 0), first_entry(&key(2), START.plus(Span::from_secs(1)), 0));
    let job = first.job();
    let logs = open();
    logs.adopt(START, first.clone(), None).unwrap();
    assert_eq!((logs.evidence(job), logs.broken().len()), (None, 0));
    let received = logs.receive(job, vec![other.clone()], Arrival::Synced(START)).unwrap();
    assert_eq!(received, Received::Broken);
    let found = logs.evidence(job).unwrap();
    assert_eq!(
        (found.kind, found.height, found.entries.len()),
        (crate::scheduler::FaultKind::TwoHistories, 1, 2)
    );
    let told = logs.broken();
    assert!(matches!(told.get(&job), Some(BackendError::BrokenLog { height: 1, .. })), "{told:?}");
    drop(logs);

    let restarted = open();
    assert_eq!(restarted.evidence(job), Some(found));
    assert_eq!(restarted.broken(), told);
    assert!(restarted.view(job).unwrap().may_act.is_err(), "nothing is done in a log with two histories");
}

#[test]
fn a_log_whose_disk_was_full_goes_on_once_there_is_room() {
    let db = Db::in_memory().unwrap();
    let logs = Logs::open(key(1), DOMAIN, EventLog::new(db.clone()), START).unwrap();
    let submission = first_entry(&key(1), START, 0).action;
    let (job, revision) = (submission.action.job, submission.action.revision);
    logs.sequence(START, vec![submission]).unwrap();
    let bid = |bidder| {
        let seen = logs.lock().jobs[&job].job_log().head();
        let event = Event::BidPlaced { price: Amount::ZERO };
        let action = Action { job, revision, sequence: 0, seen, event };
        let author = key(bidder);
        logs.sequence(START, vec![signed(&author, action)])
    };
    db.pretend_full(true);
    // The pages that are there take some more.
    let refused = (10..250).find(|bidder| bid(*bidder).is_err()).expect("the disk is full");
    assert!(matches!(bid(refused), Err(SubmitError::NotOrdered(BackendError::Store { .. }))));
    let height = logs.view(job).expect("the job is still known").height;
    assert_eq!(height, 1 + u64::from(refused - 10));
    db.pretend_full(false);
    assert_eq!(bid(refused).unwrap().height, height + 1);
    assert_eq!(bid(refused + 1).unwrap().height, height + 2);
}

#[test]
fn no_silence_and_no_restart_makes_a_node_forget_the_proof_of_a_fork() {
    let root = tempfile::tempdir().unwrap();
    let dir = crate::store::DataDir::open(root.path()).unwrap();
    let open = |now| Logs::open(key(1), DOMAIN, EventLog::new(Db::open(&dir).unwrap()), now).unwrap();
    let logs = open(START);
    let second = START.plus(Span::from_secs(1));
    // One more than is kept of one requester.
    let forked: Vec<JobId> = (0..5)
        .map(|nonce| {
            let (first, other) = (first_entry(&key(2), START, nonce), first_entry(&key(2), second, nonce));
            let job = first.job();
            logs.adopt(START, first, None).unwrap();
            assert_eq!(logs.receive(job, vec![other], Arrival::Synced(START)).unwrap(), Received::Broken);
            job
        })
        .collect();
    let proofs: Vec<_> = forked.iter().map(|job| logs.evidence(*job).unwrap()).collect();
    let silent = START.plus(BOUNDS.silence).plus(Span::from_secs(1));
    logs.adopt(silent, first_entry(&key(3), silent, 0), None).unwrap();
    let held = |logs: &Logs| -> Vec<_> { forked[..4].iter().map(|job| logs.evidence(*job)).collect() };
    let expected: Vec<_> = proofs[..4].iter().cloned().map(Some).collect();
    assert_eq!((held(&logs), logs.evidence(forked[4])), (expected.clone(), None));
    drop(logs);

    let later = silent.plus(BOUNDS.silence).plus(BOUNDS.silence);
    let logs = open(silent);
    logs.adopt(later, first_entry(&key(4), later, 0), None).unwrap();
    assert_eq!((held(&logs), logs.broken().len()), (expected, 4));
    assert!(logs.view(first_entry(&key(3), silent, 0).job()).is_none(), "what proves nothing goes");
}

#[test]
fn whoever_asks_about_a_log_does_not_wait_for_the_disk() {
    let logs = open();
    let job = order(&logs, 0, 10..12);
    let seen = logs.lock().jobs[&job].job_log().head();
    let revision = logs.lock().jobs[&job].job().revision;
    let action = Action { job, revision, sequence: 0, seen, event: Event::BidPlaced { price: Amount::ZERO } };
    let height = || logs.view(job).unwrap().height;
    std::thread::scope(|threads| {
        let disk = logs.store().hold();
        let (bid, submission) = (signed(&key(30), action), first_entry(&key(1), START, 1).action);
        let other = submission.action.job;
        let writers =
            [bid, submission].map(|action| threads.spawn(|| logs.sequence(START, vec![action]).unwrap()));
        while logs.store().waiting() < 2 {
            std::thread::yield_now();
        }
        // Both are on their way to the disk, and nobody hears of them before they are there.
        assert_eq!((height(), logs.view(other).is_none(), logs.page(job, 3)), (3, true, Some((3, vec![]))));
        drop(disk);
        writers.into_iter().for_each(|writer| assert!(writer.join().unwrap().cursor.is_some()));
        assert_eq!((height(), logs.view(other).is_some()), (4, true));
    });
}

/// Ends a job of this node, and what its store is to keep of it.
fn cancel(logs: &Logs, job: JobId) -> EndedJob {
    let (seen, revision) = {
        let inner = logs.lock();
        let log = inner.jobs[&job].job_log();
        (log.head(), log.job().revision)
    };
    let action = Action { job, revision, sequence: 1, seen, event: Event::Cancelled };
    let height = logs.sequence(START, vec![signed(&key(1), action)]).unwrap().height;
    EndedJob {
        job,
        height,
        requester: key(1).node_id(),
        parent: None,
        state: "cancelled".to_owned(),
        submitted_at: START,
        ended_at: START,
        member_of: None,
        is_honest: false,
        summary: Vec::new(),
    }
}

#[test]
fn an_ended_job_takes_no_memory_and_is_still_answered_for_after_a_restart_too() {
    let root = tempfile::tempdir().unwrap();
    let dir = crate::store::DataDir::open(root.path()).unwrap();
    let open = || Logs::open(key(1), DOMAIN, EventLog::new(Db::open(&dir).unwrap()), START).unwrap();
    let logs = open();
    let (live, over) = (order(&logs, 0, 10..12), order(&logs, 1, 10..12));
    let row = cancel(&logs, over);
    let asked = |logs: &Logs| {
        let head = logs.held(over).unwrap().0.job_log().head();
        let view = logs.view(over).unwrap();
        assert!(view.own && view.takes_part && view.state.is_terminal());
        (
            logs.page(over, 1).unwrap(),
            logs.height_of(over, head),
            logs.next_sequence(over, key(1).node_id()),
            logs.author_at(over, 2),
        )
    };
    let before = asked(&logs);
    assert_eq!(before.0.0, 4);
    assert_eq!(logs.retire(vec![row.clone()]).unwrap(), [over]);
    assert_eq!(logs.lock().jobs.keys().copied().collect::<Vec<_>>(), [live]);
    assert_eq!(asked(&logs), before);
    assert_eq!(logs.retire(vec![row]).unwrap(), [over], "once more is no error");
    drop(logs);

    let logs = open();
    assert_eq!(logs.lock().jobs.keys().copied().collect::<Vec<_>>(), [live], "the start reads no ended job");
    assert_eq!(asked(&logs), before);
    let late = Event::BidPlaced { price: Amount::ZERO };
    let revision = logs.held(over).unwrap().0.job().revision;
    let action = Action { job: over, revision, sequence: 0, seen: Digest::ZERO, event: late };
    assert!(matches!(
        logs.sequence(START, vec![signed(&key(20), action)]),
        Err(SubmitError::Rejected(Rejection::WrongState))
    ));
    assert_eq!(logs.lock().jobs.len(), 1, "a question brings nothing back");
}
