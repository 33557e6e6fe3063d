//! Swarms and nothing else: what a network of nodes cannot cost less than.

use std::collections::HashSet;

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, gossipsub, identify,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Outcome, memory, orders, say};

#[derive(NetworkBehaviour)]
struct Behaviour {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// Starts them one after another, each with links to up to `links` earlier ones that are spread evenly; they are ready
/// when each has heard from at least as many as it dialled.
pub(crate) async fn serve(nodes: usize, links: usize) -> Outcome<()> {
    let mut addresses: Vec<Multiaddr> = Vec::new();
    let mut tasks = JoinSet::new();
    let mut met = Vec::new();
    for index in 0..nodes {
        let mut swarm = swarm()?;
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let linked = index.min(links);
        for link in 0..linked {
            swarm.dial(addresses[link * index / linked].clone())?;
        }
        addresses.push(address);
        let (sender, receiver) = watch::channel(0);
        met.push((receiver, linked));
        tasks.spawn(run(swarm, sender));
    }
    for (receiver, linked) in &mut met {
        receiver.wait_for(|met| met >= linked).await?;
    }
    say(&json!({ "ready": true }));
    let mut orders = orders()?;
    while orders.next_line().await?.is_some() {
        say(&memory()?);
    }
    tasks.shutdown().await;
    Ok(())
}

fn swarm() -> Outcome<Swarm<Behaviour>> {
    let key = Keypair::generate_secp256k1();
    let signed = gossipsub::MessageAuthenticity::Signed(key.clone());
    let mut gossip = gossipsub::Behaviour::new(signed, gossipsub::Config::default())?;
    gossip.subscribe(&gossipsub::IdentTopic::new("bench"))?;
    let identify = identify::Behaviour::new(identify::Config::new("/bench/1".to_owned(), key.public()));
    let behaviour = Behaviour { gossip, identify, ping: ping::Behaviour::default() };
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| behaviour)?
        .build();
    Ok(swarm)
}

/// Drives one swarm, and says how many others it has heard to be subscribed.
async fn run(mut swarm: Swarm<Behaviour>, met: watch::Sender<usize>) {
    let mut others = HashSet::new();
    loop {
        if let SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Subscribed {
            peer_id, ..
        })) = swarm.select_next_some().await
        {
            others.insert(peer_id);
            met.send_replace(others.len());
        }
    }
}
