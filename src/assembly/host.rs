//! One node with everything that it works with: directory, key, backend, executor.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    backend::{Backend, BackendConfig, BackendStartError, Connected, Link},
    deliver::Deliverer,
};
use crate::{
    api::{self, ApiConfig, Listening, ServeError},
    domain::{NodeId, Resources},
    executor::Executor,
    explain::Hint as _,
    identity::{KeyError, NodeKey},
    network::Multiaddr,
    node::{
        Admission, ComputeLimits, Keep, Node, NodeConfig, NodeError, NodeHandle, NodeParts, Shelf, UrlLimits,
    },
    scheduler::{BackendError, Cursor, Loading, Scheduler, contract::Seen, libp2p::Interest},
    store::{BlobError, Blobs, Content, DataDir, Db, DbError, DirError, EventLog},
};

/// What inputs and results may take on the disk of one node.
const BLOBS_CAP_BYTES: u64 = 16 << 30;

/// What a node is made of.
#[derive(Debug)]
pub struct HostConfig {
    /// Who orders its log.
    pub backend: Backend,
    /// Where it keeps its key and data.
    pub data_dir: PathBuf,
    /// Its key, if that is not the one in its directory.
    pub key: Option<NodeKey>,
    /// Where other nodes reach it; nowhere for a node that goes to others alone.
    pub listen: Vec<Multiaddr>,
    /// Nodes to join.
    pub peers: Vec<Multiaddr>,
    /// Whether it dials every private address that others name.
    pub dial_private: bool,
    /// Where its API listens; port 0 for any free one.
    pub api: SocketAddr,
    /// How many jobs it runs at once.
    pub compute_slots: usize,
    /// What it takes on.
    pub limits: ComputeLimits,
    /// Other nodes of its operator: at most one of them all takes a seat in a job.
    pub sisters: Vec<NodeId>,
    /// What its operator lets it work for, and when.
    pub admission: Admission,
    /// Whether it delivers public results to the contracts that asked for them.
    pub deliver: bool,
    /// The URLs that it gets inputs from.
    pub urls: UrlLimits,
    /// For how long it keeps what ended jobs left.
    pub keep: Keep,
    /// What runs them.
    pub executor: Arc<dyn Executor>,
}

/// Where a node meets the world. A devstack replaces these in the nodes that it makes misbehave.
#[derive(Debug, Clone)]
pub struct Seams {
    /// Orders its log.
    pub scheduler: Arc<dyn Scheduler>,
    /// Runs its containers.
    pub executor: Arc<dyn Executor>,
}

