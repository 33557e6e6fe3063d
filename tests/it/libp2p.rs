//! The libp2p backend over real connections on 127.0.0.1: nodes that find each other, fail, lie and come back.

mod clocks;
mod crowd;
mod exchange;
mod flood;
mod lies;
pub(crate) mod node;
pub(crate) mod stranger;

use std::{collections::BTreeSet, sync::Arc};

use assay::{
    domain::{Deal, Digest, Event, JobId, JobState, Opening, SeatSet},
    identity::NodeKey,
    network::{
        self as assay_network, Limits, Multiaddr, NetworkConfig, NetworkError, NetworkHandle, NoBlobs,
    },
    rules::Rejection,
    scheduler::{
        BackendError, Cursor, EventStream, LogUpdate, Scheduler, SubmitError, entries,
        libp2p::wire::{self, LogRequest, LogResponse},
    },
};
use assay::{
    scheduler::libp2p::{Interest, Libp2pConfig, Libp2pScheduler},
    store::{Db, EventLog, NewEntry},
};
use futures::StreamExt;
use node::{Node, Setup, TestClock, bid, commitment, opening};

fn deal() -> Deal {
    Deal { concurrency: 2, confidence: 2, ..Deal::default() }
}

/// A requester and `count` nodes that are connected to it and take its announcements.
pub(crate) async fn network(clock: &TestClock, count: usize) -> (Node, Vec<Node>) {
    network_of(clock, (0..=count).map(|_| NodeKey::generate().unwrap()).collect()).await
}

/// The same of these keys, the requester's first.
pub(crate) async fn network_of(clock: &TestClock, keys: Vec<NodeKey>) -> (Node, Vec<Node>) {
    let count = keys.len() - 1;
    let mut keys = keys.into_iter();
    let setup = |key, peers: &[Multiaddr]| Setup { key, ..Setup::new(clock, peers) };
    let requester = Node::start(setup(keys.next().unwrap(), &[])).await;
    let address = requester.address().await;
    let mut nodes = Vec::new();
    for key in keys {
        nodes.push(Node::start(setup(key, std::slice::from_ref(&address))).await);
    }
    requester.network_is(|status| status.subscribed.len() == count).await;
    (requester, nodes)
}

/// Both nodes bid and get the seats in their order; everybody has read so.
async fn fill(requester: &mut Node, nodes: &mut [Node], job: JobId) {
    for node in nodes.iter_mut() {
        let entry = node.act(job, bid()).await;
        requester.read_until(entry).await;
    }
    for node in nodes.iter_mut() {
        let entry = requester.act(job, Event::BidAccepted { node: node.id() }).await;
        node.read_until(entry).await;
    }
}

async fn commit(requester: &mut Node, nodes: &mut [Node], job: JobId) {
    for seat in 0..2 {
        let node = &mut nodes[usize::from(seat)];
        let entry = node.act(job, commitment(node.id(), job, seat)).await;
        requester.read_until(entry).await;
        for node in nodes.iter_mut() {
            node.read_until(entry).await;
        }
    }
}

