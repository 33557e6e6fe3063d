//! Bids without the money for their bond count for nothing, and nodes know what they were paid.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use assay::{
    api::types::{JobView, Outlook, OutlookRow, SubmitReply},
    assembly::{Backend, Host, HostConfig},
    domain::{Amount, Deal, Event, Funds, JobId, JobState, NodeId},
    executor::{FakeExecutor, Script},
    identity::NodeKey,
    node::{ComputeLimits, UrlLimits},
    scheduler::{Scheduler, contract::ChainClient},
};
use tokio::time::{interval, timeout};

use super::{
    chain::{Chain, ETHER, Member, PATIENCE},
    long_deal,
};
use crate::town::{client_with, demo};

const PRICE: u128 = ETHER;
const BOND: u128 = 2 * ETHER;

fn amount(wei: u128) -> Amount {
    Amount::new(wei).unwrap()
}

fn deal() -> Deal {
    Deal { price: amount(PRICE), bond: amount(BOND), concurrency: 2, confidence: 2, ..long_deal() }
}

pub(super) async fn host(chain: &Chain, dir: &Path, key: &NodeKey, slots: usize) -> Host {
    let started = Host::start(HostConfig {
        dial_private: false,
        backend: Backend::Contract { chain: chain.config(), first_block: chain.deployed.receipt.block },
        data_dir: dir.join(key.node_id().to_string()),
        key: Some(key.clone()),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: Vec::new(),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        compute_slots: slots,
        limits: ComputeLimits { max_bond: amount(BOND), ..ComputeLimits::default() },
        sisters: Vec::new(),
        admission: Default::default(),
        deliver: false,
        urls: UrlLimits::default(),
        keep: Default::default(),
        executor: Arc::new(FakeExecutor::new(|_| Script::printing("the same"))),
    });
    started.await.unwrap()
}

pub(super) async fn deposit(chain: &Chain, key: &NodeKey, wei: u128) {
    let client = ChainClient::connect(&chain.config(), key).await.unwrap();
    client.deposit(amount(wei)).await.unwrap();
    client.shutdown().await;
}

/// A node's API.
pub(super) struct Api {
    http: reqwest::Client,
    root: String,
}

impl Api {
    pub(super) fn of(host: &Host) -> Self {
        let http = client_with(&host.token_file()).build().unwrap();
        Self { http, root: format!("http://{}/api/v1/jobs", host.api()) }
    }

    pub(super) async fn submit(&self, deal: Deal) -> JobId {
        let request = demo("true", deal);
        let submitted = async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let answer = self.http.post(&self.root).json(&request).send().await.unwrap();
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

    pub(super) async fn when(&self, job: JobId, is_so: impl Fn(&JobView) -> bool) -> JobView {
        let url = format!("{}/{job}", self.root);
        let asked = async {
            let mut ticks = interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let answer = self.http.get(&url).send().await.unwrap();
                if !answer.status().is_success() {
                    continue;
                }
                let view: JobView = answer.json().await.unwrap();
                if is_so(&view) {
                    return view;
                }
            }
        };
        timeout(PATIENCE, asked).await.expect("the job comes to that in time")
    }
}

impl Api {
    /// Waits until so many bidders are known to lack their bond.
    async fn are_unfunded(&self, job: JobId, count: usize) {
        let url = format!("{}/{job}/nodes", self.root);
        let mut ticks = interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            let rows: Vec<OutlookRow> = self.http.get(&url).send().await.unwrap().json().await.unwrap();
            if rows.iter().filter(|row| row.outlook == Outlook::Unfunded).count() == count {
                return;
            }
        }
    }
}

/// Waits until a member's backend says this of a node.
async fn knows(member: &Member, node: NodeId, funds: Funds) {
    let mut moved = member.scheduler.watch_funds().unwrap();
    let told = async {
        while member.scheduler.funds(node) != Some(funds) {
            moved.changed().await.unwrap();
        }
    };
    let late = timeout(PATIENCE, told).await.is_err();
    assert!(!late, "{:?} instead of {funds:?}", member.scheduler.funds(node));
}

#[tokio::test]
async fn a_backend_knows_what_bidders_have_as_they_deposit_and_withdraw() {
    let chain = Chain::start(None).await;
    let (watcher, bidder) = (chain.member().await, chain.member().await);
    let has = |free| Funds { free: amount(free), paid: Amount::ZERO };
    assert_eq!(watcher.scheduler.funds(bidder.id()), None, "it has bid for nothing");
    watcher.scheduler.client().deposit(amount(2 * PRICE)).await.unwrap();
    let submission = watcher.submission(&deal(), 0);
    let job = submission.action.job;
    watcher.scheduler.submit(submission).await.unwrap();
    bidder.read_until(1).await;
    bidder.act(job, deal().revision(), Event::BidPlaced { price: amount(PRICE) }).await;
    knows(&watcher, bidder.id(), has(0)).await;
    bidder.scheduler.client().deposit(amount(BOND)).await.unwrap();
    knows(&watcher, bidder.id(), has(BOND)).await;
    bidder.scheduler.client().withdraw(amount(1)).await.unwrap();
    knows(&watcher, bidder.id(), has(BOND - 1)).await;
    knows(&bidder, bidder.id(), has(BOND - 1)).await;
}

#[tokio::test]
async fn bids_without_their_bond_hold_up_no_job_and_pay_counts_for_the_next() {
    let chain = Chain::start(None).await;
    let dir = tempfile::tempdir().unwrap();
    let keys = [(); 3].map(|()| chain.funded_key());
    deposit(&chain, &keys[0], 20 * ETHER).await;
    let nodes = [host(&chain, dir.path(), &keys[1], 1).await, host(&chain, dir.path(), &keys[2], 1).await];
    let requester = host(&chain, dir.path(), &keys[0], 0).await;
    let api = Api::of(&requester);
    let job = api.submit(deal()).await;
    let revision = api.when(job, |_| true).await.revision;
    // Twice as many bids as seats, none of which can pay.
    for _ in 0..4 {
        let poor = chain.member().await;
        poor.read_until(1).await;
        poor.act(job, revision, Event::BidPlaced { price: amount(PRICE) }).await;
    }
    let is_poor = |view: &JobView| view.bids.len() == 4 && view.state == JobState::Open;
    api.when(job, is_poor).await;
    assert_eq!(timeout(PATIENCE, api.are_unfunded(job, 4)).await, Ok(()), "it says so of each");
    for key in &keys[1..] {
        deposit(&chain, key, BOND).await;
    }
    let verified = api.when(job, |view| view.state == JobState::Verified).await;
    assert_eq!(verified.seats.len(), 2);
    // Both were paid, which is what the next job asks for.
    let proven = api.submit(Deal { min_paid: amount(PRICE), ..deal() }).await;
    api.when(proven, |view| view.state == JobState::Verified).await;
    for host in nodes.into_iter().chain([requester]) {
        host.stop_token().cancel();
        timeout(PATIENCE, host.join()).await.unwrap().unwrap();
    }
}
