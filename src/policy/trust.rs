//! How far a requester trusts nodes, and what follows: seats, second waves, own runs, results to run again.
//!
//! Three seats for every job are expensive, and one seat for a proven node invites lies if the node can tell that it is
//! alone. So a node earns trust by results that were compared with others'. A trusted node runs a job alone, and a draw that
//! nobody can foresee opens a second wave. The requester runs jobs itself where results disagree, and some others, since
//! only its own run proves anything. It then runs the last results of a proven liar again.
//!
//! [`Trust`] is one requester's memory of nodes. It folds what happened and draws nothing: lots are arguments. The
//! simulation `benches/trust` drives this object; `docs/verification.md` has its figures.
//!
//! ```
//! use assay::{
//!     domain::{JobId, NodeId},
//!     policy::trust::{Fared, Trust, TrustTerms},
//! };
//!
//! let mut trust = Trust::new(TrustTerms::default());
//! let [alice, bob, eve] = [1, 2, 3].map(|byte| NodeId::new([byte; 20]));
//! assert_eq!(trust.wave(alice).seats, 3);
//! for job in 0..10 {
//!     let fared = [(alice, Fared::Kept), (bob, Fared::Kept), (eve, Fared::Rejected)];
//!     trust.compared(JobId::new([job; 32]), &fared);
//! }
//! let wave = trust.wave(alice);
//! assert_eq!((wave.seats, wave.audit_permille, wave.audit_seats), (1, 100, 2));
//! assert_eq!(trust.wave(eve).seats, 3);
//! ```

mod record;

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

pub use record::Record;
use serde::{Deserialize, Serialize};

use crate::domain::{JobId, NodeId};

/// The figures of the policy. The simulation supports the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustTerms {
    /// Compared results in a row that make a node trusted. Every rejection doubles the number.
    pub compared: u32,
    /// Seats of a job whose first node is not trusted.
    pub seats: u8,
    /// The least chance of a second wave, in permille.
    pub audit_permille: u16,
    /// Seats of the second wave.
    pub audit_seats: u8,
    /// The most seats that a dispute grows to.
    pub most_seats: u8,
    /// The chance that the requester's own node also runs a job whose results agree, in permille.
    pub own_permille: u16,
    /// How many results of a proven liar are run again: the last that no own run has checked.
    pub rerun: usize,
    /// How many proofs ban a node. A single one may be a fault of the machine.
    pub proofs: u32,
    /// The least size of the circle: met nodes of good standing, below which strangers are asked like any other.
    pub circle: u32,
    /// Results for which the circle grows by one node.
    pub per_member: u32,
}

impl Default for TrustTerms {
    fn default() -> Self {
        Self {
            compared: 10,
            seats: 3,
            audit_permille: 100,
            audit_seats: 2,
            most_seats: 7,
            own_permille: 10,
            rerun: 64,
            proofs: 2,
            circle: 20,
            per_member: 400,
        }
    }
}

/// More rejections than this do not raise the bar further.
const MOST_DOUBLINGS: u32 = 6;

/// How often unlike traces double the chance of a second wave: three times from 10 % is 80 %.
const MOST_ODD: u8 = 3;

/// The fate of a node's result in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    /// The result is, or agrees with, the accepted one.
    Kept,
    /// The result differs from the accepted one.
    Rejected,
}

/// Which nodes to ask, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "node", schema(as = TrustLevel))]
pub enum Level {
    /// Has proven itself: runs jobs alone.
    Trusted,
    /// Has not yet proven itself: runs jobs beside others.
    #[default]
    Untrusted,
    /// Has no result and no seat here, while the circle is full: asked only if those of the circle are too few.
    Stranger,
    /// Was rejected too often: asked only if others are too few.
    Doubted,
    /// Proven to lie: not asked.
    Banned,
}

/// The terms of a job whose first seat goes to a certain node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Wave {
    /// Seats of the first wave.
    pub seats: u8,
    /// The chance of a second wave, in permille.
    pub audit_permille: u16,
    /// The seats of the second wave.
    pub audit_seats: u8,
}

