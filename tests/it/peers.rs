//! Whole nodes that reach each other over the network alone, with scripted executors.

mod broken;
mod ended;
mod slow;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use assay::{
    domain::{Chunk, ChunkRequest, Input, InputKind, Job, JobId, JobState, NodeId, Spec},
    executor::{Executor, FakeExecutor, Script},
    network::{BlobDenied, BlobSource, Limits as NetworkLimits, Multiaddr, NetworkConfig},
    node::{Node, NodeConfig, NodeHandle, NodeParts, PeerTransfer, Shelf, wall_clock},
    scheduler::libp2p::{Interest, Libp2pConfig, Libp2pScheduler, Running},
    store::{Blobs, Content, DataDir, Db, EventLog, Limits, Packed, pack},
};
use tempfile::TempDir;

use crate::town::{PATIENCE, deal, end, key_of, printing};

struct Peer {
    handle: NodeHandle,
    backend: Running,
    scheduler: Libp2pScheduler,
    content: Content,
    served: Arc<Served>,
    db: Db,
    dir: TempDir,
}

/// A shelf, and how many bytes it has given away.
#[derive(Debug)]
struct Served {
    shelf: Arc<Shelf>,
    bytes: AtomicU64,
}

impl BlobSource for Served {
    fn read(&self, peer: NodeId, request: ChunkRequest) -> Result<Chunk, BlobDenied> {
        let chunk = self.shelf.read(peer, request)?;
        self.bytes.fetch_add(chunk.bytes.len().try_into().unwrap(), Ordering::SeqCst);
        Ok(chunk)
    }
}

async fn peer(key: u8, slots: usize, executor: Arc<dyn Executor>, peers: &[Multiaddr], dir: TempDir) -> Peer {
    let key = key_of(key);
    let data = until(|| DataDir::open(dir.path()).ok()).await;
    let db = Db::open(&data).unwrap();
    let blobs = Blobs::open(&data.blobs(), 4 << 30).unwrap();
    let content = Content::new(db.clone(), blobs);
    let shelf = Shelf::new(content.clone());
    let served = Arc::new(Served { shelf: Arc::clone(&shelf), bytes: AtomicU64::new(0) });
    let (scheduler, backend) = Libp2pScheduler::start(Libp2pConfig {
        network: NetworkConfig {
            key: key.clone(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            peers: peers.to_vec(),
            limits: NetworkLimits::default(),
            offer: None,
        },
        log: EventLog::new(db.clone()),
        clock: Arc::new(wall_clock),
        blobs: Arc::clone(&served) as _,
        interest: Interest::all(),
        loading: Default::default(),
    })
    .await
    .unwrap();
    let transfer = Arc::new(PeerTransfer::new(scheduler.network()));
    let parts = NodeParts {
        key,
        dir: data,
        db: db.clone(),
        scheduler: Arc::new(scheduler.clone()),
        executor,
        transfer,
        shelf,
    };
    let config = NodeConfig { compute_slots: slots, ..NodeConfig::default() };
    Peer { handle: Node::start(config, parts).await.unwrap(), backend, scheduler, content, served, db, dir }
}

impl Peer {
    async fn address(&self) -> Multiaddr {
        let mut status = self.scheduler.network().status();
        let listening = status.wait_for(|status| !status.listening.is_empty());
        tokio::time::timeout(PATIENCE, listening).await.unwrap().unwrap().listening[0].clone()
    }

    /// Waits until so many nodes can be told of a job.
    async fn knows(&self, members: usize) {
        let mut status = self.scheduler.network().status();
        let known = status.wait_for(|status| status.subscribed.len() >= members);
        tokio::time::timeout(PATIENCE, known).await.expect("the nodes find each other").unwrap();
    }

    async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let node = self.handle.node();
        tokio::time::timeout(PATIENCE, node.when(job, is_so)).await.expect("the log comes to it in time")
    }

    async fn end(self) -> TempDir {
        end(self.handle).await;
        self.backend.shutdown().await;
        self.dir
    }
}

