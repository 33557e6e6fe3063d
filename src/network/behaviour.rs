//! The protocols of a node and their limits.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ::libp2p::{
    StreamProtocol, connection_limits, gossipsub, identify, identity::Keypair, ping, request_response,
    swarm::NetworkBehaviour,
};

use super::{
    carried::{Bytes, RequestProtocol},
    config::Limits,
    crowd::{Crowd, Friends},
    wire::{
        BLOB_PROTOCOL, BlobRequest, BlobResponse, MAX_BLOB_REQUEST_BYTES, MAX_BLOB_RESPONSE_BYTES,
        MAX_PEERS_REQUEST_BYTES, MAX_PEERS_RESPONSE_BYTES, PEERS_PROTOCOL, PeersRequest, PeersResponse,
    },
};

/// The one topic: new jobs.
pub(super) const TOPIC: &str = "assay/jobs/1";

/// Longest gossip message: one entry with the largest spec, and addresses.
pub(super) const MAX_GOSSIP_BYTES: usize = 56 * 1024;

/// How long a request may take, its answer included.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests of one connection at a time, those of both sides together, in each protocol.
pub(super) const MAX_STREAMS: usize = 32;

type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // First, so that a refused connection costs the others nothing.
    pub(super) limits: connection_limits::Behaviour,
    pub(super) crowd: Crowd,
    pub(super) gossip: Gossip,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) carried: request_response::Behaviour<Bytes>,
    pub(super) blob: request_response::cbor::Behaviour<BlobRequest, BlobResponse>,
    pub(super) peers: request_response::cbor::Behaviour<PeersRequest, PeersResponse>,
}

impl Behaviour {
    pub(super) fn new(
        key: &Keypair,
        limits: &Limits,
        friends: Friends,
        agent: String,
        carried: Option<&RequestProtocol>,
    ) -> Result<Self, &'static str> {
        let identify = identify::Config::new("/assay/1".to_owned(), key.public())
            .with_push_listen_addr_updates(true)
            .with_agent_version(agent);
        let requests = || {
            request_response::Config::default()
                .with_request_timeout(REQUEST_TIMEOUT)
                .with_max_concurrent_streams(MAX_STREAMS)
        };
        let blob = request_response::cbor::codec::Codec::default()
            .set_request_size_maximum(MAX_BLOB_REQUEST_BYTES)
            .set_response_size_maximum(MAX_BLOB_RESPONSE_BYTES);
        let peers = request_response::cbor::codec::Codec::default()
            .set_request_size_maximum(MAX_PEERS_REQUEST_BYTES)
            .set_response_size_maximum(MAX_PEERS_RESPONSE_BYTES);
        let full = request_response::ProtocolSupport::Full;
        Ok(Self {
            // `crowd` bounds incoming handshakes, since it knows the addresses of nodes with a history.
            limits: connection_limits::Behaviour::new(
                connection_limits::ConnectionLimits::default()
                    .with_max_pending_outgoing(Some(limits.max_pending))
                    .with_max_established(Some(limits.max_connections))
                    .with_max_established_incoming(Some(limits.max_incoming()))
                    .with_max_established_per_peer(Some(limits.max_connections_per_peer)),
            ),
            crowd: Crowd::new(limits, friends),
            gossip: gossip(key)?,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            carried: request_response::Behaviour::with_codec(
                Bytes::new(carried),
                carried.map(|protocol| (StreamProtocol::new(protocol.name), full.clone())),
                requests(),
            ),
            blob: request_response::Behaviour::with_codec(
                blob,
                [(StreamProtocol::new(BLOB_PROTOCOL), full.clone())],
                requests(),
            ),
            peers: request_response::Behaviour::with_codec(
                peers,
                [(StreamProtocol::new(PEERS_PROTOCOL), full)],
                requests(),
            ),
        })
    }
}

fn gossip(key: &Keypair) -> Result<Gossip, &'static str> {
    let config = gossipsub::ConfigBuilder::default()
        .heartbeat_interval(Duration::from_millis(700))
        // Five seconds by default, in which nothing announced is heard.
        .heartbeat_initial_delay(Duration::from_millis(100))
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_GOSSIP_BYTES)
        // Signer and count: repeating an announcement is a new message, forwarding it is not.
        .message_id_fn(|message| {
            let source = message.source.map(|peer| peer.to_bytes()).unwrap_or_default();
            let sequence = message.sequence_number.unwrap_or_default().to_be_bytes();
            gossipsub::MessageId::from([source.as_slice(), &sequence].concat())
        })
        .build()
        .map_err(|_| "the gossip configuration is invalid")?;
    let topic = gossipsub::IdentTopic::new(TOPIC);
    let filter = gossipsub::WhitelistSubscriptionFilter(HashSet::from([topic.hash()]));
    let authenticity = gossipsub::MessageAuthenticity::Signed(key.clone());
    let mut gossip = Gossip::new_with_subscription_filter(authenticity, config, filter)?;
    gossip
        .with_peer_score(scores(&topic), gossipsub::PeerScoreThresholds::default())
        .map_err(|_| "the gossip scores are invalid")?;
    gossip.subscribe(&topic).map_err(|_| "the gossip topic cannot be subscribed to")?;
    Ok(gossip)
}

/// Only provably invalid messages lower a peer's score: each counts minus ten, squared, so three of them silence the
/// peer for some minutes.
fn scores(topic: &gossipsub::IdentTopic) -> gossipsub::PeerScoreParams {
    let jobs = gossipsub::TopicScoreParams {
        topic_weight: 1.0,
        // A peer earns no score by being connected or first, so it cannot save up for later lies.
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        // Announcements are rare, so a silent peer is not penalised.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.99,
        ..gossipsub::TopicScoreParams::default()
    };
    gossipsub::PeerScoreParams {
        topics: HashMap::from([(topic.hash(), jobs)]),
        // People often try this out with many nodes on one machine; `crowd` limits connections by address.
        ip_colocation_factor_weight: 0.0,
        ..gossipsub::PeerScoreParams::default()
    }
}
