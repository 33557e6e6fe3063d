//! The task that owns the swarm.
//!
//! Commands come from [`NetworkHandle`]s over a bounded channel. What peers send leaves over another one, for one
//! reader. Content is read on blocking threads. The cancellation token given to [`Driver::run`] stops it.

mod asking;
mod dialling;
mod meeting;
mod serving;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ::libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, gossipsub, identify, noise, ping,
    request_response::{Event as RequestEvent, Message},
    request_response::{InboundRequestId, ResponseChannel},
    swarm::{DialError, SwarmEvent},
    tcp, yamux,
};
use futures::StreamExt;
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    behaviour::{Behaviour, BehaviourEvent, MAX_GOSSIP_BYTES, MAX_STREAMS, TOPIC},
    blob::BlobSource,
    book::PeerBook,
    bucket::Buckets,
    carried::RequestProtocol,
    config::{NetworkConfig, NetworkError},
    crowd::Friends,
    exchange::Exchange,
    handle::{Command, Inbound, Judgement, NetworkHandle, PublishError},
    links::Links,
    listening::claim,
    outgoing::Outgoing,
    pace::Pace,
    places::place_in,
    reach::Reach,
    status::Status,
    turns::{Room, Turns},
    unsent::{Protocol, Unsent},
    wire::{BlobRequest, BlobResponse, PEERS_PROTOCOL},
};
use crate::domain::{NodeId, Offer};
use serving::{Asked, Heard};

/// Commands waiting for the driver: beyond this, callers wait.
const COMMANDS: usize = 64;

/// What peers are told of a node that runs no jobs.
const NO_OFFER: &str = "assay";

/// Announcements, and requests, handed out at a time; the others wait for their turn.
const HEARING: usize = 12;
const ASKED: usize = 20;

/// Announcements, and requests, that wait. Two connections of a peer can make twice [`MAX_STREAMS`] requests.
const HEARD_ROOM: Room = Room { of_one: 64, bytes: 8 << 20 };
const ASKED_ROOM: Room = Room { of_one: 2 * MAX_STREAMS, bytes: 8 << 20 };

/// Pieces of content read at a time; each holds up to 1 MiB.
const BLOB_READS: usize = 8;

/// Connections idle for this long are closed.
const IDLE: Duration = Duration::from_secs(60);

/// Owns the swarm; see the module's documentation.
pub struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    /// For responders, so that answers come back the same way.
    answers: mpsc::WeakSender<Command>,
    inbound: mpsc::Sender<Inbound>,
    status: watch::Sender<Status>,
    blobs: Arc<dyn BlobSource>,
    blob_reads: JoinSet<(InboundRequestId, ResponseChannel<BlobResponse>, BlobResponse)>,
    book: PeerBook,
    links: Links,
    exchange: Exchange,
    requests: Outgoing<Vec<u8>, Vec<u8>>,
    /// The answer while there is no room for a request.
    busy: Vec<u8>,
    blob_requests: Outgoing<BlobRequest, BlobResponse>,
    signers: Buckets<NodeId>,
    forwarders: Buckets<NodeId>,
    askers: Buckets<NodeId>,
    heard: Turns<Heard>,
    asked: Turns<Asked>,
    /// One permit an announcement that is read, or a request.
    hearing: Arc<Semaphore>,
    answering: Arc<Semaphore>,
    unsent: Unsent,
    reach: Reach,
    /// By peer, at any address.
    pace: Pace<PeerId>,
    /// By address, of any peer: keys cost nothing, and many may name one address.
    places: Pace<SocketAddr>,
}

