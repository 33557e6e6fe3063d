//! A chain that takes blocks back: nobody's job is lost, nobody's bond burns, every wei goes where it should.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use assay::{
    api::types::{JobView, SubmitReply},
    assembly::{Backend, Host, HostConfig},
    domain::{Amount, Deal, Event, JobId, JobState},
    executor::{FakeExecutor, Script},
    identity::NodeKey,
    node::{Admission, ComputeLimits, UrlLimits},
    scheduler::{
        BackendError, Cursor, LogUpdate, Scheduler,
        contract::{ChainClient, ContractConfig, ContractScheduler, StartError},
    },
    store::{DataDir, Db},
};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::{
    chain::{Chain, ETHER, Member, PATIENCE, fold},
    long_deal, until,
};
use crate::town::{client_with, demo};

const PRICE: u128 = ETHER + 3;
const BOND: u128 = 2 * ETHER + 7;
const FEE: u128 = ETHER / 100 + 1;
const DEPOSIT: u128 = 20 * ETHER;

/// One node of the network.
struct Place {
    key: NodeKey,
    executor: Arc<FakeExecutor>,
    dir: PathBuf,
    host: Option<Host>,
}

/// A requester and three nodes, whose runs wait until they are released.
struct Town {
    chain: Chain,
    places: Vec<Place>,
    _root: tempfile::TempDir,
}

fn amount(wei: u128) -> Amount {
    Amount::new(wei).unwrap()
}

impl Town {
    async fn start() -> Self {
        let chain = Chain::start(None).await;
        let root = tempfile::tempdir().unwrap();
        let mut places = Vec::new();
        for index in 0..4 {
            let key = chain.funded_key();
            let client = ChainClient::connect(&chain.config(), &key).await.unwrap();
            client.deposit(amount(DEPOSIT)).await.unwrap();
            client.shutdown().await;
            let executor = Arc::new(FakeExecutor::new(|_| Script::printing("the same")).hold());
            places.push(Place { key, executor, dir: root.path().join(index.to_string()), host: None });
        }
        let mut town = Self { chain, places, _root: root };
        for index in [1, 2, 3, 0] {
            town.open(index).await;
        }
        town
    }

    async fn open(&mut self, index: usize) {
        let place = &mut self.places[index];
        let started = Host::start(HostConfig {
            dial_private: false,
            backend: Backend::Contract {
                chain: self.chain.config(),
                first_block: self.chain.deployed.receipt.block,
            },
            data_dir: place.dir.clone(),
            key: Some(place.key.clone()),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            peers: Vec::new(),
            api: SocketAddr::from(([127, 0, 0, 1], 0)),
            compute_slots: usize::from(index > 0),
            limits: ComputeLimits { max_bond: amount(BOND), ..ComputeLimits::default() },
            sisters: Vec::new(),
            admission: Admission::default(),
            deliver: false,
            urls: UrlLimits::default(),
            keep: Default::default(),
            executor: Arc::clone(&place.executor) as _,
        });
        place.host = Some(started.await.unwrap());
    }

    async fn close(&mut self, index: usize) {
        let host = self.places[index].host.take().unwrap();
        host.stop_token().cancel();
        timeout(PATIENCE, host.join()).await.unwrap().unwrap();
    }

    fn http(&self, index: usize) -> reqwest::Client {
        client_with(&self.places[index].host.as_ref().unwrap().token_file()).build().unwrap()
    }

