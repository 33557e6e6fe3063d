//! The place of every job, and what a node derives from all of them together.
//!
//! A node asks about one job at a time, and most answers leave every place as it was. So the [`Tally`] is kept until a place
//! changes or a bid becomes loose: otherwise each question would look at every job, and a node with many jobs would spend its
//! time on that alone.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Capacity, MANY_UNANSWERED, Pause, Place, Stage};
use crate::domain::{JobId, NodeId};

/// Places and pauses by job.
#[derive(Debug, Clone)]
pub(super) struct Places {
    by_job: BTreeMap<JobId, Place>,
    pauses: BTreeMap<JobId, Pause>,
    tally: Option<Tally>,
}

/// What all places come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    /// The first time at which this holds.
    pub(super) from_ms: u64,
    /// When the next bid becomes loose, and this no longer holds.
    pub(super) loosens_ms: Option<u64>,
    /// The places that bind the node.
    pub(super) firm: Vec<(JobId, Place)>,
    pub(super) shares: BTreeMap<NodeId, Share>,
    /// The candidate whose turn it is.
    pub(super) first: Option<JobId>,
}

/// What one requester holds at a node. The node serves the requester that holds least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Share {
    /// Bids that the requester did not answer for a while.
    pub(super) unanswered: usize,
    /// Runs, queued seats and fresh bids.
    firm: usize,
    /// Fresh bids.
    fresh: usize,
}

impl Share {
    fn add(&mut self, place: &Place, now_ms: u64) {
        let firm = place.is_firm(now_ms);
        self.unanswered += usize::from(place.is_loose(now_ms));
        self.firm += usize::from(firm);
        self.fresh += usize::from(firm && place.is_fresh());
    }

    /// Whether one more firm promise is within bounds. A requester that leaves bids unanswered gets half of the slots for
    /// new ones, and one slot if it leaves many.
    pub(super) const fn admits_one_more(self, slots: usize) -> bool {
        match self.unanswered {
            0 => true,
            1..MANY_UNANSWERED => self.fresh < slots.div_ceil(2),
            _ => self.fresh == 0,
        }
    }
}

impl Tally {
    fn holds_at(&self, now_ms: u64) -> bool {
        self.from_ms <= now_ms && self.loosens_ms.is_none_or(|at_ms| now_ms < at_ms)
    }

    /// The places that bind the node.
    pub(super) fn firm(&self) -> impl Iterator<Item = &Place> {
        self.firm.iter().map(|(_, place)| place)
    }

    /// The runs that have a slot.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Place> {
        self.firm().filter(|place| place.stage.has_slot())
    }
}

impl Places {
    pub(super) const fn new() -> Self {
        Self { by_job: BTreeMap::new(), pauses: BTreeMap::new(), tally: None }
    }

    pub(super) fn get(&self, job: JobId) -> Option<&Place> {
        self.by_job.get(&job)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&JobId, &Place)> {
        self.by_job.iter()
    }

    pub(super) fn put(&mut self, job: JobId, place: Place) {
        if self.by_job.get(&job) != Some(&place) {
            self.by_job.insert(job, place);
            self.tally = None;
        }
    }

    pub(super) fn set(&mut self, job: JobId, stage: Stage) {
        if let Some(place) = self.by_job.get_mut(&job) {
            place.stage = stage;
            self.tally = None;
        }
    }

    pub(super) fn remove(&mut self, job: JobId) -> Option<Place> {
        let place = self.by_job.remove(&job)?;
        self.tally = None;
        Some(place)
    }

    pub(super) fn pause_of(&self, job: JobId) -> Option<&Pause> {
        self.pauses.get(&job)
    }

    pub(super) fn pause(&mut self, job: JobId, pause: Pause) {
        self.pauses.insert(job, pause);
        self.tally = None;
    }

    pub(super) fn end_pause(&mut self, job: JobId) {
        if self.pauses.remove(&job).is_some() {
            self.tally = None;
        }
    }

    /// The last bid on the job arrived.
    pub(super) fn bid_arrived(&mut self, job: JobId) {
        if self.pauses.get(&job).is_some_and(|pause| pause.unanswered) {
            self.answered(|id, _| id == job);
        }
    }

    /// The requester answers bids.
    pub(super) fn requester_answers(&mut self, requester: NodeId) {
        self.answered(|_, pause| pause.requester == requester);
    }

    /// A pause without a reason is none.
    fn answered(&mut self, is_so: impl Fn(JobId, &Pause) -> bool) {
        let mut changed = false;
        self.pauses.retain(|id, pause| {
            let answered = pause.unanswered && is_so(*id, pause);
            pause.unanswered &= !answered;
            changed |= answered;
            pause.unanswered || pause.withdrawals > 0
        });
        if changed {
            self.tally = None;
        }
    }

    /// What the places come to depends on more than the places, and that changed.
    pub(super) fn recount(&mut self) {
        self.tally = None;
    }
}

impl Capacity {
    /// What all places come to now.
    pub(super) fn tally(&self, now_ms: u64) -> Cow<'_, Tally> {
        match &self.places.tally {
            Some(tally) if tally.holds_at(now_ms) => Cow::Borrowed(tally),
            Some(_) | None => Cow::Owned(self.count_up(now_ms)),
        }
    }

    /// Keeps what all places come to now, so that the questions that follow need not count again.
    pub(super) fn keep_tally(&mut self, now_ms: u64) {
        if let Cow::Owned(tally) = self.tally(now_ms) {
            self.places.tally = Some(tally);
        }
    }

    pub(super) fn count_up(&self, now_ms: u64) -> Tally {
        let mut shares: BTreeMap<NodeId, Share> = BTreeMap::new();
        for place in self.places.by_job.values() {
            shares.entry(place.requester).or_default().add(place, now_ms);
        }
        for pause in self.places.pauses.values().filter(|pause| pause.unanswered) {
            shares.entry(pause.requester).or_default().unanswered += 1;
        }
        let firm = self.places.iter().filter(|(_, place)| place.is_firm(now_ms));
        let firm: Vec<(JobId, Place)> = firm.map(|(job, place)| (*job, *place)).collect();
        Tally {
            from_ms: now_ms,
            loosens_ms: firm.iter().filter_map(|(_, place)| place.loose_at_ms()).min(),
            first: self.first_candidate(&shares),
            firm,
            shares,
        }
    }
}
