//! A chain as others have it: a block every 2 or 12 seconds, three more until it counts, and hours in which gas is dear.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use assay::{
    api::types::{JobView, Judgement, SubmitReply},
    assembly::Backend,
    devstack::{
        BadActors, Stack, StackConfig,
        chain::{DEPOSIT, LocalChain},
    },
    domain::{Ask, Audit, AuditStage, Deal, JobId, JobState, Method, Span},
    executor::{ExecutorError, FakeExecutor, Script},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};

use super::chain::rpc;
use crate::town::{client_with, demo};

const NODES: usize = 4;
const CONFIRMATIONS: u64 = 3;
const GWEI: u128 = 1_000_000_000;
/// Prices for a unit of gas that blocks ask for: the dear ones are above what senders stopped at once.
const CHEAP: u128 = GWEI;
const DEAR: u128 = 400 * GWEI;
/// How many blocks are dear, and then cheap, in turn.
const SPELL: u64 = 4;
/// The longest way of a job: an audit in two waves takes seven steps, each of which waits for a block and for others to
/// follow; a step that meets a dear spell may wait for its end.
const MOST_BLOCKS: u32 = 7 * 4 + 8 * 4;

struct Network {
    stack: Stack,
    http: reqwest::Client,
    block: Duration,
    _weather: JoinSet<()>,
    _chain: LocalChain,
    _dir: TempDir,
}

impl Network {
    async fn start(block_secs: u64) -> Self {
        let chain = LocalChain::start(NODES).await.expect("these tests need Anvil");
        let Backend::Contract { chain: mut config, first_block } = chain.backend() else {
            unreachable!("it is a contract")
        };
        config.confirmations = Some(CONFIRMATIONS);
        let dir = tempfile::tempdir().unwrap();
        let nonce = AtomicU8::new(0);
        let executor = FakeExecutor::new(move |request| match request.spec.command[0].as_str() {
            "same" => Script::printing("the same"),
            "other" => Script::printing([nonce.fetch_add(1, Ordering::Relaxed)]),
            _fails => Script::failing(ExecutorError::Timeout { limit: Span::from_secs(1) }),
        });
        let stack = Stack::start(StackConfig {
            backend: Backend::Contract { chain: config, first_block },
            nodes: NODES,
            slots: 4,
            bad: "0".parse::<BadActors>().unwrap(),
            data_dir: dir.path().to_owned(),
            keys: chain.accounts().iter().map(|account| account.key.clone()).collect(),
            max_bond: DEPOSIT,
            ask: Ask::ALL,
            executor: Arc::new(executor),
        });
        let block = Duration::from_secs(block_secs);
        // Quick until the nodes have announced themselves, which waits for blocks too.
        ask(&chain, "evm_setIntervalMining", json!([1])).await;
        let stack = stack.await.unwrap();
        ask(&chain, "evm_setIntervalMining", json!([block_secs])).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(weather(chain.rpc_url().to_owned(), block));
        let http = client_with(&stack.nodes()[0].token_file).build().unwrap();
        Self { stack, http, block, _weather: tasks, _chain: chain, _dir: dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.stack.nodes()[0].api)
    }

    async fn submit(&self, command: &str, deal: Deal) -> JobId {
        let price = DEPOSIT.divided_by(NonZero::new(100).unwrap());
        let deal = Deal { price, bond: price, reveal: Span::from_secs(1800), ..deal };
        let request = demo(command, deal);
        let answer = self.http.post(self.url("jobs")).json(&request).send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str::<SubmitReply>(&text).unwrap_or_else(|_| panic!("{text}")).job
    }

    async fn view(&self, job: JobId) -> JobView {
        self.http.get(self.url(&format!("jobs/{job}"))).send().await.unwrap().json().await.unwrap()
    }

    /// The job when it is over.
    async fn ended(&self, job: JobId) -> JobView {
        let ended = async {
            let mut events = self.http.get(self.url(&format!("jobs/{job}/events"))).send().await.unwrap();
            while events.chunk().await.unwrap().is_some() {}
        };
        let late = timeout(self.block * MOST_BLOCKS, ended).await.is_err();
        let view = self.view(job).await;
        assert!(!late, "after {MOST_BLOCKS} blocks: {view:?}");
        view
    }

    /// A job of each kind at once, each as it should end.
    async fn every_kind_ends_as_it_should(mut self) {
        let three = || Deal { concurrency: 3, confidence: 2, method: Method::Hash, ..Deal::default() };
        let audit = Some(Audit::requested(1000, 2));
        let audited = Deal { concurrency: 1, confidence: 1, audit, ..three() };
        let (same, differ, fail, drawn) = tokio::join!(
            self.submit("same", three()),
            self.submit("other", three()),
            self.submit("fails", three()),
            self.submit("same", audited),
        );
        let (same, differ, fail, drawn) =
            tokio::join!(self.ended(same), self.ended(differ), self.ended(fail), self.ended(drawn));
        assert_eq!((same.state, accepted(&same)), (JobState::Verified, 3), "{same:?}");
        assert_eq!((differ.state, accepted(&differ)), (JobState::Inconclusive, 0), "{differ:?}");
        assert_eq!(fail.state, JobState::Failed, "{fail:?}");
        assert_eq!((drawn.state, drawn.audit), (JobState::Verified, AuditStage::Drawn), "{drawn:?}");
        assert_eq!(accepted(&drawn), 3, "{drawn:?}");
        self.stack.stop();
        timeout(Duration::from_secs(60), self.stack.join()).await.unwrap().unwrap();
    }
}

fn accepted(view: &JobView) -> usize {
    view.seats.iter().filter(|seat| seat.judgement == Some(Judgement::Accepted)).count()
}

/// Asks Anvil while this runtime goes on reading what it prints.
async fn ask(chain: &LocalChain, method: &'static str, params: serde_json::Value) {
    let url = chain.rpc_url().to_owned();
    tokio::task::spawn_blocking(move || rpc(&url, method, &params)).await.unwrap();
}

/// Makes gas dear for some blocks, and then cheap again.
async fn weather(url: String, block: Duration) {
    let mut blocks = interval(block);
    for count in 0u64.. {
        blocks.tick().await;
        let fee = if (count / SPELL).is_multiple_of(2) { DEAR } else { CHEAP };
        let (url, params) = (url.clone(), json!([format!("{fee:#x}")]));
        let set = tokio::task::spawn_blocking(move || rpc(&url, "anvil_setNextBlockBaseFeePerGas", &params));
        if set.await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_every_kind_end_as_they_should_with_a_block_every_2_seconds() {
    Network::start(2).await.every_kind_ends_as_it_should().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_every_kind_end_as_they_should_with_a_block_every_12_seconds() {
    Network::start(12).await.every_kind_ends_as_it_should().await;
}
