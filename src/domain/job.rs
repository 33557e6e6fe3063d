//! The state of a job after the log so far: a head, its bids and its seats.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use serde::Serialize;

use super::{
    Amount, AuditStage, Deal, Digest, FailureKind, JobId, LogDomain, NodeId, Note, Opening, RUN_MARGIN,
    SeatSet, Seed, Spec, Timestamp,
};

/// The state of a job. The order equals the contract's: only append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum JobState {
    /// The job takes bids and fills its seats.
    Open = 0,
    /// Every seat is filled. Nodes run the job and commit.
    Running = 1,
    /// Commits are closed. Nodes reveal.
    Revealing = 2,
    /// A verdict accepted some seats.
    Verified = 3,
    /// No verdict was possible; nobody is blamed.
    Inconclusive = 4,
    /// Too few seats committed or revealed.
    Failed = 5,
    /// The requester cancelled or stopped the job.
    Cancelled = 6,
    /// The seats were not filled in time.
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

    /// Whether the job has ended, so that nothing can change any more.
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

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One node's offer. A node has at most one bid in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bid {
    /// The pay that the node asks for its seat.
    pub price: Amount,
    /// How often the deal had been updated. A bid of an earlier epoch is void.
    pub epoch: u32,
    /// The state of the bid.
    pub status: BidStatus,
}

/// The state of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BidStatus {
    /// The bid waits for the requester.
    Standing,
    /// The node withdrew the bid.
    Withdrawn,
    /// The requester declined the bid.
    Rejected,
    /// An acceptance skipped the bid: it was void or withdrawn, or the node lacked its bond.
    Skipped,
    /// The node has, or had, this seat. It never gets a second one.
    Seated(u8),
}

impl BidStatus {
    /// Whether the node may bid again under the same terms: its bid no longer stands, and it never had a seat.
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
    /// The pay that the holder asked for.
    pub price: Amount,
    /// The state of the holder's execution.
    pub status: SeatStatus,
}

/// The state of a seat's execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatStatus {
    /// Accepted; the node has not reported yet.
    Accepted,
    /// The node reported that its run gave no result.
    Failed(FailureKind),
    /// The node committed to a result.
    Committed(Digest),
    /// The node opened its commitment.
    Revealed(Opening),
}

/// Which seats agreed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Results to keep.
    pub accepted: SeatSet,
    /// Results that disagree with them.
    pub rejected: SeatSet,
    /// Seats without a result, or without what the method compares.
    pub absent: SeatSet,
    /// The reason for this outcome.
    pub note: Note,
    /// First-round scores by seat; empty where outputs alone decided.
    pub scores: BTreeMap<u8, u64>,
}

/// What a job's log says so far, as [`Job`] lets it be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// The first job of the chain of follow-ups that this job belongs to; its own id if it follows up none.
    pub first: JobId,
    /// The log it belongs to.
    pub domain: LogDomain,
    /// The node that asked for the job.
    pub requester: NodeId,
    /// The requester's nonce, which is part of the job's id.
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
    /// How often the requester updated the deal.
    pub epoch: u32,
    /// The stored state; [`Job::state_at`] adds what a passed deadline makes of it.
    pub state: JobState,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// The end of bids and acceptances.
    pub open_by: Timestamp,
    /// The end of commitments; zero until every seat is filled.
    pub commit_by: Timestamp,
    /// The end of reveals; zero until commits close.
    pub reveal_by: Timestamp,
    /// When a seat was last filled, failed or committed, or the audit was drawn.
    pub seats_changed_at: Timestamp,
    /// When the job became terminal; zero before.
    pub ended_at: Timestamp,
    /// The bids, by node.
    pub bids: BTreeMap<NodeId, Bid>,
    /// The seats filled so far.
    pub seats: Vec<Seat>,
    /// Seats whose holder reported a failure and that no other node has taken.
    pub failed: SeatSet,
    /// Those of the failed seats whose holder reported too late for another node.
    pub late: SeatSet,
    /// Seats with a commitment.
    pub committed: SeatSet,
    /// Seats whose holder revealed in time, or whose opening came with the verdict.
    pub revealed: SeatSet,
    /// Reports of failure by kind, from all holders of all seats.
    pub failures: [u8; FailureKind::ALL.len()],
    /// The stage of the audit.
    pub audit: AuditStage,
    /// The sender of the verdict, the expiry, the cancellation or the stop.
    pub ended_by: Option<NodeId>,
    /// The verdict, also of an inconclusive job.
    pub verdict: Option<Verdict>,
}

