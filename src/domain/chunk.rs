//! Content in pieces: what one node asks another for, and what comes.

use serde::{Deserialize, Serialize};

use super::{Digest, JobId};

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
    /// How long it is, in bytes; it ends with the content, and at [`MAX_CHUNK_BYTES`] at the latest. A node on a
    /// slow link asks for less, so that a piece arrives before its request times out.
    pub length: u64,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Length of the whole content.
    pub total_bytes: u64,
    /// From the offset that was asked for, at most [`MAX_CHUNK_BYTES`]; empty only at the end.
    pub bytes: Vec<u8>,
}
