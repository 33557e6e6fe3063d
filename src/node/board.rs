//! What a node knows of every job: the log so far, and its fold.
//!
//! One task writes (`follow`), all others read. A reader that waits for a job's next entry waits for a level, never
//! for an edge, so it misses nothing between reading and waiting.

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
    /// Jobs that this node cannot follow any more, and why.
    broken: BTreeMap<JobId, String>,
}

#[derive(Debug)]
struct BoardLog {
    items: Vec<LogItem>,
    changed: watch::Sender<u64>,
    /// Held while an action of this node is on its way, so that no sequence number is used twice.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A job and where its log stands, at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// The job.
    pub(crate) job: Job,
    /// Its follow-up.
    pub(crate) followed_by: Option<JobId>,
    /// Why this node cannot follow it any more, if it cannot.
    pub(crate) broken: Option<String>,
}

/// What an action of one author must name to be its next one.
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
        // A panic inside leaves the ledger as it was: events apply whole or not at all.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds the next entry; returns its job as it is then. `note` sees the job and its log before anybody else does,
    /// so that a reader that finds a job ended also finds the consequences.
    ///
    /// # Errors
    /// What the rules refuse; nothing has changed then, but the entry is passed over.
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

    /// Forgets every entry after `to`, and that logs were broken: what is still so is told anew. Returns how many
    /// jobs are gone with that. Watchers of such a job go on watching: its submission may come back.
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
                // It was taken before, after the same entries.
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

    /// Notes that the log of a job cannot be followed any more, for the first reason that is given. A job that is
    /// not known here stays so. Says whether this is news.
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

    /// Drops a job that the backend no longer keeps; this ends the watches of the job.
    pub(crate) fn forget(&self, job: JobId) {
        let mut inner = self.lock();
        inner.ledger.forget(job);
        inner.logs.remove(&job);
        inner.broken.remove(&job);
    }

    /// Whether the log of a job cannot be followed any more.
    pub(crate) fn is_broken(&self, job: JobId) -> bool {
        self.lock().broken.contains_key(&job)
    }

    /// The jobs whose log cannot be followed any more.
    pub(crate) fn broken(&self) -> BTreeSet<JobId> {
        self.lock().broken.keys().copied().collect()
    }

    /// Waits until everything up to `cursor` is folded.
    pub(crate) async fn reached(&self, cursor: Cursor) {
        // The sender is in `self`, so that the wait cannot fail.
        let _ = self.cursor.subscribe().wait_for(|known| *known >= cursor).await;
    }

    /// Waits until the job satisfies `is_so`; forever if it never does.
    pub(crate) async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let mut cursor = self.cursor.subscribe();
        loop {
            cursor.borrow_and_update();
            if let Some(job) = self.lock().ledger.get(job).filter(|job| is_so(job)) {
                return job.clone();
            }
            // The sender is in `self`, so that the wait cannot fail.
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

    /// What `read` makes of the job, without a copy of it.
    pub(crate) fn read<T>(&self, job: JobId, read: impl FnOnce(&Job) -> T) -> Option<T> {
        self.lock().ledger.get(job).map(read)
    }

    /// What `read` makes of every job, by id.
    pub(crate) fn read_all<T>(&self, read: impl FnMut(&Job) -> T) -> Vec<T> {
        self.lock().ledger.jobs().map(read).collect()
    }

    /// What the log says of `node`, were it to bid. Whether its money is there only the backend can say.
    pub(crate) fn facts(&self, job: JobId, node: NodeId) -> Facts {
        let event = Event::BidPlaced { price: crate::domain::Amount::ZERO };
        Facts { funded: true, ..self.lock().ledger.facts(job, node, &event) }
    }

    /// The entries of a job above a height, the first entry having height 1.
    pub(crate) fn entries_after(&self, job: JobId, height: u64) -> Vec<LogItem> {
        let inner = self.lock();
        let items = inner.logs.get(&job).map(|log| log.items.as_slice()).unwrap_or_default();
        let from = usize::try_from(height).unwrap_or(usize::MAX).min(items.len());
        items[from..].to_vec()
    }

    /// How many of a job's entries are as `held`, and those that follow.
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

    /// The right to send an action in this job.
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
