//! The party that answers requests for content.

use serde::{Deserialize, Serialize};

use crate::domain::{Chunk, ChunkRequest, NodeId};

/// Why a node serves no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BlobDenied {
    /// The node has no such content, or none for this peer; it does not say which.
    #[error("there is no such content for this node")]
    NotFound,
    /// The node is too busy now.
    #[error("the node is busy")]
    Busy,
}

/// What a node serves. Called off the swarm's task, from several threads, and may block.
pub trait BlobSource: std::fmt::Debug + Send + Sync + 'static {
    /// A piece for `peer`, whose identity the connection proved.
    ///
    /// # Errors
    /// [`BlobDenied`].
    fn read(&self, peer: NodeId, request: ChunkRequest) -> Result<Chunk, BlobDenied>;
}

/// Serves nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoBlobs;

impl BlobSource for NoBlobs {
    fn read(&self, _peer: NodeId, _request: ChunkRequest) -> Result<Chunk, BlobDenied> {
        Err(BlobDenied::NotFound)
    }
}
