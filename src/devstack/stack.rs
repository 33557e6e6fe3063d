//! Several nodes in one process, each with its own key, directory, API and place in the network.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use futures::future::{join_all, try_join_all};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{BadActors, Fault, faults::corrupt};
use crate::{
    assembly::{Backend, Disk, Host, HostConfig, HostError, Opening},
    domain::{Amount, Ask, NodeId},
    executor::Executor,
    identity::NodeKey,
    network::Multiaddr,
    node::{Admission, ComputeLimits, Keep, UrlLimits},
};

/// Most nodes of one devstack: each is a process's worth of sockets and files.
pub const MAX_NODES: usize = 64;

/// How many containers each of its nodes runs at once, unless told otherwise.
pub const DEFAULT_SLOTS: usize = 4;

/// How many earlier nodes each joins at most. A connection costs both ends a handshake and memory, and with all of
/// them a network of 200 nodes would make 20,000; what a node needs beyond these, it finds by itself.
const LINKS: usize = 16;

/// How long the nodes may take to find each other: they are on one machine.
const MEET_LIMIT: Duration = Duration::from_secs(30);

/// What a devstack is made of.
#[derive(Debug)]
pub struct StackConfig {
    /// Who orders the events.
    pub backend: Backend,
    /// How many nodes there are, 1 to [`MAX_NODES`].
    pub nodes: usize,
    /// How many containers each runs at once.
    pub slots: usize,
    /// How many of them are bad; the last ones.
    pub bad: BadActors,
    /// Where they keep their data, each below it.
    pub data_dir: PathBuf,
    /// The keys of the first nodes; the others have one in their directory.
    pub keys: Vec<NodeKey>,
    /// The highest bond that each risks.
    pub max_bond: Amount,
    /// What each asks for a seat.
    pub ask: Ask,
    /// What runs their containers.
    pub executor: Arc<dyn Executor>,
}

/// Why a devstack does not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A node does not start.
    #[error("cannot start node {index} of the devstack")]
    Host {
        /// Which, from 0.
        index: usize,
        /// Why.
        #[source]
        source: HostError,
    },
    /// The nodes do not find each other.
    #[error("the nodes of the devstack did not find each other within {} s", MEET_LIMIT.as_secs())]
    Apart,
}

/// One node of a devstack.
#[derive(Debug, Clone)]
pub struct StackNode {
    /// Its id.
    pub id: NodeId,
    /// Where its API listens.
    pub api: SocketAddr,
    /// Where the token is that its API asks for.
    pub token_file: PathBuf,
    /// Addresses that other nodes can join.
    pub addresses: Vec<Multiaddr>,
    /// How it misbehaves, if it does.
    pub fault: Option<Fault>,
}

/// Running nodes that know each other. Dropping it aborts them; [`Self::join`] ends them in order.
#[derive(Debug)]
pub struct Stack {
    nodes: Vec<StackNode>,
    stops: Vec<CancellationToken>,
    hosts: JoinSet<(NodeId, Result<(), HostError>)>,
}

impl Stack {
    /// Starts all nodes, and returns when each hears every other, or as many as `LINKS` at least.
    ///
    /// # Errors
    /// [`StackError`]; nothing runs then.
    pub async fn start(config: StackConfig) -> Result<Self, StackError> {
        let disks = open_disks(&config).await;
        let hosts = match config.backend {
            Backend::Libp2p => start_in_turn(&config, disks).await?,
            Backend::Contract { .. } => start_at_once(&config, disks).await?,
        };
        let others = match config.backend {
            Backend::Libp2p => LINKS.min(config.nodes - 1),
            // All are announced on the chain.
            Backend::Contract { .. } => config.nodes - 1,
        };
        let met = join_all(hosts.iter().map(|host| host.meets(others)));
        timeout(MEET_LIMIT, met).await.map_err(|_| StackError::Apart)?;
        let node = |(index, host): (usize, &Host)| StackNode {
            id: host.id(),
            api: host.api(),
            token_file: host.token_file(),
            addresses: host.addresses().to_vec(),
            fault: fault(&config, index),
        };
        let nodes = hosts.iter().enumerate().map(node).collect();
        let stops = hosts.iter().map(Host::stop_token).collect();
        let mut tasks = JoinSet::new();
        for host in hosts {
            let id = host.id();
            tasks.spawn(async move { (id, host.join().await) });
        }
        Ok(Self { nodes, stops, hosts: tasks })
    }

    /// The nodes; the first is never bad unless all are.
    pub fn nodes(&self) -> &[StackNode] {
        &self.nodes
    }

