//! What a node earned.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Cursor;
use crate::domain::{Amount, JobId, JobState, NodeId, Timestamp};

/// `GET /api/v1/node/earnings?since=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarningsReply {
    /// The jobs that ended since then are here.
    pub since: Timestamp,
    /// The newest first.
    pub jobs: Vec<EarnedJob>,
    /// Whether older ones are left out.
    pub has_more: bool,
    /// What to ask `after` for them; null where there are none.
    #[serde(default)]
    pub next: Option<Cursor>,
}

/// A job in which the node had a seat, and what its end paid. Gas is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarnedJob {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub requester: NodeId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub state: JobState,
    /// What the node got beyond its bond.
    pub paid: Amount,
    /// What it lost of its bond.
    pub lost: Amount,
}
