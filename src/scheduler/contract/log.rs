//! The contract's events as this node holds them: entries in the store, and the jobs that they make.
//!
//! Events are checked, folded, stored and only then told. Those that are read together are stored together. Where the
//! store fails, memory falls back to it. When the chain drops blocks, the log is cut after the newest block that is still there, and its
//! readers are told how far back to go.
//!
//! An event that the rules refuse although the contract took it, or that is unreadable, breaks the log of its job
//! alone. The log is read twice before readers are told. Each start reads broken jobs once more.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{convert::is_effect_of, decode::Mined, signed::drafts::Drafts};
use crate::{
    domain::{Action, Deal, Digest, Event, Job, JobId, LogDomain, NodeId, Stamped},
    rules::Ledger,
    scheduler::{
        BackendError, Cursor, LogItem,
        stored::{intact, store_error, unreadable},
    },
    store::{Chains, Db, EventLog, NewEntry, ReadUpTo, StoredEntry},
};

mod cut;
mod retired;

/// Entries read from the store at a time.
const PAGE: u32 = 256;

/// After so many blocks without an event, it is noted that they were read.
const UNNOTED: u64 = 64;

/// Entries whose blocks are in memory whatever became of their jobs: a deeper reorganisation has the whole log read
/// again.
const RECENT: u64 = 4096;

/// Most nodes whose addresses are kept.
const MAX_ANNOUNCED: usize = 4096;

mod folded;

use folded::Inner;

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

/// A block that holds entries, and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) block_hash: Digest,
    index: u64,
    cursor: Cursor,
}

/// Everything that was read of the contract.
pub(super) struct ChainLog {
    node: NodeId,
    db: Db,
    store: EventLog,
    chain: Chains,
    domain: LogDomain,
    name: String,
    inner: Mutex<Inner>,
    /// How far the chain was read as the store has it.
    noted: AtomicU64,
    /// Offered jobs, which are in no log.
    drafts: Drafts,
    /// Where nodes said that they can be reached.
    announced: watch::Sender<NodeAddresses>,
    /// What ended the log, if anything did.
    failure: watch::Sender<Option<BackendError>>,
    /// Broken logs in the order of discovery: each a [`BackendError::BrokenLog`].
    breaks: watch::Sender<Vec<BackendError>>,
    /// Every place where the log was cut.
    cuts: watch::Sender<Vec<Cursor>>,
}

/// Nodes, and where they said that they can be reached: libp2p multiaddresses, one a line.
pub type NodeAddresses = BTreeMap<NodeId, String>;

/// Why not all events were appended.
enum Unfit {
    /// One does not fit its job, for the first time.
    Suspect {
        job: JobId,
        block: u64,
        reason: String,
    },
    Failed(BackendError),
}

impl From<BackendError> for Unfit {
    fn from(error: BackendError) -> Self {
        Self::Failed(error)
    }
}

impl ChainLog {
    /// Reads what the store has of this contract's log.
    pub(super) fn open(node: NodeId, domain: LogDomain, db: Db) -> Result<Self, BackendError> {
        let store = EventLog::new(db.clone());
        let name = log_name(domain);
        let chain = Chains::new(db.clone(), name.clone());
        let inner = Mutex::new(Inner::new(domain));
        let (announced, failure) = (watch::Sender::default(), watch::Sender::new(None));
        let (breaks, cuts) = (watch::Sender::default(), watch::Sender::default());
        let noted = AtomicU64::new(0);
        let drafts = Drafts::default();
        let log = Self {
            node,
            db,
            store,
            chain,
            domain,
            name,
            inner,
            noted,
            drafts,
            announced,
            failure,
            breaks,
            cuts,
        };
        let known = log.db.cursor(&log.name).map_err(|error| store_error(&error))? > 0;
        if !known {
            if !log.store.read_after(0, 1).map_err(|error| store_error(&error))?.is_empty() {
                let reason = format!("the data directory holds another log than that of {}", log.name);
                return Err(BackendError::Store { reason });
            }
            log.db.set_cursor(&log.name, 1).map_err(|error| store_error(&error))?;
        }
        *log.lock() = log.replay()?;
        log.read_broken_again()?;
        Ok(log)
    }

