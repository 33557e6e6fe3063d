//! Nodes that are told to end, or to take on no more work, while they owe something.

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

/// A job that nobody bids on stays open; the log then says so for as long as a round trip takes.
async fn verified_by(requester: &Citizen, nodes: &[&Citizen]) {
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let bidders: Vec<_> = ended.bids.keys().copied().collect();
    assert_eq!(bidders, nodes.iter().map(|node| node.id()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_finishes_its_run_and_takes_nothing_on_until_it_is_resumed() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = held();
    let paused = town.node(2, 1, Arc::clone(&held) as _).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    let since = paused.node().pause_work().unwrap();
    let one_seat = Obligations { bids: 0, seats: 1, openings: 0 };
    assert_eq!(paused.node().settled(Duration::ZERO).await, Some(one_seat));
    held.release(1);
    let drained = timeout(PATIENCE, paused.node().settled(PATIENCE)).await.unwrap();
    assert_eq!(drained, Some(Obligations::default()));
    assert_eq!(requester.ended(job).await.state, JobState::Verified, "it did not hand the seat over");

    let staying = town.node(3, 1, printing("x")).await;
    verified_by(&requester, &[&staying]).await;
    let paused = town.restart(2, paused, printing("x")).await;
    assert_eq!(paused.node().paused_since(), Some(since), "a restart does not end a pause");
    verified_by(&requester, &[&staying]).await;

    staying.node().pause_work().unwrap();
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    paused.when(job, |_| true).await;
    paused.node().resume_work().unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified, "also a job that came during the pause gets its bid");
    assert_eq!(ended.bids.keys().collect::<Vec<_>>(), [&paused.id()]);
    let again = town.restart(2, paused, printing("x")).await;
    assert_eq!(again.node().paused_since(), None);
    end_all([requester, staying, again]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_withdraws_the_bid_that_stands_and_bids_again_later() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let nodes = [town.node(2, 1, printing("x")).await, town.node(3, 1, printing("x")).await];
    nodes[1].node().pause_work().unwrap();
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    let seated = requester.when(job, |job| !job.bids.is_empty()).await;
    assert_eq!(seated.bids.keys().collect::<Vec<_>>(), [&nodes[0].id()]);
    nodes[0].node().pause_work().unwrap();
    let drained = timeout(PATIENCE, nodes[0].node().settled(PATIENCE)).await.unwrap().unwrap();
    assert_eq!(drained.bids, 0);
    nodes.iter().for_each(|node| node.node().resume_work().unwrap());
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    end_all(nodes.into_iter().chain([requester])).await;
}
