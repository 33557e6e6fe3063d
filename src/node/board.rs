//! What a node knows of every job: the log so far, and the job that it folds to.
//!
//! One task writes (`follow`); all others read. A reader that waits for a job's next entry waits for a level, so it misses
//! nothing between reading and waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{
    domain::{Digest, Event, Facts, Job, JobId, LogDomain, NodeId},
    rules::{Ledger, Rejection},
    scheduler::{Cursor, LogItem},
};

/// The jobs of one node.
#[derive(Debug)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    cursor: watch::Sender<Cursor>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    logs: BTreeMap<JobId, BoardLog>,
    /// Jobs that this node can no longer follow, and why.
    broken: BTreeMap<JobId, String>,
}

#[derive(Debug)]
struct BoardLog {
    items: Vec<LogItem>,
    changed: watch::Sender<u64>,
    /// Held while an action of this node is in flight, so that no sequence number is used twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A job and the end of its log, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The job.
    pub(crate) job: Job,
    /// The follow-up of the job.
    pub(crate) followed_by: Option<JobId>,
    /// Why this node can no longer follow the job, if it cannot.
    pub(crate) broken: Option<String>,
}

/// What the next action of an author must name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) revision: Digest,
    pub(crate) sequence: u64,
    pub(crate) seen: Digest,
}

