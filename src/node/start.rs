//! Starts a node, and stops it in the order that the module's documentation gives.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{
    NodeConfig, NodeParts,
    board::Board,
    clock::Clock,
    follow::follow,
    health::observe,
    sweep::sweep,
    transfer::{Served, Shelf, Transfer},
    warnings::Warnings,
};
use crate::{
    explain::one_line,
    domain::{Digest, JobId, NodeId},
    executor::Executor,
    identity::NodeKey,
    policy::capacity::{Capacity, Obligations},
    scheduler::{BackendError, Scheduler},
    store::{DataDir, DbError, Executions, Reputation, Requests},
};

/// Why a node does not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The backend failed or ended.
    #[error("the backend failed")]
    Backend(#[source] BackendError),
    /// The database failed.
    #[error("the node's database failed")]
    Db(#[from] DbError),
    /// The scratch directory cannot be emptied.
    #[error("cannot clear {}", path.display())]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A server that belongs to the node failed.
    #[error("a server of the node failed")]
    Server(#[source] std::io::Error),
    /// A task panicked.
    #[error("the task {task} panicked")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// What is known of it.
        #[source]
        source: JoinError,
    },
    /// A task ended though nobody stopped it.
    #[error("the task {task} ended unexpectedly")]
    Ended {
        /// Its name.
        task: &'static str,
    },
}

impl NodeError {
    pub(crate) fn panicked(task: &'static str) -> impl FnOnce(JoinError) -> Self {
        move |source| Self::Panicked { task, source }
    }
}

/// One node: its parts and what it knows. The roles run in tasks of their own; this is what they share.
#[derive(Debug)]
pub struct Node {
    pub(super) id: NodeId,
    pub(super) key: NodeKey,
    /// Orders equal bids; nobody else can know it.
    pub(super) secret: Digest,
    pub(super) config: NodeConfig,
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) transfer: Arc<dyn Transfer>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Clock,
    pub(super) executions: Executions,
    pub(super) requests: Requests,
    pub(super) reputation: Reputation,
    capacity: Mutex<Capacity>,
    /// What is still owed, as a level to wait for.
    pub(super) obligations: watch::Sender<Obligations>,
    /// What keeps it from its obligations.
    pub(super) warnings: Warnings,
    pub(super) stop: CancellationToken,
    /// Jobs that have a driver, and the bell that has it ask again.
    driven: Mutex<BTreeMap<JobId, Arc<Notify>>>,
    dir: DataDir,
}

/// A running node. Dropping it aborts the node; [`Self::join`] ends it in order.
#[derive(Debug)]
pub struct NodeHandle {
    node: Arc<Node>,
    tasks: JoinSet<(&'static str, Result<(), NodeError>)>,
}

impl Node {
    /// Starts a node. What a crash left of earlier runs is removed first, and those runs are reported.
    ///
    /// # Errors
    /// [`NodeError`]; nothing runs then.
    pub async fn start(config: NodeConfig, parts: NodeParts) -> Result<NodeHandle, NodeError> {
        let NodeParts { key, dir, db, scheduler, executor, transfer, shelf } = parts;
        let id = key.node_id();
        let executions = Executions::new(db.clone());
        info!(node = %id, "node starts");
        let clock = Clock::start(&*scheduler).await.map_err(NodeError::Backend)?;
        let board = Arc::new(Board::new(scheduler.domain()));
        shelf.content().hold_own_results(id)?;
        shelf.open(id, Arc::clone(&board), Served::of(&*scheduler));
        let secret = Digest::keccak(key.sign(Digest::keccak(b"assay: the order of equal bids")).as_bytes());
        let capacity = Mutex::new(Capacity::new(config.compute_slots));
        let node = Arc::new(Self {
            id,
            key,
            secret,
            config,
            scheduler,
            executor,
            transfer,
            shelf,
            board,
            clock,
            executions,
            requests: Requests::new(db.clone()),
            reputation: Reputation::new(db),
            capacity,
            obligations: watch::Sender::default(),
            warnings: Warnings::default(),
            stop: CancellationToken::new(),
            driven: Mutex::default(),
            dir,
        });
        node.clear_scratch().await?;
        if let Err(error) = node.sweep_once().await {
            warn!(node = %id, error = %one_line(&error), "left-overs cannot be removed yet");
        }
        Ok(node.spawn())
    }

    fn spawn(self: Arc<Self>) -> NodeHandle {
        let (clock, scheduler, stop) = (self.clock.clone(), Arc::clone(&self.scheduler), self.stop.clone());
        let (following, sweeping) = (follow(Arc::clone(&self)), sweep(Arc::clone(&self)));
        let observing = observe(Arc::clone(&self));
        let mut handle = NodeHandle { node: self, tasks: JoinSet::new() };
        handle.attach("clock", async move {
            clock.follow(scheduler, stop).await;
            Ok(())
        });
        handle.attach("log", following);
        handle.attach("sweep", sweeping);
        handle.attach("health", observing);
        handle
    }

    /// Jobs that have a driver.
    pub(crate) fn driven(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Notify>>> {
        // A map of bells cannot be left half changed.
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, or tells, what decides across jobs; has the jobs that may go on then ask again.
    pub(crate) fn with_capacity<T>(&self, act: impl FnOnce(&mut Capacity) -> (T, Vec<JobId>)) -> T {
        let (answer, ring) = {
            // A panic inside leaves places that the next question of each job sets right.
            let mut capacity = self.capacity.lock().unwrap_or_else(PoisonError::into_inner);
            let acted = act(&mut capacity);
            let owed = capacity.obligations();
            self.obligations.send_if_modified(|known| std::mem::replace(known, owed) != owed);
            acted
        };
        let driven = self.driven();
        ring.iter().filter_map(|job| driven.get(job)).for_each(|bell| bell.notify_one());
        answer
    }

    /// How many nodes may bid for a job of this one, as far as is known.
    pub(crate) fn bidders(&self) -> usize {
        self.scheduler.members().len() + usize::from(self.config.compute_slots > 0)
    }

    /// Where the token of its API is left for those who may use it.
    pub fn token_file(&self) -> PathBuf {
        self.dir.token_file()
    }

    /// Where inputs and results are kept.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.dir.blobs()
    }

    /// Where runs and checks keep what nobody needs after a crash.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.dir.path().join("work")
    }
}

impl NodeHandle {
    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.node.id
    }

    /// The node itself, for callers in the same process.
    pub fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// Adds a task that lives as long as the node: it must end when the token is cancelled, and ends the node when
    /// it ends earlier.
    pub fn attach(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), NodeError>> + Send + 'static,
    ) {
        let span = info_span!("node", id = %self.node.id.short());
        self.tasks.spawn(async move { (name, task.await) }.instrument(span));
    }

    /// Ends the node when cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.node.stop.clone()
    }

    /// Waits until the node has ended, in order. It ends when its token is cancelled, or when a part of it fails.
    ///
    /// # Errors
    /// The first failure; the others are logged.
    pub async fn join(mut self) -> Result<(), NodeError> {
        let mut first = None;
        while let Some(ended) = self.tasks.join_next().await {
            let error = match ended {
                Ok((task, Ok(()))) if !self.node.stop.is_cancelled() => NodeError::Ended { task },
                Ok((_, Ok(()))) => continue,
                Ok((_, Err(error))) => error,
                Err(source) => NodeError::Panicked { task: "node", source },
            };
            error!(node = %self.node.id, error = %one_line(&error), "node fails");
            self.node.stop.cancel();
            first.get_or_insert(error);
        }
        info!(node = %self.node.id, "node has ended");
        first.map_or(Ok(()), Err)
    }
}
