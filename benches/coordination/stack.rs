//! A devstack in this process, and jobs through its API as a user sends them.

use std::{sync::Arc, time::Instant};

use assay::{
    api::{
        Token,
        types::{JobView, Replication, SubmitReply, SubmitRequest},
    },
    assembly::Backend,
    devstack::{
        BadActors, DEFAULT_SLOTS, Stack, StackConfig,
        chain::{DEPOSIT, LocalChain},
    },
    domain::{Amount, Ask, Deal, JobState, Resources},
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor, FakeExecutor, Script},
    tls::http_client,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::{Client, header::AUTHORIZATION};
use serde_json::{Value, json};

use crate::{Outcome, chain, memory, orders, own, say};

/// The image of `scripts/demo`.
const IMAGE: &str = "assay/demo:1";

/// Of each node without containers: more than there are jobs at a time, so that only coordination is measured.
const STUB_SLOTS: usize = 128;

pub(crate) async fn serve(scheduler: &str, nodes: usize, executor: &str) -> Outcome<()> {
    let scratch = tempfile::Builder::new().prefix("assay-bench-").tempdir()?;
    let (executor, slots): (Arc<dyn Executor>, usize) = match executor {
        "stub" => (Arc::new(FakeExecutor::new(|_| Script::printing("hello\n"))), STUB_SLOTS),
        "docker" => (Arc::new(DockerExecutor::connect(DEFAULT_SOCKET).await?), DEFAULT_SLOTS),
        other => return Err(format!("no executor is called {other}").into()),
    };
    let chain = match scheduler {
        "libp2p" => None,
        "contract" => Some(LocalChain::start(nodes).await?),
        other => return Err(format!("no scheduler is called {other}").into()),
    };
    let accounts = chain.as_ref().map_or([].as_slice(), LocalChain::accounts);
    let config = StackConfig {
        max_bond: chain.as_ref().map_or(Amount::ZERO, |_| DEPOSIT),
        backend: chain.as_ref().map_or(Backend::Libp2p, LocalChain::backend),
        keys: accounts.iter().map(|account| account.key.clone()).collect(),
        nodes,
        slots,
        ask: Ask::ALL,
        bad: BadActors::default(),
        data_dir: scratch.path().to_owned(),
        executor,
    };
    let mut stack = Stack::start(config).await?;
    let first = &stack.nodes()[0];
    let headers = [(AUTHORIZATION, Token::read(&first.token_file)?.header())].into_iter().collect();
    let http = http_client().default_headers(headers).build()?;
    let user = User { http, api: format!("http://{}/api/v1", first.api) };
    say(&json!({ "ready": true }));
    let set_up = match &chain {
        Some(chain) => chain::head(chain.rpc_url()).await?,
        None => 0,
    };
    let mut orders = orders()?;
    while let Some(order) = orders.next_line().await? {
        let words: Vec<&str> = order.split_whitespace().collect();
        say(&match (words.as_slice(), &chain) {
            (["run", count, concurrency, window], _) => {
                user.run(count.parse()?, concurrency.parse()?, window.parse()?).await?
            }
            (["replay"], Some(chain)) => chain::replay(chain.rpc_url(), set_up).await?,
            (["memory"], _) => memory()?,
            _ => return Err(format!("not understood: {order}").into()),
        });
    }
    stack.stop();
    stack.join().await?;
    Ok(())
}

/// Somebody with a node.
struct User {
    http: Client,
    api: String,
}

impl User {
    async fn run(&self, count: usize, concurrency: u8, window: usize) -> Outcome<Value> {
        let begun = Instant::now();
        let jobs = stream::iter(0..count).map(|_| self.job(concurrency)).buffer_unordered(window);
        let verified: Vec<()> = jobs.try_collect().await?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(json!({ "seconds": seconds, "verified": verified.len(), "rss_kib": own::rss_kib()? }))
    }

    /// Submits one job, and returns once it is verified.
    async fn job(&self, concurrency: u8) -> Outcome<()> {
        let deal = Deal { concurrency, confidence: concurrency / 2 + 1, ..Deal::default() };
        let request = SubmitRequest {
            image: IMAGE.to_owned(),
            entrypoint: vec![],
            command: vec!["true".to_owned()],
            environment: Default::default(),
            working_directory: None,
            inputs: vec![],
            resources: Resources::default(),
            seeded: false,
            text_files: Vec::new(),
            public_result: false,
            summary_file: assay::domain::SUMMARY_FILE.to_owned(),
            scratch_dir: assay::domain::SCRATCH_DIR.to_owned(),
            platform: None,
            deal,
            replication: Replication::Fixed,
        };
        let Self { http, api } = self;
        let submitted = http.post(format!("{api}/jobs")).json(&request).send().await?;
        let job = submitted.error_for_status()?.json::<SubmitReply>().await?.job;
        // It ends with the job.
        let mut events = http.get(format!("{api}/jobs/{job}/events")).send().await?.error_for_status()?;
        while events.chunk().await?.is_some() {}
        let view = http.get(format!("{api}/jobs/{job}")).send().await?.json::<JobView>().await?;
        match view.state {
            JobState::Verified => Ok(()),
            state => Err(format!("job {job} ended {state}").into()),
        }
    }
}
