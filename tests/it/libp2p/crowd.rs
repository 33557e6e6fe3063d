//! Peers that take all the places they can get, or all the memory.

use std::sync::Arc;

use assay::{
    identity::NodeKey,
    network::{self, Inbound, Limits, Multiaddr, NetworkConfig, NoBlobs, RequestProtocol},
};
use futures::{AsyncWriteExt as _, StreamExt as _, stream};
use libp2p::{
    Transport as _,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt as _},
        transport::{DialOpts, PortUse},
        upgrade::Version,
    },
    noise, tcp, yamux,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::node::{Node, PATIENCE, Setup, TestClock};

/// Connects with a key of its own, from 127.0.0.1, and says nothing.
async fn connect(address: &Multiaddr) -> Option<StreamMuxerBox> {
    let key = NodeKey::generate().unwrap().libp2p_keypair();
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let noise = noise::Config::new(&key).unwrap();
    let mut transport = tcp.upgrade(Version::V1).authenticate(noise).multiplex(yamux::Config::default());
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let (_, connection) = transport.dial(address.clone(), options).unwrap().await.ok()?;
    Some(StreamMuxerBox::new(connection))
}

/// A way to a node that comes from 127.0.0.`host`, for as long as the tasks live.
async fn way_from(host: u8, to: &Multiaddr, tasks: &mut JoinSet<()>) -> Multiaddr {
    let port: u16 = to.to_string().split('/').nth(4).unwrap().parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, host], 0).into()).unwrap();
                let Ok(mut far) = socket.connect(([127, 0, 0, 1], port).into()).await else { return };
                // However it ends: the other side sees that.
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    to.to_string().replace(&format!("/tcp/{port}"), &format!("/tcp/{own}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_that_takes_all_it_can_leaves_places_for_others() {
    let clock = TestClock::new();
    let node = Node::start(Setup::new(&clock, &[])).await;
    let address = node.address().await;
    let limits = Limits::default();
    let places = usize::try_from(limits.max_connections - limits.max_connections / 4).unwrap();
    let dialled = stream::iter(0..places).map(|_| connect(&address));
    let held: Vec<_> = dialled.buffer_unordered(16).filter_map(std::future::ready).collect().await;
    let status = node.network_is(|status| status.counters.connections_refused > 0).await;
    assert!(status.connected.len() <= places * 3 / 4, "{} of {places}", status.connected.len());
    assert!(held.len() > places / 2, "{} connections were made", held.len());

    let mut tasks = JoinSet::new();
    let way = way_from(2, &address, &mut tasks).await;
    let other = Node::start(Setup::new(&clock, &[way])).await;
    let id = other.id();
    node.network_is(|status| status.connected.contains(&id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_take_all_their_places_leave_some_to_a_node_with_a_history() {
    let clock = TestClock::new();
    // Twelve places for others, and eleven of them for strangers.
    let limits = Limits { max_connections: 16, ..Limits::default() };
    let node = Node::start(Setup { limits, ..Setup::new(&clock, &[]) }).await;
    let address = node.address().await;
    let (mut strangers, mut tasks) = (Vec::new(), JoinSet::new());
    for host in 2..13 {
        let way = way_from(host, &address, &mut tasks).await;
        strangers.push(Node::start(Setup::new(&clock, &[way])).await);
    }
    node.network_is(|status| status.connected.len() == 11).await;
    let late = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    node.network_is(|status| status.counters.connections_refused > 0).await;
    let id = late.id();
    assert!(!node.network().status().borrow().connected.contains(&id));
    // It tries again by itself.
    node.network().befriend(id);
    node.network_is(|status| status.connected.contains(&id)).await;
}

const ANSWER_BYTES: usize = 448 << 10;
const CONNECTIONS: u64 = 16;
const REQUESTS: u64 = 32;

/// What a node keeps for one peer that does not read.
const MOST_OF_ONE: u64 = 4 << 20;

/// A length before its bytes, as multistream-select has them.
fn line(text: &str) -> Vec<u8> {
    let mut line = vec![u8::try_from(text.len() + 1).unwrap()];
    line.extend(text.as_bytes());
    line.push(b'\n');
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_read_no_answer_are_held_few_of_them() {
    let protocol = RequestProtocol {
        name: "/test/large/1",
        max_request_bytes: 16,
        max_answer_bytes: 1 << 20,
        busy: b"busy".to_vec(),
    };
    let config = NetworkConfig {
        key: NodeKey::generate().unwrap(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        peers: Vec::new(),
        limits: Limits::default(),
        offer: None,
    };
    let (driver, handle, mut inbound) = network::start(config, Some(protocol), Arc::new(NoBlobs)).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver.run(CancellationToken::new()));
    tasks.spawn(async move {
        while let Some(heard) = inbound.recv().await {
            if let Inbound::Request { responder, .. } = heard {
                responder.answer(vec![7; ANSWER_BYTES]).await;
            }
        }
    });
    let mut status = handle.status();
    let listening = status.wait_for(|status| !status.listening.is_empty());
    let address = tokio::time::timeout(PATIENCE, listening).await.unwrap().unwrap().listening[0].clone();

    let sent = CONNECTIONS * REQUESTS;
    for _ in 0..CONNECTIONS {
        let mut connection = connect(&address).await.unwrap();
        let mut requests = Vec::new();
        for _ in 0..REQUESTS {
            let mut request =
                std::future::poll_fn(|context| connection.poll_outbound_unpin(context)).await.unwrap();
            request
                .write_all(&[line("/multistream/1.0.0"), line("/test/large/1"), vec![1]].concat())
                .await
                .unwrap();
            requests.push(request);
        }
        tasks.spawn(async move {
            for request in &mut requests {
                // Nothing more comes from this side, and nothing is read.
                let _ = request.close().await;
            }
            let _ = std::future::poll_fn(|context| connection.poll_unpin(context)).await;
            drop(requests);
        });
    }
    let held = CONNECTIONS * (MOST_OF_ONE / ANSWER_BYTES as u64);
    let mut status = handle.status();
    let all = status.wait_for(|status| status.counters.requests_limited >= sent - held);
    tokio::time::timeout(PATIENCE, all).await.expect("all but a few are refused").unwrap();
}
