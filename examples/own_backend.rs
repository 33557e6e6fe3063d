//! A backend of your own: it counts what each author brings into the log, and refuses those who bring too much.
//!
//! It stands on the log in memory, as one on a queue or a database of yours would stand on that. A node cannot tell
//! the difference, and `tests/it/examples.rs` runs the suite of `assay::scheduler::conformance` against it.
//!
//! ```sh
//! cargo run --example own_backend
//! ```

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use assay::{
    domain::{
        Asset, Deal, Funds, Job, JobId, LogDomain, Method, NodeId, Pace, SignedAction, Spec, Timestamp,
    },
    executor::{Executor, FakeExecutor, Script},
    identity::NodeKey,
    scheduler::{
        Anchor, BackendError, Cursor, EnvelopeRefusal, EventStream, Evidence, LogItem, LogOrder, Scheduler,
        SubmitError, Trouble,
        local::{LocalLog, LocalScheduler},
        submit_in_turn,
    },
    store::EndedJob,
};
use futures::future::BoxFuture;
use tokio::sync::watch;

#[path = "town/mod.rs"]
mod town;

/// How much an author may bring.
const LIMIT: usize = 1000;

/// A log that several nodes share.
#[derive(Debug, Clone)]
pub(crate) struct CountingLog {
    pub(crate) log: Arc<LocalLog>,
    counts: Arc<Mutex<BTreeMap<NodeId, usize>>>,
}

impl CountingLog {
    /// An empty log whose clock stands at `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { log: LocalLog::new(LogDomain::default(), now), counts: Arc::default() }
    }

    /// One node's way into the log.
    pub(crate) fn join(&self, node: NodeId) -> CountingScheduler {
        CountingScheduler { inner: self.log.join(node), counts: Arc::clone(&self.counts) }
    }

    /// How much this author brought.
    pub(crate) fn count(&self, author: NodeId) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&author).copied().unwrap_or(0)
    }
}

/// One node's way into a [`CountingLog`].
#[derive(Debug)]
pub(crate) struct CountingScheduler {
    inner: LocalScheduler,
    counts: Arc<Mutex<BTreeMap<NodeId, usize>>>,
}

impl Scheduler for CountingScheduler {
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        Box::pin(async move {
            let bad = |_| SubmitError::Refused(EnvelopeRefusal::BadSignature);
            let author = action.author(self.domain()).map_err(bad)?;
            {
                let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
                let count = counts.entry(author).or_default();
                if *count >= LIMIT {
                    return Err(SubmitError::Refused(EnvelopeRefusal::TooMany));
                }
                *count += 1;
            }
            self.inner.submit(action).await
        })
    }

    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        Box::pin(submit_in_turn(self, actions))
    }

    fn events(&self, after: Cursor) -> EventStream {
        self.inner.events(after)
    }

    // A backend whose clock is elsewhere says what went wrong there with `BackendError::other`.
    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>> {
        self.inner.now()
    }

    fn members(&self) -> Vec<NodeId> {
        self.inner.members()
    }

    fn domain(&self) -> LogDomain {
        self.inner.domain()
    }

    fn order(&self, job: JobId) -> LogOrder {
        self.inner.order(job)
    }

    fn asset(&self) -> Asset {
        self.inner.asset()
    }

    fn holds_money(&self) -> bool {
        self.inner.holds_money()
    }

    fn funds(&self, node: NodeId) -> Option<Funds> {
        self.inner.funds(node)
    }

    fn watch_funds(&self) -> Option<watch::Receiver<u64>> {
        self.inner.watch_funds()
    }

    fn pace(&self) -> Pace {
        self.inner.pace()
    }

    fn anchors(&self, job: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        self.inner.anchors(job)
    }

    fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.inner.evidence(job)
    }

    fn retire(&self, ended: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>> {
        self.inner.retire(ended)
    }

    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>> {
        self.inner.log_of(job)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles()
    }
}

/// Runs a job of two nodes on the log.
pub(crate) async fn run(log: &CountingLog) -> Result<Job, Box<dyn Error>> {
    let image = format!("sha256:{}", "0".repeat(64));
    let spec = Spec::builder(image).image_name("demo").command(["answer"]).build()?;
    let deal = Deal { concurrency: 2, confidence: 2, method: Method::Hash, ..Deal::default() };
    let executor = || -> Arc<dyn Executor> { Arc::new(FakeExecutor::new(|_| Script::printing("42"))) };
    let join = |key: &NodeKey| log.join(key.node_id());
    town::run(join, spec, deal, vec![executor(), executor()]).await
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let log = CountingLog::new(Timestamp::from_secs(1_700_000_000));
    let job = run(&log).await?;
    println!("job {} is {:?}", job.id, job.state);
    println!("  {} brought {} actions", job.requester, log.count(job.requester));
    for seat in &job.seats {
        println!("  {} brought {} actions", seat.node, log.count(seat.node));
    }
    Ok(())
}