    fn url(&self, index: usize, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.places[index].host.as_ref().unwrap().api())
    }

    async fn submit(&self) -> JobId {
        let deal = Deal {
            price: amount(PRICE),
            bond: amount(BOND),
            keeper_fee: amount(FEE),
            confidence: 3,
            ..Deal::default()
        };
        let request = demo("true", deal);
        let http = self.http(0);
        let submitted = async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let answer = http.post(self.url(0, "jobs")).json(&request).send().await.unwrap();
                let text = answer.text().await.unwrap();
                match serde_json::from_str::<SubmitReply>(&text) {
                    Ok(reply) => return reply.job,
                    // It has yet to read where the others are.
                    Err(_) => assert!(text.contains("not_enough_nodes"), "{text}"),
                }
            }
        };
        timeout(PATIENCE, submitted).await.unwrap()
    }

    /// Waits until a node says that the job is so.
    async fn when(&self, index: usize, job: JobId, is_so: impl Fn(&JobView) -> bool) -> JobView {
        let http = self.http(index);
        let asked = async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let answer = http.get(self.url(index, &format!("jobs/{job}"))).send().await.unwrap();
                if !answer.status().is_success() {
                    continue;
                }
                let view: JobView = answer.json().await.unwrap();
                assert_eq!(view.broken, None);
                if is_so(&view) {
                    return view;
                }
            }
        };
        timeout(PATIENCE, asked).await.expect("the job comes to that in time")
    }

    /// Waits until every node runs the job.
    async fn running(&self, job: JobId) {
        self.when(0, job, |view| view.state == JobState::Running).await;
        for place in &self.places[1..] {
            let mut started = place.executor.started();
            timeout(PATIENCE, started.wait_for(|runs| *runs > 0)).await.unwrap().unwrap();
        }
    }

    fn release(&self) {
        for place in &self.places[1..] {
            place.executor.release(8);
        }
    }

    /// Waits until every node says that the job is verified, then counts the money.
    async fn is_verified(&self, job: JobId) {
        let mut keeper = None;
        for index in 0..4 {
            keeper = self.when(index, job, |view| view.state == JobState::Verified).await.ended_by;
        }
        let client = ChainClient::connect(&self.chain.config(), &self.places[0].key).await.unwrap();
        let mut total = 0;
        for (index, place) in self.places.iter().enumerate() {
            let id = place.key.node_id();
            let fee = if keeper == Some(id) { FEE } else { 0 };
            let expected = match index {
                0 => DEPOSIT - 3 * PRICE - FEE + fee,
                _ => DEPOSIT + PRICE + fee,
            };
            let free = client.reader().account(id).await.unwrap().free.units();
            assert_eq!(free, expected, "node {index}");
            total += free;
        }
        assert_eq!(client.reader().burnt().await.unwrap(), Amount::ZERO);
        assert_eq!(total, 4 * DEPOSIT, "nothing is lost");
        for place in &self.places[1..] {
            assert_eq!(*place.executor.started().borrow(), 1, "no run is done twice");
        }
    }

    /// Takes so many blocks back; their transactions go, or come again in the first of the blocks that replace them.
    fn reorganise(&self, depth: u64, keeps: bool) {
        let head = number(&self.chain.rpc("eth_blockNumber", &json!([])));
        let mut again = Vec::new();
        if keeps {
            for block in head - depth + 1..=head {
                let block = self.chain.rpc("eth_getBlockByNumber", &json!([format!("{block:#x}"), false]));
                for hash in block["transactions"].as_array().unwrap() {
                    let raw = self.chain.rpc("eth_getRawTransactionByHash", &json!([hash]));
                    again.push(json!([raw, 0]));
                }
            }
        }
        self.chain.rpc("anvil_reorg", &json!([depth, again]));
    }
}

