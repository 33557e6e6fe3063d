//! A node's own run of a job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{FailureKind, Timestamp};

/// This node's own run of a job, without its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExecutionView {
    /// When it started.
    pub started_at: Timestamp,
    /// How far it is.
    pub stage: ExecutionStage,
    /// Why there is no result; null when there is, or may be, one.
    pub failure: Option<FailureKind>,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStage {
    /// It may be running.
    Started,
    /// There is a result.
    Finished,
    /// There will be none.
    Failed,
}
