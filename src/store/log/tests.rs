use std::{thread, time::Duration};

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::{
    domain::Timestamp,
    store::{DataDir, EndedJob},
};

fn job(byte: u8) -> JobId {
    JobId::new([byte; 32])
}

fn entry(job_byte: u8, height: u64) -> NewEntry {
    let bytes = format!("entry {height} of {job_byte}").into_bytes();
    NewEntry { job: job(job_byte), height, entry_hash: Digest::sha256(&bytes), author: None, bytes }
}

fn log() -> EventLog {
    EventLog::new(Db::in_memory().unwrap())
}

fn entries(stored: Vec<StoredEntry>) -> Vec<NewEntry> {
    stored.into_iter().map(|stored| stored.entry).collect()
}

#[test]
fn entries_are_read_in_the_order_of_their_arrival() {
    let log = log();
    let arrived = [entry(2, 1), entry(1, 1), entry(2, 2), entry(1, 2)];
    let cursors: Vec<u64> = arrived.iter().map(|entry| log.append(entry).unwrap()).collect();
    assert!(cursors.is_sorted_by(|a, b| a < b) && cursors[0] > 0);
    assert_eq!(entries(log.read_after(0, 10).unwrap()), arrived);
    assert_eq!(entries(log.read_after(cursors[1], 1).unwrap()), [arrived[2].clone()]);
    assert_eq!(entries(log.read_job(job(1), 0, 10).unwrap()), [arrived[1].clone(), arrived[3].clone()]);
    assert_eq!(entries(log.read_job(job(1), 1, 10).unwrap()), [arrived[3].clone()]);
    assert_eq!(log.jobs().unwrap(), [job(2), job(1)]);
    let head = Head { height: 2, entry_hash: arrived[2].entry_hash };
    assert_eq!(log.head(job(2)).unwrap(), Some(head));
    assert_eq!(log.head(job(3)).unwrap(), None);
}

#[test]
fn a_gap_is_refused() {
    let log = log();
    for height in [0, 2, 3, u64::MAX] {
        let err = log.append(&entry(1, height)).unwrap_err();
        assert!(matches!(err, LogError::Gap { expected: 1, found, .. } if found == height));
    }
    log.append(&entry(1, 1)).unwrap();
    assert!(matches!(log.append(&entry(1, 3)), Err(LogError::Gap { expected: 2, found: 3, .. })));
    assert!(matches!(log.append(&entry(1, 0)), Err(LogError::Gap { expected: 2, found: 0, .. })));
}

#[test]
fn an_entry_that_comes_again_keeps_its_cursor() {
    let log = log();
    let first = log.append(&entry(1, 1)).unwrap();
    log.append(&entry(1, 2)).unwrap();
    assert_eq!(log.append(&entry(1, 1)).unwrap(), first);
    assert_eq!(log.read_after(0, 10).unwrap().len(), 2);
}

#[test]
fn a_second_history_is_refused_and_named() {
    let log = log();
    let honest = entry(1, 1);
    log.append(&honest).unwrap();
    let forged = NewEntry { entry_hash: Digest::sha256("forged"), ..honest.clone() };
    let err = log.append(&forged).unwrap_err();
    assert!(matches!(err, LogError::Conflict { height: 1, held, .. } if held == honest.entry_hash));
    let repeated = NewEntry { height: 2, ..honest };
    assert!(matches!(log.append(&repeated), Err(LogError::Repeated { .. })));
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let log = log();
    let head = log.watch_head();
    assert!(log.append_all(&[entry(1, 1), entry(1, 2), entry(1, 4)]).is_err());
    assert_eq!(log.read_after(0, 10).unwrap(), []);
    assert_eq!(*head.borrow(), 0);
    let cursors = log.append_all(&[entry(1, 1), entry(1, 2), entry(2, 1)]).unwrap();
    assert_eq!(cursors.len(), 3);
    assert_eq!(*head.borrow(), cursors[2]);
    assert_eq!(log.append_all(&[]).unwrap(), [0; 0]);
}

