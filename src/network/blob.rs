//! Content by digest, in pieces: what one node asks another for, and who answers.

use serde::{Deserialize, Serialize};

use crate::domain::{Digest, JobId, NodeId};

/// Most bytes of one piece.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// A request for a piece of content that belongs to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// The job whose input or result it is.
    pub job: JobId,
    /// SHA-256 of the whole content.
    pub digest: Digest,
    /// Where the piece begins.
    pub offset: u64,
    /// How long it is, in bytes; it ends with the content, and at [`MAX_CHUNK_BYTES`] at the latest. Whoever has a
    /// slow link asks for less, so that a piece comes while its request lasts.
    pub length: u32,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Length of the whole content.
    pub total_bytes: u64,
    /// From the offset that was asked for, at most [`MAX_CHUNK_BYTES`]; empty only at the end.
    pub bytes: Vec<u8>,
}

/// Why a node serves no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BlobDenied {
    /// It has none under this digest, or none for this peer: it does not say which.
    #[error("there is no such content for this node")]
    NotFound,
    /// It has too much to do at the moment.
    #[error("the node is busy")]
    Busy,
}

/// What a node serves. Called off the swarm's task, from several threads, and may block.
pub trait BlobSource: std::fmt::Debug + Send + Sync + 'static {
    /// A piece for `peer`, whose identity the connection has proven.
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
