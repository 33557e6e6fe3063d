//! Nodes of one process on one log in memory, with scripted executors: what tests of whole nodes share.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use assay::{
    api::{
        ApiConfig, Token,
        types::{Replication, SubmitRequest},
    },
    domain::{Deal, Job, JobId, LogDomain, NodeId, SCRATCH_DIR, SUMMARY_FILE, Span, Timestamp},
    executor::{Executor, FakeExecutor, Script},
    identity::NodeKey,
    node::{LocalHub, LocalTransfer, Node, NodeConfig, NodeHandle, NodeParts, Shelf, Transfer, UrlLimits},
    scheduler::local::{LocalLog, LocalScheduler},
    store::{Blobs, Content, DataDir, Db},
};
use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderMap},
};
use tempfile::TempDir;

/// When the log of a town begins.
pub(crate) const START: u64 = 1_700_000_000;

/// Longer than any step takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Town {
    pub(crate) log: Arc<LocalLog>,
    pub(crate) hub: Arc<LocalHub>,
    urls: UrlLimits,
    /// The nodes of one operator.
    sisters: Vec<NodeId>,
}

/// A node, and the directory that it comes back to after a restart.
pub(crate) struct Citizen {
    pub(crate) handle: NodeHandle,
    pub(crate) api: SocketAddr,
    pub(crate) scheduler: LocalScheduler,
    pub(crate) transfer: LocalTransfer,
    pub(crate) dir: TempDir,
}

impl Town {
    pub(crate) fn new() -> Self {
        let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(START));
        Self { log, hub: Arc::default(), urls: UrlLimits::ALL, sisters: Vec::new() }
    }

    /// One whose nodes get inputs from nowhere but public servers.
    pub(crate) fn careful() -> Self {
        Self { urls: UrlLimits::default(), ..Self::new() }
    }

    /// One in which these keys are of one operator, who says so.
    pub(crate) fn with_sisters(keys: &[u8]) -> Self {
        Self { sisters: keys.iter().map(|key| key_of(*key).node_id()).collect(), ..Self::new() }
    }

    pub(crate) fn at(&self, seconds: u64) {
        self.log.set_now(Timestamp::from_secs(START + seconds));
    }

    /// A new node whose key is this byte.
    pub(crate) async fn node(&self, key: u8, slots: usize, executor: Arc<dyn Executor>) -> Citizen {
        let scheduler = self.log.join(key_of(key).node_id());
        self.start(key, slots, executor, scheduler, tempfile::tempdir().unwrap(), None).await
    }

    /// A new node that fetches content in this way.
    pub(crate) async fn requester(&self, key: u8, transfer: Arc<dyn Transfer>) -> Citizen {
        let scheduler = self.log.join(key_of(key).node_id());
        let dir = tempfile::tempdir().unwrap();
        self.start(key, 0, printing(""), scheduler, dir, Some(transfer)).await
    }

    /// A new node with one slot that fetches content in this way.
    pub(crate) async fn worker(
        &self,
        key: u8,
        executor: Arc<dyn Executor>,
        transfer: Arc<dyn Transfer>,
    ) -> Citizen {
        let scheduler = self.log.join(key_of(key).node_id());
        self.start(key, 1, executor, scheduler, tempfile::tempdir().unwrap(), Some(transfer)).await
    }

    /// The same node, started again after it has ended.
    pub(crate) async fn restart(&self, key: u8, citizen: Citizen, executor: Arc<dyn Executor>) -> Citizen {
        let Citizen { handle, scheduler, dir, .. } = citizen;
        end(handle).await;
        self.hub.leave(key_of(key).node_id());
        self.start(key, 1, executor, scheduler, dir, None).await
    }

    /// A requester of another town with what it remembers, on the log of this one, which has none of its jobs.
    pub(crate) async fn resettle(
        &self,
        from: &Self,
        key: u8,
        citizen: Citizen,
        transfer: Arc<dyn Transfer>,
    ) -> Citizen {
        let Citizen { handle, dir, .. } = citizen;
        end(handle).await;
        let id = key_of(key).node_id();
        from.hub.leave(id);
        self.start(key, 0, printing(""), self.log.join(id), dir, Some(transfer)).await
    }

    async fn start(
        &self,
        key: u8,
        slots: usize,
        executor: Arc<dyn Executor>,
        scheduler: LocalScheduler,
        dir: TempDir,
        other_transfer: Option<Arc<dyn Transfer>>,
    ) -> Citizen {
        let key = key_of(key);
        let data = DataDir::open(dir.path()).unwrap();
        let db = Db::open(&data).unwrap();
        let blobs = Blobs::open(&data.blobs(), STORE_BYTES).unwrap();
        let shelf = Shelf::new(Content::new(db.clone(), blobs));
        let transfer = self.hub.join(key.node_id(), Arc::clone(&shelf));
        let parts = NodeParts {
            db,
            dir: data,
            scheduler: Arc::new(scheduler.clone()),
            executor,
            transfer: other_transfer.unwrap_or_else(|| Arc::new(transfer.clone())),
            shelf,
            key,
        };
        let is_sister = self.sisters.contains(&parts.key.node_id());
        let sisters = if is_sister { self.sisters.clone() } else { Vec::new() };
        let config = NodeConfig { compute_slots: slots, urls: self.urls, sisters, ..NodeConfig::default() };
        let mut handle = Node::start(config, parts).await.unwrap();
        let api = assay::api::serve(&mut handle, ApiConfig::default()).await.unwrap();
        Citizen { handle, api, scheduler, transfer, dir }
    }
}

