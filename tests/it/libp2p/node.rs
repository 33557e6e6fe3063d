//! Nodes of the libp2p backend on 127.0.0.1, with a clock that the test sets.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use assay::{
    domain::{
        Action, Deal, Digest, Event, FingerprintWord, Job, JobId, NodeId, Opening, SignedAction, Spec,
        SummaryWord, Timestamp,
    },
    identity::NodeKey,
    network::{Limits, Multiaddr, NetworkConfig, NetworkHandle, NoBlobs, Status},
    rules::Ledger,
    scheduler::{
        BackendError, Cursor, LogItem, Scheduler, SubmitError, entries,
        libp2p::{Interest, Libp2pConfig, Libp2pScheduler, Running},
    },
    store::{DataDir, Db, EventLog},
};
use futures::{StreamExt, stream::BoxStream};

/// Longest wait for something that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A clock that stands until it is set.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START.as_secs())))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.0.fetch_max(now.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// How a node of a test is set up.
pub(crate) struct Setup {
    pub(crate) key: NodeKey,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) listen: Multiaddr,
    pub(crate) peers: Vec<Multiaddr>,
    pub(crate) limits: Limits,
    pub(crate) clock: TestClock,
}

impl Setup {
    pub(crate) fn new(clock: &TestClock, peers: &[Multiaddr]) -> Self {
        Self {
            key: NodeKey::generate().unwrap(),
            dir: None,
            listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
            peers: peers.to_vec(),
            limits: Limits::default(),
            clock: clock.clone(),
        }
    }
}

/// A running node, what it has read, and the jobs that this makes.
pub(crate) struct Node {
    pub(crate) key: NodeKey,
    pub(crate) scheduler: Libp2pScheduler,
    pub(crate) running: Running,
    pub(crate) read: Vec<LogItem>,
    pub(crate) ledger: Ledger,
    stream: BoxStream<'static, Result<LogItem, BackendError>>,
}

impl Node {
    pub(crate) async fn start(setup: Setup) -> Self {
        let Setup { key, dir, listen, peers, limits, clock } = setup;
        let db = match dir {
            Some(dir) => Db::open(&DataDir::open(&dir).unwrap()).unwrap(),
            None => Db::in_memory().unwrap(),
        };
        let config = Libp2pConfig {
            network: NetworkConfig { key: key.clone(), listen: vec![listen], peers, limits, offer: None },
            log: EventLog::new(db),
            clock: Arc::new(move || clock.now()),
            blobs: Arc::new(NoBlobs),
            interest: Interest::all(),
            loading: Default::default(),
        };
        let (scheduler, running) = Libp2pScheduler::start(config).await.unwrap();
        let (stream, ledger) = (entries(scheduler.events(Cursor(0))), Ledger::new(scheduler.domain()));
        Self { key, scheduler, running, read: Vec::new(), ledger, stream }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub(crate) fn network(&self) -> NetworkHandle {
        self.scheduler.network()
    }

    /// Stops, and leaves its data behind.
    pub(crate) async fn stop(self) -> NodeKey {
        tokio::time::timeout(PATIENCE, self.running.shutdown()).await.expect("a node stops in time");
        self.key
    }

    /// Waits until the network is as wanted.
    pub(crate) async fn network_is(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.network().status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(wanted)).await;
        match reached {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!("the network stayed {:?}", self.network().status().borrow()),
        }
    }

    pub(crate) async fn address(&self) -> Multiaddr {
        self.network_is(|status| !status.listening.is_empty()).await.listening[0].clone()
    }

    pub(crate) async fn next_item(&mut self) -> LogItem {
        let item = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        let item = item.expect("the next entry comes in time").expect("the log goes on").unwrap();
        self.ledger.apply(&item.stamped).expect("an entry of the log obeys the rules");
        self.ledger.assert_invariants();
        self.read.push(item.clone());
        item
    }

    /// Reads on until this node holds the entry.
    pub(crate) async fn read_until(&mut self, entry: Digest) {
        while !self.read.iter().any(|item| item.entry == entry) {
            self.next_item().await;
        }
    }

    pub(crate) fn job(&self, job: JobId) -> &Job {
        self.ledger.get(job).expect("this node follows the job")
    }

    /// What this node would sign now, by what it has read.
    pub(crate) fn sign(&self, job: JobId, event: Event) -> SignedAction {
        let of_job = self.read.iter().filter(|item| item.stamped.job == job);
        let own = of_job.clone().filter(|item| item.stamped.author == self.id()).count();
        let action = Action {
            job,
            revision: self.job(job).revision,
            sequence: u64::try_from(own).unwrap(),
            seen: of_job.clone().next_back().map_or(Digest::ZERO, |item| item.entry),
            event,
        };
        SignedAction { signature: self.key.sign(action.signing_digest(self.scheduler.domain())), action }
    }

    pub(crate) async fn send(&self, action: SignedAction) -> Result<Cursor, SubmitError> {
        let sent = tokio::time::timeout(PATIENCE, self.scheduler.submit(action)).await;
        sent.expect("an action is answered in time")
    }

    /// Acts, and reads its own entry.
    pub(crate) async fn act(&mut self, job: JobId, event: Event) -> Digest {
        let kind = event.kind();
        let cursor =
            self.send(self.sign(job, event)).await.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        loop {
            if let Some(item) = self.read.iter().find(|item| item.cursor == cursor) {
                assert_eq!((item.stamped.author, item.stamped.event.kind()), (self.id(), kind));
                return item.entry;
            }
            self.next_item().await;
        }
    }

    /// Submits a job and reads its first entry.
    pub(crate) async fn submit(&mut self, deal: Deal, nonce: u64) -> (JobId, Digest) {
        let action = submission(&self.key, deal, nonce);
        let job = action.action.job;
        self.send(action).await.expect("a valid job is taken");
        loop {
            let item = self.next_item().await;
            if item.stamped.job == job {
                return (job, item.entry);
            }
        }
    }
}

pub(crate) fn submission(key: &NodeKey, deal: Deal, nonce: u64) -> SignedAction {
    let domain = assay::domain::LogDomain::default();
    let spec = Spec::sample();
    let (document, revision) = (spec.to_document(), deal.revision());
    let job = domain.job_id(key.node_id(), nonce, Spec::hash_document(&document), revision);
    let event = Event::Submitted { deal, spec: document, nonce };
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    SignedAction { signature: key.sign(action.signing_digest(domain)), action }
}

pub(crate) fn bid() -> Event {
    Event::BidPlaced { price: Default::default() }
}

pub(crate) fn opening(seat: u8) -> Opening {
    Opening {
        result_hash: Digest::new([9; 32]),
        output_root: Digest::new([8; 32]),
        exit_code: 0,
        fingerprint: FingerprintWord([0xff; 32]),
        summary: SummaryWord::VOID,
        salt: Digest::new([seat; 32]),
    }
}

pub(crate) fn commitment(node: NodeId, job: JobId, seat: u8) -> Event {
    let domain = assay::domain::LogDomain::default();
    Event::Committed { commitment: opening(seat).commitment(domain, job, seat, node) }
}
