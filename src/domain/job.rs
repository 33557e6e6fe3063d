//! The state of a job after the log so far: a head, its bids and its seats.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use serde::Serialize;

use super::{
    Amount, AuditStage, Deal, Digest, FailureKind, JobId, LogDomain, NodeId, Note, Opening, RUN_MARGIN,
    SeatSet, Seed, Spec, Timestamp,
};

/// The state of a job. The order equals the contract's: only append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum JobState {
    /// Bids are taken, seats are filled.
    Open = 0,
    /// Every seat was filled; nodes run and commit.
    Running = 1,
    /// Commits are closed; nodes reveal.
    Revealing = 2,
    /// A verdict accepted some seats.
    Verified = 3,
    /// No verdict was possible; nobody is blamed.
    Inconclusive = 4,
    /// Too few seats committed or revealed.
    Failed = 5,
    /// The requester cancelled or stopped it.
    Cancelled = 6,
    /// Its seats were not filled in time.
    Expired = 7,
}

impl JobState {
    /// Every state, in the order of the wire format.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Running,
        Self::Revealing,
        Self::Verified,
        Self::Inconclusive,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];

    /// Whether nothing can change any more.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Open | Self::Running | Self::Revealing => false,
            Self::Verified | Self::Inconclusive | Self::Failed | Self::Cancelled | Self::Expired => true,
        }
    }

    /// The name in tables, files and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Running => "running",
            Self::Revealing => "revealing",
            Self::Verified => "verified",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One node's offer; a node has at most one in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bid {
    /// What the node wants for its seat.
    pub price: Amount,
    /// How many updates the deal had seen; a bid of an earlier epoch is void.
    pub epoch: u32,
    /// What became of it.
    pub status: BidStatus,
}

/// What became of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BidStatus {
    /// Waits for the requester.
    Standing,
    /// Taken back by the node.
    Withdrawn,
    /// Declined by the requester.
    Rejected,
    /// Skipped by an acceptance: void, withdrawn, or without the money for its bond.
    Skipped,
    /// Has, or had, this seat; a node never gets a second one.
    Seated(u8),
}

impl BidStatus {
    /// Whether the node may bid anew under the same terms: its bid no longer stands, and it never had a seat.
    pub const fn may_bid_again(self) -> bool {
        match self {
            Self::Withdrawn | Self::Skipped => true,
            Self::Standing | Self::Rejected | Self::Seated(_) => false,
        }
    }
}

/// A place in a job and its latest holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seat {
    /// The holder.
    pub node: NodeId,
    /// What it asked for.
    pub price: Amount,
    /// How far its execution is.
    pub status: SeatStatus,
}

/// How far a seat's execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    /// Accepted, nothing said yet.
    Accepted,
    /// Reported that its run gave no result.
    Failed(FailureKind),
    /// Committed to a result.
    Committed(Digest),
    /// Opened its commitment.
    Revealed(Opening),
}

/// Which seats agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Results to keep.
    pub accepted: SeatSet,
    /// Results that disagree with them.
    pub rejected: SeatSet,
    /// Seats without a result, or without what the method compares.
    pub absent: SeatSet,
    /// Why.
    pub note: Note,
    /// First-round scores by seat; empty where outputs alone decided.
    pub scores: BTreeMap<u8, u64>,
}

