//! What keeps a node of a contract from its work: told while it lasts, with what to do.

use std::{net::SocketAddr, sync::Arc};

use assay::{
    api::types::{Health, NodeInfo, Readiness},
    assembly::{Backend, Host, HostConfig},
    domain::Timestamp,
    executor::{FakeExecutor, Script},
    identity::NodeKey,
    node::{Admission, ComputeLimits, Obstacle, UrlLimits, Warning, wall_clock},
    scheduler::{
        Scheduler, Trouble,
        contract::{ChainConfig, ContractConfig, ContractScheduler},
    },
    store::Db,
};
use tokio::time::{interval, timeout};

use super::{
    chain::{Chain, PATIENCE},
    faulty::{Fault, Faulty},
    long_deal, until,
};
use crate::town::client_with;

#[tokio::test]
async fn a_clock_that_differs_from_the_chains_is_told_in_seconds() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    // The chain's clock is this machine's.
    for (nonce, offset) in [(0, -300_i64), (1, 300)] {
        let clock = move || Timestamp::from_secs(wall_clock().as_secs().saturating_add_signed(offset));
        let config = ContractConfig {
            chain: chain.config(),
            first_block: chain.deployed.receipt.block,
            db: Db::in_memory().unwrap(),
            key: chain.funded_key(),
            clock: Arc::new(clock),
            signed: None,
        };
        let (scheduler, running) = ContractScheduler::start(config).await.unwrap();
        until(|| scheduler.seen().borrow().read > 0).await;
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
        let about = 290..=310;
        until(|| match offset < 0 {
            true => matches!(&*scheduler.troubles(), [Trouble::ClockBehind { seconds, .. }] if about.contains(seconds)),
            false => matches!(&*scheduler.troubles(), [Trouble::ClockAhead { seconds, .. }] if about.contains(seconds)),
        })
        .await;
        let text = scheduler.troubles()[0].to_string();
        let side = if offset < 0 { " s behind the chain" } else { " s ahead of the chain" };
        assert!(text.starts_with("this machine's clock is ") && text.contains(side), "{text}");
        running.shutdown().await;
    }
}

#[tokio::test]
async fn a_chain_that_cannot_be_followed_is_a_trouble_until_it_can() {
    let chain = Chain::start(None).await;
    let endpoint = Faulty::start(&chain.anvil.rpc_url, |_, _| Fault::Refused(404, None)).await;
    endpoint.set_faulty(false);
    let config = ContractConfig {
        chain: ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() },
        first_block: chain.deployed.receipt.block,
        db: Db::in_memory().unwrap(),
        key: chain.funded_key(),
        clock: Arc::new(wall_clock),
        signed: None,
    };
    let (scheduler, _running) = ContractScheduler::start(config).await.unwrap();
    until(|| scheduler.seen().borrow().is_complete() && scheduler.troubles().is_empty()).await;
    for _ in 0..2 {
        endpoint.set_faulty(true);
        until(|| matches!(&*scheduler.troubles(), [Trouble::NotFollowed { .. }])).await;
        endpoint.set_faulty(false);
        until(|| scheduler.troubles().is_empty()).await;
    }
}

#[tokio::test]
async fn a_node_that_cannot_read_the_chain_yet_says_so_and_not_that_it_knows_no_job() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    let submission = member.submission(&long_deal(), 0);
    let job = submission.action.job;
    member.scheduler.submit(submission).await.unwrap();
    let rule =
        |method: &str, _: &_| if method == "eth_getLogs" { Fault::Refused(404, None) } else { Fault::None };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
    let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
    let told_by = started(&chain, chain.funded_key(), config).await;
    let warned = told_by.warnings(|warnings| !warnings.is_empty()).await;
    assert_eq!(warned[0].obstacle, Obstacle::Chain, "of itself it tells: {warned:?}");
    let ask = async |path: &str| {
        let answer = told_by.http.get(format!("http://{}/api/v1/{path}", told_by.host.api()));
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for path in ["jobs".to_owned(), format!("jobs/{job}")] {
        let (status, text) = ask(&path).await;
        assert_eq!(status, 503, "{path}: {text}");
        assert!(text.contains(" blocks are read") && text.contains("\"loading\""), "{path}: {text}");
    }
    let readiness = async || serde_json::from_str::<Health>(&ask("health").await.1).unwrap().state;
    assert_eq!(readiness().await, Readiness::Loading);
    endpoint.set_faulty(false);
    timeout(PATIENCE, told_by.host.caught_up()).await.unwrap();
    assert_eq!((ask(&format!("jobs/{job}")).await.0, readiness().await), (200, Readiness::Ready));
    told_by.end().await;
}

