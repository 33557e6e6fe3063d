//! The contract's events as this node holds them: entries in the store, and the jobs that they make.
//!
//! An entry is in the store before anybody hears of it. An event that the rules refuse although the contract
//! took it breaks its job's log here, and no other: the rest of such a job is not read, and its readers are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::convert::{JobLog, entry_hash, is_effect_of};
use crate::{
    domain::{Action, Digest, Event, Job, JobId, LogDomain, NodeId, Stamped, Timestamp},
    rules::Ledger,
    scheduler::{BackendError, Cursor, LogItem},
    store::{Db, DbError, EventLog, LogError, NewEntry, StoredEntry},
};

/// Entries read from the store at a time.
const PAGE: u32 = 256;

/// Blocks that are read again after a restart: only the number of the last one is kept, not its hash.
const OVERLAP: u64 = 64;

/// Most nodes whose addresses are kept.
const MAX_ANNOUNCED: usize = 4096;

/// An event of a job and its place on the chain.
#[derive(Debug, Clone)]
pub(super) struct Mined {
    pub(super) block: u64,
    pub(super) block_hash: Digest,
    /// Of the log in its block.
    pub(super) index: u64,
    pub(super) transaction: Digest,
    pub(super) at: Timestamp,
    pub(super) log: JobLog,
}

/// An entry as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    block: u64,
    block_hash: Digest,
    index: u64,
    /// Absent from what earlier versions stored.
    #[serde(default)]
    transaction: Option<Digest>,
    stamped: Stamped<Event>,
}

/// The newest entry's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) block: u64,
    pub(super) block_hash: Digest,
    index: u64,
}

/// Everything that was read of the contract.
pub(super) struct ChainLog {
    node: NodeId,
    db: Db,
    store: EventLog,
    name: String,
    inner: Mutex<Inner>,
    /// Where nodes said that they can be reached.
    announced: watch::Sender<Announced>,
    /// What ended the log, if anything did.
    failure: watch::Sender<Option<BackendError>>,
    /// Jobs whose log is broken, in the order in which that was found: each a [`BackendError::BrokenLog`].
    breaks: watch::Sender<Vec<BackendError>>,
}

/// Nodes, and where they said that they can be reached: libp2p multiaddresses, one a line.
pub type Announced = BTreeMap<NodeId, String>;

struct Inner {
    ledger: Ledger,
    newest: Option<Newest>,
    heights: BTreeMap<JobId, u64>,
    /// What this node did in each job, in order.
    own: BTreeMap<JobId, Vec<(Event, Cursor)>>,
    broken: BTreeSet<JobId>,
    bidders: BTreeSet<NodeId>,
}

