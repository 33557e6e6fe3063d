//! The logs that a node orders and follows: in memory, over entries in the store.
//!
//! An entry is stored before anybody hears of it. If the store fails, the log in memory is reloaded from it, so that
//! nothing builds on entries that a restart would lose.
//!
//! Calls that change a log block, for one transaction at most. They change a copy, which replaces the log once it is
//! stored, so nobody who asks about a log waits for the disk. Changes of one job take turns; changes of several jobs
//! share a transaction.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    entry::{Entry, Hashed},
    job_log::parent_of,
    room::{BOUNDS, to_forget},
    sequence::{Arrival, Fault, Follower, Place, Receipt, Sequencer},
};
use crate::{
    domain::{Event, Job, JobId, LogDomain, NodeId, SignedAction, Timestamp},
    identity::NodeKey,
    rules::Rejection,
    scheduler::{BackendError, Cursor, Evidence, Loading, SubmitError, stored::store_error},
    store::{EventLog, NewEntry},
};

mod held;
mod queries;
mod restore;
mod retire;

use held::{HeldLog, Inner};
pub(super) use queries::View;
use restore::{Restored, restore, retired};

/// How many jobs may change at a time, at most: each has one of these turns, by its id.
const TURNS: usize = 64;

/// Every log of a node.
pub(super) struct Logs {
    key: NodeKey,
    domain: LogDomain,
    store: EventLog,
    /// Held for moments, and never while the store is at work.
    inner: Arc<Mutex<Inner>>,
    /// Held by whoever changes a log, until the change is stored.
    turns: [Mutex<()>; TURNS],
    /// Held by whoever takes a job of others in, or forgets some. A job's turn comes before it.
    room: Mutex<()>,
    /// How often jobs were forgotten.
    forgotten: watch::Sender<u64>,
    /// How often requesters were found to have broken their logs.
    breaks: watch::Sender<u64>,
}

/// The outcome of actions at their sequencer.
#[derive(Debug)]
pub(super) struct Sequenced {
    /// The place of the last one.
    pub(super) height: u64,
    /// Its cursor for this node's readers, if it was stored just now.
    pub(super) cursor: Option<Cursor>,
    /// The entries that were created just now.
    pub(super) entries: Vec<Entry>,
    /// Their recipients: every other node that has acted in the job.
    pub(super) followers: Vec<NodeId>,
    /// Why the action after the last one got no place.
    pub(super) refused: Option<SubmitError>,
}

/// The outcome of entries from other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// All of them are held now; `appended` were new.
    Here { appended: usize },
    /// Entries are missing before them.
    Gap,
    /// One was not signed by the requester.
    Forged,
    /// The requester broke the log.
    Broken,
}

/// What became of jobs.
#[derive(Debug)]
pub(super) struct Missing {
    /// In memory.
    pub(super) held: BTreeSet<JobId>,
    /// Neither in memory nor in the store.
    pub(super) forgotten: Vec<JobId>,
}

