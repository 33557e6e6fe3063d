//! The jobs that the contract's events make, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Place, RECENT, Record};
use crate::{
    domain::{AuditStage, Digest, Event, JobId, JobState, LogDomain, NodeId, Stamped},
    rules::Ledger,
    scheduler::{
        BackendError, Cursor,
        contract::{convert::entry_hash, decode::Mined},
        stored::store_error,
    },
    store::NewEntry,
};

/// Everything that was read of the contract.
pub(super) struct Inner {
    pub(super) ledger: Ledger,
    /// The blocks that hold entries: the recent ones, and some before.
    pub(super) places: VecDeque<Place>,
    pub(super) heights: BTreeMap<JobId, u64>,
    /// What this node did in each job, in order.
    pub(super) own: BTreeMap<JobId, Vec<(Event, Cursor)>>,
    /// Jobs whose log is broken, and where.
    pub(super) broken: BTreeMap<JobId, u64>,
    /// Jobs that were read a second time because their log seemed broken.
    pub(super) suspects: BTreeSet<JobId>,
    pub(super) bidders: BTreeSet<NodeId>,
    /// Jobs whose seats the contract keeps as one hash, as far as their entries tell.
    pub(super) rostered: BTreeMap<JobId, Rostered>,
    /// Whether events were folded that the store may not have.
    pub(super) is_ahead: bool,
}

/// The transactions that left a job with its seats in one hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rostered {
    submitted: Digest,
    committed: Option<Digest>,
    /// Whether the submission filled every seat.
    pub(super) is_full: bool,
}

impl Inner {
    pub(super) fn new(domain: LogDomain) -> Self {
        Self {
            ledger: Ledger::new(domain),
            places: VecDeque::new(),
            heights: BTreeMap::new(),
            own: BTreeMap::new(),
            broken: BTreeMap::new(),
            suspects: BTreeSet::new(),
            bidders: BTreeSet::new(),
            rostered: BTreeMap::new(),
            is_ahead: false,
        }
    }

    /// The event as the rules see it, if it leads to the state that the contract says; `None` if it is about no known
    /// job.
    pub(super) fn fitting(&self, event: &Mined) -> Result<Option<Stamped<Event>>, String> {
        let log = event.log.as_ref().map_err(Clone::clone)?;
        let Some(stamped) = log.stamped(event.at, &self.ledger) else { return Ok(None) };
        let job = self.ledger.preview(&stamped).map_err(|rejection| rejection.to_string())?;
        match log.state {
            Some(state) if state != job.state => Err(format!("it is {} here and {state} there", job.state)),
            Some(_) | None => Ok(Some(stamped)),
        }
    }

    /// Folds an event that fits, before it is stored.
    pub(super) fn fold(
        &mut self,
        event: &Mined,
        stamped: Stamped<Event>,
    ) -> Result<(Record, NewEntry), BackendError> {
        let Mined { block, block_hash, index, transaction, .. } = *event;
        let job = stamped.job;
        let height = self.heights.get(&job).copied().unwrap_or(0) + 1;
        let record = Record { block, block_hash, index, transaction: Some(transaction), stamped };
        let bytes = serde_json::to_vec(&record).map_err(|error| store_error(&error))?;
        let entry = NewEntry { job, height, entry_hash: entry_hash(block_hash, index), author: None, bytes };
        let folded = self.ledger.apply(&record.stamped);
        debug_assert!(folded.is_ok(), "what was checked is taken");
        self.heights.insert(job, height);
        self.note_roster(&record);
        Ok((record, entry))
    }

    /// Notes whether the contract keeps the seats of a job as one hash: every step but those of the signed path gives
    /// them slots. The ledger has just folded this record, and nothing after it.
    pub(super) fn note_roster(&mut self, Record { stamped, transaction, .. }: &Record) {
        let (job, Some(transaction)) = (stamped.job, *transaction) else { return };
        let runs = self.ledger.get(job).is_some_and(|job| job.state == JobState::Running);
        if let Event::Submitted { .. } = stamped.event {
            let submitted = Rostered { submitted: transaction, committed: None, is_full: false };
            self.rostered.insert(job, submitted);
            return;
        }
        let Some(rostered) = self.rostered.get_mut(&job) else { return };
        let seats = matches!(stamped.event, Event::BidPlaced { .. } | Event::BidAccepted { .. });
        let commits = rostered.is_full && matches!(stamped.event, Event::Committed { .. });
        // A draw that spares the job leaves its seats in one hash; seats of a second wave have slots.
        let is_spared = matches!(stamped.event, Event::SecretPublished { .. })
            && self.ledger.get(job).is_some_and(|job| job.audit == AuditStage::Spared);
        let stays = (seats && rostered.submitted == transaction)
            || (rostered.committed.is_some() && is_spared)
            || (commits && *rostered.committed.get_or_insert(transaction) == transaction);
        rostered.is_full |= runs && rostered.submitted == transaction;
        if !stays {
            self.rostered.remove(&job);
        }
    }

    pub(super) fn note(&mut self, node: NodeId, record: &Record, height: u64, cursor: Cursor) {
        let Record { stamped, .. } = record;
        self.heights.insert(stamped.job, height);
        if stamped.author == node {
            self.own.entry(stamped.job).or_default().push((stamped.event.clone(), cursor));
        }
        if matches!(stamped.event, Event::BidPlaced { .. }) {
            self.bidders.insert(stamped.author);
        }
    }

    /// Notes the block of the newest entry.
    pub(super) fn pass(&mut self, record: &Record, cursor: Cursor) {
        let Record { block, block_hash, index, .. } = record;
        let place = Place { block: *block, block_hash: *block_hash, index: *index, cursor };
        match self.places.back_mut().filter(|last| last.block == place.block) {
            Some(last) => *last = place,
            None => self.places.push_back(place),
        }
        if self.places.len() > usize::try_from(RECENT).unwrap_or(usize::MAX) {
            self.places.pop_front();
        }
    }
}
