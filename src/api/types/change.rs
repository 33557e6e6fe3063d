//! Answers to changes of a job by its requester.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Digest, JobId};

/// Answer to `POST /api/v1/jobs/{job}/cancel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelReply {
    /// The job.
    pub job: JobId,
    /// Whether nodes had begun: those are paid.
    pub stopped: bool,
}

/// Answer to `POST /api/v1/jobs/{job}/deal`, whose body is the whole new [`Deal`](crate::domain::Deal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateReply {
    /// The job.
    pub job: JobId,
    /// The hash of the new terms; every earlier bid is void.
    pub revision: Digest,
}
