//! Content over links that are slow, or cut in the middle.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use assay::{
    domain::{Input, InputKind, Job, JobState, Spec},
    executor::{FakeExecutor, Script},
    network::Multiaddr,
    store::{Limits, Packed, pack},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::Mutex,
    task::JoinSet,
    time::Instant,
};

use super::{Peer, dir, peer};
use crate::town::{deal, printing};

/// A way to a node on which all that it sends, to whomever, shares one rate.
struct Link {
    address: Multiaddr,
    tasks: JoinSet<()>,
}

/// How much may pass, and when the link is free again.
struct Shared {
    to: SocketAddr,
    bytes_per_second: u64,
    free: Mutex<Instant>,
    sent: AtomicU64,
    /// Every connection ends when so much was sent.
    cut_after: u64,
}

impl Link {
    async fn start(to: &Multiaddr, bytes_per_second: u64, cut_after: u64) -> Self {
        let port: u16 = to.to_string().split('/').nth(4).unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let address = to.to_string().replace(&format!("/tcp/{port}"), &format!("/tcp/{own}"));
        let shared = Arc::new(Shared {
            to: SocketAddr::from(([127, 0, 0, 1], port)),
            bytes_per_second,
            free: Mutex::new(Instant::now()),
            sent: AtomicU64::new(0),
            cut_after,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(carry(client, Arc::clone(&shared)));
            }
        });
        Self { address: address.parse().unwrap(), tasks }
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(shared.to).await else { return };
    let ((mut from_client, to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = throttled(&mut from_server, to_client, &shared) => {}
    }
}

async fn throttled(from: &mut (impl AsyncRead + Unpin), mut to: OwnedWriteHalf, shared: &Shared) {
    let mut bytes = vec![0; 2048];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let before = shared.sent.fetch_add(count as u64, Ordering::SeqCst);
        if before < shared.cut_after && before + count as u64 >= shared.cut_after {
            return;
        }
        let due = {
            let mut free = shared.free.lock().await;
            *free = (*free).max(Instant::now())
                + Duration::from_micros(count as u64 * 1_000_000 / shared.bytes_per_second);
            *free
        };
        // What a slow link is; nothing here waits for an outcome.
        tokio::time::sleep_until(due).await;
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Runs a job with an input of `bytes` bytes on these nodes to its end.
async fn run(requester: &Peer, nodes: u8, bytes: usize) -> Job {
    let source = dir();
    std::fs::write(source.path().join("data"), vec![7; bytes]).unwrap();
    let mut writer = requester.content.writer(1 << 30).unwrap();
    let limits = Limits::with_bytes(1 << 30);
    let Packed { digest, bytes, .. } = pack(&source.path().join("data"), &mut writer, &limits).unwrap();
    requester.content.keep(writer, digest, requester.handle.id()).unwrap();
    let mut spec = Spec::sample();
    spec.inputs = vec![Input { digest, bytes, target: "/in".to_owned(), kind: InputKind::File, url: None }];
    let (job, _) = requester.handle.node().submit_job(spec, deal(nodes, nodes)).await.unwrap();
    let node = requester.handle.node();
    let ended = node.when(job, |job| job.state.is_terminal());
    tokio::time::timeout(Duration::from_secs(50), ended).await.expect("the job ends in time")
}

fn counts_bytes() -> Arc<FakeExecutor> {
    Arc::new(FakeExecutor::new(|request| {
        Script::printing(std::fs::metadata(&request.inputs[0].source).unwrap().len().to_string())
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_reaches_three_nodes_over_a_link_on_which_one_piece_would_take_too_long() {
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    // Each node gets 20 KiB a second, so that the whole input takes twice as long as one request may.
    let link = Link::start(&requester.address().await, 60 * 1024, u64::MAX).await;
    let mut nodes = Vec::new();
    for key in 2..=4 {
        nodes.push(peer(key, 1, counts_bytes(), std::slice::from_ref(&link.address), dir()).await);
    }
    requester.knows(3).await;
    let ended = run(&requester, 3, 400 * 1024).await;
    assert_eq!(ended.state, JobState::Verified, "{ended:#?}");
    for citizen in nodes.into_iter().chain([requester]) {
        citizen.end().await;
    }
    drop(link.tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_whose_link_is_cut_goes_on_where_it_stopped() {
    let requester = peer(1, 0, printing(""), &[], dir()).await;
    let bytes = 4 << 20;
    let link = Link::start(&requester.address().await, 4 << 20, bytes / 2).await;
    let node = peer(2, 1, counts_bytes(), std::slice::from_ref(&link.address), dir()).await;
    requester.knows(1).await;
    let ended = run(&requester, 1, usize::try_from(bytes).unwrap()).await;
    assert_eq!(ended.state, JobState::Verified, "{ended:#?}");
    let served = requester.served.bytes.load(Ordering::SeqCst);
    // The piece that was on its way is sent again, and no more.
    assert!((bytes..bytes + (2 << 20)).contains(&served), "{served} bytes were served");
    for citizen in [node, requester] {
        citizen.end().await;
    }
    drop(link.tasks);
}
