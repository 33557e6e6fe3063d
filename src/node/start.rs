//! Starts a node, and stops it in the order that the module's documentation gives.

use std::sync::{Arc, Mutex, atomic::AtomicU64};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::{
    Node, NodeConfig, NodeError, NodeParts,
    board::Board,
    clock::Clock,
    findings::Findings,
    follow::follow,
    health::observe,
    intake::Intake,
    memory::TrustMemory,
    own_run::check_own_jobs,
    pause::keep_hours,
    retention::retain,
    retire::retire,
    state::{Identity, Ports, Records},
    sweep::sweep,
    transfer::Served,
    warnings::Warnings,
    workload::Workload,
};
use crate::{
    domain::{Digest, NodeId},
    explain::one_line,
    store::{EndedJobs, Executions, Reputation, Requests, TrustBook},
};

/// A running node. Dropping it aborts the node; [`Self::join`] ends it in order.
#[derive(Debug)]
pub struct NodeHandle {
    node: Arc<Node>,
    tasks: JoinSet<(&'static str, Result<(), NodeError>)>,
}

impl Node {
    /// Starts a node. First it removes what a crash left of earlier runs, and reports those runs.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running then.
    pub async fn start(mut config: NodeConfig, parts: NodeParts) -> Result<NodeHandle, NodeError> {
        let NodeParts { key, dir, db, scheduler, executor, transfer, shelf } = parts;
        let id = key.node_id();
        info!(node = %id, "node starts");
        let limits = &mut config.limits;
        limits.min_reveal = limits.min_reveal.max(scheduler.pace().shortest_reveal);
        let clock = Clock::start(&*scheduler).await.map_err(NodeError::Backend)?;
        let ended = EndedJobs::new(db.clone());
        let board = Arc::new(Board::new(Arc::clone(&scheduler), ended.clone()));
        shelf.content().hold_own_results(id)?;
        shelf.open(id, Arc::clone(&board), Served::of(&*scheduler));
        let secret = Digest::keccak(key.sign(Digest::keccak(b"assay: the order of equal bids")).as_bytes());
        let trust = TrustBook::new(db.clone());
        let memory = TrustMemory::restored(&trust)?;
        let is_open = config.admission.is_open(clock.moment().now);
        let workload = Workload::new(config.compute_slots, config.admission.together);
        let intake = Intake::restored(db.clone(), is_open)?;
        workload.pause(!intake.state().takes_on());
        let node = Arc::new(Self {
            me: Identity { id, key, secret },
            config,
            ports: Ports { scheduler, executor, transfer },
            shelf,
            records: Records {
                executions: Executions::new(db.clone()),
                requests: Requests::new(db.clone()),
                reputation: Reputation::new(db),
                trust,
                ended,
            },
            board,
            clock,
            workload,
            intake,
            acquaintances: Mutex::default(),
            memory,
            warnings: Warnings::default(),
            findings: Findings::default(),
            disk_short_until_ms: AtomicU64::default(),
            caught_up: watch::Sender::default(),
            stop: CancellationToken::new(),
            dir,
        });
        node.meet_again()?;
        node.befriend_proven();
        node.clear_scratch().await?;
        if let Err(error) = node.sweep_once().await {
            warn!(node = %id, error = %one_line(&error), "cannot remove left-overs yet");
        }
        Ok(node.spawn())
    }

    fn spawn(self: Arc<Self>) -> NodeHandle {
        let (clock, scheduler, stop) =
            (self.clock.clone(), Arc::clone(&self.ports.scheduler), self.stop.clone());
        let (following, sweeping) = (follow(Arc::clone(&self)), sweep(Arc::clone(&self)));
        let (observing, checking) = (observe(Arc::clone(&self)), check_own_jobs(Arc::clone(&self)));
        let (retiring, retaining) = (retire(Arc::clone(&self)), retain(Arc::clone(&self)));
        let keeping_hours = keep_hours(Arc::clone(&self));
        let mut handle = NodeHandle { node: self, tasks: JoinSet::new() };
        handle.attach("clock", async move {
            clock.follow(scheduler, stop).await;
            Ok(())
        });
        handle.attach("log", following);
        handle.attach("sweep", sweeping);
        handle.attach("health", observing);
        handle.attach("own runs", checking);
        handle.attach("retire", retiring);
        handle.attach("retention", retaining);
        handle.attach("hours", keeping_hours);
        handle
    }
}

impl NodeHandle {
    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.node.me.id
    }

    /// The node itself, for callers in the same process.
    pub fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// Attaches a task to the node. The task must end when the token is cancelled; if it ends earlier, the node ends too.
    pub fn attach(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), NodeError>> + Send + 'static,
    ) {
        let span = info_span!("node", id = %self.node.me.id.short());
        self.tasks.spawn(async move { (name, task.await) }.instrument(span));
    }

    /// Ends the node when cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.node.stop.clone()
    }

    /// Waits until the node has ended, in order. The node ends when its token is cancelled, or when a part of it fails.
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
            error!(node = %self.node.me.id, error = %one_line(&error), "node fails");
            self.node.stop.cancel();
            first.get_or_insert(error);
        }
        info!(node = %self.node.me.id, "node has ended");
        first.map_or(Ok(()), Err)
    }
}