/// What `look` finds in the end: for what has nothing to wait on, such as a lock that an aborted task still holds.
async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let found = async {
        loop {
            ticks.tick().await;
            if let Some(found) = look() {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it comes in time")
}

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_with_an_input_runs_on_three_peers_and_its_results_come_back() {
    let reads = || {
        Arc::new(FakeExecutor::new(|request| {
            Script::printing(std::fs::read(request.inputs[0].source.join("data.txt")).unwrap())
        }))
    };
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    let address = [requester.address().await];
    let mut nodes = Vec::new();
    for key in 2..=4 {
        nodes.push(peer(key, 1, reads(), &address, dir()).await);
    }
    requester.knows(3).await;

    let source = dir();
    let content = "x".repeat(3 << 20);
    std::fs::write(source.path().join("data.txt"), &content).unwrap();
    let mut writer = requester.content.writer(1 << 30).unwrap();
    let Packed { digest, bytes, .. } =
        pack(source.path(), &mut writer, &Limits::with_bytes(1 << 30)).unwrap();
    requester.content.keep(writer, digest, requester.handle.id()).unwrap();
    let mut spec = Spec::sample();
    spec.inputs =
        vec![Input { digest, bytes, target: "/in".to_owned(), kind: InputKind::Directory, url: None }];
    let node = requester.handle.node();
    let (job, _) = node.submit_job(spec, deal(3, 2)).await.unwrap();
    let ended = requester.when(job, |job| job.state.is_terminal()).await;
    assert_eq!(ended.state, JobState::Verified, "{ended:#?}");
    assert_eq!(ended.verdict.as_ref().unwrap().accepted.len(), 3);
    for citizen in &nodes {
        let (opening, length) = node.result_of(job, citizen.handle.id()).await.unwrap();
        assert!(length > 3 << 20);
        assert_eq!(requester.content.length(opening.output_root, citizen.handle.id()).unwrap(), length);
    }
    for citizen in nodes {
        citizen.when(job, |job| job.state == JobState::Verified).await;
        citizen.end().await;
    }
    requester.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_finds_its_nodes_where_everybody_names_the_same_hub_alone() {
    let hub = peer(1, 0, printing(""), &[], dir()).await;
    let address = [hub.address().await];
    let mut citizens = vec![peer(2, 0, printing(""), &address, dir()).await];
    for key in 3..=5 {
        citizens.push(peer(key, 1, printing("x"), &address, dir()).await);
    }
    let requester = &citizens[0];
    requester.knows(4).await;
    let (job, _) = requester.handle.node().submit_job(Spec::sample(), deal(3, 2)).await.unwrap();
    let ended = requester.when(job, |job| job.state.is_terminal()).await;
    assert_eq!(ended.state, JobState::Verified, "{ended:#?}");
    assert_eq!(ended.verdict.as_ref().unwrap().accepted.len(), 3);
    for citizen in citizens.into_iter().chain([hub]) {
        citizen.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_restarts_after_its_commitment_reveals_it() {
    let held = Arc::new(FakeExecutor::new(|_| Script::printing("x")).hold());
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    let address = [requester.address().await];
    let first = peer(2, 1, printing("x"), &address, dir()).await;
    let second = peer(3, 1, Arc::clone(&held) as _, &address, dir()).await;
    requester.knows(2).await;
    let (job, _) = requester.handle.node().submit_job(Spec::sample(), deal(2, 2)).await.unwrap();
    requester.when(job, |job| !job.committed.is_empty()).await;
    let kept = first.end().await;
    let first = peer(2, 1, printing("another"), &address, kept).await;
    held.release(1);
    let ended = requester.when(job, |job| job.state.is_terminal()).await;
    assert_eq!(ended.state, JobState::Verified, "{ended:#?}");
    assert_eq!(ended.verdict.as_ref().unwrap().accepted.len(), 2);
    for citizen in [first, second, requester] {
        citizen.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_entry_breaks_its_job_alone() {
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    let address = [requester.address().await];
    let node = peer(2, 1, printing("x"), &address, dir()).await;
    requester.knows(1).await;
    let mut jobs = Vec::new();
    for _ in 0..2 {
        let (job, _) = requester.handle.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
        requester.when(job, |job| job.state == JobState::Verified).await;
        node.when(job, |job| job.state == JobState::Verified).await;
        jobs.push(job);
    }
    for (key, slots, peer_before) in [(1, 0, requester), (2, 1, node)] {
        let kept = peer_before.end().await;
        let database = until(|| DataDir::open(kept.path()).ok()).await.database();
        let connection = rusqlite::Connection::open(database).unwrap();
        let flip =
            "UPDATE entries SET bytes = CAST(substr(bytes, 1, 70) || x'ff' || substr(bytes, 72) AS BLOB)
                    WHERE job = ?1 AND height = 3";
        assert_eq!(connection.execute(flip, [jobs[0].as_bytes()]).unwrap(), 1);
        drop(connection);
        let again = peer(key, slots, printing("x"), &[], kept).await;
        again.when(jobs[1], |job| job.state == JobState::Verified).await;
        let broken = again.when(jobs[0], |_| true).await;
        assert!(!broken.state.is_terminal(), "what follows the altered entry is not taken: {broken:#?}");
        again.end().await;
    }
}
