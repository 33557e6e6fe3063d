//! What a reader of the contract's log is told.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::{
    follow::Seen,
    log::{ChainLog, item, store_error},
};
use crate::{
    domain::JobId,
    scheduler::{BackendError, Cursor, LogUpdate, updates::History},
    store::StoredEntry,
};

/// Entries that a reader takes from the store at a time.
const READ_AHEAD: u32 = 64;

/// One reader's place in the stored log.
pub(super) struct Reader {
    pub(super) log: Arc<ChainLog>,
    pub(super) head: watch::Receiver<u64>,
    pub(super) failure: watch::Receiver<Option<BackendError>>,
    pub(super) breaks: watch::Receiver<Vec<BackendError>>,
    /// How many of them were told.
    pub(super) told: usize,
    pub(super) cuts: watch::Receiver<Vec<Cursor>>,
    /// How many of them this reader knows.
    pub(super) cuts_told: usize,
    pub(super) stop: CancellationToken,
    pub(super) seen: watch::Receiver<Seen>,
    /// The newest block whose entries were final when reading began: the history ends with it.
    pub(super) final_block: u64,
    /// Known once that block was read.
    pub(super) history: Option<History>,
    pub(super) after: Cursor,
    pub(super) page: VecDeque<StoredEntry>,
    /// Jobs of which an entry cannot be read: the later ones mean nothing without it.
    pub(super) broken: BTreeSet<JobId>,
    pub(super) ended: bool,
}

impl Reader {
    /// Where the log was cut behind this reader's back, if it was: there the reader goes on.
    fn cut(&mut self) -> Option<Cursor> {
        let cuts = self.cuts.borrow();
        let to = cuts.get(self.cuts_told..)?.iter().min().copied()?;
        self.cuts_told = cuts.len();
        // What was read ahead, and which logs are broken, is as it was before.
        self.page.clear();
        self.broken.clear();
        self.told = 0;
        self.final_block = self.final_block.min(self.seen.borrow().head);
        if let Some(history) = &mut self.history {
            history.rewind(to);
        }
        if to >= self.after {
            return None;
        }
        self.after = to;
        Some(to)
    }

    pub(super) async fn next(&mut self) -> Option<Result<LogUpdate, BackendError>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(to) = self.cut() {
                return Some(Ok(LogUpdate::Rewound { to }));
            }
            let after = self.after;
            let told_of_breaks = self.breaks.borrow().len() <= self.told;
            if let Some(history) = self.history.as_mut().filter(|_| told_of_breaks)
                && let Some(end) = history.end(after)
            {
                return Some(Ok(end));
            }
            if let Some(stored) = self.page.pop_front() {
                self.after = Cursor(stored.cursor);
                if self.broken.contains(&stored.entry.job) {
                    continue;
                }
                let item = item(&stored);
                if item.is_err() {
                    self.broken.insert(stored.entry.job);
                }
                return Some(item.map(LogUpdate::from));
            }
            let final_block = self.final_block;
            // Fixed before newer entries are read: those must not keep a reader from learning where its history ends.
            if self.history.is_none() && self.seen.borrow().read >= final_block {
                self.history = Some(History::up_to(Cursor(*self.head.borrow())));
                continue;
            }
            // Levels, not edges: what was appended, or failed, before this is waited for is seen at once.
            tokio::select! {
                biased;
                failed = self.failure.wait_for(Option::is_some) => {
                    self.ended = true;
                    return failed.ok()?.clone().map(Err);
                }
                () = self.stop.cancelled() => return None,
                cuts = self.cuts.wait_for(|cuts| cuts.len() > self.cuts_told) => {
                    cuts.ok()?;
                    continue;
                }
                read = self.seen.wait_for(|seen| seen.read >= final_block), if self.history.is_none() => {
                    read.ok()?;
                    continue;
                }
                head = self.head.wait_for(|head| *head > self.after.0) => {
                    head.ok()?;
                }
                // After the entries before it.
                breaks = self.breaks.wait_for(|breaks| breaks.len() > self.told) => {
                    let broken = breaks.ok()?.get(self.told).cloned()?;
                    self.told += 1;
                    return Some(Err(broken));
                }
            }
            let (log, after) = (Arc::clone(&self.log), self.after.0);
            let page =
                tokio::task::spawn_blocking(move || log.store().read_after(after, READ_AHEAD)).await.ok()?;
            match page {
                // Entries after a cut may be among these only once the cut is known.
                Ok(page) => self.page = page.into(),
                Err(error) => return Some(Err(store_error(&error))),
            }
        }
    }
}