async fn reveal_and_decide(requester: &mut Node, nodes: &mut [Node], job: JobId) {
    for seat in 0..2 {
        let entry = nodes[usize::from(seat)].act(job, Event::Revealed { seat, opening: opening(seat) }).await;
        requester.read_until(entry).await;
    }
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b11) };
    let entry = requester.act(job, verdict).await;
    for node in nodes.iter_mut() {
        node.read_until(entry).await;
        assert_eq!(node.job(job).state, JobState::Verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_the_same_port_is_refused() {
    let clock = TestClock::new();
    let first = Node::start(Setup::new(&clock, &[])).await;
    let address = first.address().await;
    let config = NetworkConfig {
        key: NodeKey::generate().unwrap(),
        listen: vec![address.clone()],
        peers: Vec::new(),
        limits: Limits::default(),
        offer: None,
    };
    let second = assay_network::start(config, None, Arc::new(NoBlobs));
    assert!(matches!(second, Err(NetworkError::Listen { address: taken, .. }) if taken == address));
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_once_than_a_connection_carries_are_all_answered() {
    let clock = TestClock::new();
    let (requester, nodes) = network(&clock, 1).await;
    let (one, other) = (requester.network(), nodes[0].network());
    let ask = |from: &NetworkHandle, to: &NetworkHandle| {
        let (from, to) = (from.clone(), to.node());
        async move { wire::ask(&from, to, &LogRequest::Read { job: JobId::ZERO, after_height: 0 }).await }
    };
    let both_ways = (0..200).flat_map(|_| [ask(&one, &other), ask(&other, &one)]);
    for answer in futures::future::join_all(both_ways).await {
        assert_eq!(answer, Ok(LogResponse::Unknown));
    }
}

#[tokio::test]
async fn a_job_runs_through_three_nodes() {
    let clock = TestClock::new();
    let (mut requester, mut nodes) = network(&clock, 2).await;
    let (job, first) = requester.submit(deal(), 0).await;
    for node in &mut nodes {
        node.read_until(first).await;
    }
    fill(&mut requester, &mut nodes, job).await;
    commit(&mut requester, &mut nodes, job).await;
    reveal_and_decide(&mut requester, &mut nodes, job).await;
    assert_eq!(requester.scheduler.counters(), Default::default());
}

#[tokio::test]
async fn a_bid_beyond_what_is_needed_is_not_refused() {
    let clock = TestClock::new();
    let (mut requester, mut nodes) = network(&clock, 5).await;
    let (job, first) = requester.submit(deal(), 0).await;
    for node in &mut nodes {
        node.read_until(first).await;
        // The fifth comes while the requester has twice its seats to choose from, and this one never does.
        let entry = node.act(job, bid()).await;
        requester.read_until(entry).await;
    }
    assert_eq!(requester.job(job).standing_bids().count(), 5);
}

#[tokio::test]
async fn announcements_travel_and_nodes_find_the_requester_behind_them() {
    let clock = TestClock::new();
    let relay = Node::start(Setup::new(&clock, &[])).await;
    let address = relay.address().await;
    let mut requester = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    let mut node = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    relay.network_is(|status| status.subscribed.len() == 2).await;
    let (job, first) = requester.submit(deal(), 0).await;
    node.read_until(first).await;
    let entry = node.act(job, bid()).await;
    requester.read_until(entry).await;
    let requester_id = requester.id();
    node.network_is(|status| status.connected.contains(&requester_id)).await;
    assert!(requester.scheduler.members().contains(&relay.id()));
}

#[tokio::test]
async fn a_late_node_hears_of_open_jobs_and_gets_their_whole_log() {
    let clock = TestClock::new();
    let (mut requester, mut nodes) = network(&clock, 1).await;
    let (job, first) = requester.submit(deal(), 0).await;
    nodes[0].read_until(first).await;
    let early = nodes[0].act(job, bid()).await;
    requester.read_until(early).await;
    let address = requester.address().await;
    let mut late = Node::start(Setup::new(&clock, &[address])).await;
    late.read_until(first).await;
    let entry = late.act(job, bid()).await;
    requester.read_until(entry).await;
    let heights: Vec<_> = late.read.iter().map(|item| item.entry).collect();
    assert_eq!(heights, [first, early, entry], "the bid of the other came before one's own");
}

#[tokio::test]
async fn requester_and_node_go_on_after_a_restart() {
    let clock = TestClock::new();
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let setup = Setup { dir: Some(home.path().to_owned()), ..Setup::new(&clock, &[]) };
    let mut requester = Node::start(setup).await;
    let address = requester.address().await;
    let peers = [address.clone()];
    let setup = Setup { dir: Some(other.path().to_owned()), ..Setup::new(&clock, &peers) };
    let mut nodes = vec![Node::start(setup).await, Node::start(Setup::new(&clock, &peers)).await];
    requester.network_is(|status| status.subscribed.len() == 2).await;
    let (job, first) = requester.submit(deal(), 0).await;
    for node in &mut nodes {
        node.read_until(first).await;
    }
    fill(&mut requester, &mut nodes, job).await;

    let before: Vec<_> = requester.read.iter().map(|item| (item.cursor, item.entry)).collect();
    let requester_key = requester.stop().await;
    let node_key = nodes.remove(0).stop().await;
    let dir = Some(home.path().to_owned());
    let setup = Setup { key: requester_key, dir, listen: address, ..Setup::new(&clock, &[]) };
    let mut requester = Node::start(setup).await;
    for _ in 0..before.len() {
        requester.next_item().await;
    }
    let after: Vec<_> = requester.read.iter().map(|item| (item.cursor, item.entry)).collect();
    assert_eq!(before, after);
    let dir = Some(other.path().to_owned());
    let setup = Setup { key: node_key, dir, ..Setup::new(&clock, &peers) };
    nodes.insert(0, Node::start(setup).await);
    requester.network_is(|status| status.subscribed.len() == 2).await;
    nodes[0].read_until(before[before.len() - 1].1).await;

    commit(&mut requester, &mut nodes, job).await;
    reveal_and_decide(&mut requester, &mut nodes, job).await;
}

#[tokio::test]
async fn a_node_that_was_away_gets_what_it_missed() {
    let clock = TestClock::new();
    let dir = tempfile::tempdir().unwrap();
    let (mut requester, mut nodes) = network(&clock, 1).await;
    let peers = [requester.address().await];
    let setup = Setup { dir: Some(dir.path().to_owned()), ..Setup::new(&clock, &peers) };
    nodes.push(Node::start(setup).await);
    requester.network_is(|status| status.subscribed.len() == 2).await;
    let (job, first) = requester.submit(deal(), 0).await;
    for node in &mut nodes {
        node.read_until(first).await;
        let entry = node.act(job, bid()).await;
        requester.read_until(entry).await;
    }
    let away = nodes.remove(1).stop().await;
    let first = requester.act(job, Event::BidAccepted { node: nodes[0].id() }).await;
    let second = requester.act(job, Event::BidAccepted { node: away.node_id() }).await;
    let setup = Setup { key: away, dir: Some(dir.path().to_owned()), ..Setup::new(&clock, &peers) };
    let mut back = Node::start(setup).await;
    back.read_until(first).await;
    back.read_until(second).await;
    assert_eq!(back.job(job).state, JobState::Running);
}

#[tokio::test]
async fn an_unreachable_requester_is_reported_in_time() {
    let clock = TestClock::new();
    let (mut requester, mut nodes) = network(&clock, 1).await;
    let (job, first) = requester.submit(deal(), 0).await;
    let (id, node) = (requester.id(), &mut nodes[0]);
    node.read_until(first).await;
    requester.stop().await;
    node.network_is(|status| status.connected.is_empty()).await;
    let answer = node.send(node.sign(job, bid())).await;
    let expected =
        |error: &BackendError| matches!(error, BackendError::Unreachable { peer, .. } if *peer == id);
    assert!(matches!(&answer, Err(SubmitError::NotOrdered(error)) if expected(error)), "{answer:?}");
    assert!(answer.unwrap_err().is_retryable());
    node.network_is(|status| status.peers[0].attempts > 1 && status.peers[0].last_error.is_some()).await;
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let clock = TestClock::new();
    let (requester, nodes) = network(&clock, 1).await;
    let (address, id) = (requester.address().await, requester.id());
    let key = requester.stop().await;
    nodes[0].network_is(|status| status.peers[0].node.is_none() && status.peers[0].attempts > 0).await;
    let _back = Node::start(Setup { key, listen: address, ..Setup::new(&clock, &[]) }).await;
    nodes[0].network_is(|status| status.peers[0].node == Some(id) && status.connected.contains(&id)).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused() {
    let clock = TestClock::new();
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let full = Node::start(Setup { limits, ..Setup::new(&clock, &[]) }).await;
    let peers = [full.address().await];
    let _first = Node::start(Setup::new(&clock, &peers)).await;
    let _second = Node::start(Setup::new(&clock, &peers)).await;
    full.network_is(|status| status.connected.len() == 2).await;
    let third = Node::start(Setup::new(&clock, &peers)).await;
    full.network_is(|status| status.counters.connections_refused > 0).await;
    third.network_is(|status| status.peers[0].attempts > 0).await;
    assert_eq!(full.network().status().borrow().connected.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_passes_over_what_was_forgotten_before_it_was_read() {
    let (log, clock) = (EventLog::new(Db::in_memory().unwrap()), TestClock::new());
    let job = JobId::new([1; 32]);
    let entry = NewEntry { job, height: 1, entry_hash: Digest::ZERO, author: None, bytes: vec![1] };
    log.append(&entry).unwrap();
    log.forget(&[job]).unwrap();
    let network = NetworkConfig {
        key: NodeKey::generate().unwrap(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: Vec::new(),
        limits: Limits::default(),
        offer: None,
    };
    let (scheduler, running) = Libp2pScheduler::start(Libp2pConfig {
        network,
        log,
        clock: Arc::new(move || clock.now()),
        blobs: Arc::new(NoBlobs),
        interest: Interest::all(),
        loading: Default::default(),
    })
    .await
    .unwrap();
    let told = tokio::time::timeout(node::PATIENCE, scheduler.events(Cursor(0)).next()).await.unwrap();
    assert!(matches!(told, Some(Ok(LogUpdate::CaughtUp))), "{told:?}");
    running.shutdown().await;
}

/// What a node keeps of one requester.
const MOST_OF_ONE: usize = 256;

/// What a reader of a flooded node was told.
struct Told {
    updates: EventStream,
    held: BTreeSet<JobId>,
    ever: BTreeSet<JobId>,
}

impl Told {
    fn new(node: &Node) -> Self {
        Self { updates: node.scheduler.events(Cursor(0)), held: BTreeSet::new(), ever: BTreeSet::new() }
    }

    async fn next(&mut self) {
        let update = tokio::time::timeout(node::PATIENCE, self.updates.next());
        let update = update.await.expect("they come in time").expect("the log goes on");
        match update.expect("the log is whole") {
            LogUpdate::Entry(item) => {
                assert!(self.held.insert(item.stamped.job), "it is told as new");
                assert!(self.held.len() <= MOST_OF_ONE, "who leaves is told before who comes");
                self.ever.insert(item.stamped.job);
            }
            LogUpdate::Forgotten(job) => assert!(self.held.remove(&job), "it was told"),
            LogUpdate::CaughtUp => assert!(self.held.is_empty()),
            LogUpdate::Rewound { .. } => panic!("nobody takes entries back here"),
        }
    }

    /// Reads until it was told of so many jobs. Announcements are repeated, so that a forgotten job may come again and
    /// push out another one.
    async fn read(&mut self, many: usize) {
        while self.ever.len() < many {
            self.next().await;
        }
    }
}

#[tokio::test]
async fn of_a_flood_of_jobs_the_oldest_are_forgotten_and_every_reader_is_told_of_each() {
    let clock = TestClock::new();
    let (mut flooder, nodes) = network(&clock, 1).await;
    let (mut quick, mut slow) = (Told::new(&nodes[0]), Told::new(&nodes[0]));
    let mut nonces = 0..;
    for nonce in nonces.by_ref().take(MOST_OF_ONE) {
        flooder.submit(deal(), nonce).await;
    }
    quick.read(MOST_OF_ONE).await;
    slow.read(MOST_OF_ONE).await;
    clock.set(clock.now().plus(assay::domain::Span::from_secs(1)));
    for more in [2, 6] {
        for nonce in nonces.by_ref().take(more) {
            flooder.submit(deal(), nonce).await;
        }
        quick.read(quick.ever.len() + more).await;
        // Is told of the first job that went, and has yet to be told of the second when further ones go.
        slow.next().await;
    }
    slow.read(quick.ever.len()).await;
}

#[tokio::test]
async fn a_stopped_backend_ends_its_streams_and_takes_nothing() {
    let clock = TestClock::new();
    let node = Node::start(Setup::new(&clock, &[])).await;
    let (scheduler, key) = (node.scheduler.clone(), node.key.clone());
    let mut stream = entries(scheduler.events(Cursor(0)));
    node.stop().await;
    let ended = tokio::time::timeout(node::PATIENCE, stream.next()).await.expect("the stream ends in time");
    assert!(ended.is_none());
    let answer = scheduler.submit(node::submission(&key, deal(), 0)).await;
    assert_eq!(answer, Err(SubmitError::NotOrdered(BackendError::Stopped)));
}

#[tokio::test]
async fn a_follow_up_brings_its_parents_log_along() {
    let clock = TestClock::new();
    let (mut requester, mut nodes) = network(&clock, 2).await;
    let terms = Deal { escalation_limit: 5, ..deal() };
    let (parent, first) = requester.submit(terms.clone(), 0).await;
    for node in &mut nodes {
        node.read_until(first).await;
    }
    fill(&mut requester, &mut nodes, parent).await;
    let differing = |seat: u8| Opening { result_hash: Digest::new([seat; 32]), ..opening(seat) };
    for seat in 0..2 {
        let node = &mut nodes[usize::from(seat)];
        let domain = node.scheduler.domain();
        let commitment = differing(seat).commitment(domain, parent, seat, node.id());
        let entry = node.act(parent, Event::Committed { commitment }).await;
        requester.read_until(entry).await;
        for node in &mut nodes {
            node.read_until(entry).await;
        }
    }
    for seat in 0..2 {
        let entry =
            nodes[usize::from(seat)].act(parent, Event::Revealed { seat, opening: differing(seat) }).await;
        requester.read_until(entry).await;
    }
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::EMPTY };
    let end = requester.act(parent, verdict).await;
    assert_eq!(requester.job(parent).state, JobState::Inconclusive);

    let mut late = Node::start(Setup::new(&clock, &[requester.address().await])).await;
    requester.network_is(|status| status.subscribed.len() == 3).await;
    let (child, first) = requester.submit(terms.escalated(parent).unwrap(), 1).await;
    late.read_until(first).await;
    assert!(late.read.iter().any(|item| item.entry == end), "the whole log of the parent came before");
    let entry = late.act(child, bid()).await;
    requester.read_until(entry).await;
    nodes[0].read_until(first).await;
    let again = nodes[0].send(nodes[0].sign(child, bid())).await;
    assert_eq!(again, Err(SubmitError::Rejected(Rejection::SatInParent)));
}
