//! Nodes that are told to end while they owe something.

use std::{sync::Arc, time::Duration};

use assay::{
    domain::{FailureKind, JobState, Spec},
    executor::{FakeExecutor, Script},
    policy::capacity::Obligations,
};
use tokio::time::timeout;

use super::end_all;
use crate::town::{Citizen, PATIENCE, Town, deal, printing};

fn held() -> Arc<FakeExecutor> {
    Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold())
}

/// How it goes in time.
async fn leaves(citizen: &Citizen, grace: Duration) -> Obligations {
    timeout(PATIENCE, citizen.node().leave(grace)).await.expect("leaving is bounded")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seat_of_a_node_that_ends_is_filled_again_at_once() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = held();
    let nodes =
        [town.node(2, 1, Arc::clone(&held) as _).await, town.node(3, 1, Arc::clone(&held) as _).await];
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    let running = requester.when(job, |job| !job.seats.is_empty()).await;
    let first = nodes.iter().find(|node| node.id() == running.seats[0].node).unwrap();
    assert_eq!(leaves(first, Duration::ZERO).await, Obligations::default());
    held.started().wait_for(|started| *started == 2).await.unwrap();
    held.release(2);
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    assert_eq!(ended.failures[usize::from(FailureKind::Interrupted.index())], 1);
    assert!(ended.seat_of(first.id()).is_none());
    end_all(nodes.into_iter().chain([requester])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_within_the_grace_counts() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = held();
    let node = town.node(2, 1, Arc::clone(&held) as _).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    let leaving = node.node();
    let (owed, ended) = tokio::join!(leaving.leave(PATIENCE), async {
        held.release(1);
        requester.ended(job).await
    });
    assert_eq!((ended.state, ended.failures.iter().sum::<u8>()), (JobState::Verified, 0));
    assert_eq!(owed, Obligations::default());
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_bids_for_nothing_more() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let [leaving, staying] = [town.node(2, 1, printing("x")).await, town.node(3, 1, printing("x")).await];
    assert_eq!(leaves(&leaving, PATIENCE).await, Obligations::default());
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    assert_eq!(ended.bids.keys().collect::<Vec<_>>(), [&staying.id()]);
    end_all([requester, leaving, staying]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commitment_that_nobody_can_open_yet_is_named_as_owed() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = held();
    let nodes = [town.node(2, 1, printing("x")).await, town.node(3, 1, Arc::clone(&held) as _).await];
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    requester.when(job, |job| !job.committed.is_empty()).await;
    nodes[0].when(job, |job| !job.committed.is_empty()).await;
    assert_eq!(leaves(&nodes[0], Duration::ZERO).await, Obligations { bids: 0, seats: 0, openings: 1 });
    held.release(1);
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    end_all(nodes.into_iter().chain([requester])).await;
}
