//! The JSON of the API: what the node answers and its clients read.
//!
//! Identifiers are `0x` and hex, times Unix seconds, money decimal text. An absent value is `null`, never a
//! missing field and never a zero. Nothing here can carry what would help to copy a result before its job ends.

mod change;
mod cursor;
mod earnings;
mod execution;
mod health;
mod intake;
mod limits;
mod list;
mod outlook;
mod replication;
mod retention;
mod session;
mod submit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::inputs::{BlobInfo, InputEvent, InputRequest};
pub use super::refusal::{ErrorBody, ErrorCode, ErrorReply};
use crate::{
    domain::{
        Amount, Asset, AuditStage, BidStatus, Deal, Digest, FailureKind, JobId, JobState, LogDomain, Method,
        NodeId, Note, Offer, Resources, Seed, Spec, SummaryWord, Timestamp,
    },
    node::{Admission, Links, Warning},
    verdict::Reason,
};

pub use crate::domain::{GROUP_DIGITS, GROUP_VARIABLE, INDEX_VARIABLE, MAX_GROUP_JOBS, Member, is_group};
pub use change::{CancelReply, UpdateReply};
pub use cursor::{Cursor, CursorError, MAX_ROWS, Page};
pub use earnings::{EarnedJob, EarningsReply};
pub use execution::{ExecutionStage, ExecutionView};
pub use health::{Health, Readiness};
pub use intake::{IntakeReply, MAX_DRAIN_WAIT, Obligations, PauseRequest};
pub use limits::NodeLimits;
pub use list::{JobFilter, JobList, JobRow};
pub use outlook::{Outlook, OutlookRow};
pub use replication::{OwnRun, Plan, Replication, ReplicationView};
pub use retention::{ForgetReply, KeepView, PruneReply, PruneRequest, PrunedContent, UsagePart, UsageReply};
pub use session::{SessionReply, SessionRequest, TicketReply};
pub use submit::{SubmitReply, SubmitRequest};

/// `GET /api/v1/jobs/{job}/log` gives all of them, `.../events?after=` streams those above a height.
pub use crate::scheduler::{Evidence, LogEntry};

/// `GET /api/v1/node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// The node's id: the address of its key.
    pub id: NodeId,
    /// The same key as a peer of the network; null where there is none.
    pub peer_id: Option<String>,
    /// Of this program.
    pub version: String,
    /// The name of the backend.
    pub backend: String,
    /// What signatures in its log are bound to.
    pub domain: LogDomain,
    /// What its log counts money in; absent for ether.
    #[serde(default, skip_serializing_if = "Asset::is_ether")]
    pub asset: Asset,
    /// Where this API listens.
    pub api: String,
    /// Addresses under which other nodes reach this one.
    pub listen: Vec<String>,
    /// How many jobs it runs at once; 0 for a node that only submits jobs.
    pub compute_slots: usize,
    /// Its offer; null if it makes none.
    #[serde(default)]
    pub limits: Option<NodeLimits>,
    /// What its operator lets it work for, and when.
    #[serde(default)]
    pub admission: Admission,
    /// Since when it takes on no work; null if it does.
    #[serde(default)]
    pub paused_since: Option<Timestamp>,
    /// What it still owes in jobs of others.
    #[serde(default)]
    pub owes: Obligations,
    /// How many other nodes it knows.
    pub members: usize,
    /// How it is connected to them; null where there are no connections.
    #[serde(default)]
    pub links: Option<Links>,
    /// How many jobs it knows, by state.
    pub jobs: BTreeMap<JobState, usize>,
    /// What keeps it from its work now.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// One row of `GET /api/v1/nodes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeRow {
    /// The node.
    pub id: NodeId,
    /// Whether it is the one that answers.
    pub is_self: bool,
    /// Whether it is online, as far as this node knows.
    pub known: bool,
    /// Its results that verdicts accepted, in jobs that this node requested or took part in.
    pub accepted: u64,
    /// Its results that verdicts rejected, in the same jobs.
    pub rejected: u64,
    /// Jobs in which it failed, and not by the job's fault.
    #[serde(default)]
    pub failed: u64,
    /// Jobs in which it promised a result and went silent.
    #[serde(default)]
    pub absent: u64,
    /// Its offer; null if it makes none, is not connected or runs no jobs.
    #[serde(default)]
    pub offer: Option<Offer>,
}

