//! Which party holds the slots, and whose seats let others go first.
//!
//! A quarter of the slots, and at least one of several, stays out of reach of whoever holds the rest while somebody else
//! waits. One requester holds no more than its part. Neither do all strangers together while a known requester waits. Keys
//! are free, so a bound for each key alone would bound nobody.
//!
//! If nobody else waits, a slot is used. A node with one slot has nothing to divide: there the seats of the requester that
//! ran last come after those of others.

use std::collections::BTreeMap;

use super::{Capacity, Place, Stage, places::Tally};
use crate::domain::NodeId;

/// The part of the slots kept for others: one in this many, rounded up.
const KEPT: usize = 4;

/// The requester of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Runner {
    requester: NodeId,
    is_known: bool,
}

/// How many slots each party holds.
#[derive(Debug)]
pub(super) struct Holders {
    slots: usize,
    running: BTreeMap<NodeId, usize>,
    strangers: usize,
    last: Option<Runner>,
}

impl Runner {
    pub(super) const fn of(place: &Place) -> Self {
        Self { requester: place.requester, is_known: place.is_known }
    }
}

impl Holders {
    pub(super) fn of(capacity: &Capacity, tally: &Tally) -> Self {
        let (mut running, mut strangers) = (BTreeMap::new(), 0);
        for place in tally.runs() {
            *running.entry(place.requester).or_default() += 1;
            strangers += usize::from(!place.is_known);
        }
        Self { slots: capacity.slots, running, strangers, last: capacity.last_run }
    }

    /// The most slots of one party while another party waits.
    pub(super) const fn most(slots: usize) -> usize {
        if slots > 1 { slots - slots.div_ceil(KEPT) } else { slots }
    }

    /// Whether a seat of `place` lets `other` go first. Never true both ways.
    pub(super) fn yields(&self, place: &Place, other: &Place) -> bool {
        let is_full = |holds: usize, ran_last: bool| match self.slots {
            0 | 1 => ran_last,
            slots => holds >= Self::most(slots),
        };
        let own = self.running.get(&place.requester).copied().unwrap_or_default();
        let own_last = self.last.is_some_and(|last| last.requester == place.requester);
        let stranger_last = self.last.is_some_and(|last| !last.is_known);
        let for_a_known = !place.is_known && other.is_known && is_full(self.strangers, stranger_last);
        place.requester != other.requester && (is_full(own, own_last) || for_a_known)
    }
}

impl Capacity {
    /// Whether a queued seat leaves a free slot to another queued seat, or to a fresh bid. A single slot waits for no bid.
    pub(super) fn lets_others_go(&self, place: &Place, tally: &Tally) -> bool {
        // The node keeps its promise of the only slot.
        if place.stage == (Stage::Queued { promised: true }) && self.slots == 1 {
            return false;
        }
        let holders = Holders::of(self, tally);
        tally.firm().any(|other| {
            let waits = match other.stage {
                Stage::Queued { .. } => true,
                Stage::Promised { .. } => self.slots > 1,
                Stage::Candidate
                | Stage::Withdrawing
                | Stage::Runs { .. }
                | Stage::Reports
                | Stage::Opens => false,
            };
            waits && holders.yields(place, other)
        })
    }
}
