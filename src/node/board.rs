//! What a node knows of every job: the log so far, and the job that it folds to.
//!
//! Jobs that can still change are in memory. Ended ones leave it (`retire`), and are read from the disk when somebody
//! asks for them (`past`).
//!
//! One task writes (`follow`); all others read. A reader that waits for a job's next entry waits for a level, so it misses
//! nothing between reading and waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::past::{Archive, Past, content_of, row_of};
use crate::{
    domain::{Digest, Event, Facts, Job, JobId, JobState, NodeId},
    rules::{Ledger, Rejection},
    scheduler::{Cursor, LogItem, Scheduler},
    store::{EndedJob, EndedJobs, JobContent},
};

/// The jobs of one node.
#[derive(Debug)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    cursor: watch::Sender<Cursor>,
    archive: Archive,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    logs: BTreeMap<JobId, BoardLog>,
    /// Jobs that this node can no longer follow, and why.
    broken: BTreeMap<JobId, String>,
    /// Jobs with nothing left to do, which may leave memory.
    over: BTreeSet<JobId>,
    /// Ended jobs that are in memory although the disk has them: somebody acts on them. The disk answers for them.
    recalled: BTreeSet<JobId>,
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
    pub(crate) fn new(scheduler: Arc<dyn Scheduler>, ended: EndedJobs) -> Self {
        let inner = Inner {
            ledger: Ledger::new(scheduler.domain()),
            logs: BTreeMap::new(),
            broken: BTreeMap::new(),
            over: BTreeSet::new(),
            recalled: BTreeSet::new(),
        };
        let archive = Archive::new(scheduler, ended);
        Self { inner: Mutex::new(inner), cursor: watch::Sender::new(Cursor::default()), archive }
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
        self.recall_for(&item);
        let folded = {
            let mut inner = self.lock();
            let folded = inner.ledger.apply(&item.stamped).cloned();
            if let Ok(folded) = &folded {
                let log = inner.logs.get(&job).map_or([].as_slice(), |log| log.items.as_slice());
                note(folded, log);
            }
            if folded.is_ok() {
                let log = inner.logs.entry(job).or_insert_with(|| BoardLog::new(Vec::new()));
                log.items.push(item);
                log.changed.send_modify(|version| *version += 1);
                inner.recalled.remove(&job);
            }
            folded
        };
        self.cursor.send_replace(cursor);
        folded
    }

    /// Has the ended jobs in memory that an entry is about: its own, if that gets another entry after its end, and the
    /// one that it follows up.
    fn recall_for(&self, item: &LogItem) {
        let job = item.stamped.job;
        let is_here = |job| self.lock().ledger.get(job).is_some();
        if let Event::Submitted { deal, .. } = &item.stamped.event {
            if let Some(parent) = deal.parent.filter(|parent| !is_here(*parent)) {
                self.recall(parent);
            }
        } else if !is_here(job)
            && let Some(past) = self.archive.before(job, item.cursor)
        {
            self.archive.forget_recent();
            self.lock().insert(&past);
        }
    }

    /// Has an ended job in memory, until the next time that ended jobs leave it.
    fn recall(&self, job: JobId) {
        if let Some(past) = self.archive.get(job) {
            let mut inner = self.lock();
            if inner.ledger.get(job).is_none() {
                inner.insert(&past);
                inner.recalled.insert(job);
                inner.over.insert(job);
            }
        }
    }

    /// Nothing on this node needs the job in memory, unless it can still change.
    pub(crate) fn let_go(&self, job: JobId) {
        self.lock().over.insert(job);
    }

    /// The jobs that were let go since the last time.
    pub(crate) fn take_over(&self) -> BTreeSet<JobId> {
        std::mem::take(&mut self.lock().over)
    }

    /// What the disk is to know of an ended job in memory; `None` for others, and for one whose follow-up is in memory:
    /// who may bid for that depends on it.
    pub(crate) fn row_of(&self, job: JobId, me: NodeId) -> Option<EndedJob> {
        let inner = self.lock();
        if inner.ledger.child_of(job).is_some_and(|child| inner.ledger.get(child).is_some()) {
            return None;
        }
        let height = inner.logs.get(&job)?.items.len();
        row_of(inner.ledger.get(job)?, height, me).filter(|_| !inner.broken.contains_key(&job))
    }

    /// Drops a job that is on the disk, unless it got entries meanwhile. Its watchers find it there.
    pub(crate) fn retire(&self, job: JobId, height: u64) {
        let mut inner = self.lock();
        let held = inner.logs.get(&job).map(|log| log.items.len());
        if held.is_some_and(|held| u64::try_from(held).is_ok_and(|held| held == height)) {
            // It stayed for this one.
            let parent = inner.ledger.get(job).and_then(|job| job.deal.parent);
            inner.over.extend(parent);
            inner.ledger.forget(job);
            inner.logs.remove(&job);
            inner.recalled.remove(&job);
        }
    }

    /// Some of the jobs on the disk are gone.
    pub(crate) fn forget_past(&self) {
        self.archive.forget_recent();
    }

    /// What an ended job in memory used.
    pub(crate) fn content_of(&self, job: JobId) -> Option<JobContent> {
        self.lock().ledger.get(job).map(content_of)
    }

    /// Forgets every entry after `to`, and all that it knows of broken logs, because the backend reports those again.
    /// Returns the number of jobs that are gone. Watchers of such a job keep watching, since its submission may come back.
    pub(crate) fn rewind(&self, to: Cursor) -> usize {
        self.archive.forget_recent();
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

    /// How far the log is folded.
    pub(crate) fn progress(&self) -> watch::Receiver<Cursor> {
        self.cursor.subscribe()
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
            let (is_here, found) = {
                let inner = self.lock();
                let known = inner.ledger.get(job);
                (known.is_some(), known.filter(|job| is_so(job)).cloned())
            };
            let past = (!is_here).then(|| self.archive.get(job)).flatten();
            let found = found.or_else(|| past.map(|past| past.job.clone()).filter(|job| is_so(job)));
            if let Some(job) = found {
                return job;
            }
            // The sender is in `self`, so the wait cannot fail.
            let _ = cursor.changed().await;
        }
    }

    /// A job as of now.
    pub(crate) fn snapshot(&self, job: JobId) -> Option<Snapshot> {
        {
            let inner = self.lock();
            if let Some(known) = inner.ledger.get(job) {
                let broken = inner.broken.get(&job).cloned();
                // The follow-up may have ended and left before.
                let may_have = known.state == JobState::Inconclusive;
                let past_child = || may_have.then(|| self.archive.child_of(job)).flatten();
                let followed_by = inner.ledger.child_of(job).or_else(past_child);
                return Some(Snapshot { job: known.clone(), followed_by, broken });
            }
        }
        let past = self.archive.get(job)?;
        let followed_by = self.lock().ledger.child_of(job).or(past.followed_by);
        Some(Snapshot { job: past.job.clone(), followed_by, broken: past.broken.clone() })
    }

    /// Applies `read` to the job without copying it.
    pub(crate) fn read<T>(&self, job: JobId, read: impl FnOnce(&Job) -> T) -> Option<T> {
        {
            let inner = self.lock();
            if let Some(job) = inner.ledger.get(job) {
                return Some(read(job));
            }
        }
        self.archive.get(job).map(|past| read(&past.job))
    }

    /// Applies `read` to every job that has not left memory; the results by id.
    pub(crate) fn read_all<T>(&self, read: impl FnMut(&Job) -> T) -> Vec<T> {
        let inner = self.lock();
        inner.ledger.jobs().filter(|job| !inner.recalled.contains(&job.id)).map(read).collect()
    }

    /// What the entries say of `node` as a bidder. Only the backend knows of money.
    pub(crate) fn facts(&self, job: JobId, node: NodeId) -> Facts {
        let event = Event::BidPlaced { price: crate::domain::Amount::ZERO };
        self.lock().ledger.facts(job, node, &event)
    }

    /// The entries of a job above a height. The first entry has height 1.
    pub(crate) fn entries_after(&self, job: JobId, height: u64) -> Vec<LogItem> {
        let after = |items: &[LogItem]| {
            let from = usize::try_from(height).unwrap_or(usize::MAX).min(items.len());
            items[from..].to_vec()
        };
        self.read_log(job, after).unwrap_or_default()
    }

    /// What `read` makes of the entries of a job.
    fn read_log<T>(&self, job: JobId, read: impl FnOnce(&[LogItem]) -> T) -> Option<T> {
        {
            let inner = self.lock();
            if let Some(log) = inner.logs.get(&job) {
                return Some(read(&log.items));
            }
        }
        self.archive.get(job).map(|past| read(&past.items))
    }

    /// How many of a job's entries equal those in `held`, and the entries that follow.
    pub(crate) fn entries_beyond(&self, job: JobId, held: &[Digest]) -> (usize, Vec<LogItem>) {
        let beyond = |items: &[LogItem]| {
            let same = items.iter().zip(held).take_while(|(item, held)| item.entry == **held).count();
            (same, items[same..].to_vec())
        };
        self.read_log(job, beyond).unwrap_or_default()
    }

    /// Wakes with every entry of the job, and when it leaves memory.
    pub(crate) fn watch(&self, job: JobId) -> Option<watch::Receiver<u64>> {
        let live = self.lock().logs.get(&job).map(|log| log.changed.subscribe());
        // Of a job on the disk there is no news.
        live.or_else(|| self.archive.get(job).map(|_| watch::channel(0).1))
    }

    /// The right to send an action in this job. One caller holds it at a time.
    pub(crate) fn turn(&self, job: JobId) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let turn = || self.lock().logs.get(&job).map(|log| Arc::clone(&log.turn));
        turn().or_else(|| {
            self.recall(job);
            turn()
        })
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

impl BoardLog {
    fn new(items: Vec<LogItem>) -> Self {
        Self { items, changed: watch::Sender::new(0), turn: Arc::default() }
    }
}

impl Inner {
    fn insert(&mut self, past: &Past) {
        self.ledger.recall(past.job.clone(), past.followed_by);
        self.logs.entry(past.job.id).or_insert_with(|| BoardLog::new(past.items.clone()));
    }
}
