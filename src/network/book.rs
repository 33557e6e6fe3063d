//! Which peer a node is, where it may be reached, and which nodes are connected.

use std::collections::{BTreeMap, BTreeSet};

use ::libp2p::{Multiaddr, PeerId};

use super::peer::node_of_peer;
use crate::domain::NodeId;

/// Most nodes remembered. Those that are not connected are forgotten first.
const MAX_NODES: usize = 8192;

/// Most addresses remembered of one node: those that were heard last.
const MAX_ADDRESSES: usize = 8;

/// The peers this node has heard of.
#[derive(Debug, Default)]
pub(super) struct PeerBook {
    peers: BTreeMap<NodeId, (PeerId, Vec<Multiaddr>)>,
    connected: BTreeSet<NodeId>,
    /// Those of them that opened a connection to this node.
    visitors: BTreeSet<NodeId>,
}

impl PeerBook {
    /// Remembers a peer, and says which node it is; `None` for keys that are not secp256k1.
    pub(super) fn learn(&mut self, peer: PeerId) -> Option<NodeId> {
        let node = node_of_peer(&peer)?;
        if self.peers.len() >= MAX_NODES && !self.peers.contains_key(&node) {
            let connected = &self.connected;
            self.peers.retain(|node, _| connected.contains(node));
        }
        self.peers.entry(node).or_insert((peer, Vec::new()));
        Some(node)
    }

    /// Replaces the known addresses of a peer with those that it names, unless it names none.
    pub(super) fn locate(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let Some(node) = self.learn(peer).filter(|_| !addresses.is_empty()) else { return };
        if let Some((_, known)) = self.peers.get_mut(&node) {
            *known = addresses;
            known.truncate(MAX_ADDRESSES);
        }
    }

    /// The peer that a node is, and where it may be reached.
    pub(super) fn peer(&self, node: NodeId) -> Option<&(PeerId, Vec<Multiaddr>)> {
        self.peers.get(&node)
    }

    /// A connection to a node is there; `is_visitor` tells whether the node opened it.
    pub(super) fn connect(&mut self, node: NodeId, is_visitor: bool) {
        self.connected.insert(node);
        if is_visitor {
            self.visitors.insert(node);
        }
    }

    pub(super) fn disconnect(&mut self, node: NodeId) {
        self.connected.remove(&node);
        self.visitors.remove(&node);
    }

    pub(super) fn is_connected(&self, node: NodeId) -> bool {
        self.connected.contains(&node)
    }

    pub(super) const fn visitors(&self) -> &BTreeSet<NodeId> {
        &self.visitors
    }

    pub(super) const fn connected(&self) -> &BTreeSet<NodeId> {
        &self.connected
    }
}