/// Why a log is not followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdoptError {
    #[error("the log is this node's own, or followed already")]
    Known,
    #[error("more valuable jobs take all the room for jobs of others")]
    TooMany,
    #[error("too many requesters are being asked for the parents of their jobs")]
    Busy,
    #[error("another job follows up the same parent")]
    SecondChild,
    #[error("it is not the log of a job: {0}")]
    Invalid(#[from] super::sequence::RebuildError),
    #[error(transparent)]
    Store(#[from] BackendError),
}

impl Logs {
    /// The logs in `store`. A log that cannot be continued is left out, and an error is logged.
    #[cfg(test)]
    fn open(key: NodeKey, domain: LogDomain, store: EventLog, now: Timestamp) -> Result<Self, BackendError> {
        Self::open_watched(key, domain, store, now, &watch::Sender::default())
    }

    /// As `open`; tells how far it is.
    pub(super) fn open_watched(
        key: NodeKey,
        domain: LogDomain,
        store: EventLog,
        now: Timestamp,
        loading: &watch::Sender<Loading>,
    ) -> Result<Self, BackendError> {
        let mut inner = Inner::default();
        let mut recovered = Vec::new();
        let jobs = store.live_jobs().map_err(|error| store_error(&error))?;
        let honest = store.ended().honest(1).map_err(|error| store_error(&error))?;
        inner.known = honest.into_keys().collect();
        for (read, job) in jobs.iter().copied().enumerate() {
            loading.send_replace(Loading::Jobs { read, total: jobs.len() });
            let parent = |parent| {
                let held = inner.job(parent).cloned();
                held.or_else(|| Some(retired(&key, domain, &store, parent)?.job().clone()))
            };
            match restore(&key, domain, &store, parent, job)? {
                Ok(Restored { mut log, recovered: authors }) => {
                    log.break_again(&store, job)?;
                    inner.insert(log);
                    inner.keep_proof(job);
                    recovered.extend(authors);
                }
                Err(error) => tracing::error!(%job, %error, "cannot continue a stored log"),
            }
        }
        loading.send_replace(Loading::Jobs { read: jobs.len(), total: jobs.len() });
        // It spares the next start some work, and nothing else: a full disk must not keep the node from this one.
        if let Err(error) = store.note_authors(&recovered) {
            let error = store_error(&error);
            tracing::warn!(%error, "cannot store who signed older entries; the next start will recover them again");
        }
        inner.heard_at = inner.jobs.keys().map(|job| (*job, now)).collect();
        let (forgotten, breaks) = (watch::Sender::new(0), watch::Sender::new(0));
        let (inner, turns, room) =
            (Arc::new(Mutex::new(inner)), [const { Mutex::new(()) }; TURNS], Mutex::new(()));
        let logs = Self { key, domain, store, inner, turns, room, forgotten, breaks };
        logs.make_room(&logs.room(), now)?;
        Ok(logs)
    }

    pub(super) const fn domain(&self) -> LogDomain {
        self.domain
    }

    pub(super) const fn store(&self) -> &EventLog {
        &self.store
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    /// The turn to change this job.
    fn turn(&self, job: JobId) -> MutexGuard<'_, ()> {
        let [first, ..] = job.as_bytes();
        self.turns[usize::from(*first) % TURNS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to take jobs of others in, and to forget some.
    fn room(&self) -> MutexGuard<'_, ()> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives actions in one job their places in a log of this node's own, up to the first that is refused. They wait for
    /// the disk once.
    ///
    /// # Errors
    /// When the first one is refused, and when the store fails.
    pub(super) fn sequence(
        &self,
        now: Timestamp,
        actions: Vec<SignedAction>,
    ) -> Result<Sequenced, SubmitError> {
        let mut actions = actions.into_iter();
        let Some(first) = actions.next() else { return Err(SubmitError::NotOrdered(BackendError::Stopped)) };
        let job = first.action.job;
        let _turn = self.turn(job);
        let held = self.held(job);
        let is_recalled = held.as_ref().is_some_and(|(_, in_memory)| !in_memory);
        let (mut sequencer, place) = match held {
            Some((HeldLog::Own(mut sequencer), _)) => {
                let place = sequencer.append(now, first)?;
                (sequencer, place)
            }
            Some((HeldLog::Followed(_), _)) => return Err(unknown(job)),
            None if matches!(first.action.event, Event::Submitted { .. }) => {
                let parent = self.claim(parent_of(&first.action.event), job);
                let parent = parent.map_err(|_taken| SubmitError::Rejected(Rejection::BadParent))?;
                let opened = Sequencer::open(self.key.clone(), self.domain, parent.as_ref(), now, first);
                let sequencer = opened.inspect_err(|_| self.lock().disown(job))?;
                let first = sequencer.job_log().entry(1).expect("a log has a first entry").clone();
                (Box::new(sequencer), Place::New(Box::new(first)))
            }
            None => return Err(unknown(job)),
        };
        let (mut places, mut refused) = (vec![place], None);
        for action in actions {
            match sequencer.append(now, action) {
                Ok(place) => places.push(place),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let (mut height, mut is_new, mut entries) = (0, false, Vec::new());
        for place in places {
            match place {
                Place::Known(known) => (height, is_new) = (known, false),
                Place::New(entry) => {
                    (height, is_new) = (entry.height, true);
                    entries.push(*entry);
                }
            }
        }
        let authors = sequencer.job_log().authors();
        let followers = authors.filter(|node| *node != self.key.node_id()).collect();
        let cursors = self
            .persist(HeldLog::Own(sequencer), &entries, None, is_recalled)
            .map_err(SubmitError::NotOrdered)?;
        let cursor = cursors.last().copied().map(Cursor).filter(|_| is_new);
        Ok(Sequenced { height, cursor, entries, followers, refused })
    }

    /// Has `job` be the one that follows up `parent`, and gives that as far as it is known; fails if another does.
    fn claim(&self, parent: Option<JobId>, job: JobId) -> Result<Option<Job>, Taken> {
        let Some(parent) = parent else { return Ok(None) };
        // A follow-up that was retired counts too. A store that fails says so when the entry is stored.
        if self.store.ended().child_of(parent).is_ok_and(|child| child.is_some_and(|child| child != job)) {
            return Err(Taken);
        }
        {
            let mut inner = self.lock();
            if inner.children.get(&parent).is_some_and(|child| *child != job) {
                return Err(Taken);
            }
            inner.children.insert(parent, job);
        }
        Ok(self.parent(parent))
    }

    /// Begins to follow a log from its first entry. The parent's log, if there is one, must be here. `signer` is whose
    /// signatures entry and submission bear, if that was checked.
    pub(super) fn adopt(
        &self,
        now: Timestamp,
        first: Entry,
        signer: Option<NodeId>,
    ) -> Result<(), AdoptError> {
        let job = first.job();
        let _turn = self.turn(job);
        if self.lock().jobs.contains_key(&job) || self.store.ended().contains(job).unwrap_or_default() {
            return Err(AdoptError::Known);
        }
        let parent = self.claim(parent_of(first.event()), job).map_err(|_taken| AdoptError::SecondChild)?;
        let opened = self.opened(&first, signer, parent.as_ref());
        let log = HeldLog::Followed(Box::new(opened.inspect_err(|_| self.lock().disown(job))?));
        let room = self.room();
        {
            let mut inner = self.lock();
            inner.insert(log.clone());
            inner.heard_at.insert(job, now);
        }
        // Before it is stored: what there is no room for costs no write.
        self.make_room(&room, now)?;
        if !self.lock().jobs.contains_key(&job) {
            return Err(AdoptError::TooMany);
        }
        self.persist(log, &[first], None, false)?;
        Ok(())
    }

    /// The log of another node's job, from its first entry.
    fn opened(
        &self,
        first: &Entry,
        signer: Option<NodeId>,
        parent: Option<&Job>,
    ) -> Result<Follower, AdoptError> {
        let follower = match signer {
            Some(signer) => {
                let first = Hashed::new(first.clone(), self.domain);
                Follower::open_signed(signer, self.domain, parent, first)?
            }
            None => Follower::open(self.domain, parent, first.clone())?,
        };
        let is_own = follower.job_log().job().requester == self.key.node_id();
        if is_own { Err(AdoptError::Known) } else { Ok(follower) }
    }

    /// A followed job was announced again.
    pub(super) fn hear_again(&self, now: Timestamp, job: JobId) {
        if let Some(heard_at) = self.lock().heard_at.get_mut(&job) {
            *heard_at = now;
        }
    }

    /// Forgets what is least worth of what strangers announced, until the rest keeps its bounds.
    fn make_room(&self, _room: &MutexGuard<'_, ()>, now: Timestamp) -> Result<(), BackendError> {
        let gone = {
            let mut inner = self.lock();
            let gone = to_forget(&inner.heard(self.key.node_id(), now), &BOUNDS, now);
            gone.iter().for_each(|job| inner.remove(*job));
            gone
        };
        if gone.is_empty() {
            return Ok(());
        }
        self.store.forget(&gone).map_err(|error| store_error(&error))?;
        self.forgotten.send_modify(|times| *times += 1);
        Ok(())
    }

    /// Changes whenever jobs were forgotten.
    pub(super) fn watch_forgotten(&self) -> watch::Receiver<u64> {
        self.forgotten.subscribe()
    }

    /// Sorts `jobs` into those in memory and those that were forgotten. Others are in the store: they were retired, or
    /// cannot be continued, and nothing forgets them. Blocks the thread.
    pub(super) fn missing(&self, jobs: BTreeSet<JobId>) -> Missing {
        // Jobs that are being forgotten leave memory before they leave the store.
        let _room = self.room();
        let (held, absent): (BTreeSet<JobId>, BTreeSet<JobId>) = {
            let inner = self.lock();
            jobs.into_iter().partition(|job| inner.jobs.contains_key(job))
        };
        let forgotten = absent.into_iter().filter(|job| matches!(self.store.head(*job), Ok(None))).collect();
        Missing { held, forgotten }
    }

    /// Takes entries of a followed log.
    pub(super) fn receive(
        &self,
        job: JobId,
        entries: Vec<Entry>,
        arrival: Arrival,
    ) -> Result<Received, BackendError> {
        let _turn = self.turn(job);
        let held = self.held(job);
        let is_recalled = held.as_ref().is_some_and(|(_, in_memory)| !in_memory);
        let mut follower = match held {
            Some((HeldLog::Followed(follower), _)) => follower,
            // Nobody tells a sequencer what its log is.
            Some((HeldLog::Own(_), _)) => return Ok(Received::Here { appended: 0 }),
            None => return Err(BackendError::UnknownLog { job }),
        };
        let is_strangers = follower.job_log().next_sequence(self.key.node_id()) == 0;
        let was_sound = follower.fault().is_none();
        let (mut appended, mut result) = (Vec::new(), None);
        for entry in entries {
            match follower.receive(entry.clone(), arrival) {
                Receipt::Appended => appended.push(entry),
                Receipt::Duplicate => {}
                Receipt::Gap { .. } => result = Some(Received::Gap),
                Receipt::Forged => result = Some(Received::Forged),
                Receipt::Broken => result = Some(Received::Broken),
            }
            if result.is_some() {
                break;
            }
        }
        let fault = follower.fault().filter(|_| was_sound).cloned();
        // The proof is stored with the entries that it contradicts: it must not be forgotten before it is told.
        let proof = fault.as_ref().map(Fault::entry);
        self.persist(HeldLog::Followed(follower), &appended, proof, is_recalled)?;
        if let Some(fault) = fault {
            let entry = fault.entry().hash(self.domain);
            tracing::error!(%job, height = fault.height(), %entry, %fault, "a requester broke its log");
            self.breaks.send_modify(|times| *times += 1);
        }
        if let Some(now) = arrival.now().filter(|_| is_strangers) {
            self.make_room(&self.room(), now)?;
        }
        Ok(result.unwrap_or(Received::Here { appended: appended.len() }))
    }

    /// Stores what was added to a log, and then has `log` in its place in memory. If the store fails, the log goes on
    /// as far as it is on the disk: what was refused comes again, when there is room for it. A log that was recalled
    /// from the store is live again by that.
    fn persist(
        &self,
        log: HeldLog,
        entries: &[Entry],
        fault: Option<&Entry>,
        is_recalled: bool,
    ) -> Result<Vec<u64>, BackendError> {
        let job = log.job().id;
        let new: Vec<NewEntry> = entries
            .iter()
            .map(|entry| NewEntry {
                job,
                height: entry.height,
                entry_hash: entry.hash(self.domain),
                author: log.job_log().author_at(entry.height),
                bytes: entry.encode(),
            })
            .collect();
        if new.is_empty() && fault.is_none() {
            return Ok(Vec::new());
        }
        let (is_new, is_proof) = (new.first().is_some_and(|entry| entry.height == 1), fault.is_some());
        let (inner, fault) = (Arc::clone(&self.inner), fault.map(|entry| (job, entry.encode())));
        let stored = move || {
            let mut inner = locked(&inner);
            // It may have been forgotten meanwhile.
            if is_new || is_recalled || inner.jobs.contains_key(&job) {
                inner.insert(log);
            }
            if is_proof {
                inner.keep_proof(job);
            }
        };
        self.store.append_then(new, fault, stored).map_err(|error| {
            self.read_again(job, is_new);
            store_error(&error)
        })
    }

    /// Has a log in memory be what the store has, after that failed.
    fn read_again(&self, job: JobId, is_new: bool) {
        let parent = |parent| self.parent(parent);
        let restored = restore(&self.key, self.domain, &self.store, parent, job);
        let restored = restored.ok().and_then(Result::ok).map(|Restored { log, .. }| log);
        let whole = restored.and_then(|mut log| log.break_again(&self.store, job).is_ok().then_some(log));
        let mut inner = self.lock();
        let was_here = inner.jobs.remove(&job).is_some();
        inner.disown(job);
        if let Some(log) = whole.filter(|_| was_here || is_new) {
            inner.insert(log);
        }
    }

    /// Changes whenever a requester is found to have broken its log.
    pub(super) fn watch_breaks(&self) -> watch::Receiver<u64> {
        self.breaks.subscribe()
    }

    /// The proof that a job's requester broke its log.
    pub(super) fn evidence(&self, job: JobId) -> Option<Evidence> {
        match self.lock().jobs.get(&job)? {
            HeldLog::Own(_) => None,
            HeldLog::Followed(follower) => follower.fault().map(Fault::evidence),
        }
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("node", &self.key.node_id()).finish_non_exhaustive()
    }
}

/// Another job follows up the same parent.
struct Taken;

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    // Logs are inserted and removed whole, so that a panic leaves them as they were.
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(job: JobId) -> SubmitError {
    SubmitError::NotOrdered(BackendError::UnknownLog { job })
}

#[cfg(test)]
mod tests;