/// What a job's log says so far. Read through [`Job`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// The first job of the chain of follow-ups that this one ends; the job itself where it follows up none.
    pub first: JobId,
    /// The log it belongs to.
    pub domain: LogDomain,
    /// Who asked for it.
    pub requester: NodeId,
    /// The requester's nonce, from which the job's id is derived, among others.
    pub nonce: u64,
    /// SHA-256 of the spec document.
    pub spec_hash: Digest,
    /// What to run.
    #[serde(serialize_with = "shared")]
    pub spec: Arc<Spec>,
    /// The terms.
    pub deal: Deal,
    /// The hash of the terms.
    pub revision: Digest,
    /// How often the deal was updated.
    pub epoch: u32,
    /// Where the job is; see [`Job::state_at`] for what a passed deadline makes of it.
    pub state: JobState,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Until when bids and acceptances count.
    pub open_by: Timestamp,
    /// Until when commitments count; zero before every seat is filled.
    pub commit_by: Timestamp,
    /// Until when reveals count; zero before commits close.
    pub reveal_by: Timestamp,
    /// When the newest seat was filled, failed or committed, or the audit was drawn.
    pub seats_changed_at: Timestamp,
    /// When the job became terminal; zero before.
    pub ended_at: Timestamp,
    /// The bids, by node.
    pub bids: BTreeMap<NodeId, Bid>,
    /// The seats filled so far.
    pub seats: Vec<Seat>,
    /// Seats whose holder reported a failure and that nobody else holds.
    pub failed: SeatSet,
    /// The part of them whose holder reported too late for another node.
    pub late: SeatSet,
    /// Seats that committed.
    pub committed: SeatSet,
    /// Seats that revealed in time, or whose opening came with the verdict.
    pub revealed: SeatSet,
    /// Reports of failure by kind, in every seat ever held.
    pub failures: [u8; FailureKind::ALL.len()],
    /// How far the audit is.
    pub audit: AuditStage,
    /// Who sent the verdict, the expiry, the cancellation or the stop.
    pub ended_by: Option<NodeId>,
    /// The verdict, once there is one; also of an inconclusive job.
    pub verdict: Option<Verdict>,
}

fn shared<S: serde::Serializer>(spec: &Arc<Spec>, serializer: S) -> Result<S::Ok, S::Error> {
    spec.serialize(serializer)
}

/// A job. Its fields are read freely and changed by [`crate::rules`] alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Job(JobRecord);

impl Deref for Job {
    type Target = JobRecord;

    fn deref(&self) -> &JobRecord {
        &self.0
    }
}

impl Job {
    /// For [`crate::rules`], which alone makes and changes jobs.
    pub(crate) const fn from_record(record: JobRecord) -> Self {
        Self(record)
    }

    /// For [`crate::rules`], which alone makes and changes jobs.
    pub(crate) const fn record_mut(&mut self) -> &mut JobRecord {
        &mut self.0
    }

    /// The seed of every run. A follow-up has that of the job it follows up: it asks the same question of other nodes.
    pub fn seed(&self) -> Seed {
        Seed::of(self.first)
    }

    /// How many seats are asked for: those of the first wave, and of the second once it was drawn.
    pub fn asked(&self) -> u8 {
        self.deal.seats_at(self.audit)
    }

    /// How many seats must agree, or reveal, for a verdict.
    pub fn quorum(&self) -> u8 {
        self.deal.quorum_of(self.asked())
    }

    /// The failed seats that may be given to other nodes while there is time: those of the second wave alone, once it was
    /// drawn.
    pub fn refillable(&self) -> SeatSet {
        let first = if self.audit == AuditStage::Drawn { self.deal.concurrency } else { 0 };
        self.failed.iter().filter(|seat| *seat >= first).collect()
    }

    /// Until when a failed seat can be given to another node: what is left must hold a whole run.
    pub fn refill_by(&self) -> Timestamp {
        self.commit_by.minus(self.deal.timeout).minus(RUN_MARGIN)
    }

    /// When commits closed, seen at `t`: `None` while some seat can still commit.
    ///
    /// They close with the last commitment, or when the last seat that could commit is dead (failed, and too
    /// late for another node), or with their deadline. A draw that spares the job closes them anew: reveals begin then.
    pub fn commits_closed_at(&self, t: Timestamp) -> Option<Timestamp> {
        if self.audit == AuditStage::Spared {
            return Some(self.seats_changed_at);
        }
        let done = self.committed.len() + self.failed.len() == self.asked();
        if done && (self.failed.is_empty() || self.seats_changed_at > self.refill_by()) {
            return Some(self.seats_changed_at);
        }
        let deadline = if done { self.refill_by() } else { self.commit_by };
        (t > deadline).then_some(deadline)
    }

    /// The state at `t`, and the deadline of reveals: a running job reveals once commits have closed with a
    /// quorum, whether or not anything was written since. While a draw is awaited, it is the deadline of the draw.
    pub fn state_at(&self, t: Timestamp) -> (JobState, Timestamp) {
        if self.state == JobState::Running
            && self.committed.len() >= self.quorum()
            && let Some(closed_at) = self.commits_closed_at(t)
        {
            return (JobState::Revealing, closed_at.plus(self.deal.reveal));
        }
        (self.state, self.reveal_by)
    }

