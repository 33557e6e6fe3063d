//! The messages about content and peers: CBOR, bounded before decoding.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::blob::BlobDenied;
use crate::domain::{Chunk, ChunkRequest, MAX_CHUNK_BYTES};

/// The protocol of content.
pub(super) const BLOB_PROTOCOL: &str = "/assay/blob/2";

/// The protocol of peer discovery.
pub(super) const PEERS_PROTOCOL: &str = "/assay/peers/1";

/// Longest request for content: two hashes and two numbers.
pub(super) const MAX_BLOB_REQUEST_BYTES: u64 = 512;

/// Longest response with content.
pub(super) const MAX_BLOB_RESPONSE_BYTES: u64 = MAX_CHUNK_BYTES as u64 + 512;

/// Longest request for peers: it has no fields.
pub(super) const MAX_PEERS_REQUEST_BYTES: u64 = 16;

/// Most addresses in one answer about peers.
pub(super) const MAX_NAMED_PLACES: usize = 64;

/// Longest answer about peers: 64 addresses of at most 128 bytes.
pub(super) const MAX_PEERS_RESPONSE_BYTES: u64 = 9 * 1024;

/// Bytes that CBOR carries as a byte string, not as an array of numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct WireBytes(pub Vec<u8>);

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