#[test]
fn what_is_forgotten_is_gone_and_its_cursors_are_not_given_again() {
    let log = log();
    let first = log.append(&entry(1, 1)).unwrap();
    log.append(&entry(2, 1)).unwrap();
    let newest = log.append(&entry(1, 2)).unwrap();
    log.forget(&[job(1), job(3)]).unwrap();
    assert_eq!(entries(log.read_after(0, 10).unwrap()), [entry(2, 1)]);
    assert_eq!(log.jobs().unwrap(), [job(2)]);
    assert!(log.append(&entry(1, 1)).unwrap() > newest.max(first));
}

#[test]
fn what_is_cut_is_gone_and_its_cursors_are_not_given_again() {
    let log = log();
    let cursors = log.append_all(&[entry(1, 1), entry(2, 1), entry(1, 2)]).unwrap();
    log.cut(cursors[0]).unwrap();
    assert_eq!(*log.watch_head().borrow(), cursors[0]);
    assert_eq!(entries(log.read_after(0, 10).unwrap()), [entry(1, 1)]);
    assert_eq!(log.jobs().unwrap(), [job(1)]);
    assert!(log.append(&entry(1, 2)).unwrap() > cursors[2]);
    log.cut(0).unwrap();
    assert_eq!(log.read_after(0, 10).unwrap(), []);
    assert!(log.append(&entry(1, 1)).unwrap() > cursors[2]);
}

#[test]
fn the_log_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let dir = DataDir::open(root.path()).unwrap();
    let log = EventLog::new(Db::open(&dir).unwrap());
    let cursor = log.append(&entry(1, 1)).unwrap();
    drop(log);
    let log = EventLog::new(Db::open(&dir).unwrap());
    assert_eq!(*log.watch_head().borrow(), cursor);
    assert_eq!(entries(log.read_after(0, 10).unwrap()), [entry(1, 1)]);
    assert!(log.append(&entry(1, 2)).unwrap() > cursor);
}

#[test]
fn the_first_fault_of_a_job_is_kept_with_the_entries_before_it_and_for_good() {
    let root = tempfile::tempdir().unwrap();
    let dir = DataDir::open(root.path()).unwrap();
    let log = EventLog::new(Db::open(&dir).unwrap());
    let gap = log.append_until_fault(&[entry(1, 2)], Some((job(1), b"never")));
    assert!(gap.is_err() && log.fault(job(1)).unwrap().is_none(), "all or nothing");
    log.append_until_fault(&[entry(1, 1)], Some((job(1), b"first"))).unwrap();
    log.append_until_fault(&[], Some((job(1), b"second"))).unwrap();
    drop(log);
    let log = EventLog::new(Db::open(&dir).unwrap());
    assert_eq!(log.fault(job(1)).unwrap().as_deref(), Some(&b"first"[..]));
    assert_eq!(log.fault(job(2)).unwrap(), None);
    assert_eq!(entries(log.read_after(0, 10).unwrap()), [entry(1, 1)]);
}

#[test]
fn an_altered_entry_is_told_from_the_others() {
    let log = log();
    for height in 1..=3 {
        log.append(&entry(1, height)).unwrap();
    }
    let alter = "UPDATE entries SET bytes = x'00' WHERE height = 2";
    log.db.connection().execute(alter, ()).unwrap();
    log.forget_recent();
    let intact: Vec<bool> = log.read_after(0, 9).unwrap().iter().map(|stored| stored.is_intact).collect();
    assert_eq!(intact, [true, false, true]);
    assert!(!log.read_job(job(1), 1, 1).unwrap()[0].is_intact);
}

#[test]
fn an_altered_or_lost_author_or_checksum_is_noticed() {
    let log = log();
    let author = Some(NodeId::new([7; 20]));
    let alterations = ["author = zeroblob(20)", "author = NULL", "checksum = NULL", "bytes = x'00'"];
    for (height, alteration) in (1..).zip(alterations) {
        log.append(&NewEntry { author, ..entry(1, height) }).unwrap();
        assert!(log.read_job(job(1), height - 1, 1).unwrap()[0].is_intact);
        let alter = format!("UPDATE entries SET {alteration} WHERE height = {height}");
        log.db.connection().execute(&alter, ()).unwrap();
        assert!(!log.read_job(job(1), height - 1, 1).unwrap()[0].is_intact, "{alteration}");
    }
}

