//! Who orders the events of a job: the one place that knows the backends by name.

use std::{fmt, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Backoff, NodeId, Offer},
    identity::NodeKey,
    network::{
        self, Inbound, Multiaddr, NetworkConfig, NetworkError, NetworkHandle, PeerId, RequestProtocol,
    },
    node::{About, PeerTransfer, Shelf, Transfer, wall_clock},
    scheduler::{
        BackendError, Loading, Scheduler,
        contract::{
            self, ChainConfig, ContractConfig, ContractScheduler, Courier, MoneyError, NodeAddresses, Seen,
            SignedPath, Unreached,
        },
        libp2p::{self, Interest, Libp2pConfig, Libp2pScheduler},
    },
    store::{Db, EventLog},
};

/// Most addresses of one node that are tried.
const MAX_ADDRESSES: usize = 8;

/// A socket listens at once or never.
const LISTEN_LIMIT: Duration = Duration::from_secs(5);

/// The pauses before a node is announced again whose account could not pay.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// The backends' names.
const LIBP2P: &str = "libp2p";
const CONTRACT: &str = "contract";

/// A backend that this program can run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// The requester of each job, over a peer-to-peer network.
    Libp2p,
    /// A contract; the peer-to-peer network moves content, and what nodes sign for others to send.
    Contract {
        /// The contract and the way to it.
        chain: ChainConfig,
        /// The block that the contract was deployed in, or an earlier one.
        first_block: u64,
    },
}