/// `GET /api/v1/jobs/{job}/results/{node}/last-words`: what a failed run left, by its node's word alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastWordsView {
    /// Whose run it was.
    pub node: NodeId,
    /// Why it gave no result.
    pub reason: String,
    /// The end of its standard output; invalid UTF-8 is replaced.
    pub stdout: String,
    /// The end of its standard error; invalid UTF-8 is replaced.
    pub stderr: String,
}

/// The header that makes a POST about a job idempotent: 8 to 64 letters, digits, dashes, dots or underscores. A retry
/// under the same key is carried out once; another request under it is refused.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// `GET /api/v1/defaults?timeout=&price=`: what a form for a job starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Defaults {
    /// The terms, with the run phase that this timeout needs and a bond of this price.
    pub deal: Deal,
    /// Limits of the container.
    pub resources: Resources,
}

/// `GET /api/v1/jobs/{job}`: all that the node knows of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub requester: NodeId,
    /// What runs.
    pub spec: Spec,
    /// SHA-256 of the spec document.
    pub spec_hash: Digest,
    /// The `ASSAY_SEED` of every run.
    pub seed: Seed,
    /// The terms.
    pub deal: Deal,
    /// What money is counted in; absent for ether.
    #[serde(default, skip_serializing_if = "Asset::is_ether")]
    pub asset: Asset,
    /// The hash of the terms.
    pub revision: Digest,
    /// How many seats must agree.
    pub quorum: u8,
    /// How many seats are asked for: those of the second wave too, once it was drawn.
    pub asked: u8,
    /// How far the audit is.
    pub audit: AuditStage,
    /// The state as of `now`, deadlines considered.
    pub state: JobState,
    /// The clock of the log when this was answered.
    pub now: Timestamp,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended; null before.
    pub ended_at: Option<Timestamp>,
    /// Who ended it; null before.
    pub ended_by: Option<NodeId>,
    /// Every deadline known so far, in order.
    pub deadlines: Vec<Deadline>,
    /// Whether a deadline passed while the requester, who alone can end the job, does not answer. Not final: this
    /// node may be cut off while the log goes on elsewhere.
    pub requester_gone: bool,
    /// Why this node cannot follow the job any more, and what to do; all other fields are as of then. Null while it
    /// can.
    pub broken: Option<String>,
    /// The proof that the requester broke the job's log; null where this node holds none.
    pub evidence: Option<Evidence>,
    /// The bids, by node.
    pub bids: Vec<BidView>,
    /// The seats filled so far.
    pub seats: Vec<SeatView>,
    /// The verdict; null before the end and where there was none.
    pub verdict: Option<VerdictView>,
    /// Why there is no verdict, in words; null while there may be one.
    pub failure: Option<String>,
    /// The failure that most nodes reported, including nodes that were replaced; the first in wire order among
    /// equals.
    #[serde(default)]
    pub commonest_failure: Option<FailureKind>,
    /// What each party locked and gets; null for a job without money.
    pub money: Option<MoneyView>,
    /// This node's own run; null when it has none.
    pub execution: Option<ExecutionView>,
    /// The job that followed this one; null when none did.
    pub followed_by: Option<JobId>,
    /// Why so many nodes run it, and how sure its result is; null where its user, or another node, chose their number.
    #[serde(default)]
    pub replication: Option<ReplicationView>,
    /// What keeps this node from its part in the job now.
    #[serde(default)]
    pub warnings: Vec<Warning>,
}

/// The deadlines of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineName {
    /// Of bids and acceptances.
    OpenBy,
    /// Of giving a failed seat to another node.
    RefillBy,
    /// Of commitments.
    CommitBy,
    /// Of reveals.
    RevealBy,
}

impl DeadlineName {
    /// As the API and the command line write it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::OpenBy => "open_by",
            Self::RefillBy => "refill_by",
            Self::CommitBy => "commit_by",
            Self::RevealBy => "reveal_by",
        }
    }
}

/// A deadline and what it bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deadline {
    /// Which one.
    pub name: DeadlineName,
    /// Until when.
    pub at: Timestamp,
    /// What the deadline bounds, in words.
    pub bounds: String,
}

/// One bid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BidView {
    /// The bidder.
    pub node: NodeId,
    /// Its price.
    pub price: Amount,
    /// What became of it.
    pub status: BidState,
}

/// What became of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BidState {
    /// Waits for the requester.
    Standing,
    /// Made under an earlier deal.
    Void,
    /// Taken back by the node.
    Withdrawn,
    /// Declined by the requester.
    Rejected,
    /// Passed over: it could not be taken.
    Skipped,
    /// Has, or had, a seat.
    Seated,
}