fn shared<S: serde::Serializer>(spec: &Arc<Spec>, serializer: S) -> Result<S::Ok, S::Error> {
    spec.serialize(serializer)
}

/// A job. Everyone may read its fields; only [`crate::rules`] changes them.
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
    /// For [`crate::rules`] only.
    pub(crate) const fn from_record(record: JobRecord) -> Self {
        Self(record)
    }

    /// For [`crate::rules`] only.
    pub(crate) const fn record_mut(&mut self) -> &mut JobRecord {
        &mut self.0
    }

    /// The seed of every run. A follow-up keeps the seed of the first job of its chain: it asks other nodes the same
    /// question.
    pub fn seed(&self) -> Seed {
        Seed::of(self.first)
    }

    /// How many seats the job asks for: those of the first wave, and once drawn those of the second.
    pub fn asked(&self) -> u8 {
        self.deal.seats_at(self.audit)
    }

    /// How many seats must agree, or reveal, for a verdict.
    pub fn quorum(&self) -> u8 {
        self.deal.quorum_of(self.asked())
    }

    /// The failed seats that other nodes may take while there is time. Once the second wave was drawn, only its seats count.
    pub fn refillable(&self) -> SeatSet {
        let first = if self.audit == AuditStage::Drawn { self.deal.concurrency } else { 0 };
        self.failed.iter().filter(|seat| *seat >= first).collect()
    }

    /// The last moment at which another node can take a failed seat: a whole run must fit into the rest.
    pub fn refill_by(&self) -> Timestamp {
        self.commit_by.minus(self.deal.timeout).minus(RUN_MARGIN)
    }

    /// When commits closed, seen at `t`. `None` while some seat can still commit.
    ///
    /// They close with the last commitment, with the death of the last seat that could commit (failed, and too late for
    /// another node), or at their deadline. A draw that spares the job closes them again, because reveals begin then.
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

    /// The state at `t`, and the deadline of reveals. A running job counts as revealing once commits have closed with a
    /// quorum, even before an entry says so. While the job awaits its draw, the deadline is that of the draw.
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

    /// Whether `node` reported a failure, even if another node has its seat now.
    pub fn has_failed(&self, node: NodeId) -> bool {
        let Some(Bid { status: BidStatus::Seated(seat), .. }) = self.bids.get(&node) else { return false };
        let held = self.seat(*seat);
        held.is_some_and(|held| held.node != node || matches!(held.status, SeatStatus::Failed(_)))
    }

    /// Whether several seats reported the same failure, and of a kind that nodes are not to blame for.
    pub fn is_shared_failure(&self, kind: FailureKind) -> bool {
        !kind.is_fault_of_node() && self.failures[usize::from(kind.index())] > 1
    }

    /// Whether the job itself is at fault and has lost the seats that a quorum needs.
    fn fails_by_itself(&self) -> bool {
        let left = self.asked() - self.failed.len();
        left < self.quorum() && FailureKind::ALL.into_iter().any(|kind| self.is_shared_failure(kind))
    }

    /// Whether anyone may end the job at `t`: too few results came in time, or more nodes would only fail alike.
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

    /// The index of the seat that `node` holds now.
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

    /// The most frequent reason among the reported failures; the first in wire order among equals.
    pub fn commonest_failure(&self) -> Option<FailureKind> {
        let reported = FailureKind::ALL.into_iter().zip(self.failures).filter(|(_, count)| *count > 0);
        reported.rev().max_by_key(|(_, count)| *count).map(|(kind, _)| kind)
    }

    /// The next deadline after `t`, if the job waits for one.
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
