//! The handle by which the rest of a node uses the network.

use std::time::Duration;

use ::libp2p::{
    Multiaddr, PeerId, gossipsub,
    request_response::{InboundRequestId, OutboundFailure, ResponseChannel},
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::{blob::BlobDenied, crowd::Friends, status::Status, wire::BlobResponse};
use crate::domain::{Chunk, ChunkRequest, MAX_CHUNK_BYTES, NodeId};

/// Longest wait for an answer: dialling takes up to 10 s, and the request as long again. Includes the wait for its
/// turn.
pub const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A handle on the network; clones share it. Everything fails with `Stopped` once the driver has ended.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) friends: Friends,
    pub(super) node: NodeId,
}

/// A message from another node.
#[derive(Debug)]
pub enum Inbound {
    /// An announcement. Judge it with [`NetworkHandle::judge`] within a few seconds.
    Announcement(Announcement),
    /// A request in the carried protocol.
    Request {
        /// Who, proven by the connection.
        from: NodeId,
        /// What.
        request: Vec<u8>,
        /// Where the answer goes.
        responder: Responder,
    },
}

/// A gossip message; its signature by `source` is checked.
#[derive(Debug)]
pub struct Announcement {
    /// Who made it.
    pub source: NodeId,
    /// The same as a peer.
    pub peer: PeerId,
    /// What it says.
    pub data: Vec<u8>,
    pub(super) forwarder: PeerId,
    pub(super) id: gossipsub::MessageId,
    /// Dropping it lets the driver hand out the next one.
    pub(super) _reading: OwnedSemaphorePermit,
}

/// The judgement on an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Valid: forwarded.
    Accept,
    /// Useless, but not the sender's fault: not forwarded.
    Ignore,
    /// The sender's fault: not forwarded, and counted against it.
    Reject,
}

/// Answers a peer. If it is dropped without an answer, the peer's request fails.
#[derive(Debug)]
pub struct Responder {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) to: NodeId,
    pub(super) asked: InboundRequestId,
    pub(super) channel: ResponseChannel<Vec<u8>>,
    /// Dropping it lets the driver hand out the next request.
    pub(super) _reading: OwnedSemaphorePermit,
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No address of the node is known.
    #[error("no address of {0} is known")]
    UnknownPeer(NodeId),
    /// Dialling, sending or waiting failed.
    #[error("{0}")]
    Failed(String),
    /// Too many requests are in flight here.
    #[error("too many requests are in flight")]
    Busy,
    /// The network was shut down.
    #[error("the network has stopped")]
    Stopped,
}

/// Why a piece of content did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The node refused.
    #[error(transparent)]
    Denied(#[from] BlobDenied),
    /// The node did not answer.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node sent something else than was asked.
    #[error("the node sent a piece that does not belong to the content")]
    Malformed,
}

/// Why an announcement did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No peer that would hear it is connected yet.
    #[error("no connected node takes announcements yet")]
    NobodyListens,
    /// It is too large.
    #[error("the announcement is too large")]
    TooLarge,
    /// The queues to all peers are full, or signing failed.
    #[error("the announcement could not be sent")]
    NotSent,
    /// The network was shut down.
    #[error("the network has stopped")]
    Stopped,
}

impl From<&OutboundFailure> for RequestError {
    fn from(error: &OutboundFailure) -> Self {
        Self::Failed(match error {
            OutboundFailure::DialFailure => "it cannot be dialled".to_owned(),
            OutboundFailure::Timeout => "it does not answer in time".to_owned(),
            OutboundFailure::ConnectionClosed => "the connection closed".to_owned(),
            OutboundFailure::UnsupportedProtocols => "it does not speak this protocol".to_owned(),
            OutboundFailure::Io(error) => error.to_string(),
        })
    }
}

impl From<&gossipsub::PublishError> for PublishError {
    fn from(error: &gossipsub::PublishError) -> Self {
        match error {
            gossipsub::PublishError::NoPeersSubscribedToTopic => Self::NobodyListens,
            gossipsub::PublishError::MessageTooLarge => Self::TooLarge,
            gossipsub::PublishError::Duplicate
            | gossipsub::PublishError::SigningError(_)
            | gossipsub::PublishError::TransformFailed(_)
            | gossipsub::PublishError::AllQueuesFull(_) => Self::NotSent,
        }
    }
}

