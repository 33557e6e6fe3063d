//! The jobs that the contract's events make, in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Place, RECENT, Record};
use crate::{
    domain::{Event, JobId, LogDomain, NodeId, Stamped},
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
    /// Whether events were folded that the store may not have.
    pub(super) is_ahead: bool,
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
        Ok((record, entry))
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
