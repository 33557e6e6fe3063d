//! What a node is made of: its settings, and the parts that only the assembly names.

use std::{sync::Arc, time::Duration};

use super::{
    transfer::{Shelf, Transfer},
    url::UrlLimits,
};
use crate::{
    domain::{NodeId, Offer},
    executor::Executor,
    identity::NodeKey,
    policy::{ComputeLimits, admission::Admission, retention::Keep},
    scheduler::Scheduler,
    store::{DataDir, Db},
};

/// Settings of a node: what it does, and how much of it.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Slots: how many jobs it runs at once; 0 for a requester that runs none.
    pub compute_slots: usize,
    /// The jobs that it takes on.
    pub limits: ComputeLimits,
    /// Other nodes of its operator: at most one of them all takes a seat in a job.
    pub sisters: Vec<NodeId>,
    /// What its operator lets it work for, and when.
    pub admission: Admission,
    /// The longest archive of a result or an input that it stores or fetches, in bytes.
    pub max_archive_bytes: u64,
    /// For how long it keeps what ended jobs left.
    pub keep: Keep,
    /// How long it waits for the removal of running containers when it stops.
    pub stop_grace: Duration,
    /// The URLs that it gets inputs from.
    pub urls: UrlLimits,
    /// What it tells its user about its place in the network.
    pub about: About,
}

/// How a node describes itself to its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The name of the backend.
    pub backend: String,
    /// The node's peer id, if it is in a peer-to-peer network.
    pub peer_id: Option<String>,
    /// Addresses under which other nodes reach it.
    pub listen: Vec<String>,
}

/// The parts of a node. The caller that starts the node chooses backend, executor and transports.
#[derive(Debug)]
pub struct NodeParts {
    /// Signs its actions.
    pub key: NodeKey,
    /// The data directory, which the node has locked.
    pub dir: DataDir,
    /// The database in that directory.
    pub db: Db,
    /// Orders the log.
    pub scheduler: Arc<dyn Scheduler>,
    /// Runs containers.
    pub executor: Arc<dyn Executor>,
    /// Fetches inputs and results from other nodes.
    pub transfer: Arc<dyn Transfer>,
    /// Serves inputs and results to other nodes. The caller makes it first, because a transport answers peers from its
    /// start.
    pub shelf: Arc<Shelf>,
}

impl ComputeLimits {
    /// What a node with these limits tells others that it takes on; `None` if it runs no jobs.
    pub fn offer(&self, slots: usize) -> Option<Offer> {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        (slots > 0).then(|| Offer {
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            platform: format!("{}/{architecture}", std::env::consts::OS),
            resources: self.max_resources,
            timeout: self.max_timeout,
            run: self.max_run,
            shortest_reveal: self.min_reveal,
            reveal: self.max_reveal,
            bond: self.max_bond,
            price: self.min_price,
        })
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            compute_slots: 1,
            limits: ComputeLimits::default(),
            sisters: Vec::new(),
            admission: Admission::default(),
            max_archive_bytes: 2 << 30,
            keep: Keep::default(),
            stop_grace: Duration::from_secs(10),
            urls: UrlLimits::default(),
            about: About::default(),
        }
    }
}