    /// How many seats have committed, or still can at `t`.
    pub fn able_to_commit(&self, t: Timestamp) -> u8 {
        let committed = self.committed.len();
        if t > self.commit_by {
            return committed;
        }
        let dead = if t > self.refill_by() { self.failed.len() } else { 0 };
        self.asked() - dead
    }

    /// Whether `node` reported a failure, also of a seat that another node holds since.
    pub fn has_failed(&self, node: NodeId) -> bool {
        let Some(Bid { status: BidStatus::Seated(seat), .. }) = self.bids.get(&node) else { return false };
        let held = self.seat(*seat);
        held.is_some_and(|held| held.node != node || matches!(held.status, SeatStatus::Failed(_)))
    }

    /// Whether several seats reported the same failure, and nodes are not to blame for it.
    pub fn is_shared_failure(&self, kind: FailureKind) -> bool {
        !kind.is_fault_of_node() && self.failures[usize::from(kind.index())] > 1
    }

    /// Whether the job itself is at fault, and has lost the seats that a quorum needs.
    fn fails_by_itself(&self) -> bool {
        let left = self.asked() - self.failed.len();
        left < self.quorum() && FailureKind::ALL.into_iter().any(|kind| self.is_shared_failure(kind))
    }

    /// Whether anyone may end the job at `t`: too little came in time, or more nodes would only fail alike.
    pub fn is_overdue(&self, t: Timestamp) -> bool {
        match self.state_at(t) {
            (JobState::Open, _) => t > self.open_by,
            (JobState::Running, _) => self.able_to_commit(t) < self.quorum() || self.fails_by_itself(),
            (JobState::Revealing, reveal_by) => {
                t > reveal_by && (self.audit == AuditStage::Undrawn || self.revealed.len() < self.quorum())
            }
            (
                JobState::Verified
                | JobState::Inconclusive
                | JobState::Failed
                | JobState::Cancelled
                | JobState::Expired,
                _,
            ) => false,
        }
    }

    /// The seat of `node`: its index, if it holds one now.
    pub fn seat_of(&self, node: NodeId) -> Option<u8> {
        match self.bids.get(&node)?.status {
            BidStatus::Seated(seat) => (self.seats.get(usize::from(seat))?.node == node).then_some(seat),
            BidStatus::Standing | BidStatus::Withdrawn | BidStatus::Rejected | BidStatus::Skipped => None,
        }
    }

    /// The seat with this index.
    pub fn seat(&self, seat: u8) -> Option<&Seat> {
        self.seats.get(usize::from(seat))
    }

    /// How many bids are enough to choose from: twice the seats.
    pub fn wanted_bids(&self) -> usize {
        2 * usize::from(self.asked())
    }

    /// Bids that the requester may still accept.
    pub fn standing_bids(&self) -> impl Iterator<Item = (NodeId, Amount)> {
        let standing = |bid: &Bid| bid.status == BidStatus::Standing && bid.epoch == self.epoch;
        self.bids.iter().filter(move |(_, bid)| standing(bid)).map(|(node, bid)| (*node, bid.price))
    }

    /// The commonest reason of the failures reported; the first in wire order among equals.
    pub fn commonest_failure(&self) -> Option<FailureKind> {
        let reported = FailureKind::ALL.into_iter().zip(self.failures).filter(|(_, count)| *count > 0);
        reported.rev().max_by_key(|(_, count)| *count).map(|(kind, _)| kind)
    }

    /// The next moment after `t` at which a deadline passes, if the job waits for one.
    pub fn next_deadline(&self, t: Timestamp) -> Option<Timestamp> {
        let (state, reveal_by) = self.state_at(t);
        match state {
            JobState::Open => Some(self.open_by),
            JobState::Running if !self.failed.is_empty() && t <= self.refill_by() => Some(self.refill_by()),
            JobState::Running => Some(self.commit_by),
            JobState::Revealing => Some(reveal_by),
            JobState::Verified
            | JobState::Inconclusive
            | JobState::Failed
            | JobState::Cancelled
            | JobState::Expired => None,
        }
    }
}
