//! What the backends that keep their log in a store have in common.

use std::{
    collections::{BTreeSet, VecDeque},
    error::Error,
    fmt,
};

use super::{BackendError, Cursor, LogItem, LogUpdate};
use crate::{
    domain::JobId,
    explain::one_line,
    store::{EventLog, LogError, StoredEntry},
};

/// Entries that a reader takes from the store at a time.
const READ_AHEAD: u32 = 64;

/// Why a backend cannot be started. `Way` is why it finds no way to others.
#[derive(Debug, thiserror::Error)]
pub enum StartError<Way: Error + 'static> {
    /// It finds no way to others.
    #[error(transparent)]
    Way(#[from] Way),
    /// Its stored log cannot be read.
    #[error("cannot read this node's copy of the log")]
    Log(#[source] BackendError),
}

/// What one reader took from the store and has not been told yet.
#[derive(Debug, Default)]
pub(super) struct Page {
    after: Cursor,
    entries: VecDeque<StoredEntry>,
    /// Jobs of which an entry cannot be read: the later ones mean nothing without it.
    broken: BTreeSet<JobId>,
}

impl Page {
    /// A reader that holds everything up to `after`.
    pub(super) fn new(after: Cursor) -> Self {
        Self { after, ..Self::default() }
    }

    /// The newest entry that the reader holds.
    pub(super) const fn after(&self) -> Cursor {
        self.after
    }

    /// The entry that comes next, if it was taken already.
    pub(super) fn front(&self) -> Option<&StoredEntry> {
        self.entries.front()
    }

    /// Passes over the next entry if its job is broken. Readers are not told of those.
    pub(super) fn skips(&mut self) -> bool {
        let skips = self.front().is_some_and(|stored| self.broken.contains(&stored.entry.job));
        if skips && let Some(stored) = self.entries.pop_front() {
            self.after = Cursor(stored.cursor);
        }
        skips
    }

    /// Goes on to the next entry, as `item` reads it.
    pub(super) fn next(
        &mut self,
        item: impl FnOnce(StoredEntry) -> Result<LogItem, BackendError>,
    ) -> Option<Result<LogUpdate, BackendError>> {
        let stored = self.entries.pop_front()?;
        self.after = Cursor(stored.cursor);
        let job = stored.entry.job;
        let item = item(stored);
        if item.is_err() {
            self.broken.insert(job);
        }
        Some(item.map(LogUpdate::from))
    }

    /// What the store has next of live jobs, up to one page; blocks the thread.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) fn read(after: Cursor, store: &EventLog) -> Result<Vec<StoredEntry>, LogError> {
        store.read_live_after(after.0, READ_AHEAD)
    }

    /// As [`Self::read`], where nothing has to be waited for.
    pub(super) fn recent(after: Cursor, store: &EventLog) -> Option<Vec<StoredEntry>> {
        store.read_recent(after.0, READ_AHEAD)
    }

    /// Takes what [`Self::read`] found.
    pub(super) fn fill(&mut self, entries: Vec<StoredEntry>) {
        self.entries = entries.into();
    }

    /// Drops what was taken: the store has changed since.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Goes on after another entry than the newest one.
    pub(super) const fn go_to(&mut self, after: Cursor) {
        self.after = after;
    }

    /// Forgets that a job's log was broken.
    #[cfg(feature = "libp2p")]
    pub(super) fn forget(&mut self, job: JobId) {
        self.broken.remove(&job);
    }

    /// Forgets that any job's log was broken.
    #[cfg(feature = "contract")]
    pub(super) fn forget_all(&mut self) {
        self.broken.clear();
    }
}

/// The entries of a job, as `item` reads them, up to the first that cannot be read; blocks the thread.
pub(super) fn log_of(
    store: &EventLog,
    job: JobId,
    item: impl Fn(StoredEntry) -> Result<LogItem, BackendError>,
) -> Vec<Result<LogItem, BackendError>> {
    let mut items = Vec::new();
    let mut after = 0;
    loop {
        let page = match store.read_job(job, after, READ_AHEAD) {
            Ok(page) => page,
            Err(error) => {
                items.push(Err(store_error(&error)));
                return items;
            }
        };
        let Some(last) = page.last() else { return items };
        after = last.entry.height;
        for stored in page {
            items.push(item(stored));
            if items.last().is_some_and(Result::is_err) {
                return items;
            }
        }
    }
}

/// The store failed.
pub(super) fn store_error(error: &dyn Error) -> BackendError {
    BackendError::Store { reason: one_line(error) }
}

/// A stored entry that cannot be read breaks its job's log.
pub(super) fn unreadable(stored: &StoredEntry, reason: &dyn fmt::Display) -> BackendError {
    let (job, height) = (stored.entry.job, stored.entry.height);
    BackendError::BrokenLog { job, height, reason: reason.to_string() }
}

/// Refuses an entry that was altered in the store.
///
/// # Errors
/// [`BackendError::BrokenLog`].
pub(super) fn intact(stored: &StoredEntry) -> Result<(), BackendError> {
    if stored.is_intact { Ok(()) } else { Err(unreadable(stored, &StoredEntry::ALTERED)) }
}
