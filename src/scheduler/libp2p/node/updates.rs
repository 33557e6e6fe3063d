//! What a reader of the node's logs is told.

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt as _, stream};
use tokio::sync::watch;

use crate::{
    domain::JobId,
    scheduler::{
        BackendError, Cursor, EventStream, LogItem, LogUpdate,
        libp2p::{entry::Entry, logs::Logs, shared::Shared},
        stored::{self, Page, intact, store_error, unreadable},
        updates::History,
    },
    store::StoredEntry,
};

/// From so many jobs on, a reader looks which of those that it was told of left memory.
const MANY_TOLD: usize = 1024;

/// One reader's place in the stored log.
pub(super) struct Reader {
    shared: Arc<Shared>,
    head: watch::Receiver<u64>,
    history: History,
    page: Page,
    forgotten: watch::Receiver<u64>,
    /// Jobs that this reader was told of.
    told: BTreeSet<JobId>,
    /// How many of them are a reason to look which left memory.
    many: usize,
    /// Those of them that are forgotten, which the reader is still to be told.
    going: Vec<JobId>,
    breaks: watch::Receiver<u64>,
    /// Logs that their requesters broke, which the reader is still to be told.
    breaking: Vec<(JobId, BackendError)>,
    /// Those of which it was told.
    breaks_told: BTreeSet<JobId>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, after: Cursor) -> Self {
        let head = shared.logs.store().watch_head();
        // What this node's own store holds: what it has not seen yet, from whomever, is news to it.
        let history = History::up_to(Cursor(*head.borrow()));
        let (forgotten, mut breaks) = (shared.logs.watch_forgotten(), shared.logs.watch_breaks());
        // The reader is told of those too that are broken already.
        breaks.mark_changed();
        Self {
            shared,
            head,
            history,
            page: Page::new(after),
            forgotten,
            told: BTreeSet::new(),
            many: MANY_TOLD,
            going: Vec::new(),
            breaks,
            breaking: Vec::new(),
            breaks_told: BTreeSet::new(),
        }
    }

    pub(super) fn stream(self) -> EventStream {
        stream::unfold(self, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<LogUpdate, BackendError>> {
        loop {
            // Who holds the history knows which logs are broken.
            if self.history.ends(self.page.after()) && self.breaks.has_changed().ok()? {
                self.find_breaks();
            }
            if self.breaking.is_empty()
                && let Some(end) = self.history.end(self.page.after())
            {
                return Some(Ok(end));
            }
            // A level, not an edge: what was forgotten is missing, however often that has happened.
            let forgotten = self.forgotten.has_changed().ok()?;
            if forgotten {
                self.forgotten.borrow_and_update();
                self.page.clear();
                self.breaking.clear();
                self.breaks.mark_changed();
            }
            if forgotten || self.told.len() >= self.many {
                let told = std::mem::take(&mut self.told);
                let sorted = self.shared.blocking(move |shared| shared.logs.missing(told)).await.ok()?;
                // Beside those of the last time of which the reader was not told yet.
                self.going.extend(sorted.forgotten);
                self.told = sorted.held;
                self.many = MANY_TOLD.max(2 * self.told.len());
            }
            if let Some(job) = self.going.pop() {
                return Some(Ok(self.forget(job)));
            }
            if let Some((job, broken)) = self.breaking.pop() {
                self.breaks_told.insert(job);
                return Some(Err(broken));
            }
            if let Some(stored) =
                self.page.front().map(|stored| &stored.entry).filter(|entry| entry.height == 1)
                && !self.told.insert(stored.job)
            {
                // It was forgotten and came again before this reader was told.
                let job = stored.job;
                return Some(Ok(self.forget(job)));
            }
            if self.page.skips() {
                continue;
            }
            if let Some(update) = self.page.next(|stored| item(&self.shared.logs, stored)) {
                return Some(update);
            }
            let after = self.page.after();
            // A level, not an edge: what was appended before this is waited for is seen at once.
            let head = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return None,
                changed = self.forgotten.changed() => {
                    changed.ok()?;
                    self.forgotten.mark_changed();
                    continue;
                }
                head = self.head.wait_for(|head| *head > after.0) => Some(*head.ok()?),
                // After the entries before it.
                changed = self.breaks.changed() => {
                    changed.ok()?;
                    None
                }
            };
            let Some(head) = head else {
                self.find_breaks();
                continue;
            };
            let read = match Page::recent(after, self.shared.logs.store()) {
                Some(entries) => Ok(entries),
                None => {
                    self.shared.blocking(move |shared| Page::read(after, shared.logs.store())).await.ok()?
                }
            };
            match read {
                // All up to there was forgotten before it was read.
                Ok(entries) if entries.is_empty() => self.page.go_to(Cursor(head)),
                Ok(entries) => self.page.fill(entries),
                Err(error) => return Some(Err(store_error(&error))),
            }
        }
    }

    /// Starts afresh with a job that this node forgot.
    fn forget(&mut self, job: JobId) -> LogUpdate {
        self.told.remove(&job);
        self.page.forget(job);
        self.breaks_told.remove(&job);
        LogUpdate::Forgotten(job)
    }

    /// Finds the broken logs of which this reader was not told.
    fn find_breaks(&mut self) {
        self.breaks.borrow_and_update();
        let broken = self.shared.logs.broken().into_iter();
        self.breaking = broken.filter(|(job, _)| !self.breaks_told.contains(job)).collect();
    }
}

/// The entries of a retired job.
pub(super) fn log_of(logs: &Logs, job: JobId) -> Vec<Result<LogItem, BackendError>> {
    stored::log_of(logs.store(), job, |stored| item(logs, stored))
}

fn item(logs: &Logs, stored: StoredEntry) -> Result<LogItem, BackendError> {
    intact(&stored)?;
    let entry = Entry::decode(&stored.entry.bytes).map_err(|error| unreadable(&stored, &error))?;
    // Every signature was checked before the entry was stored.
    let known = || logs.author_at(stored.entry.job, stored.entry.height);
    let stamped = match stored.entry.author.or_else(known) {
        Some(author) => entry.stamped_by(author),
        None => entry.stamped(logs.domain()).map_err(|error| unreadable(&stored, &error))?,
    };
    let StoredEntry { cursor, entry: stored, is_intact: _ } = stored;
    Ok(LogItem { cursor: Cursor(cursor), entry: stored.entry_hash, stamped, proof: stored.bytes })
}
