//! The libp2p backend over real connections on 127.0.0.1: nodes that find each other, fail, lie and come back.

pub(crate) mod node;

use assay::domain::{Deal, Event, JobId, JobState, SeatSet};
use node::{Node, Setup, TestClock, bid, commitment, opening};

fn deal() -> Deal {
    Deal { concurrency: 2, confidence: 2, ..Deal::default() }
}

/// A requester and `count` nodes that are connected to it and take its announcements.
pub(crate) async fn network(clock: &TestClock, count: usize) -> (Node, Vec<Node>) {
    let requester = Node::start(Setup::new(clock, &[])).await;
    let address = requester.address().await;
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(Node::start(Setup::new(clock, std::slice::from_ref(&address))).await);
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
        let entry = nodes[usize::from(seat)].act(job, Event::Revealed { opening: opening(seat) }).await;
        requester.read_until(entry).await;
    }
    let verdict = Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b11) };
    let entry = requester.act(job, verdict).await;
    for node in nodes.iter_mut() {
        node.read_until(entry).await;
        assert_eq!(node.job(job).state, JobState::Verified);
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