/// Why a node cannot be started, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its database cannot be used.
    #[error("cannot open the node's database")]
    Db(#[from] DbError),
    /// Its content cannot be used.
    #[error("cannot open the node's content store")]
    Blobs(#[from] BlobError),
    /// Its backend does not start.
    #[error("cannot start the backend")]
    Backend(#[from] BackendStartError),
    /// It does not come to listen.
    #[error("cannot listen on {0}")]
    Deaf(String),
    /// The node itself.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// Its API.
    #[error(transparent)]
    Api(#[from] ServeError),
}

/// A running node.
#[derive(Debug)]
pub struct Host {
    handle: NodeHandle,
    link: Link,
    db: Db,
    api: SocketAddr,
    addresses: Vec<Multiaddr>,
    /// Ends the node as if it had crashed.
    die: CancellationToken,
}

/// A node whose API listens, and which has not read its logs. Dropping it closes the API.
#[derive(Debug)]
pub struct Opening {
    disk: Disk,
    config: HostConfig,
    api: Listening,
    loading: watch::Sender<Loading>,
}

/// What a node has on disk, open.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: DataDir,
    key: NodeKey,
    db: Db,
    shelf: Arc<Shelf>,
}

/// The limits, without scratch directories where the machine cannot give any. So the node's offer says so too.
async fn within_machine(
    limits: ComputeLimits,
    slots: usize,
    executor: &dyn Executor,
    dir: &Path,
) -> ComputeLimits {
    if slots == 0 || limits.max_resources.scratch_bytes == 0 {
        return limits;
    }
    let Err(error) = executor.gives_scratch(dir).await else { return limits };
    let hint = error.hint().unwrap_or_default();
    warn!(%error, hint, "no bids for jobs with a scratch directory");
    let max_resources = Resources { scratch_bytes: 0, ..limits.max_resources };
    ComputeLimits { max_resources, ..limits }
}

/// What a node follows: what it may come to bid for.
fn interest(me: NodeId, slots: usize, limits: ComputeLimits) -> Interest {
    Interest::new(move |deal, asked| slots > 0 && limits.suit(deal, asked, me))
}

impl Disk {
    /// Opens, or makes, a node's directory. Blocks until what it wrote is durable.
    pub(crate) fn open(data_dir: &Path, key: Option<NodeKey>) -> Result<Self, HostError> {
        let dir = DataDir::open(data_dir)?;
        let key = key.map_or_else(|| NodeKey::load_or_create(&dir.key_file()), Ok)?;
        let dir = dir.lock_key(key.node_id())?;
        let db = Db::open(&dir)?;
        let shelf = Shelf::new(Content::new(db.clone(), Blobs::open(&dir.blobs(), BLOBS_CAP_BYTES)?));
        Ok(Self { dir, key, db, shelf })
    }
}

impl Opening {
    /// As [`Host::open`], where the directory is open already.
    pub(crate) async fn on(disk: Disk, config: HostConfig) -> Result<Self, HostError> {
        let (told, loading) = watch::channel(Loading::default());
        let listen = ApiConfig { address: config.api, beyond_loopback: false };
        let api = api::listen(listen, &disk.dir.token_file(), loading).await?;
        Ok(Self { disk, config, api, loading: told })
    }

    /// Where its API listens.
    pub const fn api(&self) -> SocketAddr {
        self.api.address()
    }

    /// Where the token is that its API asks for.
    pub fn token_file(&self) -> PathBuf {
        self.disk.dir.token_file()
    }

    /// Reads the node's logs, and starts it.
    ///
    /// # Errors
    /// [`HostError`]; nothing runs then.
    pub async fn start(self) -> Result<Host, HostError> {
        self.start_with(|seams, _, _| seams).await
    }

    /// As [`Self::start`]. `replace` may exchange the node's seams; it gets the node's key, and a token that ends the
    /// node as if it had crashed.
    pub(crate) async fn start_with(
        self,
        replace: impl FnOnce(Seams, &NodeKey, CancellationToken) -> Seams + Send,
    ) -> Result<Host, HostError> {
        let Self { disk, mut config, api: listening, loading } = self;
        let Disk { dir, key, db, shelf } = disk;
        config.limits =
            within_machine(config.limits, config.compute_slots, &*config.executor, dir.path()).await;
        let asked = config.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let backend = BackendConfig {
            key: key.clone(),
            listen: config.listen,
            peers: config.peers,
            dial_private: config.dial_private,
            db: db.clone(),
            shelf: Arc::clone(&shelf),
            interest: interest(key.node_id(), config.compute_slots, config.limits),
            offer: config.limits.offer(config.compute_slots),
            loading,
        };
        let Connected { scheduler, transfer, link } = config.backend.connect(backend).await?;
        let addresses = if asked.is_empty() { Vec::new() } else { link.addresses().await };
        if addresses.is_empty() && !asked.is_empty() {
            link.shutdown().await;
            return Err(HostError::Deaf(asked));
        }
        let die = CancellationToken::new();
        let seams = Seams { scheduler, executor: config.executor };
        let Seams { scheduler, executor } = replace(seams, &key, die.clone());
        let about = link.about(&addresses);
        let HostConfig { compute_slots, limits, sisters, admission, urls, keep, deliver, .. } = config;
        let node = NodeConfig {
            compute_slots,
            limits,
            sisters,
            admission,
            urls,
            keep,
            about,
            ..NodeConfig::default()
        };
        let parts = NodeParts { key, dir, db: db.clone(), scheduler, executor, transfer, shelf };
        let api = listening.address();
        // A chain is followed for as long as that takes; the node says so itself.
        let is_local = link.reading().is_none();
        match start_node(node, parts, listening, is_local).await {
            Ok(mut handle) => {
                if let Some(consumers) = link.consumers().filter(|_| deliver) {
                    let news = EventLog::new(db.clone()).watch_head();
                    let deliverer = Deliverer::new(handle.node(), consumers);
                    let stop = handle.stop_token();
                    handle.attach("deliveries", deliverer.run(news, stop));
                }
                Ok(Host { handle, link, db, api, addresses, die })
            }
            Err(error) => {
                link.shutdown().await;
                Err(error)
            }
        }
    }
}

impl Host {
    /// Opens the directory of a node, and has its API listen.
    ///
    /// # Errors
    /// [`HostError`]; nothing runs then.
    pub async fn open(mut config: HostConfig) -> Result<Opening, HostError> {
        let disk = Disk::open(&config.data_dir, config.key.take())?;
        Opening::on(disk, config).await
    }

    /// Starts a node.
    ///
    /// # Errors
    /// [`HostError`]; nothing runs then.
    pub async fn start(config: HostConfig) -> Result<Self, HostError> {
        Self::open(config).await?.start().await
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.handle.id()
    }

    /// Where its API listens.
    pub const fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the token is that its API asks for.
    pub fn token_file(&self) -> PathBuf {
        self.handle.node().token_file()
    }

    /// Addresses that other nodes can join.
    pub fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// Ends the node when cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.handle.stop_token()
    }

    /// The node itself.
    pub fn node(&self) -> Arc<Node> {
        self.handle.node()
    }

    /// How far its backend has read the chain, where there is one.
    pub fn reading(&self) -> Option<watch::Receiver<Seen>> {
        self.link.reading()
    }

    /// Resolves when the node knows everything that is in its log now.
    pub async fn caught_up(&self) {
        let node = self.handle.node();
        node.caught_up().await;
        // A store that fails is told by whatever needs it next.
        let newest = EventLog::new(self.db.clone()).newest_live().unwrap_or_default();
        node.reached(Cursor(newest)).await;
    }

    /// Resolves when it hears, and is heard by, so many others.
    pub async fn meets(&self, others: usize) {
        self.link.meets(others).await;
    }

    /// Waits until the node has ended, then ends its backend.
    ///
    /// # Errors
    /// The node's first failure.
    pub async fn join(self) -> Result<(), HostError> {
        let Self { handle, link, die, .. } = self;
        let stop = handle.stop_token();
        let mut joined = Box::pin(handle.join());
        let ended = tokio::select! {
            ended = &mut joined => ended,
            () = die.cancelled() => {
                stop.cancel();
                joined.await
            }
            () = link.stopped() => {
                stop.cancel();
                joined.await
            }
        };
        link.shutdown().await;
        Ok(ended?)
    }
}

/// Starts a node, and has its API answer once the node holds the history of its log, if that is here.
async fn start_node(
    config: NodeConfig,
    parts: NodeParts,
    api: Listening,
    is_local: bool,
) -> Result<NodeHandle, HostError> {
    let mut handle = Node::start(config, parts).await?;
    if is_local {
        let (node, stop) = (handle.node(), handle.stop_token());
        if stop.run_until_cancelled(node.caught_up()).await.is_none() {
            handle.join().await?;
            return Err(NodeError::Backend(BackendError::Stopped).into());
        }
    }
    api.serve(&mut handle);
    Ok(handle)
}