/// A command to the driver.
#[derive(Debug)]
pub(super) enum Command {
    Request { node: NodeId, request: Vec<u8>, reply: oneshot::Sender<Result<Vec<u8>, RequestError>> },
    Blob { node: NodeId, request: ChunkRequest, reply: oneshot::Sender<Result<BlobResponse, RequestError>> },
    Respond { to: NodeId, asked: InboundRequestId, channel: ResponseChannel<Vec<u8>>, answer: Vec<u8> },
    Publish { data: Vec<u8>, reply: oneshot::Sender<Result<(), PublishError>> },
    Judge { forwarder: PeerId, id: gossipsub::MessageId, judgement: Judgement },
    Meet { node: NodeId },
    Learn { peer: PeerId, addresses: Vec<Multiaddr> },
    Score { node: NodeId, reply: oneshot::Sender<Option<f64>> },
}

impl NetworkHandle {
    /// This node.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The network as of now, and as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Asks a node, in the protocol that this network carries. Bounded by [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, node: NodeId, request: Vec<u8>) -> Result<Vec<u8>, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Request { node, request, reply }).await.ok_or(RequestError::Stopped)?;
        in_time(answer).await
    }

    /// Asks a node for a piece of content. Bounded by [`LONGEST_WAIT`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_chunk(&self, node: NodeId, request: ChunkRequest) -> Result<Chunk, FetchError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Blob { node, request, reply }).await.ok_or(RequestError::Stopped)?;
        match in_time(answer).await? {
            BlobResponse::Chunk { total_bytes, bytes } => {
                let bytes = bytes.0;
                let end = u64::try_from(bytes.len()).ok().and_then(|len| request.offset.checked_add(len));
                let fits = bytes.len() <= MAX_CHUNK_BYTES && end.is_some_and(|end| end <= total_bytes);
                if fits { Ok(Chunk { total_bytes, bytes }) } else { Err(FetchError::Malformed) }
            }
            BlobResponse::Denied(denied) => Err(FetchError::Denied(denied)),
        }
    }

    /// Announces something to every node.
    ///
    /// # Errors
    /// [`PublishError`]; most are worth another attempt.
    pub async fn publish(&self, data: Vec<u8>) -> Result<(), PublishError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Publish { data, reply }).await.ok_or(PublishError::Stopped)?;
        answer.await.map_err(|_| PublishError::Stopped)?
    }

    /// Judges an announcement.
    pub async fn judge(&self, announcement: &Announcement, judgement: Judgement) {
        let Announcement { forwarder, id, .. } = announcement;
        self.send(Command::Judge { forwarder: *forwarder, id: id.clone(), judgement }).await;
    }

    /// Dials a node unless it is connected or has no known address. A node that cannot dial this one can then still
    /// ask it for content.
    pub async fn meet(&self, node: NodeId) {
        self.send(Command::Meet { node }).await;
    }

    /// This node has a history with that one: places for connections that strangers cannot take are kept for such nodes.
    pub fn befriend(&self, node: NodeId) {
        self.friends.remember(node);
    }

    /// Remembers which peer a node is, and where it may be reached.
    pub async fn learn(&self, peer: PeerId, addresses: Vec<Multiaddr>) {
        self.send(Command::Learn { peer, addresses }).await;
    }

    /// The gossip score of a connected node: 0, or negative after faults.
    pub async fn score(&self, node: NodeId) -> Option<f64> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Score { node, reply }).await?;
        answer.await.ok().flatten()
    }

    /// `None` when the driver has ended.
    async fn send(&self, command: Command) -> Option<()> {
        self.commands.send(command).await.ok()
    }
}

/// Waits for the driver's answer to a command.
async fn in_time<T>(answer: oneshot::Receiver<Result<T, RequestError>>) -> Result<T, RequestError> {
    match tokio::time::timeout(LONGEST_WAIT, answer).await {
        Ok(answered) => answered.map_err(|_| RequestError::Stopped)?,
        Err(_) => Err(RequestError::Failed("it does not answer in time".to_owned())),
    }
}

impl Responder {
    /// Answers. If the peer has disconnected, the answer is dropped.
    pub async fn answer(self, answer: Vec<u8>) {
        // The driver has ended, and with it every connection.
        let Self { commands, to, asked, channel, _reading } = self;
        let _ = commands.send(Command::Respond { to, asked, channel, answer }).await;
    }
}
