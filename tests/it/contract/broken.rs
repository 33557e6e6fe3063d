//! A node whose contract and rules disagree about a job says so, wherever it is asked about the job.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use assay::{
    api::types::{JobList, JobRow, JobView},
    assembly::{Backend, Host, HostConfig},
    domain::{Amount, Event, JobId, JobState, SeatOpening, SeatSet},
    executor::NoEngine,
    node::{Admission, ComputeLimits, UrlLimits},
    scheduler::{Cursor, Scheduler, contract::ChainConfig, entries},
};
use futures::StreamExt;
use tokio::time::{interval, timeout};

use super::{
    chain::{Chain, Member, PATIENCE, opening},
    long_deal,
};
use crate::{town::client_with, verifiers::endpoint::Endpoint};

/// Runs a job of which the last of three nodes lies.
async fn play(chain: &Chain) -> JobId {
    let requester = chain.member().await;
    let nodes: [Member; 3] = [chain.member().await, chain.member().await, chain.member().await];
    let submission = requester.submission(&long_deal(), 0);
    let (job, revision) = (submission.action.job, long_deal().revision());
    requester.scheduler.submit(submission).await.unwrap();
    for node in &nodes {
        timeout(PATIENCE, entries(node.scheduler.events(Cursor(0))).next()).await.unwrap().unwrap().unwrap();
        node.act(job, revision, Event::BidPlaced { price: Amount::ZERO }).await;
        requester.act(job, revision, Event::BidAccepted { node: node.id() }).await;
    }
    let openings = (0..3).map(|seat| SeatOpening { seat, opening: opening(seat, &[2]) });
    for (node, SeatOpening { seat, opening }) in nodes.iter().zip(openings.clone()) {
        let commitment = opening.commitment(node.scheduler.domain(), job, seat, node.id());
        node.act(job, revision, Event::Committed { commitment }).await;
    }
    let openings = openings.collect();
    let accepted = SeatSet::from_bits(0b011);
    requester.act(job, revision, Event::VerdictPosted { openings, accepted }).await;
    job
}

async fn host(chain: &Chain, rpc_url: &str, dir: &Path) -> Host {
    let config = ChainConfig { rpc_urls: vec![rpc_url.to_owned()], ..chain.config() };
    let started = Host::start(HostConfig {
        backend: Backend::Contract { chain: config, first_block: chain.deployed.receipt.block },
        data_dir: dir.to_owned(),
        key: Some(chain.funded_key()),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: Vec::new(),
        dial_private: false,
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        compute_slots: 0,
        limits: ComputeLimits::default(),
        sisters: Vec::new(),
        admission: Admission::default(),
        deliver: false,
        urls: UrlLimits::default(),
        keep: Default::default(),
        executor: Arc::new(NoEngine),
    });
    started.await.unwrap()
}

/// What a node says of a job once it says that the job is over, or that it cannot say more; and of all jobs.
async fn told(host: &Host, job: JobId) -> (JobView, Vec<JobRow>) {
    let http = client_with(&host.token_file()).build().unwrap();
    let get =
        async |path: &str| http.get(format!("http://{}/api/v1/{path}", host.api())).send().await.unwrap();
    let asked = async {
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let answer = get(&format!("jobs/{job}")).await;
            if !answer.status().is_success() {
                continue;
            }
            let view: JobView = answer.json().await.unwrap();
            if view.broken.is_some() || view.state.is_terminal() {
                return view;
            }
        }
    };
    let view = timeout(PATIENCE, asked).await.expect("the node reads the chain");
    // Whoever follows the job is not left waiting.
    timeout(PATIENCE, get(&format!("jobs/{job}/events")).await.bytes()).await.unwrap().unwrap();
    (view, get("jobs").await.json::<JobList>().await.unwrap().jobs)
}

async fn end(host: Host) {
    host.stop_token().cancel();
    timeout(PATIENCE, host.join()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_job_about_which_contract_and_rules_disagree_is_shown_as_broken() {
    let chain = Chain::start(None).await;
    let job = play(&chain).await;
    let word = |number: u8| format!("{number:064x}");
    // Where the openings begin, the seats accepted, how many openings there are.
    let posted = |accepted: u8| [word(64), word(accepted), word(3)].concat();
    let lie = Endpoint::altering(&chain.anvil.rpc_url, &posted(0b011), &posted(0b101)).await;
    let dir = tempfile::tempdir().unwrap();

    let deceived = host(&chain, lie.url(), dir.path()).await;
    let (view, rows) = told(&deceived, job).await;
    let why = view.broken.unwrap();
    assert!(why.contains("disagree") && why.contains("--rpc-url"), "{why}");
    assert!(!view.state.is_terminal() && view.verdict.is_none(), "{:?}", view.state);
    assert_eq!(rows.iter().map(|row| (row.job, row.is_broken)).collect::<Vec<_>>(), [(job, true)]);
    end(deceived).await;

    // The same directory, another endpoint: the job is read again, and is not broken.
    let restarted = host(&chain, &chain.anvil.rpc_url, dir.path()).await;
    let (view, rows) = told(&restarted, job).await;
    assert_eq!((view.state, view.broken, rows[0].is_broken), (JobState::Verified, None, false));
    end(restarted).await;

    let fresh = tempfile::tempdir().unwrap();
    let told_truth = host(&chain, &chain.anvil.rpc_url, fresh.path()).await;
    let (view, rows) = told(&told_truth, job).await;
    assert_eq!((view.state, view.broken, rows[0].is_broken), (JobState::Verified, None, false));
    end(told_truth).await;
}