/// One requester's memory of all nodes.
///
/// To earn trust costs a node's requester some seven runs. So a requester with few jobs must not meet every node there is: it
/// keeps to a circle of those it has met, which grows with its results. Records of other requesters would save these runs, but
/// whoever owns nodes can be their requester, too.
#[derive(Debug, Clone)]
pub struct Trust {
    terms: TrustTerms,
    records: BTreeMap<NodeId, Record>,
    /// Nodes of the circle, and the results of all records: sums of `records`.
    met: u32,
    results: u64,
    /// Who has a seat in this requester's jobs that have not ended, by job, and in how many each.
    live: BTreeMap<JobId, BTreeSet<NodeId>>,
    sitting: BTreeMap<NodeId, u32>,
}

/// Whether a lot, uniform among all numbers, falls within this many permille.
pub const fn falls(lot: u64, permille: u16) -> bool {
    lot % 1000 < permille as u64
}

impl Trust {
    /// An empty memory.
    pub const fn new(terms: TrustTerms) -> Self {
        let (met, results) = (0, 0);
        Self {
            terms,
            records: BTreeMap::new(),
            met,
            results,
            live: BTreeMap::new(),
            sitting: BTreeMap::new(),
        }
    }

    /// A memory as it was stored.
    pub fn restored(terms: TrustTerms, records: impl IntoIterator<Item = (NodeId, Record)>) -> Self {
        let mut trust = Self::new(terms);
        for (node, record) in records {
            trust.change(node, |found| *found = record);
        }
        trust
    }

    /// Changes the record of a node, and with it the sums.
    fn change<T>(&mut self, node: NodeId, change: impl FnOnce(&mut Record) -> T) -> T {
        let record = self.records.entry(node).or_default();
        let sums = |record: &Record, terms: &TrustTerms| {
            let results = u64::from(record.kept) + u64::from(record.rejected);
            (results, u32::from(results > 0 && !record.is_doubted() && record.proofs < terms.proofs))
        };
        let (results, met) = sums(record, &self.terms);
        let changed = change(record);
        let (results_now, met_now) = sums(record, &self.terms);
        self.results = self.results - results + results_now;
        self.met = self.met - met + met_now;
        changed
    }

    /// Whether this requester has met as many nodes as its results are enough for. Those that sit in its jobs will have results:
    /// without them, jobs that run at the same time would meet as many nodes as they have seats.
    fn is_full(&self) -> bool {
        let grown = self.results / u64::from(self.terms.per_member.max(1));
        let is_new = |node: &&NodeId| !self.records.contains_key(*node);
        let size = grown.max(u64::from(self.terms.circle));
        let most = usize::try_from(size).unwrap_or(usize::MAX);
        u64::from(self.met) >= size
            || self.sitting.keys().filter(is_new).take(most).count() as u64 + u64::from(self.met) >= size
    }

    /// These nodes, and no others, have a seat in a job of this requester, or are being given one.
    pub fn seated(&mut self, job: JobId, nodes: BTreeSet<NodeId>) {
        for node in self.live.remove(&job).into_iter().flatten() {
            if let Entry::Occupied(mut jobs) = self.sitting.entry(node) {
                *jobs.get_mut() -= 1;
                if *jobs.get() == 0 {
                    jobs.remove();
                }
            }
        }
        for node in &nodes {
            *self.sitting.entry(*node).or_default() += 1;
        }
        if !nodes.is_empty() {
            self.live.insert(job, nodes);
        }
    }

    /// The figures in use.
    pub const fn terms(&self) -> &TrustTerms {
        &self.terms
    }

    /// The record of a node, if there is one.
    pub fn record(&self, node: NodeId) -> Option<&Record> {
        self.records.get(&node)
    }

    /// How far a node is trusted.
    pub fn level(&self, node: NodeId) -> Level {
        let Some(record) = self.records.get(&node) else {
            let is_met = self.sitting.contains_key(&node) || !self.is_full();
            return if is_met { Level::Untrusted } else { Level::Stranger };
        };
        if record.proofs >= self.terms.proofs {
            Level::Banned
        } else if record.is_doubted() {
            Level::Doubted
        } else if record.compared >= self.needed(node) {
            Level::Trusted
        } else {
            Level::Untrusted
        }
    }

    /// How many compared results in a row make the node trusted.
    pub fn needed(&self, node: NodeId) -> u32 {
        let rejected = self.records.get(&node).map_or(0, |record| record.rejected);
        self.terms.compared.saturating_mul(1 << rejected.min(MOST_DOUBLINGS))
    }

