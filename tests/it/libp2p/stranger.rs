//! A peer that speaks the protocols by hand, so that it can lie.

use std::sync::Arc;

use assay::{
    domain::{LogDomain, NodeId, SignedAction, Timestamp, codec},
    identity::NodeKey,
    network::{
        self, BlobSource, Inbound, Limits, Multiaddr, NetworkConfig, NetworkHandle, NoBlobs, Responder,
        WireBytes,
    },
    scheduler::libp2p::{
        entry::Entry,
        sequence::{Place, Sequencer},
        wire::{self, LogRequest, LogResponse},
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::node::PATIENCE;

pub(crate) struct Stranger {
    pub(crate) key: NodeKey,
    pub(crate) network: NetworkHandle,
    inbound: mpsc::Receiver<Inbound>,
    _driver: JoinSet<()>,
}

impl Stranger {
    /// Connects to the node at this address, and waits until it takes announcements.
    pub(crate) async fn join(address: &Multiaddr, blobs: Arc<dyn BlobSource>) -> Self {
        Self::join_within(address, blobs, Limits::default()).await
    }

    /// As [`Self::join`], with a connection to that node alone.
    pub(crate) async fn join_alone(address: &Multiaddr) -> Self {
        let limits = Limits { max_connections: 1, ..Limits::default() };
        Self::join_within(address, Arc::new(NoBlobs), limits).await
    }

    async fn join_within(address: &Multiaddr, blobs: Arc<dyn BlobSource>, limits: Limits) -> Self {
        let key = NodeKey::generate().unwrap();
        let config = NetworkConfig {
            key: key.clone(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            peers: vec![address.clone()],
            limits,
            offer: None,
        };
        let (driver, network, inbound) = network::start(config, Some(wire::protocol()), blobs).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(CancellationToken::new()));
        let mut status = network.status();
        let wait = status.wait_for(|status| !status.subscribed.is_empty() && !status.listening.is_empty());
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
        Self { key, network, inbound, _driver: tasks }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    pub(crate) fn sequencer(&self, now: Timestamp, submission: SignedAction) -> Sequencer {
        Sequencer::open(self.key.clone(), LogDomain::default(), None, now, submission).unwrap()
    }

    pub(crate) async fn push(&self, to: NodeId, entry: &Entry) -> LogResponse {
        let push = LogRequest::Push { entries: vec![WireBytes(entry.encode())] };
        wire::ask(&self.network, to, &push).await.unwrap()
    }

    /// The next action that somebody wants a place for.
    pub(crate) async fn next_action(&mut self) -> (SignedAction, Responder) {
        loop {
            let inbound = tokio::time::timeout(PATIENCE, self.inbound.recv()).await.unwrap().unwrap();
            if let Inbound::Request { request, responder, .. } = inbound {
                match LogRequest::decode(&request).unwrap() {
                    LogRequest::Submit { action, .. } => {
                        return (codec::decode_action(&action.0).unwrap(), responder);
                    }
                    _ => responder.answer(LogResponse::Busy.encode()).await,
                }
            }
        }
    }

    /// Tells whoever asks next that it is busy.
    pub(crate) async fn refuse_next(&mut self) {
        let inbound = tokio::time::timeout(PATIENCE, self.inbound.recv()).await.unwrap().unwrap();
        if let Inbound::Request { responder, .. } = inbound {
            responder.answer(LogResponse::Busy.encode()).await;
        }
    }

    /// Gives the next action its place, as an honest requester would.
    pub(crate) async fn order_next(&mut self, sequencer: &mut Sequencer, now: Timestamp) -> Entry {
        let (action, responder) = self.next_action().await;
        let Ok(Place::New(entry)) = sequencer.append(now, action) else { panic!("the action has no place") };
        let entries = sequencer.job_log().entries_after(0).iter().map(Entry::encode).map(WireBytes);
        let placed = LogResponse::Placed { height: entry.height, entries: entries.collect() };
        responder.answer(placed.encode()).await;
        *entry
    }
}