    /// Offered jobs.
    pub(super) const fn drafts(&self) -> &Drafts {
        &self.drafts
    }

    /// The stored facts about the chain itself.
    pub(super) const fn chain(&self) -> &Chains {
        &self.chain
    }

    /// The store of what this node's key sent; a data directory may change its key.
    pub(super) fn outbox(&self) -> Chains {
        Chains::new(self.db.clone(), format!("{}/{}", self.name, self.node))
    }

    /// Folds the live jobs of the store. A job with an entry that the rules refuse, such as one of an earlier version, or that the disk
    /// altered, is broken from there on.
    fn replay(&self) -> Result<Inner, BackendError> {
        let mut inner = Inner::new(self.domain);
        let recent = self.store.watch_head().borrow().saturating_sub(RECENT);
        let mut after = 0;
        loop {
            let page = self.store.read_live_after(after, PAGE).map_err(|error| store_error(&error))?;
            let Some(last) = page.last() else { break };
            after = last.cursor;
            for stored in page {
                let record = match record(&stored) {
                    Ok(record) => record,
                    Err(error) => {
                        tracing::error!(job = %stored.entry.job, %error, "cannot continue a stored log");
                        let block = inner.places.back().map_or(0, |place| place.block);
                        inner.broken.entry(stored.entry.job).or_insert(block);
                        continue;
                    }
                };
                if let Event::Submitted { deal: Deal { parent: Some(parent), .. }, .. } =
                    &record.stamped.event
                {
                    self.recall_in(&mut inner, *parent)?;
                }
                if inner.ledger.apply(&record.stamped).is_err() {
                    inner.broken.entry(stored.entry.job).or_insert(record.block);
                }
                inner.note_roster(&record);
                inner.note(self.node, &record, stored.entry.height, Cursor(stored.cursor));
                if stored.cursor <= recent {
                    inner.pass(&record, Cursor(stored.cursor));
                }
            }
        }
        let mut after = recent;
        loop {
            let page = self.store.read_after(after, PAGE).map_err(|error| store_error(&error))?;
            let Some(last) = page.last() else { return Ok(inner) };
            after = last.cursor;
            for stored in page {
                if let Ok(record) = record(&stored) {
                    inner.pass(&record, Cursor(stored.cursor));
                }
            }
        }
    }

    fn broken_name(&self, job: JobId) -> String {
        format!("{}{job}", self.broken_names())
    }