fn number(hex: &Value) -> u64 {
    u64::from_str_radix(hex.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn a_running_job_survives_blocks_that_are_taken_back() {
    for (depth, keeps) in [(1, false), (3, false), (1, true), (3, true)] {
        let town = Town::start().await;
        let job = town.submit().await;
        town.running(job).await;
        town.reorganise(depth, keeps);
        town.release();
        town.is_verified(job).await;
    }
}

#[tokio::test]
async fn a_job_whose_submission_is_taken_back_comes_again_with_its_id() {
    let town = Town::start().await;
    let job = town.submit().await;
    town.running(job).await;
    // The submission, three bids and their acceptance.
    town.reorganise(5, false);
    town.release();
    town.is_verified(job).await;
}

#[tokio::test]
async fn a_verdict_and_commitments_that_are_taken_back_are_made_again() {
    for depth in [1, 3, 4] {
        let town = Town::start().await;
        let job = town.submit().await;
        town.running(job).await;
        town.release();
        town.is_verified(job).await;
        town.reorganise(depth, false);
        let gone = |view: &JobView| view.state != JobState::Verified;
        // Seen to be gone, or back already.
        let _ = timeout(Duration::from_secs(1), town.when(0, job, gone)).await;
        until(|| {
            town.chain.rpc("eth_getTransactionCount", &json!([town.places[1].key.node_id(), "latest"]))
                != json!("0x0")
        })
        .await;
        town.is_verified(job).await;
    }
}

#[tokio::test]
async fn a_reorganisation_while_nodes_are_down_is_found_at_the_start() {
    for depth in [1, 3, 5] {
        let mut town = Town::start().await;
        let job = town.submit().await;
        town.running(job).await;
        town.close(1).await;
        town.close(0).await;
        town.reorganise(depth, false);
        town.open(0).await;
        town.release();
        town.open(1).await;
        let mut started = town.places[1].executor.started();
        timeout(PATIENCE, started.wait_for(|runs| *runs > 1)).await.unwrap().unwrap();
        // The one that was stopped in its run runs once more.
        town.places[1].executor.release(8);
        for index in 0..4 {
            town.when(index, job, |view| view.state == JobState::Verified).await;
        }
        let client = ChainClient::connect(&town.chain.config(), &town.places[0].key).await.unwrap();
        assert_eq!(client.reader().burnt().await.unwrap(), Amount::ZERO);
    }
}

#[tokio::test]
async fn readers_are_told_how_far_the_log_goes_back_and_what_follows() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    let first = member.submission(&long_deal(), 0);
    member.scheduler.submit(first).await.unwrap();
    member.scheduler.submit(member.submission(&long_deal(), 1)).await.unwrap();
    let before = member.read().await;
    let mut updates = member.scheduler.events(Cursor(0));
    let mut next = async || timeout(PATIENCE, updates.next()).await.unwrap().unwrap().unwrap();
    for _ in 0..3 {
        next().await;
    }
    chain.rpc("anvil_reorg", &json!([1, []]));
    let rewound = loop {
        match next().await {
            LogUpdate::CaughtUp => {}
            update => break update,
        }
    };
    assert_eq!(rewound, LogUpdate::Rewound { to: before[0].cursor });
    let LogUpdate::Entry(again) = next().await else { panic!("the submission is sent again") };
    assert_eq!(again.stamped.job, before[1].stamped.job, "the same job");
    assert!(again.entry != before[1].entry && again.cursor > before[1].cursor, "in another block");
    member.scheduler.submit(member.submission(&long_deal(), 2)).await.unwrap();
    assert_eq!(member.read().await.len(), 3, "the next nonce is right");
}

async fn restart(member: Member, chain: &Chain, dir: &std::path::Path) -> Result<Member, StartError> {
    let key = member.key.clone();
    member.running.shutdown().await;
    drop(member);
    let db = Db::open(&DataDir::open(dir).unwrap()).unwrap();
    let config = ContractConfig {
        chain: chain.config(),
        first_block: chain.deployed.receipt.block,
        db: db.clone(),
        key: key.clone(),
        clock: Arc::new(|| assay::domain::Timestamp::ZERO),
        signed: None,
    };
    let (scheduler, running) = ContractScheduler::start(config).await?;
    Ok(Member { key, scheduler, running, db })
}

#[tokio::test]
async fn another_chain_behind_the_endpoint_is_named_at_once() {
    let (chain, mut other) = (Chain::start(Some(1_900_000_000)).await, Chain::start(None).await);
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    let member = chain.member_with(chain.config(), chain.funded_key(), db).await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    member.read_until(1).await;
    // The same address and chain id, on the chain of another genesis.
    other.deployed.contract = chain.deployed.contract;
    let error = restart(member, &other, dir.path()).await.err().unwrap();
    assert!(matches!(error, StartError::Log(BackendError::OtherChain { .. })), "{error:?}");
}

#[tokio::test]
async fn a_chain_that_went_back_is_followed_from_where_it_is_now() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    let snapshot = chain.rpc("evm_snapshot", &json!([]));
    for nonce in 1..4 {
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
    }
    assert_eq!(member.read().await.len(), 4);
    chain.rpc("evm_revert", &json!([snapshot]));
    // What went with the blocks is sent again.
    let mut entries = member.scheduler.events(Cursor(0));
    let four = async {
        let mut held = 0;
        while held < 4 {
            match entries.next().await.unwrap().unwrap() {
                LogUpdate::Entry(_) => held += 1,
                LogUpdate::Rewound { .. } => held = 1,
                LogUpdate::CaughtUp | LogUpdate::Forgotten(_) => {}
            }
        }
    };
    timeout(PATIENCE, four).await.unwrap();
    let is_mined = || chain.rpc("eth_getTransactionCount", &json!([member.id(), "latest"])) == json!("0x4");
    until(is_mined).await;
    member.scheduler.submit(member.submission(&long_deal(), 4)).await.unwrap();
    assert_eq!(member.read().await.len(), 5);
}

#[tokio::test]
async fn a_reorganisation_brings_an_ended_job_back_from_the_disk() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    let submission = member.submission(&long_deal(), 1);
    let (job, revision) = (submission.action.job, submission.action.revision);
    member.scheduler.submit(submission).await.unwrap();
    member.act(job, revision, Event::Cancelled).await;
    let before = member.read().await;
    let known = fold(&member, &before).get(job).unwrap().clone();
    let row = assay::store::EndedJob {
        job,
        height: 2,
        requester: member.id(),
        parent: None,
        state: known.state.name().to_owned(),
        submitted_at: known.submitted_at,
        ended_at: known.ended_at,
        member_of: None,
        is_honest: false,
        summary: Vec::new(),
    };
    assert_eq!(member.scheduler.retire(vec![row]).await.unwrap(), [job]);
    let mut updates = member.scheduler.events(Cursor(0));
    let mut next = async || {
        loop {
            match timeout(PATIENCE, updates.next()).await.unwrap().unwrap().unwrap() {
                LogUpdate::CaughtUp => {}
                update => return update,
            }
        }
    };
    let LogUpdate::Entry(first) = next().await else { panic!("a submission comes first") };
    assert_eq!(first.cursor, before[0].cursor);
    chain.rpc("anvil_reorg", &json!([1, []]));
    assert_eq!(
        next().await,
        LogUpdate::Rewound { to: before[0].cursor },
        "to before the job that lost its end"
    );
    let LogUpdate::Entry(again) = next().await else { panic!("the job is told again") };
    assert_eq!(again.entry, before[1].entry);
    let LogUpdate::Entry(end) = next().await else { panic!("the cancellation is sent again") };
    assert_eq!((end.stamped.job, end.stamped.event), (job, Event::Cancelled));
    assert!(end.cursor > before[2].cursor);
}
