//! What a reader of the contract's log is told.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::{
    follow::Seen,
    log::{ChainLog, item},
    signed::drafts::{DraftUpdate, DraftsWatch, Told},
};
use crate::{
    domain::JobId,
    scheduler::{
        BackendError, Cursor, EventStream, LogItem, LogUpdate,
        stored::{Page, store_error},
        updates::History,
    },
};

/// One reader's place in the stored log.
pub(super) struct Reader {
    log: Arc<ChainLog>,
    head: watch::Receiver<u64>,
    failure: watch::Receiver<Option<BackendError>>,
    breaks: watch::Receiver<Vec<BackendError>>,
    /// How many of them were told.
    told: usize,
    cuts: watch::Receiver<Vec<Cursor>>,
    /// How many of them this reader knows.
    cuts_told: usize,
    stop: CancellationToken,
    seen: watch::Receiver<Seen>,
    /// The newest block whose entries were final when reading began: the history ends with it.
    final_block: u64,
    /// Known once that block was read.
    history: Option<History>,
    page: Page,
    drafts: DraftsWatch,
    /// What this reader was told of drafts.
    told_of_drafts: BTreeMap<JobId, Told>,
    ended: bool,
}

impl Reader {
    /// A reader of everything after `after`, of which blocks up to `final_block` are history.
    pub(super) fn new(
        log: Arc<ChainLog>,
        seen: watch::Receiver<Seen>,
        stop: CancellationToken,
        final_block: u64,
        after: Cursor,
    ) -> Self {
        let cuts = log.cuts();
        let cuts_told = cuts.borrow().len();
        Self {
            head: log.store().watch_head(),
            failure: log.failure(),
            breaks: log.breaks(),
            told: 0,
            cuts,
            cuts_told,
            stop,
            seen,
            final_block,
            history: None,
            page: Page::new(after),
            drafts: log.drafts().watch(),
            told_of_drafts: BTreeMap::new(),
            ended: false,
            log,
        }
    }

    pub(super) fn stream(self) -> EventStream {
        stream::unfold(self, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
    }

    /// If the log was cut below this reader's place, moves the reader back there.
    fn cut(&mut self) -> Option<Cursor> {
        let cuts = self.cuts.borrow();
        let to = cuts.get(self.cuts_told..)?.iter().min().copied()?;
        self.cuts_told = cuts.len();
        // Entries read ahead and the set of broken logs are out of date.
        self.page.clear();
        self.page.forget_all();
        self.told = 0;
        self.final_block = self.final_block.min(self.seen.borrow().head);
        if let Some(history) = &mut self.history {
            history.rewind(to);
        }
        if to >= self.page.after() {
            return None;
        }
        self.page.go_to(to);
        Some(to)
    }

    /// What is news about drafts. A reader of history hears of none.
    ///
    /// Before each entry: that of a job which was a draft follows the end of the draft.
    fn of_drafts(&mut self) -> Option<LogUpdate> {
        self.drafts.look();
        if !self.history.is_some_and(History::is_told) {
            return None;
        }
        Some(match self.log.drafts().next(&mut self.told_of_drafts)? {
            DraftUpdate::Forgotten(job) => LogUpdate::Forgotten(job),
            DraftUpdate::Entry(item) => LogItem { cursor: self.page.after(), ..*item }.into(),
        })
    }

    async fn next(&mut self) -> Option<Result<LogUpdate, BackendError>> {
        if self.ended {
            return None;
        }
        loop {
            if let Some(to) = self.cut() {
                return Some(Ok(LogUpdate::Rewound { to }));
            }
            let after = self.page.after();
            let told_of_breaks = self.breaks.borrow().len() <= self.told;
            if let Some(history) = self.history.as_mut().filter(|_| told_of_breaks)
                && let Some(end) = history.end(after)
            {
                return Some(Ok(end));
            }
            if let Some(update) = self.of_drafts() {
                return Some(Ok(update));
            }
            if self.page.skips() {
                continue;
            }
            if let Some(update) = self.page.next(|stored| item(&stored)) {
                return Some(update);
            }
            let final_block = self.final_block;
            // Fixed before newer entries are read, so that those cannot delay the end of history.
            if self.history.is_none() && self.seen.borrow().read >= final_block {
                self.history = Some(History::up_to(Cursor(*self.head.borrow())));
                continue;
            }
            // Levels, not edges: what was appended, or failed, before this is waited for is seen at once.
            let head = tokio::select! {
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
                () = self.drafts.changed() => continue,
                head = self.head.wait_for(|head| *head > after.0) => *head.ok()?,
                // Told after the entries that precede it.
                breaks = self.breaks.wait_for(|breaks| breaks.len() > self.told) => {
                    let broken = breaks.ok()?.get(self.told).cloned()?;
                    self.told += 1;
                    return Some(Err(broken));
                }
            };
            let read = match Page::recent(after, self.log.store()) {
                Some(entries) => Ok(entries),
                None => {
                    let log = Arc::clone(&self.log);
                    tokio::task::spawn_blocking(move || Page::read(after, log.store())).await.ok()?
                }
            };
            match read {
                // Entries after a cut may be among these only once the cut is known.
                // Up to there are jobs that were retired, and what was cut: its readers are told of that next.
                Ok(entries) if entries.is_empty() => self.page.go_to(Cursor(head)),
                Ok(entries) => self.page.fill(entries),
                Err(error) => return Some(Err(store_error(&error))),
            }
        }
    }
}