impl ChainLog {
    /// Reads what the store has of this contract's log.
    pub(super) fn open(node: NodeId, domain: LogDomain, db: Db) -> Result<Self, BackendError> {
        let store = EventLog::new(db.clone());
        let name = format!("contract/{}/{}", domain.chain_id, domain.contract);
        let inner = Inner {
            ledger: Ledger::new(domain),
            newest: None,
            heights: BTreeMap::new(),
            own: BTreeMap::new(),
            broken: BTreeSet::new(),
            bidders: BTreeSet::new(),
        };
        let (announced, failure) = (watch::Sender::default(), watch::Sender::new(None));
        let (inner, breaks) = (Mutex::new(inner), watch::Sender::default());
        let log = Self { node, db, store, name, inner, announced, failure, breaks };
        let known = log.db.cursor(&log.name).map_err(|error| db_error(&error))? > 0;
        let mut after = 0;
        loop {
            let page = log.store.read_after(after, PAGE).map_err(|error| store_error(&error))?;
            let Some(last) = page.last() else { break };
            after = last.cursor;
            if !known {
                let reason = format!("the data directory holds another log than that of {}", log.name);
                return Err(BackendError::Store { reason });
            }
            let mut inner = log.lock();
            for stored in page {
                let job = stored.entry.job;
                if inner.broken.contains(&job) {
                    continue;
                }
                match inner.replay(node, &stored) {
                    Ok(()) => {}
                    // The readers of the log come to the same entry, and tell.
                    Err(broken @ BackendError::BrokenLog { .. }) => {
                        tracing::error!(%job, error = %broken, "a stored log cannot be continued");
                        inner.broken.insert(job);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if !known {
            log.set_position(0)?;
        }
        log.mark_broken()?;
        Ok(log)
    }

    fn mark_broken(&self) -> Result<(), BackendError> {
        let mut inner = self.lock();
        let jobs: Vec<JobId> = inner.ledger.jobs().map(|job| job.id).collect();
        for job in jobs {
            let block = self.db.cursor(&self.broken_name(job)).map_err(|error| db_error(&error))?;
            if block > 0 {
                inner.broken.insert(job);
                self.tell_break(&inner, job, block, "found before this node was started");
            }
        }
        Ok(())
    }

    fn broken_name(&self, job: JobId) -> String {
        format!("{}/broken/{job}", self.name)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is in memory changes after the store did, and is read again from it after a failure.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn store(&self) -> &EventLog {
        &self.store
    }

    /// The block to go on from after a restart, given the contract's first one.
    pub(super) fn resume(&self, first: u64) -> Result<u64, BackendError> {
        let position = self.db.cursor(&self.name).map_err(|error| db_error(&error))?;
        let newest = self.newest().map_or(0, |newest| newest.block);
        Ok(position.saturating_sub(OVERLAP).max(newest).max(first))
    }

    /// Notes that every block up to `block` was read. Numbers are kept from 1, since 0 means "never".
    pub(super) fn set_position(&self, block: u64) -> Result<(), BackendError> {
        self.db.set_cursor(&self.name, block.max(1)).map_err(|error| db_error(&error))
    }

    pub(super) fn newest(&self) -> Option<Newest> {
        self.lock().newest
    }

    /// Appends events in the chain's order; those that are here already are passed over. Returns how many are new.
    pub(super) fn append(&self, mined: &[Mined]) -> Result<usize, BackendError> {
        let mut appended = 0;
        for event in mined {
            let mut inner = self.lock();
            let newest = inner.newest.map(|newest| (newest.block, newest.index));
            if newest >= Some((event.block, event.index)) || inner.broken.contains(&event.log.job) {
                continue;
            }
            let Some(stamped) = event.log.stamped(event.at, &inner.ledger) else { continue };
            match inner.fold(&stamped, event.log.state) {
                Ok(()) => {
                    self.persist(&mut inner, event, stamped)?;
                    appended += 1;
                }
                Err(reason) => {
                    let (job, block) = (event.log.job, event.block);
                    self.db
                        .set_cursor(&self.broken_name(job), block.max(1))
                        .map_err(|error| db_error(&error))?;
                    inner.broken.insert(job);
                    self.tell_break(&inner, job, block, &reason);
                }
            }
        }
        Ok(appended)
    }

    /// Tells readers that a job's log is broken. What was never a job here, such as a submission that anybody can
    /// bring past the contract and no node can read, is none of their business.
    fn tell_break(&self, inner: &Inner, job: JobId, block: u64, reason: &str) {
        if inner.ledger.get(job).is_none() {
            tracing::info!(%job, block, reason, "a submission that the rules refuse is passed over");
            return;
        }
        let height = inner.heights.get(&job).copied().unwrap_or(0) + 1;
        let reason = format!(
            "the contract and the rules of this program disagree about block {block} ({reason}): one of them or the \
             RPC endpoint is wrong. The contract decides over the money. Have both verifiers check the job at another \
             endpoint, and report what they find; to follow it again, start with that --rpc-url and a new --data-dir"
        );
        self.breaks.send_modify(|breaks| breaks.push(BackendError::BrokenLog { job, height, reason }));
    }

    fn persist(&self, inner: &mut Inner, event: &Mined, stamped: Stamped<Event>) -> Result<(), BackendError> {
        let Mined { block, block_hash, index, transaction, .. } = *event;
        let job = stamped.job;
        let height = inner.heights.get(&job).copied().unwrap_or(0) + 1;
        let record = Record { block, block_hash, index, transaction: Some(transaction), stamped };
        let bytes = serde_json::to_vec(&record).map_err(|error| unreadable(&error))?;
        let entry = NewEntry { job, height, entry_hash: entry_hash(block_hash, index), bytes };
        let cursor = self.store.append(&entry).map_err(|error| store_error(&error))?;
        inner.note(self.node, &record, height, Cursor(cursor));
        Ok(())
    }

    /// Where an action of this node has its place, if it is in the log; else the sequence that comes next.
    pub(super) fn find(&self, action: &Action) -> Result<Cursor, u64> {
        let inner = self.lock();
        let own = inner.own.get(&action.job).map_or([].as_slice(), Vec::as_slice);
        let index = usize::try_from(action.sequence).unwrap_or(usize::MAX);
        let same = own.get(index).filter(|(event, _)| is_effect_of(event, &action.event));
        same.map(|(_, cursor)| *cursor).ok_or_else(|| u64::try_from(own.len()).unwrap_or(u64::MAX))
    }

    pub(super) fn job(&self, job: JobId) -> Option<Job> {
        self.lock().ledger.get(job).cloned()
    }

    /// Runs what needs the jobs as they are now.
    pub(super) fn with_ledger<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.lock().ledger)
    }

    /// A node said where it can be reached.
    pub(super) fn announce(&self, node: NodeId, addresses: String) {
        self.announced.send_if_modified(|announced| {
            let has_room = announced.len() < MAX_ANNOUNCED || announced.contains_key(&node);
            let is_news = has_room && announced.get(&node) != Some(&addresses);
            if is_news {
                announced.insert(node, addresses);
            }
            is_news
        });
    }

    /// Where nodes said that they can be reached.
    pub(super) fn announced(&self) -> watch::Receiver<Announced> {
        self.announced.subscribe()
    }

    /// Other nodes that bid or said where they are.
    pub(super) fn members(&self) -> Vec<NodeId> {
        let mut members = self.lock().bidders.clone();
        members.extend(self.announced.borrow().keys());
        members.remove(&self.node);
        members.into_iter().collect()
    }

    /// Ends the log for good.
    pub(super) fn fail(&self, error: BackendError) {
        tracing::error!(%error, "the log of the contract cannot go on");
        self.failure.send_replace(Some(error));
    }

    /// Every broken log so far, as a list that only grows.
    pub(super) fn breaks(&self) -> watch::Receiver<Vec<BackendError>> {
        self.breaks.subscribe()
    }

    pub(super) fn failure(&self) -> watch::Receiver<Option<BackendError>> {
        self.failure.subscribe()
    }
}

impl Inner {
    /// Folds an event, and checks that it leads where the contract says.
    fn fold(
        &mut self,
        stamped: &Stamped<Event>,
        state: Option<crate::domain::JobState>,
    ) -> Result<(), String> {
        let job = self.ledger.apply(stamped).map_err(|rejection| rejection.to_string())?;
        match state {
            Some(state) if state != job.state => Err(format!("it is {} here and {state} there", job.state)),
            _ => Ok(()),
        }
    }

    fn note(&mut self, node: NodeId, record: &Record, height: u64, cursor: Cursor) {
        let Record { block, block_hash, index, stamped, .. } = record;
        self.newest = Some(Newest { block: *block, block_hash: *block_hash, index: *index });
        self.heights.insert(stamped.job, height);
        if stamped.author == node {
            self.own.entry(stamped.job).or_default().push((stamped.event.clone(), cursor));
        }
        if matches!(stamped.event, Event::BidPlaced { .. }) {
            self.bidders.insert(stamped.author);
        }
    }

    fn replay(&mut self, node: NodeId, stored: &StoredEntry) -> Result<(), BackendError> {
        let record = record(stored)?;
        self.fold(&record.stamped, None).map_err(|reason| BackendError::BrokenLog {
            job: stored.entry.job,
            height: stored.entry.height,
            reason,
        })?;
        self.note(node, &record, stored.entry.height, Cursor(stored.cursor));
        Ok(())
    }
}

fn record(stored: &StoredEntry) -> Result<Record, BackendError> {
    let broken = |reason: &dyn fmt::Display| BackendError::BrokenLog {
        job: stored.entry.job,
        height: stored.entry.height,
        reason: reason.to_string(),
    };
    if !stored.is_intact {
        return Err(broken(&StoredEntry::ALTERED));
    }
    serde_json::from_slice(&stored.entry.bytes).map_err(|error| broken(&error))
}

/// Where a stored entry stands: its block and its transaction, if it was stored with one.
pub(super) fn place(stored: &StoredEntry) -> Result<Option<(u64, Digest)>, BackendError> {
    let Record { block, transaction, .. } = record(stored)?;
    Ok(transaction.map(|transaction| (block, transaction)))
}

/// A stored entry as readers get it.
pub(super) fn item(stored: &StoredEntry) -> Result<LogItem, BackendError> {
    let Record { stamped, .. } = record(stored)?;
    Ok(LogItem { cursor: Cursor(stored.cursor), entry: stored.entry.entry_hash, stamped, proof: Vec::new() })
}

fn unreadable(error: &serde_json::Error) -> BackendError {
    BackendError::Store { reason: format!("an entry of the contract's log cannot be read: {error}") }
}

pub(super) fn store_error(error: &LogError) -> BackendError {
    BackendError::Store { reason: error.to_string() }
}

fn db_error(error: &DbError) -> BackendError {
    BackendError::Store { reason: error.to_string() }
}

impl fmt::Debug for ChainLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainLog").field("name", &self.name).finish_non_exhaustive()
    }
}
