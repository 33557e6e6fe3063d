//! The list of jobs.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{JobId, JobState, NodeId, Timestamp},
    scheduler::FaultKind,
};

/// `GET /api/v1/jobs?limit=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobList {
    /// How many jobs the node knows.
    pub total: usize,
    /// The newest of them first, as many as were asked for.
    pub jobs: Vec<JobRow>,
}

/// One row of a [`JobList`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub requester: NodeId,
    /// The state as of now: one that the log ends with is final, any other can still change.
    pub state: JobState,
    /// Whether the state is only what it was when this node could follow the job last.
    pub is_broken: bool,
    /// What its requester did to its log; null unless this node holds the proof.
    #[serde(default)]
    pub fault: Option<FaultKind>,
    /// Whether a deadline passed and its requester, who alone can end it, does not answer.
    pub requester_gone: bool,
    /// The image as the requester named it.
    pub image: String,
    /// What runs in it.
    pub command: Vec<String>,
    /// N.
    pub concurrency: u8,
    /// How many seats are filled.
    pub seats: usize,
    /// How many results the verdict kept; null before it.
    pub accepted: Option<usize>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended; null before.
    pub ended_at: Option<Timestamp>,
}
