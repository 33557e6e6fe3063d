//! What nodes say to each other: CBOR messages, capped before they are decoded.
//!
//! Entries and actions travel inside as their canonical bytes; reading those is the log's matter.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::blob::BlobDenied;
use crate::domain::{Chunk, ChunkRequest, JobId, MAX_CHUNK_BYTES};

/// The protocol of logs.
pub(super) const LOG_PROTOCOL: &str = "/assay/log/2";

/// The protocol of content.
pub(super) const BLOB_PROTOCOL: &str = "/assay/blob/2";

/// The protocol of peers that tell each other of peers.
pub(super) const PEERS_PROTOCOL: &str = "/assay/peers/1";

/// Longest request about a log: one entry of at most 49 KiB and its envelope.
pub(super) const MAX_LOG_REQUEST_BYTES: u64 = 64 * 1024;

/// Most bytes of entries that are sent together without being asked for; a single one may take more.
pub const MAX_PUSHED_BYTES: usize = 48 * 1024;

/// Most bytes of entries in one response: a page, of which ten make the longest log.
pub const MAX_RESPONSE_ENTRIES_BYTES: usize = 448 * 1024;

/// Longest response about a log.
pub(super) const MAX_LOG_RESPONSE_BYTES: u64 = 512 * 1024;

/// Longest request for content: two hashes and two numbers.
pub(super) const MAX_BLOB_REQUEST_BYTES: u64 = 512;

/// Longest response with content.
pub(super) const MAX_BLOB_RESPONSE_BYTES: u64 = MAX_CHUNK_BYTES as u64 + 512;

/// Longest request for peers: it says nothing.
pub(super) const MAX_PEERS_REQUEST_BYTES: u64 = 16;

/// Most addresses in one answer about peers.
pub(super) const MAX_NAMED_PLACES: usize = 64;

/// Longest answer about peers: 64 addresses of at most 128 bytes.
pub(super) const MAX_PEERS_RESPONSE_BYTES: u64 = 9 * 1024;

/// Bytes that CBOR carries as such, and not as an array of numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct WireBytes(pub Vec<u8>);

/// A request about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRequest {
    /// To the requester of a job: give this action its place. Answered with the entries above `after_height`.
    Submit {
        /// The signed action.
        action: WireBytes,
        /// The height that the author holds.
        after_height: u64,
    },
    /// To anyone who has it: the entries of a job above a height.
    Read {
        /// The job.
        job: JobId,
        /// The height that the asker holds; 0 for none.
        after_height: u64,
    },
    /// To a follower: new entries of one job, in their order.
    Push {
        /// The entries; several together take at most [`MAX_PUSHED_BYTES`].
        entries: Vec<WireBytes>,
    },
    /// To a seat: an action that was sent to the requester too, in case it never appears in the log.
    Witness {
        /// The signed action.
        action: WireBytes,
    },
}

/// The answer to a request about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogResponse {
    /// The action has this place.
    Placed {
        /// Its height.
        height: u64,
        /// Entries above the asker's height, in their order; at most [`MAX_RESPONSE_ENTRIES_BYTES`].
        entries: Vec<WireBytes>,
    },
    /// Entries above the asker's height, in their order; at most [`MAX_RESPONSE_ENTRIES_BYTES`].
    Entries {
        /// The newest height there is.
        height: u64,
        /// The entries.
        entries: Vec<WireBytes>,
    },
    /// Taken note of.
    Taken,
    /// The rules refuse: the index of the rejection.
    Rejected(u8),
    /// The envelope is refused.
    Refused(WireRefusal),
    /// There is no such log here.
    Unknown,
    /// Too much to do at the moment.
    Busy,
    /// The request cannot be read.
    Malformed,
    /// The node's own store failed.
    Failed,
}

impl LogRequest {
    /// Bytes of what it carries: all else is short.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Submit { action, .. } | Self::Witness { action } => action.0.len(),
            Self::Push { entries } => entries.iter().map(|entry| entry.0.len() + size_of_val(entry)).sum(),
            Self::Read { .. } => 0,
        }
    }
}

impl LogResponse {
    /// Bytes of entries in it: all else is short.
    pub(super) fn entry_bytes(&self) -> usize {
        match self {
            Self::Placed { entries, .. } | Self::Entries { entries, .. } => {
                entries.iter().map(|entry| entry.0.len()).sum()
            }
            Self::Taken
            | Self::Rejected(_)
            | Self::Refused(_)
            | Self::Unknown
            | Self::Busy
            | Self::Malformed
            | Self::Failed => 0,
        }
    }
}

/// An envelope refusal on the wire; each variant is documented at the one of the same name in the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented at the refusal of the same name")]
pub enum WireRefusal {
    BadSignature,
    WrongSequence { expected: u64 },
    WrongSeen,
    CommitsClosed,
    NotRevealed,
    Moneyless,
    TooMany,
}

/// A request for content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlobRequest(pub(super) ChunkRequest);

/// The answer to a request for content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum BlobResponse {
    /// A piece.
    Chunk { total_bytes: u64, bytes: WireBytes },
    /// None.
    Denied(BlobDenied),
}

/// A request for peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PeersRequest;

/// Where other peers listen: binary multiaddresses that end in `/p2p/..`, at most [`MAX_NAMED_PLACES`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PeersResponse(pub(super) Vec<WireBytes>);

impl From<Result<Chunk, BlobDenied>> for BlobResponse {
    fn from(result: Result<Chunk, BlobDenied>) -> Self {
        match result {
            Ok(Chunk { total_bytes, bytes }) => Self::Chunk { total_bytes, bytes: WireBytes(bytes) },
            Err(denied) => Self::Denied(denied),
        }
    }
}

impl fmt::Debug for WireBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for WireBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for WireBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = WireBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<WireBytes, E> {
                Ok(WireBytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<WireBytes, E> {
                Ok(WireBytes(bytes))
            }
        }

        deserializer.deserialize_byte_buf(Visitor)
    }
}
