//! The logs that a node orders and follows: in memory, over entries in the store.
//!
//! An entry is stored before anybody hears of it. If the store fails, the log in memory is reloaded from it, so that
//! nothing builds on entries that a restart would lose. All calls block, for one transaction at most.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    entry::{Entry, Hashed},
    job_log::{CheckedLog, parent_of},
    room::{BOUNDS, Heard, has_room_for_proof, heard, to_forget},
    sequence::{Arrival, Fault, Follower, Place, Receipt, Sequencer},
};
use crate::{
    domain::{Event, Job, JobId, LogDomain, NodeId, SignedAction, Timestamp},
    identity::NodeKey,
    rules::Rejection,
    scheduler::{BackendError, Cursor, Evidence, Loading, SubmitError, stored::store_error},
    store::{EventLog, NewEntry},
};

mod queries;
mod restore;

pub(super) use queries::View;
use restore::{Restored, restore};

/// Every log of a node.
pub(super) struct Logs {
    key: NodeKey,
    domain: LogDomain,
    store: EventLog,
    inner: Mutex<Inner>,
    /// How often jobs were forgotten.
    forgotten: watch::Sender<u64>,
    /// How often requesters were found to have broken their logs.
    breaks: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    jobs: BTreeMap<JobId, HeldLog>,
    children: BTreeMap<JobId, JobId>,
    /// When jobs of others were announced last.
    heard_at: BTreeMap<JobId, Timestamp>,
    /// Jobs whose logs are kept because they prove a fault of their requester.
    proofs: BTreeSet<JobId>,
}

enum HeldLog {
    Own(Box<Sequencer>),
    Followed(Box<Follower>),
}

