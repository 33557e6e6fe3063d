//! Whole nodes on the log in memory, with scripted executors.

mod history;
mod last_words;
mod leaving;
mod lies;
mod room;
mod sisters;
mod trust;
mod urls;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use assay::{
    api::types::NodeRow,
    domain::{
        BidStatus, Deal, Digest, Event, FailureKind, Input, InputKind, Job, JobState, Method, NodeId,
        SeatStatus, Seed, Span, Spec,
    },
    executor::{Executor, ExecutorError, FakeExecutor, RunOutcome, RunRequest, Script, Trace},
    node::{ComputeLimits, Ended, FetchBounds, FetchError, NodeError, RequestError},
    scheduler::{Cursor, Scheduler as _},
};
use futures::{StreamExt as _, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::town::{Citizen, PATIENCE, Town, deal, end, printing};

async fn three(town: &Town) -> [Citizen; 3] {
    let hello = || printing("hello\n");
    [town.node(1, 1, hello()).await, town.node(2, 1, hello()).await, town.node(3, 1, hello()).await]
}

async fn end_all(citizens: impl IntoIterator<Item = Citizen>) {
    for citizen in citizens {
        end(citizen.handle).await;
    }
}

fn committed(job: &Job) -> bool {
    !job.committed.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_nodes_bring_a_job_to_its_verdict() {
    let town = Town::new();
    let citizens = three(&town).await;
    let (job, _) = citizens[0].node().submit_job(Spec::sample(), deal(3, 2)).await.unwrap();
    let ended = citizens[0].ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    assert_eq!(ended.verdict.as_ref().unwrap().accepted.len(), 3);
    let result = citizens[0].node().result_of(job, citizens[1].id()).await.unwrap();
    assert!(result.1 > 0);
    end_all(citizens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_longer_than_is_of_use_is_refused_and_its_node_not_blamed() {
    let town = Town::new();
    let citizens = three(&town).await;
    let (job, _) = citizens[0].node().submit_job(Spec::sample(), deal(3, 2)).await.unwrap();
    assert_eq!(citizens[0].ended(job).await.state, JobState::Verified);
    let (requester, from) = (citizens[0].node(), citizens[1].id());
    let bounds = |bytes| FetchBounds { bytes, time: PATIENCE };
    let is_long = async || {
        let fetched = requester.result_within(job, from, bounds(100)).await;
        matches!(fetched, Err(RequestError::Fetch(FetchError::Long { limit: 100, .. })))
    };
    assert!(is_long().await, "it is read no further");
    let (_, bytes) = requester.result_within(job, from, bounds(1 << 20)).await.unwrap();
    assert!(bytes > 100);
    assert!(is_long().await, "one that is here is unpacked no sooner");
    let (_, log) = citizens[0].get(&format!("jobs/{job}/log")).await;
    assert!(!String::from_utf8(log).unwrap().contains("remarked"), "it is the one that was revealed");
    end_all(citizens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_is_a_result() {
    let town = Town::new();
    let failing = || {
        Arc::new(FakeExecutor::new(|_| Script {
            outcome: Ok(RunOutcome { exit_code: 3, trace: Trace::default() }),
            ..Script::printing("no\n")
        }))
    };
    let (a, b) = (town.node(1, 1, failing()).await, town.node(2, 1, failing()).await);
    let (job, _) = a.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    let ended = a.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    let exit_codes: Vec<_> = ended
        .seats
        .iter()
        .map(|seat| match seat.status {
            SeatStatus::Revealed(opening) => opening.exit_code,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(exit_codes, [3, 3]);
    end_all([a, b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_reported_and_its_seat_filled_again() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let first = AtomicBool::new(true);
    let fails_once = Arc::new(FakeExecutor::new(move |_| {
        let timeout = ExecutorError::Timeout { limit: Span::from_secs(60) };
        if first.swap(false, Ordering::SeqCst) { Script::failing(timeout) } else { Script::printing("x") }
    }));
    let mut nodes = Vec::new();
    for key in 2..=4 {
        nodes.push(town.node(key, 1, Arc::clone(&fails_once) as _).await);
    }
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    assert_eq!(ended.failures[usize::from(FailureKind::Timeout.index())], 1);
    let seated = ended.bids.values().filter(|bid| matches!(bid.status, BidStatus::Seated(_)));
    assert_eq!(seated.count(), 3);
    let failed = ended.bids.keys().find(|node| ended.seat_of(**node).is_none()).unwrap();
    let (_, rows) = requester.get("nodes").await;
    let rows: Vec<NodeRow> = serde_json::from_slice(&rows).unwrap();
    let row = rows.iter().find(|row| row.id == *failed).unwrap();
    assert_eq!(
        [row.accepted, row.rejected, row.failed, row.absent],
        [0; 4],
        "a job that takes too long is no fault of the node"
    );
    end_all(nodes).await;
    end(requester.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_restart_cut_off_is_run_again() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold());
    let node = town.node(2, 1, Arc::clone(&held) as _).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    let node = town.restart(2, node, printing("x")).await;
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_after_its_commitment_reveals_what_it_committed_to() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let first = town.node(2, 1, printing("x")).await;
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold());
    let second = town.node(3, 1, Arc::clone(&held) as _).await;
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    requester.when(job, committed).await;
    // Whatever this run would print, it is not asked again.
    let first = town.restart(2, first, printing("another")).await;
    held.release(1);
    let ended = requester.ended(job).await;
    assert_eq!(ended.state, JobState::Verified);
    assert_eq!(ended.verdict.as_ref().unwrap().accepted.len(), 2);
    end_all([requester, first, second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_job_is_cancelled_and_a_running_one_stopped() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold());
    let node = town.node(2, 1, Arc::clone(&held) as _).await;
    let (running, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 1).await.unwrap();
    // Nodes do not bid where openings may take longer than they allow.
    let reveal = Span::from_secs(ComputeLimits::default().max_reveal.as_secs() + 1);
    let slow = Deal { reveal, ..deal(1, 1) };
    let (open, _) = requester.node().submit_job(Spec::sample(), slow).await.unwrap();
    assert_eq!(requester.node().cancel_job(open).await.unwrap(), Ended::Cancelled);
    assert_eq!(requester.node().cancel_job(running).await.unwrap(), Ended::Stopped);
    assert_eq!(requester.ended(open).await.state, JobState::Cancelled);
    assert_eq!(requester.ended(running).await.state, JobState::Cancelled);
    let again = requester.node().cancel_job(open).await;
    assert!(matches!(again, Err(RequestError::Over { state: JobState::Cancelled })));
    assert_eq!(node.ended(open).await.state, JobState::Cancelled, "the other node knows it");
    let stranger = node.node().cancel_job(open).await;
    assert!(matches!(stranger, Err(RequestError::NotRequester { .. })));
    // The run was cancelled with its job, so that the slot is free for this one.
    let (next, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    held.started().wait_for(|started| *started == 2).await.unwrap();
    held.release(1);
    assert_eq!(requester.ended(next).await.state, JobState::Verified);
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_free_again_takes_the_next_job() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold());
    let node = town.node(2, 1, Arc::clone(&held) as _).await;
    let mut started = held.started();
    let mut jobs = Vec::new();
    // Behind a run that takes its whole timeout there would be no time for another.
    let timeout = Span::from_secs(600);
    let deal = Deal { timeout, run: Deal::run_for(timeout), ..deal(1, 1) };
    for _ in 0..3 {
        jobs.push(requester.node().submit_job(Spec::sample(), deal.clone()).await.unwrap().0);
    }
    for run in 1..=3 {
        started.wait_for(|started| *started == run).await.unwrap();
        let running = town.log.ledger().jobs().filter(|job| !job.seats.is_empty()).count();
        assert_eq!(running, run, "a node with one slot promised two runs at once");
        held.release(1);
    }
    for job in jobs {
        assert_eq!(requester.ended(job).await.state, JobState::Verified);
    }
    end_all([requester, node]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_takes_expires() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("")).await;
    let deal = Deal { allow_list: vec![NodeId::new([9; 20])], open: Span::from_secs(120), ..deal(1, 1) };
    let (job, _) = requester.node().submit_job(Spec::sample(), deal).await.unwrap();
    town.at(121);
    assert_eq!(requester.ended(job).await.state, JobState::Expired);
    end(requester.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_is_refused_before_anything_is_sent() {
    let town = Town::new();
    let node = town.node(1, 1, printing("")).await;
    let submit = async |spec, deal| node.node().submit_job(spec, deal).await.unwrap_err();
    assert!(matches!(submit(Spec::sample(), deal(1, 2)).await, RequestError::Deal(_)));
    let many = submit(Spec::sample(), deal(2, 2)).await;
    assert!(matches!(many, RequestError::NotEnoughNodes { wanted: 2, known: 1 }));
    let mut absent = Spec::sample();
    absent.inputs = vec![Input {
        digest: Digest::ZERO,
        bytes: 9,
        target: "/in".to_owned(),
        kind: InputKind::Directory,
        url: None,
    }];
    assert!(matches!(submit(absent, deal(1, 1)).await, RequestError::Input(_)));
    let mut root = Spec::sample();
    root.working_directory = Some("..".to_owned());
    assert!(matches!(submit(root, deal(1, 1)).await, RequestError::Spec(_)));
    assert_eq!(town.log.ledger().jobs().count(), 0);
    end(node.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inconclusive_job_is_followed_up_by_other_nodes() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let (runs, seeds) = (AtomicUsize::new(0), Arc::new(Mutex::new(BTreeSet::new())));
    let seen = Arc::clone(&seeds);
    let disagree_at_first = Arc::new(FakeExecutor::new(move |request| {
        seen.lock().unwrap().insert(request.seed.to_string());
        match runs.fetch_add(1, Ordering::SeqCst) {
            run @ 0..2 => Script::printing(run.to_string()),
            _ => Script::printing("x"),
        }
    }));
    let mut nodes = Vec::new();
    for key in 2..=8 {
        nodes.push(town.node(key, 1, Arc::clone(&disagree_at_first) as _).await);
    }
    let terms = Deal { method: Method::Hash, escalation_limit: 5, ..deal(2, 2) };
    let (job, _) = requester.node().submit_job(Spec::sample(), terms).await.unwrap();
    let parent = requester.ended(job).await;
    assert_eq!(parent.state, JobState::Inconclusive);
    // The child's entry is the next to come: the stream is waited on, not the clock.
    let mut entries = assay::scheduler::entries(requester.scheduler.events(Cursor::default()));
    let child = async {
        loop {
            let entry = entries.next().await.unwrap().unwrap().stamped;
            match entry.event {
                Event::Submitted { deal, .. } if deal.parent == Some(job) => break entry.job,
                _ => {}
            }
        }
    };
    let child = tokio::time::timeout(PATIENCE, child).await.expect("the follow-up comes");
    let child = requester.when(child, |child| child.state.is_terminal()).await;
    assert_eq!(child.state, JobState::Verified);
    assert_eq!((child.deal.concurrency, child.deal.parent), (5, Some(job)));
    let sat = |node: NodeId| parent.seats.iter().any(|seat| seat.node == node);
    assert!(!child.seats.iter().any(|seat| sat(seat.node)), "a node of the parent sits in the child");
    assert_eq!(*seeds.lock().unwrap(), BTreeSet::from([Seed::of(job).to_string()]), "one seed for both");
    end_all(nodes).await;
    end(requester.handle).await;
}

/// Panics when it is asked whether it could run a job.
#[derive(Debug)]
struct Panics;

impl Executor for Panics {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        Box::pin(std::future::ready(Ok(image.to_owned())))
    }

    fn sweep<'a>(&'a self, _: NodeId, _: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn check<'a>(&'a self, _: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        panic!("this executor is broken")
    }

    fn run(&self, _: RunRequest, _: CancellationToken) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        unreachable!("nobody bids")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_ends_its_node_with_an_error() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let broken = town.node(2, 1, Arc::new(Panics)).await;
    requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, broken.handle.join()).await.unwrap();
    assert!(matches!(ended, Err(NodeError::Panicked { task: "driver", .. })), "{ended:?}");
    end(requester.handle).await;
}
