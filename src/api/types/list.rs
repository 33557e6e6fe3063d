//! The list of jobs.

use serde::{Deserialize, Serialize};

use super::Member;
use crate::{
    domain::{JobId, JobState, NodeId, Timestamp},
    scheduler::FaultKind,
};

/// `GET /api/v1/jobs?limit=&group=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobList {
    /// How many jobs the node knows, of the group if one was named.
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
    /// The state now. It is final if the log has ended.
    pub state: JobState,
    /// Whether this node cannot follow the job any more, so that the state may be old.
    pub is_broken: bool,
    /// How its requester broke its log; null unless this node holds the proof.
    #[serde(default)]
    pub fault: Option<FaultKind>,
    /// Whether a deadline passed while its requester, who alone can end it, does not answer.
    pub requester_gone: bool,
    /// The image as the requester named it.
    pub image: String,
    /// Its place in a group; null for a single job.
    #[serde(default)]
    pub member: Option<Member>,
    /// What runs in it.
    pub command: Vec<String>,
    /// N.
    pub concurrency: u8,
    /// How many seats are filled.
    pub seats: usize,
    /// How many results the verdict accepted; null before it.
    pub accepted: Option<usize>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended; null before.
    pub ended_at: Option<Timestamp>,
}
