//! `--replication auto` on whole nodes: trust is earned, kept over a restart, and lost by an own run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay::{
    api::types::{JobView, OwnRun, Replication},
    domain::{Deal, Job, JobId, JobState, Method, NodeId, Seed, Spec},
    executor::{FakeExecutor, Script},
};
use tokio::time::{interval, timeout};

use crate::town::{Citizen, PATIENCE, Town, deal, end, printing};

/// A job whose outputs decide, of nodes that this requester chooses by what it remembers.
async fn submit(requester: &Citizen, allow: &[&Citizen]) -> JobId {
    let mut allow_list: Vec<NodeId> = allow.iter().map(|citizen| citizen.id()).collect();
    allow_list.sort_unstable();
    let deal = Deal { method: Method::Hash, allow_list, ..deal(3, 2) };
    let submitted = requester.node().submit_replicated(Spec::sample(), deal, Replication::Auto).await;
    submitted.unwrap().0
}

async fn ended(requester: &Citizen, allow: &[&Citizen]) -> Job {
    let job = submit(requester, allow).await;
    requester.ended(job).await
}

async fn view(requester: &Citizen, job: JobId) -> JobView {
    let (_, body) = requester.get(&format!("jobs/{job}")).await;
    serde_json::from_slice(&body).unwrap()
}

async fn own_run(requester: &Citizen, job: JobId) -> OwnRun {
    let node = requester.node();
    timeout(PATIENCE, node.own_run(job)).await.expect("the own run ends in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_compared_results_make_nodes_trusted_also_after_a_restart() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let mut nodes = Vec::new();
    for key in 2..=4 {
        nodes.push(town.node(key, 1, printing("right")).await);
    }
    for _ in 0..10 {
        let job = ended(&requester, &[]).await;
        assert_eq!((job.state, job.seats.len(), job.deal.audit), (JobState::Verified, 3, None));
    }
    let requester = town.restart(1, requester, printing("right")).await;
    let job = ended(&requester, &[]).await;
    let audit = job.deal.audit.map(|audit| (audit.permille, audit.seats));
    assert_eq!((job.state, job.deal.concurrency, audit), (JobState::Verified, 1, Some((100, 2))));
    assert_ne!(job.seats[0].node, requester.id(), "its own node has not earned that");
    let plan = view(&requester, job.id).await.replication.unwrap().plan.unwrap();
    assert_eq!((plan.compared, plan.needed, plan.known, plan.trusted), (10, 10, 3, 3));
    end(requester.handle).await;
    for node in nodes {
        end(node.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_runs_ban_a_majority_that_lies_and_restore_its_victim() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("right")).await;
    let [a, b] = [town.node(2, 1, printing("wrong")).await, town.node(3, 1, printing("wrong")).await];
    let victim = town.node(4, 1, printing("right")).await;
    for _ in 0..2 {
        let job = ended(&requester, &[&a, &b, &victim]).await;
        let verdict = job.verdict.as_ref().unwrap();
        assert_eq!((job.state, verdict.accepted.len()), (JobState::Verified, 2), "the lie is the majority");
        assert_eq!(own_run(&requester, job.id).await, OwnRun::Wrong);
    }
    let others = [town.node(5, 1, printing("right")).await, town.node(6, 1, printing("right")).await];
    let job = ended(&requester, &[&a, &b, &victim, &others[0], &others[1]]).await;
    let mut seated: Vec<NodeId> = job.seats.iter().map(|seat| seat.node).collect();
    seated.sort_unstable();
    let mut honest = [victim.id(), others[0].id(), others[1].id()];
    honest.sort_unstable();
    assert_eq!((job.state, seated.as_slice()), (JobState::Verified, honest.as_slice()));
    for citizen in [requester, a, b, victim].into_iter().chain(others) {
        end(citizen.handle).await;
    }
}

/// The follow-up of a job, once its requester's node has submitted it.
async fn follow_up(requester: &Citizen, job: JobId) -> JobId {
    let mut ticks = interval(Duration::from_millis(20));
    let submitted = async {
        loop {
            ticks.tick().await;
            if let Some(child) = view(requester, job).await.followed_by {
                return child;
            }
        }
    };
    timeout(PATIENCE, submitted).await.expect("a dispute is followed up in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_among_three_is_decided_by_seven_others() {
    let town = Town::new();
    let requester = town.node(1, 0, printing("")).await;
    let mut nodes = Vec::new();
    for key in 2..=11 {
        // A follow-up has the seed of the first job of its chain.
        let script = FakeExecutor::new(move |run| {
            let is_first = run.seed == Seed::of(run.job);
            Script::printing(if is_first { format!("that of {key}") } else { "right".to_owned() })
        });
        nodes.push(town.node(key, 1, Arc::new(script)).await);
    }
    let job = ended(&requester, &[]).await;
    assert_eq!((job.state, job.seats.len()), (JobState::Inconclusive, 3));
    let child = requester.ended(follow_up(&requester, job.id).await).await;
    assert_eq!((child.state, child.seats.len(), child.deal.parent), (JobState::Verified, 7, Some(job.id)));
    assert_eq!(child.verdict.as_ref().unwrap().accepted.len(), 7);
    let sat_before = |node: NodeId| job.seats.iter().any(|seat| seat.node == node);
    assert!(!child.seats.iter().any(|seat| sat_before(seat.node)), "nobody judges its own dispute");
    end(requester.handle).await;
    for node in nodes {
        end(node.handle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_results_of_a_proven_liar_are_run_again() {
    let town = Town::new();
    let requester = town.node(1, 1, printing("right")).await;
    let (honest_runs, ran) = (4, AtomicUsize::new(0));
    let script = move |_: &_| {
        let is_honest = ran.fetch_add(1, Ordering::Relaxed) < honest_runs;
        Script::printing(if is_honest { "right" } else { "wrong" })
    };
    let liar = town.node(2, 1, Arc::new(FakeExecutor::new(script))).await;
    let others = [town.node(3, 1, printing("right")).await, town.node(4, 1, printing("right")).await];
    let allow = [&liar, &others[0], &others[1]];
    let mut earlier = Vec::new();
    for _ in 0..honest_runs {
        let job = ended(&requester, &allow).await;
        assert_eq!((job.state, job.verdict.as_ref().unwrap().accepted.len()), (JobState::Verified, 3));
        earlier.push(job.id);
    }
    let lied = ended(&requester, &allow).await;
    assert_eq!(lied.verdict.as_ref().unwrap().accepted.len(), 2);
    assert_eq!(own_run(&requester, lied.id).await, OwnRun::Right, "results that disagree are run here too");
    // By lot alone one job in a hundred would be.
    for job in earlier {
        assert_eq!(own_run(&requester, job).await, OwnRun::Right);
    }
    end(requester.handle).await;
    for node in [liar].into_iter().chain(others) {
        end(node.handle).await;
    }
}
