//! Content over the peer-to-peer network: both ends of its protocol for blobs.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use super::transfer::{self, ChunkRequest, Shelf, Transfer, TransferError};
use crate::{
    domain::{NodeId, Offer},
    network::{self, BlobDenied, BlobSource, FetchError, NetworkHandle},
};

impl BlobSource for Shelf {
    fn read(&self, peer: NodeId, request: network::ChunkRequest) -> Result<network::Chunk, BlobDenied> {
        let network::ChunkRequest { job, digest, offset, length } = request;
        let request = ChunkRequest { job, digest, offset, length: length.into() };
        let chunk = self.read_for(peer, request).ok_or(BlobDenied::NotFound)?;
        Ok(network::Chunk { total_bytes: chunk.total_bytes, bytes: chunk.bytes })
    }
}

/// Fetches content from peers.
#[derive(Debug, Clone)]
pub struct PeerTransfer(NetworkHandle);

impl PeerTransfer {
    /// Over this network.
    pub const fn new(network: NetworkHandle) -> Self {
        Self(network)
    }
}

impl Transfer for PeerTransfer {
    fn fetch_chunk(
        &self,
        from: NodeId,
        request: ChunkRequest,
    ) -> BoxFuture<'_, Result<transfer::Chunk, TransferError>> {
        let ChunkRequest { job, digest, offset, length } = request;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Box::pin(async move {
            let request = network::ChunkRequest { job, digest, offset, length };
            self.0
                .fetch_chunk(from, request)
                .await
                .map(|chunk| transfer::Chunk { total_bytes: chunk.total_bytes, bytes: chunk.bytes })
                .map_err(|error| match error {
                    FetchError::Denied(BlobDenied::NotFound) => TransferError::Refused { from, digest },
                    FetchError::Denied(BlobDenied::Busy) | FetchError::Request(_) | FetchError::Malformed => {
                        TransferError::Unreachable { from, reason: error.to_string() }
                    }
                })
        })
    }

    fn meet(&self, node: NodeId) -> BoxFuture<'_, ()> {
        Box::pin(self.0.meet(node))
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        self.0.status().borrow().offers.clone()
    }
}