/// Sets up the network. Besides content it carries the requests of at most one protocol. Nothing happens before
/// [`Driver::run`] is polled, in a tokio runtime.
///
/// # Errors
/// [`NetworkError`].
pub fn start(
    config: NetworkConfig,
    carried: Option<RequestProtocol>,
    blobs: Arc<dyn BlobSource>,
) -> Result<(Driver, NetworkHandle, mpsc::Receiver<Inbound>), NetworkError> {
    let NetworkConfig { key, listen, peers, limits, offer } = config;
    let agent = offer.map_or_else(|| NO_OFFER.to_owned(), |offer| offer.to_text());
    let set_up = |reason: &dyn fmt::Display| NetworkError::SetUp(reason.to_string());
    let keypair = key.libp2p_keypair();
    let friends = Friends::default();
    let behaviour = Behaviour::new(&keypair, &limits, friends.clone(), agent, carried.as_ref())
        .map_err(|reason| set_up(&reason))?;
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| set_up(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| set_up(&error))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
        .build();
    let reach = Reach::new(listen.iter().chain(&peers), limits.dial_private);
    for address in listen {
        let _until_it_listens = claim(&address)?;
        swarm
            .listen_on(address.clone())
            .map_err(|error| NetworkError::Listen { address, reason: error.to_string() })?;
    }
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let (inbound, inbound_receiver) = mpsc::channel(HEARING + ASKED);
    let status = watch::Sender::new(Status::default());
    let (commands_in, node) = (command_sender.clone(), key.node_id());
    let handle = NetworkHandle { commands: commands_in, status: status.subscribe(), friends, node };
    let exchange = Exchange::new(*swarm.local_peer_id(), Instant::now());
    let driver = Driver {
        swarm,
        commands,
        answers: command_sender.downgrade(),
        inbound,
        status,
        blobs,
        blob_reads: JoinSet::new(),
        book: PeerBook::default(),
        links: Links::new(peers, Instant::now()),
        exchange,
        requests: Outgoing::new(),
        busy: carried.map(|protocol| protocol.busy).unwrap_or_default(),
        blob_requests: Outgoing::new(),
        // Four times the rate of an honest requester, since gossip may bunch messages.
        signers: Buckets::new(1024, Duration::from_micros(1250)),
        // A peer forwards the announcements of its whole neighbourhood.
        forwarders: Buckets::new(4096, Duration::from_millis(1)),
        // A verdict's worth of messages at once, and polling.
        askers: Buckets::new(512, Duration::from_millis(10)),
        heard: Turns::new(HEARD_ROOM),
        asked: Turns::new(ASKED_ROOM),
        hearing: Arc::new(Semaphore::new(HEARING)),
        answering: Arc::new(Semaphore::new(ASKED)),
        unsent: Unsent::new(),
        reach,
        pace: Pace::new(),
        places: Pace::new(),
    };
    Ok((driver, handle, inbound_receiver))
}