    /// What the names of the notes of broken jobs begin with.
    fn broken_names(&self) -> String {
        format!("{}/broken/", self.name)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Memory changes after the store, and is read from it again after a failure.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn store(&self) -> &EventLog {
        &self.store
    }

    /// The block to go on from after a restart, given the contract's first one.
    pub(super) fn resume(&self, first: u64) -> Result<ReadUpTo, BackendError> {
        let before = first.saturating_sub(1);
        let known = self.chain.read_up_to().map_err(|error| store_error(&error))?;
        let newest = self.places().back().map_or(0, |place| place.block.saturating_sub(1));
        Ok(match known {
            Some(place) if place.block >= before => place,
            Some(_) | None => ReadUpTo { block: newest.max(before), hash: None },
        })
    }

    /// Notes that every block up to this one was read.
    pub(super) fn set_position(&self, place: ReadUpTo) -> Result<(), BackendError> {
        self.chain.set_read_up_to(place).map_err(|error| store_error(&error))?;
        self.noted.store(place.block, Ordering::Relaxed);
        Ok(())
    }

    /// The blocks that hold entries.
    pub(super) fn places(&self) -> VecDeque<Place> {
        self.lock().places.clone()
    }

    /// Whether a chain that was read up to here without an event need not be noted: a restart reads a few blocks again.
    pub(super) fn is_near(&self, read_up_to: ReadUpTo) -> bool {
        let noted = self.noted.load(Ordering::Relaxed);
        (noted..noted.saturating_add(UNNOTED)).contains(&read_up_to.block)
    }

    /// Appends events in the chain's order, skips known ones, and notes how far the chain was read; all of it waits for
    /// the disk once. Returns how many are new.
    ///
    /// # Errors
    /// [`BackendError::Chain`] when an event does not fit for the first time: the log is cut before its job then.
    pub(super) fn append(&self, mined: &[Mined], read_up_to: ReadUpTo) -> Result<usize, BackendError> {
        let mut inner = self.lock();
        if inner.is_ahead {
            self.fall_back(&mut inner)?;
        }
        let (job, block, reason) = match self.append_to(&mut inner, mined, read_up_to) {
            Ok(appended) => return Ok(appended),
            Err(Unfit::Suspect { job, block, reason }) => (job, block, reason),
            Err(Unfit::Failed(error)) => {
                // What is not stored has not happened. If the store cannot be read now either, the next call tries.
                inner.is_ahead = true;
                drop(self.fall_back(&mut inner));
                return Err(error);
            }
        };
        drop(inner);
        self.cut_before(job)?;
        let reason =
            format!("block {block} does not fit the log of job {job} ({reason}); the job is read again");
        Err(BackendError::Chain { reason })
    }

    fn append_to(&self, inner: &mut Inner, mined: &[Mined], read_up_to: ReadUpTo) -> Result<usize, Unfit> {
        let (mut appended, mut batch) = (0, Vec::new());
        let mut newest = inner.places.back().map(|place| (place.block, place.index));
        for event in mined {
            let at = Some((event.block, event.index));
            if newest >= at {
                continue;
            }
            for job in event.names() {
                self.recall_in(inner, job)?;
            }
            if inner.broken.contains_key(&event.job) {
                continue;
            }
            let (job, block) = (event.job, event.block);
            match inner.fitting(event) {
                Ok(Some(stamped)) => {
                    newest = at;
                    batch.push(inner.fold(event, stamped)?);
                }
                Ok(None) => {}
                Err(reason) => {
                    // What came before it stays.
                    appended += self.persist(inner, std::mem::take(&mut batch), None)?;
                    if inner.ledger.get(job).is_some() && inner.suspects.insert(job) {
                        return Err(Unfit::Suspect { job, block, reason });
                    }
                    let noted = self.db.set_cursor(&self.broken_name(job), block.max(1));
                    noted.map_err(|error| store_error(&error))?;
                    inner.broken.insert(job, block);
                    self.tell_break(inner, job, block, &reason);
                }
            }
        }
        Ok(appended + self.persist(inner, batch, Some(read_up_to))?)
    }

    /// Has memory be what the store has.
    fn fall_back(&self, inner: &mut Inner) -> Result<(), BackendError> {
        let mut rest = self.replay()?;
        rest.suspects = std::mem::take(&mut inner.suspects);
        rest.broken.append(&mut inner.broken);
        *inner = rest;
        Ok(())
    }

    /// Tells readers that a job's log is broken, unless it was never a job here, such as a submission that the
    /// contract takes and no node can read.
    fn tell_break(&self, inner: &Inner, job: JobId, block: u64, reason: &str) {
        if inner.ledger.get(job).is_none() {
            tracing::info!(%job, block, reason, "skipping a submission that the rules refuse");
            return;
        }
        let height = inner.heights.get(&job).copied().unwrap_or(0) + 1;
        let reason = format!(
            "the contract and the rules of this program disagree about block {block} ({reason}): one of them or the \
             RPC endpoint is wrong. The contract decides over the money. Have both verifiers check the job at another \
             endpoint, and report what they find; to read it again, restart with that --rpc-url"
        );
        self.breaks.send_modify(|breaks| breaks.push(BackendError::BrokenLog { job, height, reason }));
    }

    /// Stores what was folded.
    fn persist(
        &self,
        inner: &mut Inner,
        folded: Vec<(Record, NewEntry)>,
        read_up_to: Option<ReadUpTo>,
    ) -> Result<usize, BackendError> {
        let (records, entries): (Vec<Record>, Vec<NewEntry>) = folded.into_iter().unzip();
        let heights: Vec<u64> = entries.iter().map(|entry| entry.height).collect();
        // Readers forget a draft before they read the job.
        entries.iter().for_each(|entry| self.drafts.end(entry.job));
        let cursors = match read_up_to {
            Some(place) => self.store.append_read(entries, &self.chain, place),
            None if entries.is_empty() => return Ok(0),
            None => self.store.append_all(&entries),
        };
        let cursors = cursors.map_err(|error| store_error(&error))?;
        if let Some(place) = read_up_to {
            self.noted.store(place.block, Ordering::Relaxed);
        }
        for ((record, height), cursor) in records.iter().zip(heights).zip(cursors) {
            inner.note(self.node, record, height, Cursor(cursor));
            inner.pass(record, Cursor(cursor));
        }
        Ok(records.len())
    }

    /// The place of an action of this node, if it is in the log; else the next sequence.
    pub(super) fn find(&self, action: &Action) -> Result<Cursor, u64> {
        let inner = self.lock();
        let own = inner.own.get(&action.job).map_or([].as_slice(), Vec::as_slice);
        let index = usize::try_from(action.sequence).unwrap_or(usize::MAX);
        let same = own.get(index).filter(|(event, _)| is_effect_of(event, &action.event));
        same.map(|(_, cursor)| *cursor).ok_or_else(|| u64::try_from(own.len()).unwrap_or(u64::MAX))
    }

    /// The place of the newest thing that this node did in a job.
    pub(super) fn newest_of(&self, job: JobId) -> Option<Cursor> {
        self.lock().own.get(&job)?.last().map(|(_, cursor)| *cursor)
    }

    /// The job, if the contract keeps its seats as one hash. It may have given them slots since.
    pub(super) fn rostered(&self, job: JobId) -> Option<Job> {
        let inner = self.lock();
        inner.rostered.get(&job).filter(|rostered| rostered.is_full)?;
        inner.ledger.get(job).cloned()
    }

    pub(super) fn job(&self, job: JobId) -> Option<Job> {
        self.lock().ledger.get(job).cloned()
    }

    /// Calls `run` with the jobs as they are now.
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
    pub(super) fn announced(&self) -> watch::Receiver<NodeAddresses> {
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
        tracing::error!(%error, "cannot continue the log of the contract");
        self.failure.send_replace(Some(error));
    }

    /// Every broken log so far. The list shrinks only when the log is cut.
    pub(super) fn breaks(&self) -> watch::Receiver<Vec<BackendError>> {
        self.breaks.subscribe()
    }

    /// Where the log was cut so far, as a list that only grows.
    pub(super) fn cuts(&self) -> watch::Receiver<Vec<Cursor>> {
        self.cuts.subscribe()
    }

    pub(super) fn failure(&self) -> watch::Receiver<Option<BackendError>> {
        self.failure.subscribe()
    }
}

/// The name of a contract's log in the store.
pub(super) fn log_name(domain: LogDomain) -> String {
    format!("contract/{}/{}", domain.chain_id, domain.contract)
}

fn record(stored: &StoredEntry) -> Result<Record, BackendError> {
    intact(stored)?;
    serde_json::from_slice(&stored.entry.bytes).map_err(|error| unreadable(stored, &error))
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

impl fmt::Debug for ChainLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainLog").field("name", &self.name).finish_non_exhaustive()
    }
}
