//! Messages to deliver to other nodes.

use tokio::time::Instant;

use crate::{
    domain::{JobId, NodeId},
    network::WireBytes,
};

/// A message and its recipient.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) message: Message,
    pub(super) posted: Instant,
}

/// A message to deliver.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// A new entry of a job.
    Entry { job: JobId, bytes: WireBytes },
    /// An action that the requester may leave out of its log.
    Evidence { job: JobId, bytes: WireBytes },
}

impl Message {
    pub(super) const fn job(&self) -> JobId {
        match self {
            Self::Entry { job, .. } | Self::Evidence { job, .. } => *job,
        }
    }
}