#[test]
fn an_author_is_noted_once_and_never_in_an_altered_row() {
    let log = log();
    log.append_all(&[entry(1, 1), entry(1, 2), entry(1, 3)]).unwrap();
    let alter = "UPDATE entries SET bytes = x'00' WHERE height = 2";
    log.db.connection().execute(alter, ()).unwrap();
    // As rows were before there were checksums.
    log.db.connection().execute("UPDATE entries SET checksum = NULL WHERE height = 3", ()).unwrap();
    let (first, second) = (NodeId::new([7; 20]), NodeId::new([8; 20]));
    for author in [first, second] {
        log.note_authors(&[(job(1), 1, author), (job(1), 2, author), (job(1), 3, author)]).unwrap();
        log.note_authors(&[(job(1), 4, author), (job(2), 1, author)]).unwrap();
    }
    let read = log.read_after(0, 9).unwrap();
    let noted: Vec<_> = read.iter().map(|stored| (stored.entry.author, stored.is_intact)).collect();
    assert_eq!(noted, [(Some(first), true), (None, false), (Some(first), true)]);
    log.db.connection().execute("UPDATE entries SET bytes = x'00' WHERE height = 3", ()).unwrap();
    assert!(!log.read_job(job(1), 2, 1).unwrap()[0].is_intact, "what is noted is covered from then on");
}

