//! Who decided how many nodes run a job, and why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::node::{OwnRun, Plan, Replication};

/// Why so many nodes run a job, and what is known of its result beyond its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationView {
    /// Why; null for a follow-up, which has more seats than the job that it follows.
    pub plan: Option<Plan>,
    /// What the requester's own run of it said; null where none was asked for.
    pub own_run: Option<OwnRun>,
    /// The compared results in a row of the node in its first seat, as of now.
    pub compared: u32,
}