#[tokio::test]
async fn a_node_without_ether_starts_and_says_so_until_it_has_some() {
    let chain = Chain::start(None).await;
    let key = NodeKey::generate().unwrap();
    let told_by = started(&chain, key.clone(), chain.config()).await;
    let warnings = async |is_so: fn(&[Warning]) -> bool| told_by.warnings(is_so).await;
    let told = warnings(|warnings| !warnings.is_empty()).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].obstacle, told[0].job), (Obstacle::NoEther, None));
    assert!(told[0].message.contains(&key.node_id().to_string()), "{told:?}");
    assert!(told[0].hint.contains("send ether"), "{told:?}");
    let other = chain.member().await;
    let mut announced = other.scheduler.announced();
    assert!(!announced.borrow().contains_key(&key.node_id()));
    chain.give_gas(key.node_id());
    timeout(PATIENCE, announced.wait_for(|nodes| nodes.contains_key(&key.node_id()))).await.unwrap().unwrap();
    warnings(<[Warning]>::is_empty).await;
    told_by.end().await;
}

#[tokio::test]
async fn a_node_that_pays_less_for_gas_than_it_costs_starts_and_names_the_flag() {
    let chain = Chain::start(None).await;
    let key = NodeKey::generate().unwrap();
    chain.give_gas(key.node_id());
    let stingy = ChainConfig { max_fee_per_gas: Some(1), ..chain.config() };
    let told_by = started(&chain, key, stingy).await;
    let told = told_by.warnings(|warnings| !warnings.is_empty()).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].obstacle, told[0].job), (Obstacle::FeeCap, None));
    assert!(told[0].hint.contains("--max-fee"), "{told:?}");
    told_by.end().await;
}

/// A node of its own that is asked for its warnings.
struct Told {
    host: Host,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

async fn started(chain: &Chain, key: NodeKey, config: ChainConfig) -> Told {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(HostConfig {
        dial_private: false,
        backend: Backend::Contract { chain: config, first_block: chain.deployed.receipt.block },
        data_dir: dir.path().join("node"),
        key: Some(key),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: Vec::new(),
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        compute_slots: 1,
        limits: ComputeLimits::default(),
        sisters: Vec::new(),
        admission: Admission::default(),
        deliver: false,
        urls: UrlLimits::default(),
        keep: Default::default(),
        executor: Arc::new(FakeExecutor::new(|_| Script::printing("the same"))),
    });
    let host = timeout(PATIENCE, host).await.unwrap().expect("a node that cannot pay for gas starts");
    let http = client_with(&host.token_file()).build().unwrap();
    Told { host, http, _dir: dir }
}

impl Told {
    /// Waits until the warnings are as wanted.
    async fn warnings(&self, is_so: fn(&[Warning]) -> bool) -> Vec<Warning> {
        let url = format!("http://{}/api/v1/node", self.host.api());
        let asked = async {
            let mut ticks = interval(std::time::Duration::from_millis(20));
            loop {
                ticks.tick().await;
                let info: NodeInfo = self.http.get(&url).send().await.unwrap().json().await.unwrap();
                if is_so(&info.warnings) {
                    return info.warnings;
                }
            }
        };
        timeout(PATIENCE, asked).await.expect("the warnings come to that in time")
    }

    async fn end(self) {
        self.host.stop_token().cancel();
        timeout(PATIENCE, self.host.join()).await.unwrap().unwrap();
    }
}
