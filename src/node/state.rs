//! One node: its parts and what it knows.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    NodeConfig,
    board::Board,
    clock::Clock,
    findings::Findings,
    intake::Intake,
    memory::TrustMemory,
    transfer::{Shelf, Transfer},
    warnings::Warnings,
    workload::Workload,
};
use crate::{
    domain::{Digest, NodeId},
    executor::Executor,
    identity::NodeKey,
    policy::reputation::Acquaintances,
    scheduler::Scheduler,
    store::{DataDir, EndedJobs, Executions, Reputation, Requests, TrustBook},
};

/// One node. Its roles run in tasks of their own and share this.
#[derive(Debug)]
pub struct Node {
    pub(super) me: Identity,
    pub(super) config: NodeConfig,
    pub(super) ports: Ports,
    /// What it serves to other nodes.
    pub(super) shelf: Arc<Shelf>,
    pub(super) records: Records,
    /// What it knows of jobs.
    pub(super) board: Arc<Board>,
    pub(super) clock: Clock,
    pub(super) workload: Workload,
    /// Whether its operator lets it take on work.
    pub(super) intake: Intake,
    /// The requesters that have given it honest work.
    pub(super) acquaintances: Mutex<Acquaintances>,
    /// How far it trusts others as a requester.
    pub(super) memory: TrustMemory,
    /// What keeps it from its obligations.
    pub(super) warnings: Warnings,
    /// What keeps it from bidding.
    pub(super) findings: Findings,
    /// When its disks stop counting as full after a job found too little room, in milliseconds since the start.
    pub(super) disk_short_until_ms: AtomicU64,
    /// Whether it has read the history of its log.
    pub(super) caught_up: watch::Sender<bool>,
    pub(super) stop: CancellationToken,
    pub(super) dir: DataDir,
}

/// The node's identity.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: NodeId,
    pub(super) key: NodeKey,
    /// Breaks ties between equal bids. Nobody else can know it.
    pub(super) secret: Digest,
}

/// How a node reaches the outside.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) transfer: Arc<dyn Transfer>,
}

/// What a node stores for itself, besides the log.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) executions: Executions,
    pub(super) requests: Requests,
    pub(super) reputation: Reputation,
    pub(super) trust: TrustBook,
    /// The jobs that left memory.
    pub(super) ended: EndedJobs,
}

impl Node {
    /// How many known nodes may bid for a job of this one.
    pub(crate) fn bidders(&self) -> usize {
        self.ports.scheduler.members().len() + usize::from(self.config.compute_slots > 0)
    }

    /// The file with the token of its API.
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