    /// The terms of a job whose first seat goes to `first`, drawn by lot.
    pub fn wave(&self, first: NodeId) -> Wave {
        let TrustTerms { seats, audit_permille, audit_seats, .. } = self.terms;
        match self.level(first) {
            Level::Trusted => {
                let record = self.records.get(&first).cloned().unwrap_or_default();
                let early = u16::try_from(1000_u32.div_ceil(record.compared.max(1))).unwrap_or(1000);
                let chance = audit_permille.max(early).saturating_mul(1 << record.odd.min(MOST_ODD));
                Wave { seats: 1, audit_permille: chance.min(1000), audit_seats }
            }
            Level::Untrusted | Level::Stranger | Level::Doubted | Level::Banned => {
                Wave { seats, audit_permille: 0, audit_seats: 0 }
            }
        }
    }

    /// The seats of the follow-up of a job without a majority: 2n + 1, the growth that a deal has too.
    pub fn grown(&self, seats: u8) -> Option<u8> {
        let grown = seats.saturating_mul(2).saturating_add(1).min(self.terms.most_seats);
        (grown > seats).then_some(grown)
    }

    /// Whether the requester's own node should also run this job, if it can: always where results disagree, else by lot.
    ///
    /// A majority that rejects a result is either right, and the own run proves the rejected node to lie, or it is the
    /// liars'.
    pub fn wants_own_run(&self, lot: u64, fared: &[(NodeId, Fared)]) -> bool {
        let disagree = fared.iter().any(|(_, fared)| *fared == Fared::Rejected);
        disagree || falls(lot, self.terms.own_permille)
    }

    /// Records an accepted result that was compared with nothing.
    pub fn accepted_alone(&mut self, job: JobId, node: NodeId) {
        let rerun = self.terms.rerun;
        self.change(node, |record| {
            record.kept = record.kept.saturating_add(1);
            record.remember(job, rerun);
        });
    }

    /// Records how the results of several nodes fared when a majority of them agreed.
    pub fn compared(&mut self, job: JobId, fared: &[(NodeId, Fared)]) {
        for (node, fared) in fared {
            let rerun = self.terms.rerun;
            self.change(*node, |record| match fared {
                Fared::Kept => {
                    record.compared = record.compared.saturating_add(1);
                    record.kept = record.kept.saturating_add(1);
                    record.remember(job, rerun);
                }
                Fared::Rejected => record.reject(),
            });
        }
    }

    /// The trace of a kept result was measured beside others'. One that disagrees rejects nobody, since outputs decided; it
    /// doubles the chance that the node's next jobs are audited, until as many agree.
    pub fn traced(&mut self, node: NodeId, agrees: bool) {
        self.change(node, |record| {
            record.odd = if agrees {
                record.odd.saturating_sub(1)
            } else {
                record.odd.saturating_add(1).min(MOST_ODD)
            };
        });
    }

    /// Records that the requester ran the job itself. `results` gives each node, the fate of its result, and whether it is
    /// right.
    ///
    /// Returns the jobs to run again: the unchecked results of nodes now proven to lie.
    pub fn proven(&mut self, job: JobId, results: &[(NodeId, Fared, bool)]) -> Vec<JobId> {
        let mut again = Vec::new();
        for (node, fared, is_right) in results {
            let was_banned = self.level(*node) == Level::Banned;
            let rerun = self.change(*node, |record| {
                record.unchecked.retain(|unchecked| *unchecked != job);
                match (is_right, fared) {
                    (true, Fared::Kept) => VecDeque::new(),
                    // The majority that rejected it was the liars'.
                    (true, Fared::Rejected) => {
                        record.rejected = record.rejected.saturating_sub(1);
                        record.kept = record.kept.saturating_add(1);
                        VecDeque::new()
                    }
                    (false, fared) => {
                        record.proofs = record.proofs.saturating_add(1);
                        match fared {
                            Fared::Kept => record.reject(),
                            // Already counted when it was rejected.
                            Fared::Rejected => {}
                        }
                        if was_banned { VecDeque::new() } else { std::mem::take(&mut record.unchecked) }
                    }
                }
            });
            again.extend(rerun);
        }
        again.sort_unstable();
        again.dedup();
        again
    }
}

#[cfg(test)]
mod tests;
