//! The configuration of a network, and why it cannot start.

use ::libp2p::Multiaddr;

use crate::{domain::Offer, identity::NodeKey};

/// How the network of a node is set up.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Who this node is.
    pub key: NodeKey,
    /// Where to listen; port 0 takes a free one, which [`super::Status::listening`] tells.
    pub listen: Vec<Multiaddr>,
    /// Nodes to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Bounds on connections.
    pub limits: Limits,
    /// The offer that peers are told.
    pub offer: Option<Offer>,
}

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections, in and out; a quarter is for those that this node dials.
    pub max_connections: u32,
    /// Connections with one peer. Two, since two nodes may dial each other at the same moment.
    pub max_connections_per_peer: u32,
    /// Connections that are being set up, each way; as many again for addresses of nodes that this one has a history with.
    pub max_pending: u32,
    /// Connections from one address, but for those of this machine.
    pub max_connections_per_address: u32,
    /// Whether every private address that others name may be dialled, and not only those near this node.
    pub dial_private: bool,
}

impl Limits {
    /// Connections that others make. Keys cost nothing, so strangers may take all of these; dialling has its own
    /// share.
    pub(super) const fn max_incoming(&self) -> u32 {
        self.max_connections - self.max_connections / 4
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_connections_per_peer: 2,
            max_pending: 64,
            max_connections_per_address: 16,
            dial_private: false,
        }
    }
}

/// Why a network cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The address cannot be listened on: taken, not ours, or of an unsupported kind.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the transport said.
        reason: String,
    },
    /// A protocol refused its configuration.
    #[error("cannot set up the network: {0}")]
    SetUp(String),
}
