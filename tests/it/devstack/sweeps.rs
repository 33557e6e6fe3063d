//! Many jobs at once on few slots, and jobs of a requester that is gone: whoever waits for capacity gets it.

use std::{net::Ipv4Addr, sync::Arc};

use assay::{
    api::types::{JobList, JobRow, SubmitRequest},
    assembly::{Host, HostConfig},
    domain::{Deal, JobState, NodeId, Span},
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor, FakeExecutor, NoEngine, Script},
    node::{Admission, ComputeLimits, UrlLimits},
};

use futures::{StreamExt as _, stream};

use super::{HINT, Network, On, request};
use crate::town::client_with;

/// Submissions at a time: an API takes a limited number of new connections.
const AT_ONCE: usize = 16;

const TIMEOUT: Span = Span::from_secs(10);

/// Runs end at once: what takes time is everything around them.
fn instant() -> Arc<dyn Executor> {
    Arc::new(FakeExecutor::new(|run| Script::printing(run.spec.command.join(" "))))
}

/// Submits these, many at a time, and waits for all.
async fn all_are_verified(network: &Network, requests: impl Iterator<Item = SubmitRequest>) {
    let posting = stream::iter(requests).map(|request| async move { network.post(&request).await });
    for job in posting.buffered(AT_ONCE).collect::<Vec<_>>().await {
        let view = network.ended(job).await;
        assert_eq!(view.state, JobState::Verified, "{:?} {:?}", view.failure, view.seats);
    }
}

/// Every job is verified, though all were submitted at once.
async fn sweep(network: Network, jobs: usize, concurrency: u8) {
    let deal = network.deal(concurrency, TIMEOUT);
    let requests = (0..jobs).map(|job| request(&format!("sleep 1; echo {job}"), deal.clone()));
    all_are_verified(&network, requests).await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_over_five_nodes_of_four_slots_is_verified() {
    sweep(Network::with(On::Libp2p, 5, 4, "0", instant(), 0).await, 100, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_contract_a_sweep_over_five_nodes_of_four_slots_is_verified() {
    sweep(Network::with(On::Contract, 5, 4, "0", instant(), 0).await, 100, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_needs_every_node_for_each_job_is_verified() {
    sweep(Network::with(On::Libp2p, 5, 4, "0", instant(), 0).await, 25, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_contract_a_sweep_that_needs_every_node_for_each_job_is_verified() {
    sweep(Network::with(On::Contract, 5, 4, "0", instant(), 0).await, 25, 5).await;
}

async fn engine() -> Arc<dyn Executor> {
    let engine = DockerExecutor::connect(DEFAULT_SOCKET).await;
    Arc::new(engine.unwrap_or_else(|error| panic!("{error}; {HINT}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_containers_over_single_slots_is_verified() {
    sweep(Network::with(On::Libp2p, 5, 1, "0", engine().await, 0).await, 15, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_contract_a_sweep_of_containers_over_single_slots_is_verified() {
    sweep(Network::with(On::Contract, 5, 1, "0", engine().await, 0).await, 15, 3).await;
}

/// A requester without slots, beside the nodes of the network.
async fn requester(network: &Network) -> Host {
    let (first, dir) = (&network.stack.nodes()[0], network.dir.path().join("requester"));
    let account = network.chain.as_ref().and_then(|chain| chain.accounts().last());
    let config = HostConfig {
        backend: network.backend(),
        data_dir: dir,
        key: account.map(|account| account.key.clone()),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: first.addresses.clone(),
        dial_private: false,
        api: (Ipv4Addr::LOCALHOST, 0).into(),
        compute_slots: 0,
        sisters: Vec::new(),
        deliver: false,
        urls: UrlLimits::default(),
        limits: ComputeLimits::default(),
        admission: Admission::default(),
        keep: Default::default(),
        executor: Arc::new(NoEngine),
    };
    let host = Host::start(config).await.unwrap();
    host.meets(network.stack.nodes().len()).await;
    host
}

/// On a contract a job has its seats once it is there, if enough nodes answer. So there one of those that may bid does not
/// exist, and the bids of the others wait for one more.
fn lacking_one(on: On, network: &Network) -> Vec<NodeId> {
    if matches!(on, On::Libp2p) {
        return Vec::new();
    }
    let mut allowed: Vec<NodeId> = network.stack.nodes().iter().skip(1).map(|node| node.id).collect();
    allowed.push(NodeId::new([7; 20]));
    allowed.sort();
    allowed
}

/// More jobs than the nodes have slots, of a requester that is killed before it can choose among the bids.
async fn a_dead_requester_keeps_nobody_waiting(on: On) {
    let network = Network::with(on, 5, 1, "0", instant(), 1).await;
    let gone = requester(&network).await;
    let digest = format!("assay/demo@sha256:{}", "0".repeat(64));
    let deal = Deal { open: Span::from_secs(24 * 3600), ..network.deal(5, Span::from_secs(3600)) };
    let deal = Deal { allow_list: lacking_one(on, &network), ..deal };
    let http = client_with(&gone.token_file()).build().unwrap();
    let url = format!("http://{}/api/v1/jobs", gone.api());
    for job in 0..12 {
        let mut request = request(&format!("echo {job}"), deal.clone());
        request.image.clone_from(&digest);
        let reply = http.post(&url).json(&request).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    }
    let dead = gone.id();
    // No less than a kill: every task is dropped where it stands.
    drop(gone);
    let requests = (0..5).map(|job| request(&format!("echo {job}"), network.deal(3, TIMEOUT)));
    all_are_verified(&network, requests).await;
    let list = network.http.get(network.url("jobs?limit=1000")).send().await.unwrap();
    let list: JobList = list.json().await.unwrap();
    let is_left = |row: &&JobRow| row.requester == dead && row.state == JobState::Open;
    assert!(list.jobs.iter().any(|row| is_left(&row)), "nothing was in the way: {:?}", list.jobs);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_requester_that_was_killed_keep_no_slot_from_others() {
    a_dead_requester_keeps_nobody_waiting(On::Libp2p).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_contract_jobs_of_a_requester_that_was_killed_keep_no_slot_from_others() {
    a_dead_requester_keeps_nobody_waiting(On::Contract).await;
}
