//! Nodes that name one hub and nobody else, and what becomes of answers about peers that are lies.

use ::libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, noise,
    request_response::{self, Event as RequestEvent, Message},
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use assay::{identity::NodeKey, network::WireBytes};
use futures::StreamExt;
use tokio::{net::TcpListener, task::JoinSet};

use super::node::{Node, PATIENCE, Setup, TestClock};

/// A node as far as others can see, which answers every question about peers with the same lie.
#[derive(NetworkBehaviour)]
struct Lies {
    identify: identify::Behaviour,
    peers: request_response::cbor::Behaviour<(), Vec<WireBytes>>,
}

fn peer_id(key: &NodeKey) -> PeerId {
    key.libp2p_keypair().public().to_peer_id()
}

fn liar(hub: &Multiaddr) -> Swarm<Lies> {
    let key = NodeKey::generate().unwrap().libp2p_keypair();
    let identify = identify::Config::new("/assay/1".to_owned(), key.public());
    let protocol = StreamProtocol::new("/assay/peers/1");
    let lies = Lies {
        identify: identify::Behaviour::new(identify),
        peers: request_response::cbor::Behaviour::new(
            [(protocol, request_response::ProtocolSupport::Full)],
            request_response::Config::default(),
        ),
    };
    let mut swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| lies)
        .unwrap()
        // By default it would leave after ten idle seconds.
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build();
    swarm.dial(hub.clone()).unwrap();
    swarm
}

async fn lie(mut swarm: Swarm<Lies>, lie: Vec<WireBytes>) {
    loop {
        if let SwarmEvent::Behaviour(LiesEvent::Peers(RequestEvent::Message {
            message: Message::Request { channel, .. },
            ..
        })) = swarm.select_next_some().await
        {
            let _ = swarm.behaviour_mut().peers.send_response(channel, lie.clone());
        }
    }
}

fn named(address: &Multiaddr, peer: PeerId) -> WireBytes {
    WireBytes(address.clone().with_p2p(peer).unwrap().to_vec())
}

#[tokio::test]
async fn nodes_that_know_only_a_hub_find_each_other() {
    let clock = TestClock::new();
    let hub = Node::start(Setup::new(&clock, &[])).await;
    let address = hub.address().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await);
    }
    for node in &nodes {
        let others = nodes.iter().chain([&hub]).map(Node::id).filter(|id| *id != node.id()).collect();
        node.network_is(|status| status.subscribed == others).await;
    }
    // Once they have met they need no hub.
    hub.stop().await;
    for node in &nodes {
        node.network_is(|status| status.subscribed.len() == 2).await;
    }
}

#[tokio::test]
async fn false_answers_about_peers_do_no_harm() {
    let clock = TestClock::new();
    let hub = Node::start(Setup::new(&clock, &[])).await;
    let address = hub.address().await;
    // Takes connections and says nothing; nobody listens on the port that was free a moment ago.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let somebody = || peer_id(&NodeKey::generate().unwrap());
    let at = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}").parse::<Multiaddr>().unwrap();
    let silent = at(mute.local_addr().unwrap().port());
    let lies = [
        vec![WireBytes(vec![0xff; 40])],
        vec![named(&at(gone), somebody()); 65],
        vec![WireBytes(vec![0; 64 * 1024])],
        vec![named(&at(gone), PeerId::random())],
        vec![named(&at(gone), somebody()), named(&silent, somebody()), named(&address, somebody())],
    ];
    let mut liars = JoinSet::new();
    for told in lies {
        liars.spawn(lie(liar(&address), told));
    }
    // Somebody followed the last of them.
    let (mut heard, _) = tokio::time::timeout(PATIENCE, mute.accept()).await.unwrap().unwrap();
    // Too long for its protocol is no answer at all, so three of the five are known to be wrong.
    hub.network_is(|status| status.counters.peer_lists_rejected == 3 && status.connected.len() == 5).await;

    let one = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    let other = Node::start(Setup::new(&clock, std::slice::from_ref(&address))).await;
    one.network_is(|status| status.subscribed.contains(&other.id())).await;
    other.network_is(|status| status.subscribed.contains(&one.id())).await;
    hub.network_is(|status| status.subscribed.len() == 2).await;
    // The dial to who says nothing ends by itself.
    let mut bytes = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut heard, &mut bytes);
    tokio::time::timeout(PATIENCE, ended).await.expect("the dial ends").ok();
}