impl Citizen {
    pub(crate) fn node(&self) -> Arc<Node> {
        self.handle.node()
    }

    /// Asks its API; the answer, and its status.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> (u16, Vec<u8>) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask(self.http().get(self.url(path))).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Vec<u8>) {
        let request = self.http().post(self.url(path)).header("content-type", "application/json");
        self.ask(request.body(body)).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.api)
    }

    /// A client that bears the token.
    pub(crate) fn http(&self) -> reqwest::Client {
        client_with(&self.node().token_file()).timeout(PATIENCE).build().unwrap()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.handle.id()
    }

    /// The job once this node reads it so in the log.
    pub(crate) async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let node = self.node();
        let found = tokio::time::timeout(PATIENCE, node.when(job, is_so));
        found.await.expect("the log comes to it in time")
    }

    pub(crate) async fn ended(&self, job: JobId) -> Job {
        self.when(job, |job| job.state.is_terminal()).await
    }
}

/// A client that bears the token in this file.
pub(crate) fn client_with(token_file: &Path) -> reqwest::ClientBuilder {
    let bearer = (AUTHORIZATION, Token::read(token_file).unwrap().header());
    // Well before the API closes a connection that says nothing.
    let idle = Duration::from_secs(5);
    let client = assay::tls::http_client().no_proxy().pool_idle_timeout(idle);
    client.default_headers(HeaderMap::from_iter([bearer]))
}

pub(crate) fn key_of(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

/// What the store of a node takes: the results of many runs as they are, and of one at its default limit.
pub(crate) const STORE_BYTES: u64 = 3 << 29;

pub(crate) async fn end(handle: NodeHandle) {
    handle.stop_token().cancel();
    tokio::time::timeout(PATIENCE, handle.join()).await.expect("a node ends in time").unwrap();
}

/// Every run prints this.
pub(crate) fn printing(stdout: &'static str) -> Arc<FakeExecutor> {
    Arc::new(FakeExecutor::new(move |_| Script::printing(stdout)))
}

/// A submission by the API, for executors that run nothing.
pub(crate) fn demo(command: &str, deal: Deal) -> SubmitRequest {
    SubmitRequest {
        image: format!("demo@sha256:{}", "0".repeat(64)),
        entrypoint: Vec::new(),
        command: vec![command.to_owned()],
        environment: Default::default(),
        working_directory: None,
        inputs: Vec::new(),
        resources: Default::default(),
        seeded: false,
        text_files: Vec::new(),
        public_result: false,
        summary_file: SUMMARY_FILE.to_owned(),
        scratch_dir: SCRATCH_DIR.to_owned(),
        platform: None,
        deal,
        replication: Replication::Fixed,
    }
}

pub(crate) fn deal(concurrency: u8, confidence: u8) -> Deal {
    let timeout = Span::from_secs(60);
    Deal { concurrency, confidence, timeout, run: Span::from_secs(240), ..Deal::default() }
}