/// The outcome of an action at its sequencer.
#[derive(Debug)]
pub(super) struct Sequenced {
    pub(super) height: u64,
    /// Its cursor for this node's readers, if it was stored just now.
    pub(super) cursor: Option<Cursor>,
    /// The entry, if it was created just now.
    pub(super) entry: Option<Entry>,
    /// Its recipients: every other node that has acted in the job.
    pub(super) followers: Vec<NodeId>,
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
        let jobs = store.jobs().map_err(|error| store_error(&error))?;
        for (read, job) in jobs.iter().copied().enumerate() {
            loading.send_replace(Loading::Jobs { read, total: jobs.len() });
            match restore(&key, domain, &store, &inner, job)? {
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
        let logs = Self { key, domain, store, inner: Mutex::new(inner), forgotten, breaks };
        logs.make_room(&mut logs.lock(), now)?;
        Ok(logs)
    }

    pub(super) const fn domain(&self) -> LogDomain {
        self.domain
    }

    pub(super) const fn store(&self) -> &EventLog {
        &self.store
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Chains change last in every call, so that a panic leaves them as they were.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an action its place in a log of this node's own.
    pub(super) fn sequence(&self, now: Timestamp, action: SignedAction) -> Result<Sequenced, SubmitError> {
        let job = action.action.job;
        let mut inner = self.lock();
        let place = match inner.jobs.get_mut(&job) {
            Some(HeldLog::Own(sequencer)) => sequencer.append(now, action)?,
            Some(HeldLog::Followed(_)) => return Err(unknown(job)),
            None if matches!(action.action.event, Event::Submitted { .. }) => {
                let parent = parent_of(&action.action.event);
                if parent.is_some_and(|parent| inner.children.contains_key(&parent)) {
                    return Err(SubmitError::Rejected(Rejection::BadParent));
                }
                let parent = parent.and_then(|parent| inner.job(parent));
                let sequencer = Sequencer::open(self.key.clone(), self.domain, parent, now, action)?;
                let first = sequencer.job_log().entry(1).expect("a log has a first entry").clone();
                inner.insert(HeldLog::Own(Box::new(sequencer)));
                Place::New(Box::new(first))
            }
            None => return Err(unknown(job)),
        };
        match place {
            Place::Known(height) => {
                Ok(Sequenced { height, cursor: None, entry: None, followers: Vec::new() })
            }
            Place::New(entry) => {
                let cursors = self.persist(&mut inner, job, std::slice::from_ref(&*entry), None);
                let cursor = cursors.map_err(SubmitError::NotOrdered)?.last().copied().map(Cursor);
                let authors = inner.jobs.get(&job).into_iter().flat_map(|log| log.job_log().authors());
                let followers = authors.filter(|node| *node != self.key.node_id()).collect();
                Ok(Sequenced { height: entry.height, cursor, entry: Some(*entry), followers })
            }
        }
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
        let mut inner = self.lock();
        if inner.jobs.contains_key(&job) {
            return Err(AdoptError::Known);
        }
        let parent = parent_of(first.event());
        if parent.is_some_and(|parent| inner.children.contains_key(&parent)) {
            return Err(AdoptError::SecondChild);
        }
        let parent = parent.and_then(|parent| inner.job(parent));
        let follower = match signer {
            Some(signer) => {
                let first = Hashed::new(first.clone(), self.domain);
                Follower::open_signed(signer, self.domain, parent, first)?
            }
            None => Follower::open(self.domain, parent, first.clone())?,
        };
        if follower.job_log().job().requester == self.key.node_id() {
            return Err(AdoptError::Known);
        }
        inner.insert(HeldLog::Followed(Box::new(follower)));
        inner.heard_at.insert(job, now);
        // Before it is stored: what there is no room for costs no write.
        self.make_room(&mut inner, now)?;
        if !inner.jobs.contains_key(&job) {
            return Err(AdoptError::TooMany);
        }
        self.persist(&mut inner, job, &[first], None)?;
        Ok(())
    }

    /// A followed job was announced again.
    pub(super) fn hear_again(&self, now: Timestamp, job: JobId) {
        if let Some(heard_at) = self.lock().heard_at.get_mut(&job) {
            *heard_at = now;
        }
    }

    /// Forgets what is least worth of what strangers announced, until the rest keeps its bounds.
    fn make_room(&self, inner: &mut Inner, now: Timestamp) -> Result<(), BackendError> {
        let gone = to_forget(&inner.heard(self.key.node_id(), now), &BOUNDS, now);
        if gone.is_empty() {
            return Ok(());
        }
        for job in &gone {
            inner.remove(*job);
        }
        self.store.forget(&gone).map_err(|error| store_error(&error))?;
        self.forgotten.send_modify(|times| *times += 1);
        Ok(())
    }

    /// Changes whenever jobs were forgotten.
    pub(super) fn watch_forgotten(&self) -> watch::Receiver<u64> {
        self.forgotten.subscribe()
    }

    /// Those of `jobs` that were forgotten.
    pub(super) fn missing(&self, jobs: &BTreeSet<JobId>) -> Vec<JobId> {
        let absent: Vec<JobId> = {
            let inner = self.lock();
            jobs.iter().filter(|job| !inner.jobs.contains_key(*job)).copied().collect()
        };
        // A log that cannot be continued is in the store, and its readers keep it.
        absent.into_iter().filter(|job| matches!(self.store.head(*job), Ok(None))).collect()
    }

    /// Takes entries of a followed log.
    pub(super) fn receive(
        &self,
        job: JobId,
        entries: Vec<Entry>,
        arrival: Arrival,
    ) -> Result<Received, BackendError> {
        let mut inner = self.lock();
        let follower = match inner.jobs.get_mut(&job) {
            Some(HeldLog::Followed(follower)) => follower,
            // Nobody tells a sequencer what its log is.
            Some(HeldLog::Own(_)) => return Ok(Received::Here { appended: 0 }),
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
        self.persist(&mut inner, job, &appended, fault.as_ref().map(Fault::entry))?;
        if let Some(fault) = fault {
            let entry = fault.entry().hash(self.domain);
            tracing::error!(%job, height = fault.height(), %entry, %fault, "a requester broke its log");
            inner.keep_proof(job);
            self.breaks.send_modify(|times| *times += 1);
        }
        if let Some(now) = arrival.now().filter(|_| is_strangers) {
            self.make_room(&mut inner, now)?;
        }
        Ok(result.unwrap_or(Received::Here { appended: appended.len() }))
    }

    fn persist(
        &self,
        inner: &mut Inner,
        job: JobId,
        entries: &[Entry],
        fault: Option<&Entry>,
    ) -> Result<Vec<u64>, BackendError> {
        let new: Vec<NewEntry> = entries
            .iter()
            .map(|entry| NewEntry {
                job,
                height: entry.height,
                entry_hash: entry.hash(self.domain),
                author: inner.jobs.get(&job).and_then(|log| log.job_log().author_at(entry.height)),
                bytes: entry.encode(),
            })
            .collect();
        let fault = fault.map(Entry::encode);
        if new.is_empty() && fault.is_none() {
            return Ok(Vec::new());
        }
        let fault = fault.as_deref().map(|bytes| (job, bytes));
        self.store.append_until_fault(&new, fault).map_err(|error| {
            inner.jobs.remove(&job);
            inner.children.retain(|_, child| *child != job);
            // As far as it is on the disk, the log goes on: what was refused comes again, when there is room for it.
            if let Ok(Ok(Restored { mut log, .. })) = restore(&self.key, self.domain, &self.store, inner, job)
                && log.break_again(&self.store, job).is_ok()
            {
                inner.insert(log);
            }
            store_error(&error)
        })
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

impl Inner {
    fn job(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job).map(HeldLog::job)
    }

    fn remove(&mut self, job: JobId) {
        self.heard_at.remove(&job);
        self.proofs.remove(&job);
        if let Some(log) = self.jobs.remove(&job)
            && let Some(parent) = log.job().deal.parent
        {
            self.children.remove(&parent);
        }
    }

    fn heard(&self, me: NodeId, now: Timestamp) -> Vec<Heard> {
        let others = self.jobs.values().filter_map(|log| match log {
            HeldLog::Followed(follower) => Some(follower.job_log()),
            HeldLog::Own(_) => None,
        });
        let mut heard = heard(&others.collect::<Vec<_>>(), &self.children, &self.heard_at, me, now);
        heard.retain(|heard| !self.proofs.contains(&heard.job));
        heard
    }

    /// Keeps the log of a job if it proves a fault of its requester, and there is room for another proof.
    fn keep_proof(&mut self, job: JobId) {
        let log_of = |job: &JobId| self.jobs.get(job).map(HeldLog::job_log);
        let held = |log: &CheckedLog| (log.job().requester, log.bytes());
        let is_proof =
            matches!(self.jobs.get(&job), Some(HeldLog::Followed(follower)) if follower.fault().is_some());
        let kept: Vec<_> = self.proofs.iter().filter_map(log_of).map(held).collect();
        if let Some((requester, bytes)) = log_of(&job).map(held).filter(|_| is_proof)
            && !self.proofs.contains(&job)
            && has_room_for_proof(&kept, requester, bytes)
        {
            self.proofs.insert(job);
        }
    }

    fn insert(&mut self, log: HeldLog) {
        let (job, parent) = (log.job().id, log.job().deal.parent);
        if let Some(parent) = parent {
            self.children.insert(parent, job);
        }
        self.jobs.insert(job, log);
    }
}

impl HeldLog {
    /// Finds the fault again that this node found before it was started.
    fn break_again(&mut self, store: &EventLog, job: JobId) -> Result<(), BackendError> {
        let Self::Followed(follower) = self else { return Ok(()) };
        let Some(bytes) = store.fault(job).map_err(|error| store_error(&error))? else { return Ok(()) };
        let is_proof = Entry::decode(&bytes)
            .is_ok_and(|entry| follower.receive(entry, Arrival::Stored) == Receipt::Broken);
        if !is_proof {
            tracing::error!(%job, "the stored proof that a log is broken proves nothing");
        }
        Ok(())
    }

    const fn job_log(&self) -> &CheckedLog {
        match self {
            Self::Own(sequencer) => sequencer.job_log(),
            Self::Followed(follower) => follower.job_log(),
        }
    }

    const fn job(&self) -> &Job {
        self.job_log().job()
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logs").field("node", &self.key.node_id()).finish_non_exhaustive()
    }
}

fn unknown(job: JobId) -> SubmitError {
    SubmitError::NotOrdered(BackendError::UnknownLog { job })
}

#[cfg(test)]
mod tests;
