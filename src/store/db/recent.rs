//! The newest entries of the log, in memory: readers that keep up do not ask the database for what was just written.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::JobId,
    store::entries::{NewEntry, StoredEntry},
};

/// Most entries, and most bytes of them together.
const MAX_ENTRIES: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

/// What was appended last; changed only by whoever holds the connection.
#[derive(Debug)]
pub(in crate::store) struct Recent(Mutex<Entries>);

#[derive(Debug)]
struct Entries {
    /// Every stored entry with a higher cursor is here.
    after: u64,
    entries: VecDeque<StoredEntry>,
    bytes: usize,
}

impl Recent {
    /// Nothing was appended since the entry with this cursor.
    pub(in crate::store) const fn new(head: u64) -> Self {
        Self(Mutex::new(Entries { after: head, entries: VecDeque::new(), bytes: 0 }))
    }

    /// Adds entries that are durable, with their cursors. Those that were there before are left out.
    pub(in crate::store) fn add(&self, appended: impl IntoIterator<Item = (u64, NewEntry)>) {
        let mut recent = self.lock();
        for (cursor, entry) in appended {
            if cursor <= recent.entries.back().map_or(recent.after, |newest| newest.cursor) {
                continue;
            }
            recent.bytes += entry.bytes.len();
            recent.entries.push_back(StoredEntry { cursor, entry, is_intact: true });
        }
        while recent.entries.len() > MAX_ENTRIES || recent.bytes > MAX_BYTES {
            let Some(oldest) = recent.entries.pop_front() else { return };
            recent.bytes -= oldest.entry.bytes.len();
            recent.after = oldest.cursor;
        }
    }

    /// Up to `limit` entries with a cursor above `after`; `None` if some of them may be in the database alone.
    pub(in crate::store) fn read_after(&self, after: u64, limit: u32) -> Option<Vec<StoredEntry>> {
        let recent = self.lock();
        if after < recent.after {
            return None;
        }
        let from = recent.entries.partition_point(|stored| stored.cursor <= after);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Some(recent.entries.range(from..).take(limit).cloned().collect())
    }

    /// The cursor of an entry of a job.
    pub(in crate::store) fn cursor(&self, job: JobId, height: u64) -> Option<u64> {
        let recent = self.lock();
        let is_it = |stored: &&StoredEntry| stored.entry.job == job && stored.entry.height == height;
        recent.entries.iter().rev().find(is_it).map(|stored| stored.cursor)
    }

    /// Leaves out the entries of jobs that are deleted.
    pub(in crate::store) fn forget(&self, jobs: &[JobId]) {
        let mut recent = self.lock();
        recent.entries.retain(|stored| !jobs.contains(&stored.entry.job));
        recent.bytes = recent.entries.iter().map(|stored| stored.entry.bytes.len()).sum();
    }

    /// Starts afresh: the database holds other rows than were appended.
    pub(in crate::store) fn clear(&self, head: u64) {
        *self.lock() = Entries { after: head, entries: VecDeque::new(), bytes: 0 };
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Readers of a part of it would ask the database: what a panic leaves out is not lost.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    fn entry(job: u8, height: u64, bytes: usize) -> NewEntry {
        let job = JobId::new([job; 32]);
        NewEntry { job, height, entry_hash: Digest::ZERO, author: None, bytes: vec![7; bytes] }
    }

    fn cursors(recent: &Recent, after: u64, limit: u32) -> Option<Vec<u64>> {
        Some(recent.read_after(after, limit)?.iter().map(|stored| stored.cursor).collect())
    }

    #[test]
    fn readers_that_keep_up_find_what_is_new_and_others_ask_the_database() {
        let recent = Recent::new(4);
        assert_eq!((cursors(&recent, 4, 9), cursors(&recent, 3, 9)), (Some(vec![]), None));
        recent.add([(5, entry(1, 1, 9)), (7, entry(2, 1, 9)), (8, entry(1, 2, 9))]);
        assert_eq!(cursors(&recent, 4, 2), Some(vec![5, 7]));
        assert_eq!(cursors(&recent, 6, 9), Some(vec![7, 8]));
        assert_eq!(recent.cursor(JobId::new([1; 32]), 2), Some(8));
        // The same once more, and one more.
        recent.add([(5, entry(1, 1, 9)), (9, entry(1, 3, 9))]);
        assert_eq!(cursors(&recent, 4, 9), Some(vec![5, 7, 8, 9]));
    }

    #[test]
    fn it_is_bounded_and_says_so() {
        let recent = Recent::new(0);
        recent.add((1..=300).map(|cursor| (cursor, entry(1, cursor, 9))));
        assert_eq!((cursors(&recent, 43, 9), cursors(&recent, 44, 1)), (None, Some(vec![45])));
        recent.add([(301, entry(2, 1, MAX_BYTES))]);
        assert_eq!((cursors(&recent, 299, 9), cursors(&recent, 300, 9)), (None, Some(vec![301])));
        recent.add([(302, entry(2, 2, MAX_BYTES + 1))]);
        assert_eq!((cursors(&recent, 301, 9), cursors(&recent, 302, 9)), (None, Some(vec![])));
    }

    #[test]
    fn what_is_deleted_is_gone_here_too() {
        let recent = Recent::new(0);
        recent.add([(1, entry(1, 1, 9)), (2, entry(2, 1, 9)), (3, entry(1, 2, 9))]);
        recent.forget(&[JobId::new([1; 32])]);
        assert_eq!(cursors(&recent, 0, 9), Some(vec![2]));
        recent.clear(1);
        assert_eq!((cursors(&recent, 0, 9), cursors(&recent, 1, 9)), (None, Some(vec![])));
    }
}
