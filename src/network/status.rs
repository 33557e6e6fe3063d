//! The status of the network, which others can wait on.

use std::collections::{BTreeMap, BTreeSet};

use ::libp2p::Multiaddr;

use crate::domain::{NodeId, Offer};

/// The network as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Addresses that others can dial, with real ports.
    pub listening: Vec<Multiaddr>,
    /// Nodes with a connection.
    pub connected: BTreeSet<NodeId>,
    /// Connected nodes that opened a connection to this one, so that they can reach it.
    pub visitors: BTreeSet<NodeId>,
    /// Connected nodes that take announcements.
    pub subscribed: BTreeSet<NodeId>,
    /// The offers of connected nodes; nobody vouches for them.
    pub offers: BTreeMap<NodeId, Offer>,
    /// The configured peers.
    pub peers: Vec<PeerLink>,
    /// Refused messages.
    pub counters: Counters,
}

/// A configured peer, which this node dials whenever it is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerLink {
    /// Its address as configured.
    pub address: Multiaddr,
    /// Who answers there, while connected.
    pub node: Option<NodeId>,
    /// Attempts since it last answered.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Counts of refused messages since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announcements passed on.
    pub announcements_accepted: u64,
    /// Announcements that are forged, malformed or too large.
    pub announcements_rejected: u64,
    /// Announcements that are stale, or known, or of no use here.
    pub announcements_ignored: u64,
    /// Announcements over the limit of their signer or forwarder.
    pub announcements_limited: u64,
    /// Requests answered with "busy", and announcements dropped, because this node cannot keep up.
    pub inbound_busy: u64,
    /// Requests over the limit of their peer.
    pub requests_limited: u64,
    /// Invalid answers about other peers.
    pub peer_lists_rejected: u64,
    /// Connections closed because the peer's key is not secp256k1.
    pub foreign_keys: u64,
    /// Connections refused or not made because of a limit.
    pub connections_refused: u64,
}
