//! Which peer a node is, and which nodes are connected.

use std::collections::{BTreeMap, BTreeSet};

use ::libp2p::PeerId;

use super::peer::node_of_peer;
use crate::domain::NodeId;

/// Most nodes remembered. Those that are not connected are forgotten first.
const MAX_NODES: usize = 8192;

/// The peers this node has heard of.
#[derive(Debug, Default)]
pub(super) struct PeerBook {
    peers: BTreeMap<NodeId, PeerId>,
    connected: BTreeSet<NodeId>,
}

impl PeerBook {
    /// Remembers a peer, and says which node it is; `None` for keys that are not secp256k1.
    pub(super) fn learn(&mut self, peer: PeerId) -> Option<NodeId> {
        let node = node_of_peer(&peer)?;
        if self.peers.len() >= MAX_NODES && !self.peers.contains_key(&node) {
            let connected = &self.connected;
            self.peers.retain(|node, _| connected.contains(node));
        }
        self.peers.insert(node, peer);
        Some(node)
    }

    /// The peer that a node is.
    pub(super) fn peer(&self, node: NodeId) -> Option<PeerId> {
        self.peers.get(&node).copied()
    }

    pub(super) fn connect(&mut self, node: NodeId) {
        self.connected.insert(node);
    }

    pub(super) fn disconnect(&mut self, node: NodeId) {
        self.connected.remove(&node);
    }

    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains(&node)
    }

    pub(super) const fn connected(&self) -> &BTreeSet<NodeId> {
        &self.connected
    }
}
