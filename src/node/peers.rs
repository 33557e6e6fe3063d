//! Content over the peer-to-peer network: both ends of its protocol.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use super::transfer::{Links, NamedPeer, Shelf, Transfer, TransferError};
use crate::{
    domain::{Chunk, ChunkRequest, NodeId, Offer},
    network::{BlobDenied, BlobSource, FetchError, NetworkHandle, PeerLink},
};

impl BlobSource for Shelf {
    fn read(&self, peer: NodeId, request: ChunkRequest) -> Result<Chunk, BlobDenied> {
        self.read_for(peer, request).ok_or(BlobDenied::NotFound)
    }
}

/// Fetches content from peers.
#[derive(Debug, Clone)]
pub struct PeerTransfer(NetworkHandle);

impl PeerTransfer {
    /// A transport over this network.
    pub const fn new(network: NetworkHandle) -> Self {
        Self(network)
    }
}

impl Transfer for PeerTransfer {
    fn fetch_chunk(
        &self,
        from: NodeId,
        request: ChunkRequest,
    ) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        Box::pin(async move {
            self.0.fetch_chunk(from, request).await.map_err(|error| match error {
                FetchError::Denied(BlobDenied::NotFound) => {
                    TransferError::Refused { from, digest: request.digest }
                }
                FetchError::Denied(BlobDenied::Busy) | FetchError::Request(_) | FetchError::Malformed => {
                    TransferError::Unreachable { from, reason: error.to_string() }
                }
            })
        })
    }

    fn meet(&self, node: NodeId) -> BoxFuture<'_, ()> {
        Box::pin(self.0.meet(node))
    }

    fn befriend(&self, node: NodeId) {
        self.0.befriend(node);
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        self.0.status().borrow().offers.clone()
    }

    fn links(&self) -> Option<Links> {
        let status = self.0.status();
        let status = status.borrow();
        let peer = |link: &PeerLink| NamedPeer {
            address: link.address.to_string(),
            node: link.node,
            last_error: link.last_error.clone(),
        };
        Some(Links {
            connected: status.connected.len(),
            visitors: status.visitors.len(),
            peers: status.peers.iter().map(peer).collect(),
        })
    }
}
