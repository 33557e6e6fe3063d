//! Content in pieces: the request for one, and the answer.

use serde::{Deserialize, Serialize};

use super::{Digest, JobId};

/// The most bytes in one piece.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// A request for a piece of content that belongs to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// The job whose input or result the content is.
    pub job: JobId,
    /// SHA-256 of the whole content.
    pub digest: Digest,
    /// Offset of the piece in the content, in bytes.
    pub offset: u64,
    /// Length of the piece in bytes. The piece also ends with the content, and at [`MAX_CHUNK_BYTES`]. A node on a slow link
    /// asks for less, so that a piece arrives before its request times out.
    pub length: u64,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Length of the whole content, in bytes.
    pub total_bytes: u64,
    /// The bytes from the requested offset on, at most [`MAX_CHUNK_BYTES`]. Empty only at the end of the content.
    pub bytes: Vec<u8>,
}
