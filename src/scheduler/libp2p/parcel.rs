//! What a node has delivered to others, and to whom.

use tokio::time::Instant;

use crate::{
    domain::{JobId, NodeId},
    network::WireBytes,
};

/// A message and who gets it.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) message: Message,
    pub(super) posted: Instant,
}

/// What is delivered.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// A new entry of a job.
    Entry { job: JobId, bytes: WireBytes },
    /// An action in a job that its requester may leave out.
    Evidence { job: JobId, bytes: WireBytes },
}

impl Message {
    pub(super) const fn job(&self) -> JobId {
        match self {
            Self::Entry { job, .. } | Self::Evidence { job, .. } => *job,
        }
    }
}
