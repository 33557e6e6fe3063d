//! What takes how much of a node's disk, and what goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Digest, JobId, Span, Timestamp},
    node::{Kind, Why},
};

/// `GET /api/v1/node/usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReply {
    /// Inputs and results, by what they are to the node.
    pub content: BTreeMap<Kind, UsagePart>,
    /// The most bytes that all of it may take.
    pub cap_bytes: u64,
    /// Jobs that ended, whose logs are kept.
    pub ended_jobs: usize,
    /// Bytes of the database, which holds the logs.
    pub database_bytes: u64,
    /// How many of them it uses again before it grows.
    pub database_free_bytes: u64,
    /// For how long what ended jobs left is kept.
    pub keep: KeepView,
}

/// Content of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsagePart {
    /// How many inputs or results.
    pub pieces: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first of them may go; null while jobs need all of them.
    pub next: Option<Timestamp>,
}

/// For how long a node keeps what ended jobs left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeepView {
    /// Seconds for results that it computed for others.
    pub results: Span,
    /// Seconds for results of its own jobs.
    pub own: Span,
    /// Seconds for inputs and unused uploads.
    pub inputs: Span,
    /// Seconds for logs.
    pub logs: Span,
    /// The most bytes of content of ended jobs.
    pub bytes: u64,
}

/// Body of `POST /api/v1/node/prune`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneRequest {
    /// Only say what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneReply {
    /// Whether it is all still there.
    pub dry_run: bool,
    /// Inputs and results.
    pub content: Vec<PrunedContent>,
    /// Jobs whose logs go.
    pub jobs: Vec<JobId>,
    /// The bytes of the content.
    pub bytes: u64,
}

/// One input or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrunedContent {
    /// Its digest.
    pub digest: Digest,
    /// What it is to the node.
    pub kind: Kind,
    /// Why it goes.
    pub why: Why,
    /// Its bytes.
    pub bytes: u64,
}

/// Answer to `POST /api/v1/jobs/{job}/forget`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForgetReply {
    /// The job.
    pub job: JobId,
    /// How many inputs and results went with it.
    pub pieces: usize,
    /// Their bytes.
    pub bytes: u64,
}