impl BidState {
    /// The state of a bid; `is_current` tells whether it is for the current deal.
    pub const fn new(status: BidStatus, is_current: bool) -> Self {
        match status {
            BidStatus::Standing if !is_current => Self::Void,
            BidStatus::Standing => Self::Standing,
            BidStatus::Withdrawn => Self::Withdrawn,
            BidStatus::Rejected => Self::Rejected,
            BidStatus::Skipped => Self::Skipped,
            BidStatus::Seated(_) => Self::Seated,
        }
    }
}

/// One seat, its node and what is known of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeatView {
    /// Its number.
    pub seat: u8,
    /// Who holds it.
    pub node: NodeId,
    /// What the node is paid.
    pub price: Amount,
    /// How far its execution is.
    pub status: SeatState,
    /// Why its run gave no result; null when that was not reported.
    pub failure: Option<FailureKind>,
    /// What the node revealed; null before, and when it did not.
    pub result: Option<ResultView>,
    /// How far the result lies from the others, in the unit of the method (`docs/verification.md`); null where
    /// outputs alone decided.
    pub score: Option<u64>,
    /// What the verdict says; null before it.
    pub judgement: Option<Judgement>,
    /// Why, in words; null before the end, and of a job that was cancelled or expired.
    pub reason: Option<String>,
    /// The figures behind the reason: the rule, the measurements and the limits; null where nothing was compared.
    #[serde(default)]
    pub measured: Option<Reason>,
}

/// How far a seat's execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Accepted; nothing reported yet.
    Accepted,
    /// Reported that its run gave no result.
    Failed,
    /// Committed to a result.
    Committed,
    /// Opened its commitment.
    Revealed,
}

/// A result as its node revealed it in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultView {
    /// The command's own exit code.
    pub exit_code: i32,
    /// What nodes are compared by.
    pub result_hash: Digest,
    /// SHA-256 of the archive of the result directory.
    pub output_root: Digest,
    /// Memory over the run in the row that the method compares, in KiB; null without a fingerprint.
    pub memory_kib: Option<[u32; 10]>,
    /// CPU time in milliseconds; null without a fingerprint.
    pub cpu_ms: Option<u64>,
    /// Page faults; null without a fingerprint.
    pub faults: Option<u64>,
    /// The numbers of the output as the verdict compares them; null without a summary.
    pub summary: Option<SummaryWord>,
}

/// What a verdict says of one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The result agrees with the majority: keep it.
    Accepted,
    /// The result disagrees with the majority.
    Rejected,
    /// There is nothing to compare.
    Absent,
}

/// Who agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictView {
    /// Nodes whose results to keep; empty when the outcome is inconclusive.
    pub accepted: Vec<NodeId>,
    /// Nodes whose results disagree.
    pub rejected: Vec<NodeId>,
    /// Nodes with nothing to compare.
    pub absent: Vec<NodeId>,
    /// Why, in the words of `docs/verification.md`.
    pub note: Note,
    /// The method of the deal.
    pub method: Method,
    /// First-round scores, by node; empty where outputs alone decided.
    pub scores: BTreeMap<NodeId, u64>,
    /// Whether no node could see another's output; false with live logs.
    pub independent: bool,
}

/// The money of a job, by the rules: everything locked is paid out or burnt when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyView {
    /// The requester first, then the seats in order, then another party that ended the job.
    pub parties: Vec<PartyMoney>,
    /// Burnt; null before the end.
    pub burnt: Option<Amount>,
}

/// What one party put into a job and got out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartyMoney {
    /// Who.
    pub node: NodeId,
    /// Escrow and bonds, without the bond of a failed seat, which was returned at once.
    pub locked: Amount,
    /// What the party got at the end; null before.
    pub paid: Option<Amount>,
}

/// One row of `GET /api/v1/jobs/{job}/results`; `.../results/{node}/archive` has the content and
/// `GET /api/v1/jobs/{job}/output` the accepted standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResultRow {
    /// The seat.
    pub seat: u8,
    /// Who made it.
    pub node: NodeId,
    /// The command's own exit code.
    pub exit_code: i32,
    /// SHA-256 of the archive.
    pub output_root: Digest,
    /// What the verdict says; null without one.
    pub judgement: Option<Judgement>,
    /// Length of the archive; null when it is not here yet.
    pub bytes: Option<u64>,
}