impl Driver {
    /// Runs until `stop`, or until every handle is gone.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            self.dial_due();
            self.look_around();
            let due = self.links.next_due().into_iter().chain(self.exchange.next_due()).min();
            tokio::select! {
                () = stop.cancelled() => break,
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                Ok(permit) = Arc::clone(&self.hearing).acquire_owned(), if !self.heard.is_empty() => {
                    self.hear_next(permit);
                }
                Ok(permit) = Arc::clone(&self.answering).acquire_owned(), if !self.asked.is_empty() => {
                    self.ask_next(permit);
                }
                Some(read) = self.blob_reads.join_next() => match read {
                    Ok((asked, channel, response)) => self.send_content(asked, channel, response),
                    Err(error) => tracing::error!(%error, "reading content panicked"),
                },
                () = sleep_until(due) => {}
            }
        }
        // Threads that read a file end by themselves; nobody waits for their answers.
        self.blob_reads.abort_all();
        while self.blob_reads.join_next().await.is_some() {}
    }

    fn on_command(&mut self, command: Command) {
        let behaviour = self.swarm.behaviour_mut();
        match command {
            Command::Request { node, request, reply } => self.ask(node, request, reply),
            Command::Blob { node, request, reply } => self.ask_blob(node, request, reply),
            Command::Respond { to, asked, channel, answer } => self.respond(to, asked, channel, answer),
            Command::Publish { data, reply } => {
                let topic = gossipsub::IdentTopic::new(TOPIC);
                let published = if data.len() > MAX_GOSSIP_BYTES {
                    Err(PublishError::TooLarge)
                } else {
                    behaviour.gossip.publish(topic, data).map(|_| ()).map_err(|error| (&error).into())
                };
                answer(reply, published);
            }
            Command::Judge { forwarder, id, judgement } => self.judge(&forwarder, &id, judgement),
            Command::Meet { node } => self.meet(node),
            Command::Learn { peer, addresses } => self.learn(peer, addresses),
            Command::Score { node, reply } => {
                let peer = self.book.peer(node);
                answer(reply, peer.and_then(|(peer, _)| self.swarm.behaviour().gossip.peer_score(peer)));
            }
        }
    }

    fn judge(&mut self, forwarder: &PeerId, id: &gossipsub::MessageId, judgement: Judgement) {
        let (acceptance, count): (_, fn(&mut Status)) = match judgement {
            Judgement::Accept => (gossipsub::MessageAcceptance::Accept, |status| {
                status.counters.announcements_accepted += 1;
            }),
            Judgement::Ignore => (gossipsub::MessageAcceptance::Ignore, |status| {
                status.counters.announcements_ignored += 1;
            }),
            Judgement::Reject => (gossipsub::MessageAcceptance::Reject, |status| {
                status.counters.announcements_rejected += 1;
            }),
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, forwarder, acceptance) {
            tracing::debug!(%forwarder, "an announcement was judged too late to be forwarded");
        }
        self.status.send_modify(count);
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.reach.listens(&address);
                self.status.send_modify(|status| status.listening.push(address));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.status.send_modify(|status| status.listening.retain(|known| *known != address));
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.pace.reached(&peer_id);
                if let Some(place) = place_in(endpoint.get_remote_address()).filter(|_| endpoint.is_dialer())
                {
                    self.places.reached(&place);
                }
                match self.book.learn(peer_id) {
                    Some(node) => {
                        self.book.connect(node, endpoint.is_listener());
                        self.links.connected(connection_id, node);
                        let remote = endpoint.get_remote_address();
                        self.exchange.connected(peer_id, connection_id, remote, endpoint.is_dialer());
                    }
                    None => {
                        self.status.send_modify(|status| status.counters.foreign_keys += 1);
                        // An error means that the peer has already disconnected.
                        let _ = self.swarm.disconnect_peer_id(peer_id);
                        self.links.failed(connection_id, "its key is not secp256k1", Instant::now());
                    }
                }
                self.publish_links();
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                if let Some(node) = super::peer::node_of_peer(&peer_id) {
                    self.book.disconnect(node);
                    self.heard.forget(node);
                    self.asked.forget(node);
                    self.links.disconnected(node, Instant::now());
                }
                self.exchange.disconnected(peer_id, Instant::now());
                self.publish_links();
            }
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                let (node, now) = (peer_id.and_then(|peer| super::peer::node_of_peer(&peer)), Instant::now());
                match node.filter(|node| self.book.is_connected(*node)) {
                    Some(node) => self.links.connected(connection_id, node),
                    None => self.links.failed(connection_id, &reason(&error), now),
                }
                self.pace_after(peer_id, &error, now);
                self.exchange.failed(connection_id);
                if matches!(error, DialError::Denied { .. }) {
                    self.status.send_modify(|status| status.counters.connections_refused += 1);
                }
                self.publish_links();
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                if matches!(error, ::libp2p::swarm::ListenError::Denied { .. }) {
                    self.status.send_modify(|status| status.counters.connections_refused += 1);
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener failed"),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "a listener closed");
            }
            _other => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let speaks = info.protocols.contains(&StreamProtocol::new(PEERS_PROTOCOL));
                self.exchange.identified(peer_id, &info.listen_addrs, speaks, Instant::now());
                self.note_offer(&peer_id, &info.agent_version);
                self.learn(peer_id, info.listen_addrs);
            }
            BehaviourEvent::Carried(RequestEvent::Message { peer, message, .. }) => match message {
                Message::Request { request_id, request, channel } => {
                    self.on_request(peer, request_id, request, channel);
                }
                Message::Response { request_id, response } => self.on_answer(request_id, Ok(response)),
            },
            BehaviourEvent::Carried(RequestEvent::OutboundFailure { request_id, error, .. }) => {
                self.on_answer(request_id, Err((&error).into()));
            }
            BehaviourEvent::Blob(RequestEvent::Message { peer, message, .. }) => match message {
                Message::Request { request_id, request, channel } => {
                    self.on_blob_request(peer, request_id, request, channel);
                }
                Message::Response { request_id, response } => self.on_blob_answer(request_id, Ok(response)),
            },
            BehaviourEvent::Blob(RequestEvent::OutboundFailure { request_id, error, .. }) => {
                self.on_blob_answer(request_id, Err((&error).into()));
            }
            BehaviourEvent::Peers(event) => self.on_peers(event),
            BehaviourEvent::Carried(RequestEvent::InboundFailure { peer, request_id, error, .. }) => {
                self.unsent.end(&(Protocol::Carried, request_id));
                trace_failure(&peer, request_id, &error);
            }
            BehaviourEvent::Blob(RequestEvent::InboundFailure { peer, request_id, error, .. }) => {
                self.unsent.end(&(Protocol::Blob, request_id));
                trace_failure(&peer, request_id, &error);
            }
            BehaviourEvent::Carried(RequestEvent::ResponseSent { request_id, .. }) => {
                self.unsent.end(&(Protocol::Carried, request_id));
            }
            BehaviourEvent::Blob(RequestEvent::ResponseSent { request_id, .. }) => {
                self.unsent.end(&(Protocol::Blob, request_id));
            }
            BehaviourEvent::Identify(_) => {}
            BehaviourEvent::Ping(ping::Event { connection, result, .. }) => {
                // A peer that vanished leaves a dead connection, on which every request would time out.
                if let Err(ping::Failure::Timeout | ping::Failure::Other { .. }) = result {
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_announcement(propagation_source, message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, .. } => {
                if let Some(node) = self.book.learn(peer_id) {
                    self.status.send_modify(|status| {
                        status.subscribed.insert(node);
                    });
                }
            }
            gossipsub::Event::Unsubscribed { peer_id, .. } => {
                if let Some(node) = super::peer::node_of_peer(&peer_id) {
                    self.status.send_modify(|status| {
                        status.subscribed.remove(&node);
                    });
                }
            }
            _other => {}
        }
    }

    /// The offer of a connected peer.
    fn note_offer(&self, peer: &PeerId, agent: &str) {
        let Some(node) = super::peer::node_of_peer(peer) else { return };
        self.status.send_modify(|status| {
            match Offer::parse(agent) {
                Some(offer) => status.offers.insert(node, offer),
                None => status.offers.remove(&node),
            };
        });
    }

    fn publish_links(&self) {
        self.status.send_modify(|status| {
            status.connected.clone_from(self.book.connected());
            status.visitors.clone_from(self.book.visitors());
            status.offers.retain(|node, _| self.book.is_connected(*node));
            status.subscribed.retain(|node| self.book.is_connected(*node));
            status.peers = self.links.status();
        });
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("peer", self.swarm.local_peer_id()).finish_non_exhaustive()
    }
}

/// Why a dial failed, for the operator who configured the address.
fn reason(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { obtained, .. } => {
            format!("another node answers there: {obtained}; check the address, and its name behind /p2p/")
        }
        other => other.to_string(),
    }
}

/// Waits forever if nothing is due.
async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// If the caller has stopped waiting, the answer is dropped.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    let _ = reply.send(value);
}

fn trace_failure(peer: &PeerId, request: InboundRequestId, error: &dyn fmt::Display) {
    tracing::debug!(%peer, %request, %error, "a request of a peer failed");
}