#[tokio::test]
async fn a_reader_wakes_when_the_head_passes_its_cursor() {
    let log = log();
    let mut head = log.watch_head();
    let writer = thread::spawn({
        let log = log.clone();
        move || log.append(&entry(1, 1)).unwrap()
    });
    let seen = *timeout(Duration::from_secs(10), head.wait_for(|&head| head > 0)).await.unwrap().unwrap();
    assert_eq!(seen, writer.join().unwrap());
    assert_eq!(log.read_after(0, 10).unwrap().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_arrivals_leave_each_job_without_a_gap(
        arrivals in proptest::collection::vec((1_u8..4, 0_u64..6), 0..40), page in 1_u32..5,
    ) {
        let log = log();
        for &(job, height) in &arrivals {
            let before = log.head(entry(job, 0).job).unwrap().map_or(0, |head| head.height);
            prop_assert_eq!(log.append(&entry(job, height)).is_ok(), (1..=before + 1).contains(&height));
        }
        let whole = log.read_after(0, 1000).unwrap();
        let mut paged: Vec<StoredEntry> = vec![];
        loop {
            let after = paged.last().map_or(0, |stored| stored.cursor);
            let next = log.read_after(after, page).unwrap();
            if next.is_empty() {
                break;
            }
            paged.extend(next);
        }
        prop_assert_eq!(&paged, &whole);
        for job in log.jobs().unwrap() {
            let heights = log.read_job(job, 0, 1000).unwrap().into_iter().map(|stored| stored.entry.height);
            prop_assert!(heights.eq(1..=log.head(job).unwrap().unwrap().height));
        }
    }
}

#[test]
fn writers_on_many_threads_lose_nothing_and_the_head_ends_at_the_newest() {
    let log = log();
    thread::scope(|scope| {
        for byte in 1..=4 {
            let log = log.clone();
            scope.spawn(move || {
                for height in 1..=25 {
                    log.append(&entry(byte, height)).unwrap();
                }
            });
        }
    });
    let stored = log.read_after(0, 1000).unwrap();
    assert_eq!(stored.len(), 100);
    assert_eq!(*log.watch_head().borrow(), stored[99].cursor);
}

fn ended(job_byte: u8, height: u64) -> EndedJob {
    EndedJob {
        job: job(job_byte),
        height,
        requester: NodeId::new([job_byte % 2; 20]),
        parent: (job_byte == 4).then_some(job(3)),
        state: if job_byte < 3 { "verified" } else { "failed" }.to_owned(),
        submitted_at: Timestamp::from_secs(100 + u64::from(job_byte / 2)),
        ended_at: Timestamp::from_secs(200),
        member_of: (job_byte > 2).then(|| format!("0123456789a{job_byte}")),
        is_honest: job_byte < 4,
        summary: vec![job_byte],
    }
}

#[test]
fn ended_jobs_leave_the_live_log_and_are_listed_newest_first() {
    let log = log();
    for byte in 1..=4 {
        log.append_all(&[entry(byte, 1), entry(byte, 2)]).unwrap();
    }
    let rows: Vec<EndedJob> = (2..=4).map(|byte| ended(byte, 2)).collect();
    assert_eq!(log.retire(&rows).unwrap(), [job(2), job(3), job(4)]);
    assert_eq!(entries(log.read_live_after(0, 99).unwrap()), [entry(1, 1), entry(1, 2)]);
    assert_eq!((log.live_jobs().unwrap(), log.newest_live().unwrap()), (vec![job(1)], 2));
    assert_eq!(log.read_after(0, 99).unwrap().len(), 8, "nothing is gone");
    assert_eq!(log.read_job(job(3), 0, 9).unwrap().len(), 2);

    let jobs = log.ended();
    assert!(jobs.contains(job(3)).unwrap() && !jobs.contains(job(1)).unwrap());
    let newest: Vec<u8> = jobs.newest(9).unwrap().iter().map(|row| row.summary[0]).collect();
    assert_eq!((newest, jobs.newest(2).unwrap()), (vec![4, 2, 3], vec![ended(4, 2), ended(2, 2)]));
    let of_group = |requester: u8, group: &str| {
        let rows = jobs.of_group(NodeId::new([requester; 20]), group).unwrap();
        rows.iter().map(|row| row.summary[0]).collect::<Vec<_>>()
    };
    assert_eq!((of_group(1, "0123"), of_group(0, "0123456789a4")), (vec![3], vec![4]));
    assert_eq!(
        (of_group(1, "0123456789a4"), of_group(0, "f")),
        (vec![], vec![]),
        "of nobody else, and no other"
    );
    let states: Vec<_> = jobs.states([]).unwrap().into_iter().collect();
    assert_eq!(states, [("failed".to_owned(), 2), ("verified".to_owned(), 1)]);
    let others: usize = jobs.states([job(1), job(2)]).unwrap().values().sum();
    assert_eq!(others, 2, "a job that is counted elsewhere counts once");
    assert_eq!(jobs.between(job(3), JobId::new([0xff; 32]), 9).unwrap(), [job(3), job(4)]);
    assert_eq!((jobs.child_of(job(3)).unwrap(), jobs.child_of(job(4)).unwrap()), (Some(job(4)), None));
    let honest: Vec<_> = jobs.honest(9).unwrap().into_iter().collect();
    assert_eq!(honest, [(NodeId::new([0; 20]), vec![job(2)]), (NodeId::new([1; 20]), vec![job(3)])]);
}

#[test]
fn a_job_that_goes_on_or_is_broken_does_not_leave() {
    let log = log();
    log.append_all(&[entry(1, 1), entry(1, 2), entry(2, 1)]).unwrap();
    assert_eq!(log.retire(&[ended(1, 1), ended(2, 2), ended(3, 0)]).unwrap(), []);
    log.append_until_fault(&[], Some((job(2), b"proof"))).unwrap();
    assert_eq!(log.retire(&[ended(2, 1)]).unwrap(), []);
    assert_eq!(log.live_jobs().unwrap().len(), 2);
}

#[test]
fn an_entry_a_proof_or_a_cut_brings_an_ended_job_back() {
    let log = log();
    let mut cursors = Vec::new();
    for byte in 1..=4 {
        cursors.extend(log.append_all(&[entry(byte, 1), entry(byte, 2)]).unwrap());
    }
    let rows: Vec<EndedJob> = (1..=4).map(|byte| ended(byte, 2)).collect();
    assert_eq!(log.retire(&rows).unwrap().len(), 4);
    log.append(&entry(1, 2)).unwrap();
    assert_eq!(log.live_jobs().unwrap(), [], "it was there");
    log.append(&entry(1, 3)).unwrap();
    log.append_until_fault(&[], Some((job(2), b"proof"))).unwrap();
    assert_eq!(log.live_jobs().unwrap(), [job(1), job(2)]);
    assert_eq!(log.cut(cursors[5]).unwrap(), None, "job 4 is gone, and job 3 whole");
    assert_eq!(log.cut(cursors[4]).unwrap(), Some(cursors[4]), "job 3 has an entry left");
    assert_eq!(log.live_jobs().unwrap(), [job(1), job(2), job(3)]);
    assert_eq!(log.ended().newest(9).unwrap(), []);
    log.retire(&[ended(3, 1)]).unwrap();
    log.forget(&[job(3)]).unwrap();
    assert!(!log.ended().contains(job(3)).unwrap());
}