/// Why a backend does not start.
#[derive(Debug, thiserror::Error)]
pub enum BackendStartError {
    /// Of [`Backend::Libp2p`].
    #[error(transparent)]
    Libp2p(#[from] libp2p::StartError),
    /// Of [`Backend::Contract`].
    #[error(transparent)]
    Contract(#[from] contract::StartError),
    /// The network that moves content.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The node cannot tell others where it is.
    #[error("cannot announce this node's addresses on the chain")]
    Announce(#[source] MoneyError),
}

/// What a node's backend is started with.
#[derive(Debug)]
pub struct BackendConfig {
    /// The node's key.
    pub key: NodeKey,
    /// Where other nodes reach it; nowhere for a node that goes to others alone, and tells nobody of itself.
    pub listen: Vec<Multiaddr>,
    /// Whether it dials every private address that others name, and not only those near it.
    pub dial_private: bool,
    /// Nodes to stay connected to.
    pub peers: Vec<Multiaddr>,
    /// Where logs are kept.
    pub db: Db,
    /// What the node serves.
    pub shelf: Arc<Shelf>,
    /// Which jobs of others it follows, where that is its choice.
    pub interest: Interest,
    /// What it takes on, as others are told.
    pub offer: Option<Offer>,
    /// Told how far its logs are read.
    pub loading: watch::Sender<Loading>,
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

/// A running backend, held by its owner.
#[derive(Debug)]
pub enum Link {
    /// Of [`Backend::Libp2p`].
    Libp2p {
        /// Its tasks.
        running: libp2p::Running,
        /// Its network.
        network: NetworkHandle,
        /// The node's name in it.
        peer: PeerId,
    },
    /// Of [`Backend::Contract`].
    Contract {
        /// Its tasks.
        running: contract::Running,
        /// The network for content.
        network: NetworkHandle,
        /// The node's name in it.
        peer: PeerId,
        /// Delivers results to contracts.
        scheduler: ContractScheduler,
        /// How far the chain was read.
        seen: watch::Receiver<Seen>,
        /// Who is known on the chain.
        announced: watch::Receiver<NodeAddresses>,
        /// Ends the network.
        stop: CancellationToken,
        /// The tasks of the network.
        tasks: tokio::sync::Mutex<JoinSet<()>>,
    },
}

impl Backend {
    /// Starts this backend for one node.
    ///
    /// # Errors
    /// [`BackendStartError`].
    pub async fn connect(self, config: BackendConfig) -> Result<Connected, BackendStartError> {
        match self {
            Self::Libp2p => libp2p(config).await,
            Self::Contract { chain, first_block } => contract(chain, first_block, config).await,
        }
    }
}

async fn contract(
    chain: ChainConfig,
    first_block: u64,
    config: BackendConfig,
) -> Result<Connected, BackendStartError> {
    let BackendConfig { key, listen, peers, dial_private, db, shelf, interest: _, offer, loading } = config;
    let is_reachable = !listen.is_empty();
    let peer = key.libp2p_keypair().public().to_peer_id();
    let runs_jobs = offer.is_some();
    let config = NetworkConfig { key: key.clone(), listen, peers, limits: limits(dial_private), offer };
    let (driver, network, inbound) = network::start(config, Some(signed_protocol()), shelf)?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.run(stop.clone()));
    let signed = Some(SignedPath::new(Arc::new(PeerCourier(network.clone())), runs_jobs));
    let config = ContractConfig { chain, first_block, db, key, clock: Arc::new(wall_clock), signed };
    // Dropping the tasks ends the network when this fails.
    let (scheduler, running) = ContractScheduler::start(config).await?;
    let announced = scheduler.announced();
    tasks.spawn(answer(inbound, scheduler.clone()));
    tasks.spawn(introduce(announced.clone(), network.clone(), stop.clone()));
    tasks.spawn(tell_reading(scheduler.seen(), first_block, loading, stop.clone()));
    let stopped = stop.clone();
    let mut link = Link::Contract {
        running,
        scheduler: scheduler.clone(),
        network: network.clone(),
        peer,
        seen: scheduler.seen(),
        announced,
        stop,
        tasks: tokio::sync::Mutex::new(tasks),
    };
    if is_reachable {
        let addresses: Vec<String> = link.addresses().await.iter().map(ToString::to_string).collect();
        let addresses = addresses.join("\n");
        match (scheduler.announce(&addresses).await, &mut link) {
            (Ok(()), _) => {}
            // Gas can be paid for later; until then the node serves those who know it.
            (Err(error), Link::Contract { tasks, .. }) if is_short_of_money(&error) => {
                tasks.get_mut().spawn(announce_later(scheduler.clone(), addresses, stopped));
            }
            (Err(error), Link::Contract { .. } | Link::Libp2p { .. }) => {
                link.shutdown().await;
                return Err(BackendStartError::Announce(error));
            }
        }
    }
    Ok(Connected { scheduler: Arc::new(scheduler), transfer: Arc::new(PeerTransfer::new(network)), link })
}

const fn is_short_of_money(error: &MoneyError) -> bool {
    matches!(error, MoneyError::Chain(BackendError::NoEther { .. } | BackendError::FeeCap { .. }))
}

/// Announces a node once its account can pay for it.
async fn announce_later(scheduler: ContractScheduler, addresses: String, stop: CancellationToken) {
    let mut pause = PAUSES.first;
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        match stop.run_until_cancelled(scheduler.announce(&addresses)).await {
            None => return,
            Some(Ok(())) => return tracing::info!("the node's addresses are announced"),
            Some(Err(MoneyError::Chain(error))) if error.is_retryable() => {
                pause = PAUSES.after(pause);
            }
            Some(Err(error)) => {
                return tracing::error!(%error, "cannot announce the node's addresses");
            }
        }
    }
}

/// Tells how far the chain is read, until it is.
async fn tell_reading(
    mut seen: watch::Receiver<Seen>,
    first_block: u64,
    loading: watch::Sender<Loading>,
    stop: CancellationToken,
) {
    loop {
        let now = *seen.borrow_and_update();
        let before = first_block.saturating_sub(1);
        let last = now.head.saturating_sub(now.confirmations);
        let (read, total) = (now.read.saturating_sub(before), last.saturating_sub(before));
        loading.send_replace(Loading::Blocks { read: read.min(total), total });
        if now.is_complete() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

/// What the network of [`Backend::Contract`] carries.
fn signed_protocol() -> RequestProtocol {
    RequestProtocol {
        name: contract::PROTOCOL,
        max_request_bytes: contract::MAX_REQUEST_BYTES,
        max_answer_bytes: contract::MAX_ANSWER_BYTES,
        busy: contract::Answer::Later.encode(),
    }
}

/// Carries what nodes sign, over the network that moves their content.
#[derive(Debug)]
struct PeerCourier(NetworkHandle);

impl Courier for PeerCourier {
    fn ask(&self, node: NodeId, request: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreached>> {
        let network = self.0.clone();
        async move {
            let answer = network.request(node, request).await;
            answer.map_err(|error| Unreached { node, reason: error.to_string() })
        }
        .boxed()
    }
}

/// Answers other nodes. Jobs are on the chain: nobody announces one here.
async fn answer(mut inbound: mpsc::Receiver<Inbound>, scheduler: ContractScheduler) {
    while let Some(message) = inbound.recv().await {
        match message {
            Inbound::Announcement(_) => {}
            Inbound::Request { from, request, responder } => {
                responder.answer(scheduler.answer(from, &request)).await;
            }
        }
    }
}

/// Tells the network where the nodes that the chain knows can be reached.
async fn introduce(
    mut announced: watch::Receiver<NodeAddresses>,
    network: NetworkHandle,
    stop: CancellationToken,
) {
    let mut known = NodeAddresses::new();
    loop {
        let nodes = announced.borrow_and_update().clone();
        for (node, text) in nodes.iter().filter(|(node, text)| known.get(node) != Some(text)) {
            let addresses = text.lines().filter_map(|line| line.parse::<Multiaddr>().ok());
            // Whose key it is must be the announcer's: nobody speaks for another node.
            let own = addresses.take(MAX_ADDRESSES).filter_map(|address| {
                let peer = peer_in(&address)?;
                (network::node_of_peer(&peer) == Some(*node)).then_some((peer, address))
            });
            let (peers, addresses): (Vec<PeerId>, Vec<Multiaddr>) = own.unzip();
            // Of one node, and so of one key.
            if let Some(peer) = peers.first() {
                network.learn(*peer, addresses).await;
            }
        }
        known = nodes;
        tokio::select! {
            () = stop.cancelled() => break,
            changed = announced.changed() => if changed.is_err() { break },
        }
    }
}

fn limits(dial_private: bool) -> network::Limits {
    network::Limits { dial_private, ..network::Limits::default() }
}

fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        ::libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

async fn libp2p(config: BackendConfig) -> Result<Connected, BackendStartError> {
    let BackendConfig { key, listen, peers, dial_private, db, shelf, interest, offer, loading } = config;
    let peer = key.libp2p_keypair().public().to_peer_id();
    let network = NetworkConfig { key, listen, peers, limits: limits(dial_private), offer };
    let log = EventLog::new(db);
    let config = Libp2pConfig { network, log, clock: Arc::new(wall_clock), blobs: shelf, interest, loading };
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
            Self::Libp2p { network, peer, .. } | Self::Contract { network, peer, .. } => {
                let mut status = network.status();
                let listening = status.wait_for(|status| !status.listening.is_empty());
                let Ok(Ok(status)) = timeout(LISTEN_LIMIT, listening).await else { return Vec::new() };
                let named =
                    |address: &Multiaddr| address.clone().with_p2p(*peer).unwrap_or_else(|address| address);
                status.listening.iter().map(named).collect()
            }
        }
    }

    /// How far the chain was read, where there is one.
    pub fn reading(&self) -> Option<watch::Receiver<Seen>> {
        match self {
            Self::Libp2p { .. } => None,
            Self::Contract { seen, .. } => Some(seen.clone()),
        }
    }

    /// How a node that others reach at `addresses` describes its place.
    pub fn about(&self, addresses: &[Multiaddr]) -> About {
        let (backend, peer) = match self {
            Self::Libp2p { peer, .. } => (LIBP2P, peer),
            Self::Contract { peer, .. } => (CONTRACT, peer),
        };
        About {
            backend: backend.to_owned(),
            peer_id: Some(peer.to_string()),
            listen: addresses.iter().map(ToString::to_string).collect(),
        }
    }

    /// The scheduler of contracts that ask, where there is one.
    pub(super) fn consumers(&self) -> Option<ContractScheduler> {
        match self {
            Self::Libp2p { .. } => None,
            Self::Contract { scheduler, .. } => Some(scheduler.clone()),
        }
    }

    /// Resolves when this node hears, and is heard by, so many others.
    pub async fn meets(&self, others: usize) {
        match self {
            Self::Libp2p { network, .. } => {
                let mut status = network.status();
                // A network that has stopped meets nobody; the caller has its own limit.
                if status.wait_for(|status| status.subscribed.len() >= others).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            Self::Contract { announced, .. } => {
                let mut announced = announced.clone();
                // This node is among them.
                if announced.wait_for(|known| known.len() > others).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Resolves when the backend has ended by itself.
    pub async fn stopped(&self) {
        match self {
            Self::Libp2p { running, .. } => running.stopped().await,
            Self::Contract { running, .. } => running.stopped().await,
        }
    }

    /// Ends it in order.
    pub async fn shutdown(&self) {
        match self {
            Self::Libp2p { running, .. } => running.shutdown().await,
            Self::Contract { running, stop, tasks, .. } => {
                running.shutdown().await;
                stop.cancel();
                let mut tasks = tasks.lock().await;
                while let Some(ended) = tasks.join_next().await {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a task of the network panicked");
                    }
                }
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Libp2p => LIBP2P,
            Self::Contract { .. } => CONTRACT,
        })
    }
}
