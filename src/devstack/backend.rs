//! Who orders the events of a job: the one place that knows the backends by name.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    identity::NodeKey,
    network::{self, Multiaddr, NetworkConfig, NetworkHandle, PeerId},
    node::{About, PeerTransfer, Shelf, Transfer, wall_clock},
    scheduler::{
        Scheduler,
        libp2p::{Libp2pConfig, Libp2pScheduler, Running, StartError},
    },
    store::EventLog,
};

/// A socket listens at once or never.
const LISTEN_LIMIT: Duration = Duration::from_secs(5);

/// A backend that this program can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The requester of each job, over a peer-to-peer network.
    Libp2p,
}

/// What a node's backend is started with.
#[derive(Debug)]
pub struct BackendConfig {
    /// The node's key.
    pub key: NodeKey,
    /// Where other nodes reach it.
    pub listen: Vec<Multiaddr>,
    /// Nodes to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Where logs are kept.
    pub log: EventLog,
    /// What the node serves.
    pub shelf: Arc<Shelf>,
}

/// A node's way to the others.
#[derive(Debug)]
pub struct Connected {
    /// Orders its log.
    pub scheduler: Arc<dyn Scheduler>,
    /// Moves its content.
    pub transfer: Arc<dyn Transfer>,
    /// Ends both.
    pub link: Link,
}

/// A running backend, for whoever started it.
#[derive(Debug)]
pub enum Link {
    /// Of [`Backend::Libp2p`].
    Libp2p {
        /// Its tasks.
        running: Running,
        /// Its network.
        network: NetworkHandle,
        /// The node's name in it.
        peer: PeerId,
    },
}

impl Backend {
    /// Starts this backend for one node.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(self, config: BackendConfig) -> Result<Connected, StartError> {
        match self {
            Self::Libp2p => libp2p(config).await,
        }
    }
}

async fn libp2p(config: BackendConfig) -> Result<Connected, StartError> {
    let BackendConfig { key, listen, peers, log, shelf } = config;
    let peer = key.libp2p_keypair().public().to_peer_id();
    let network = NetworkConfig { key, listen, peers, limits: network::Limits::default() };
    let config = Libp2pConfig { network, log, clock: Arc::new(wall_clock), blobs: shelf };
    let (scheduler, running) = Libp2pScheduler::start(config).await?;
    let network = scheduler.network();
    Ok(Connected {
        scheduler: Arc::new(scheduler),
        transfer: Arc::new(PeerTransfer::new(network.clone())),
        link: Link::Libp2p { running, network, peer },
    })
}

impl Link {
    /// Addresses that other nodes can join; none if it does not come to listen within a few seconds.
    pub async fn addresses(&self) -> Vec<Multiaddr> {
        match self {
            Self::Libp2p { network, peer, .. } => {
                let mut status = network.status();
                let listening = status.wait_for(|status| !status.listening.is_empty());
                let Ok(Ok(status)) = timeout(LISTEN_LIMIT, listening).await else { return Vec::new() };
                let named =
                    |address: &Multiaddr| address.clone().with_p2p(*peer).unwrap_or_else(|address| address);
                status.listening.iter().map(named).collect()
            }
        }
    }

    /// How the node describes its place.
    pub async fn about(&self) -> About {
        match self {
            Self::Libp2p { peer, .. } => About {
                backend: Backend::Libp2p.to_string(),
                peer_id: Some(peer.to_string()),
                listen: self.addresses().await.iter().map(ToString::to_string).collect(),
            },
        }
    }

    /// Resolves when this node hears, and is heard by, so many others.
    pub async fn meets(&self, others: usize) {
        match self {
            Self::Libp2p { network, .. } => {
                let mut status = network.status();
                // A network that has stopped meets nobody; whoever waits gives up by its own limit.
                if status.wait_for(|status| status.subscribed.len() >= others).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Resolves when the backend has ended by itself.
    pub async fn stopped(&self) {
        match self {
            Self::Libp2p { running, .. } => running.stopped().await,
        }
    }

    /// Ends it in order.
    pub async fn shutdown(&self) {
        match self {
            Self::Libp2p { running, .. } => running.shutdown().await,
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Libp2p => "libp2p",
        })
    }
}