    /// Begins to end all nodes; [`Self::join`] waits for it.
    pub fn stop(&self) {
        self.stops.iter().for_each(CancellationToken::cancel);
    }

    /// Waits until all nodes have ended. One that fails, or is made to crash, leaves the others running.
    ///
    /// # Errors
    /// The first failure of a node.
    pub async fn join(&mut self) -> Result<(), HostError> {
        let mut first = Ok(());
        while let Some(ended) = self.hosts.join_next().await {
            match ended {
                Ok((node, Ok(()))) => info!(%node, "node has ended"),
                Ok((node, Err(error))) => {
                    error!(%node, error = %error, "node has failed");
                    first = first.and(Err(error));
                }
                Err(error) => error!(%error, "a node panicked"),
            }
        }
        first
    }
}

/// Opens the directories of all nodes side by side: each waits for the disk several times.
async fn open_disks(config: &StackConfig) -> Vec<Result<Disk, HostError>> {
    let opening = (0..config.nodes).map(|index| {
        let HostConfig { data_dir, key, .. } = host_config(config, index, Vec::new());
        spawn_blocking(move || Disk::open(&data_dir, key))
    });
    // Begun before the first is waited for.
    let opening: Vec<_> = opening.collect();
    let opened = join_all(opening).await;
    opened.into_iter().map(|opened| opened.expect("opening a directory returns its errors")).collect()
}

/// Each joins earlier ones, whose addresses are known once they listen.
async fn start_in_turn(
    config: &StackConfig,
    disks: Vec<Result<Disk, HostError>>,
) -> Result<Vec<Host>, StackError> {
    let mut hosts: Vec<Host> = Vec::new();
    for (index, disk) in disks.into_iter().enumerate() {
        let peers = links(index).flat_map(|earlier| hosts[earlier].addresses().to_vec()).collect();
        hosts.push(start_host(config, index, disk, peers).await?);
    }
    Ok(hosts)
}

/// All find each other by what they announce on the chain.
async fn start_at_once(
    config: &StackConfig,
    disks: Vec<Result<Disk, HostError>>,
) -> Result<Vec<Host>, StackError> {
    let starting = disks.into_iter().enumerate();
    try_join_all(starting.map(|(index, disk)| start_host(config, index, disk, Vec::new()))).await
}

async fn start_host(
    config: &StackConfig,
    index: usize,
    disk: Result<Disk, HostError>,
    peers: Vec<Multiaddr>,
) -> Result<Host, StackError> {
    let failed = |source| StackError::Host { index, source };
    let (disk, host) = (disk.map_err(failed)?, host_config(config, index, peers));
    let opening = Opening::on(disk, host).await.map_err(failed)?;
    let started = match fault(config, index) {
        None => opening.start().await,
        Some(fault) => opening.start_with(|seams, key, die| corrupt(fault, seams, key, die)).await,
    };
    started.map_err(failed)
}

/// The earlier nodes that a node joins: all of them, or [`LINKS`] that are spread evenly.
fn links(index: usize) -> impl Iterator<Item = usize> {
    let links = index.min(LINKS);
    (0..links).map(move |link| link * index / links)
}

fn fault(config: &StackConfig, index: usize) -> Option<Fault> {
    (index + config.bad.count >= config.nodes).then_some(config.bad.fault)
}

fn host_config(config: &StackConfig, index: usize, peers: Vec<Multiaddr>) -> HostConfig {
    HostConfig {
        backend: config.backend.clone(),
        key: config.keys.get(index).cloned(),
        data_dir: config.data_dir.join(format!("node-{index}")),
        listen: vec![loopback()],
        peers,
        dial_private: false,
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        compute_slots: config.slots,
        limits: ComputeLimits { max_bond: config.max_bond, ask: config.ask, ..ComputeLimits::default() },
        sisters: Vec::new(),
        admission: Admission::default(),
        deliver: true,
        // One user's machine, and all nodes are theirs.
        urls: UrlLimits::ALL,
        keep: Keep::default(),
        executor: Arc::clone(&config.executor),
    }
}

fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().expect("a constant address is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_network_is_linked_all_to_all_and_a_large_one_evenly() {
        for index in 0..=LINKS {
            assert_eq!(links(index).collect::<Vec<_>>(), (0..index).collect::<Vec<_>>());
        }
        let spread: Vec<usize> = links(160).collect();
        assert_eq!(spread, (0..160).step_by(10).collect::<Vec<_>>());
    }
}