impl Board {
    /// Knows nothing yet.
    pub(crate) fn new(domain: LogDomain) -> Self {
        let inner = Inner { ledger: Ledger::new(domain), logs: BTreeMap::new(), broken: BTreeMap::new() };
        Self { inner: Mutex::new(inner), cursor: watch::Sender::new(Cursor::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside leaves the ledger unchanged: an event applies whole or not at all.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds the next entry and returns its job as it then is. `note` sees the job and its log before any reader does, so a
    /// reader that finds a job ended also finds the consequences.
    ///
    /// # Errors
    /// What the rules refuse. The board then passes over the entry and changes nothing else.
    pub(crate) fn fold(&self, item: LogItem, note: impl FnOnce(&Job, &[LogItem])) -> Result<Job, Rejection> {
        let (cursor, job) = (item.cursor, item.stamped.job);
        let folded = {
            let mut inner = self.lock();
            let folded = inner.ledger.apply(&item.stamped).cloned();
            if let Ok(folded) = &folded {
                let log = inner.logs.get(&job).map_or([].as_slice(), |log| log.items.as_slice());
                note(folded, log);
            }
            if folded.is_ok() {
                let log = inner.logs.entry(job).or_insert_with(|| BoardLog {
                    items: Vec::new(),
                    changed: watch::Sender::new(0),
                    turn: Arc::default(),
                });
                log.items.push(item);
                log.changed.send_modify(|version| *version += 1);
            }
            folded
        };
        self.cursor.send_replace(cursor);
        folded
    }

    /// Forgets every entry after `to`, and all that it knows of broken logs, because the backend reports those again.
    /// Returns the number of jobs that are gone. Watchers of such a job keep watching, since its submission may come back.
    pub(crate) fn rewind(&self, to: Cursor) -> usize {
        let gone = {
            let mut inner = self.lock();
            inner.broken.clear();
            for log in inner.logs.values_mut() {
                log.items.retain(|item| item.cursor <= to);
            }
            let mut rest: Vec<LogItem> = inner.logs.values().flat_map(|log| log.items.clone()).collect();
            rest.sort_by_key(|item| item.cursor);
            let mut ledger = Ledger::new(inner.ledger.domain());
            for item in &rest {
                // The rules accepted it before, after the same entries.
                let _ = ledger.apply(&item.stamped);
            }
            inner.ledger = ledger;
            for log in inner.logs.values() {
                log.changed.send_modify(|version| *version += 1);
            }
            inner.logs.values().filter(|log| log.items.is_empty()).count()
        };
        self.cursor.send_replace(to);
        gone
    }

    /// Notes that the log of a job cannot be followed any more, and keeps the first reason. Ignores a job that the board
    /// does not know. Returns whether this is news.
    pub(crate) fn mark_broken(&self, job: JobId, reason: &str) -> bool {
        let mut inner = self.lock();
        if inner.broken.contains_key(&job) {
            return false;
        }
        let Some(log) = inner.logs.get(&job) else { return false };
        log.changed.send_modify(|version| *version += 1);
        inner.broken.insert(job, reason.to_owned());
        true
    }

    /// Drops a job that the backend no longer keeps, which ends the watches of the job.
    pub(crate) fn forget(&self, job: JobId) {
        let mut inner = self.lock();
        inner.ledger.forget(job);
        inner.logs.remove(&job);
        inner.broken.remove(&job);
    }

    /// Whether this node can no longer follow the log of a job.
    pub(crate) fn is_broken(&self, job: JobId) -> bool {
        self.lock().broken.contains_key(&job)
    }

    /// The jobs whose log this node can no longer follow.
    pub(crate) fn broken(&self) -> BTreeSet<JobId> {
        self.lock().broken.keys().copied().collect()
    }

    /// Waits until everything up to `cursor` is folded.
    pub(crate) async fn reached(&self, cursor: Cursor) {
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.cursor.subscribe().wait_for(|known| *known >= cursor).await;
    }

    /// Waits until the job satisfies `is_so`. Waits for ever if that never happens.
    pub(crate) async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let mut cursor = self.cursor.subscribe();
        loop {
            cursor.borrow_and_update();
            if let Some(job) = self.lock().ledger.get(job).filter(|job| is_so(job)) {
                return job.clone();
            }
            // The sender is in `self`, so the wait cannot fail.
            let _ = cursor.changed().await;
        }
    }

    /// A job as of now.
    pub(crate) fn snapshot(&self, job: JobId) -> Option<Snapshot> {
        let inner = self.lock();
        let known = inner.ledger.get(job)?;
        let broken = inner.broken.get(&job).cloned();
        Some(Snapshot { job: known.clone(), followed_by: inner.ledger.child_of(job), broken })
    }

    /// Applies `read` to the job without copying it.
    pub(crate) fn read<T>(&self, job: JobId, read: impl FnOnce(&Job) -> T) -> Option<T> {
        self.lock().ledger.get(job).map(read)
    }

    /// Applies `read` to every job; the results by id.
    pub(crate) fn read_all<T>(&self, read: impl FnMut(&Job) -> T) -> Vec<T> {
        self.lock().ledger.jobs().map(read).collect()
    }

    /// What the log says of `node` as a bidder. Only the backend knows whether it has the money.
    pub(crate) fn facts(&self, job: JobId, node: NodeId) -> Facts {
        let event = Event::BidPlaced { price: crate::domain::Amount::ZERO };
        Facts { funded: true, ..self.lock().ledger.facts(job, node, &event) }
    }

    /// The entries of a job above a height. The first entry has height 1.
    pub(crate) fn entries_after(&self, job: JobId, height: u64) -> Vec<LogItem> {
        let inner = self.lock();
        let items = inner.logs.get(&job).map(|log| log.items.as_slice()).unwrap_or_default();
        let from = usize::try_from(height).unwrap_or(usize::MAX).min(items.len());
        items[from..].to_vec()
    }

    /// How many of a job's entries equal those in `held`, and the entries that follow.
    pub(crate) fn entries_beyond(&self, job: JobId, held: &[Digest]) -> (usize, Vec<LogItem>) {
        let inner = self.lock();
        let items = inner.logs.get(&job).map(|log| log.items.as_slice()).unwrap_or_default();
        let same = items.iter().zip(held).take_while(|(item, held)| item.entry == **held).count();
        (same, items[same..].to_vec())
    }

    /// Wakes with every entry of the job.
    pub(crate) fn watch(&self, job: JobId) -> Option<watch::Receiver<u64>> {
        self.lock().logs.get(&job).map(|log| log.changed.subscribe())
    }

    /// The right to send an action in this job. One caller holds it at a time.
    pub(crate) fn turn(&self, job: JobId) -> Option<Arc<tokio::sync::Mutex<()>>> {
        self.lock().logs.get(&job).map(|log| Arc::clone(&log.turn))
    }

    /// What the next action of `author` must name.
    pub(crate) fn envelope(&self, job: JobId, author: NodeId) -> Option<Envelope> {
        let inner = self.lock();
        let revision = inner.ledger.get(job)?.revision;
        let items = &inner.logs.get(&job)?.items;
        let own = items.iter().filter(|item| item.stamped.author == author).count();
        let seen = items.last().map(|item| item.entry)?;
        Some(Envelope { revision, sequence: u64::try_from(own).unwrap_or(u64::MAX), seen })
    }
}
