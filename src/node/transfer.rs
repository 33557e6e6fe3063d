//! Which content this node gives to whom, and how it gets content from other nodes.
//!
//! Inputs go to nodes with a seat in a job that still runs. Results go to the requester and the seats of a job that has
//! ended, and to anybody if its spec makes them public, so nothing that helps to copy a result leaves earlier. The output of a failed run goes to the requester alone, and
//! no earlier. Where results are paid for, unpaid ones stay. The node tells everyone else that it has nothing. It serves
//! only what it holds itself: see [`crate::store::Content`].

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::board::Board;
use crate::{
    domain::{Chunk, ChunkRequest, Digest, Job, NodeId, Offer, SeatStatus},
    scheduler::Scheduler,
    store::{Content, LastWords},
};

/// Brings content from other nodes. Content is hostile until its digest was checked.
pub trait Transfer: fmt::Debug + Send + Sync + 'static {
    /// Asks `from` for one piece. Implementations bound its time and length.
    ///
    /// # Errors
    /// [`TransferError`]. Another attempt may help unless the node refused.
    fn fetch_chunk(&self, from: NodeId, request: ChunkRequest)
    -> BoxFuture<'_, Result<Chunk, TransferError>>;

    /// Makes this node reachable for `node`, which is about to ask it for content and may be unable to connect. A transport
    /// on which everybody reaches everybody does nothing.
    fn meet(&self, _node: NodeId) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Tells the transport that a node keeps its promises and so goes before strangers when places are scarce. A transport
    /// with unlimited places does nothing.
    fn befriend(&self, _node: NodeId) {}

    /// What connected nodes say they take on; empty for a transport that asks nobody. There is no default: a decorator that
    /// forgot it would submit jobs that no node takes.
    fn offers(&self) -> BTreeMap<NodeId, Offer>;

    /// How this node is connected; `None` for a transport without connections.
    fn links(&self) -> Option<Links> {
        None
    }
}

/// How a node is connected to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Links {
    /// Nodes with a connection.
    pub connected: usize,
    /// How many of them opened a connection to this node, so that they can reach it.
    pub visitors: usize,
    /// The peers that its user named.
    pub peers: Vec<NamedPeer>,
}

/// A peer that the user of a node named, and the connection to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NamedPeer {
    /// Its address, as given.
    pub address: String,
    /// The node that answers there, while it is connected.
    pub node: Option<NodeId>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Why no content came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The node has no such content, or none for this node.
    #[error("{from} serves no content {digest} to this node")]
    Refused {
        /// The node.
        from: NodeId,
        /// The digest of the content.
        digest: Digest,
    },
    /// The node does not answer.
    #[error("{from} cannot be reached: {reason}")]
    Unreachable {
        /// The node.
        from: NodeId,
        /// The cause.
        reason: String,
    },
}

/// Which results of a decided job leave their node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Served {
    /// Every revealed result.
    Revealed,
    /// The accepted results, since only these are paid for.
    Accepted,
}

impl Served {
    /// The rule for logs of this scheduler.
    pub(crate) fn of(scheduler: &dyn Scheduler) -> Self {
        if scheduler.holds_money() { Self::Accepted } else { Self::Revealed }
    }

    /// The digest of what `node` must serve of a job.
    pub(crate) fn of_node(self, job: &Job, node: NodeId) -> Option<Digest> {
        let seat = job.seat_of(node).filter(|_| job.state.is_terminal())?;
        let accepted = job.verdict.as_ref().is_some_and(|verdict| verdict.accepted.contains(seat));
        let due = match self {
            Self::Revealed => true,
            Self::Accepted => accepted,
        };
        job.seat(seat).filter(|_| due).and_then(|seat| revealed_root(seat.status))
    }
}

/// What a node serves to others. It serves nothing before its node has started.
pub struct Shelf {
    content: Content,
    access: OnceLock<(NodeId, Arc<Board>, Served)>,
}

impl Shelf {
    /// Serves this content to those whom the jobs of a node entitle to it.
    pub fn new(content: Content) -> Arc<Self> {
        Arc::new(Self { content, access: OnceLock::new() })
    }

    /// The content itself, for the node that owns it.
    pub(crate) const fn content(&self) -> &Content {
        &self.content
    }

    /// From now on `board` says who may have what. Only the first call counts: a shelf belongs to one node.
    pub(crate) fn open(&self, me: NodeId, board: Arc<Board>, served: Served) {
        // A second node on one shelf would be a wiring mistake; it would serve what the first node may.
        let _ = self.access.set((me, board, served));
    }

    /// A piece for `asker`, whose identity the transport has proven; `None` if `asker` may not have it. Blocks.
    pub fn read_for(&self, asker: NodeId, request: ChunkRequest) -> Option<Chunk> {
        let ChunkRequest { job, digest, offset, length } = request;
        let (me, board, served) = self.access.get()?;
        if digest == LastWords::address(job, *me) {
            if !board.read(job, |job| job.requester == asker && job.state.is_terminal())? {
                return None;
            }
            let words = self.content.last_words().get(job).ok()??;
            let rest = words.get(usize::try_from(offset).ok()?..)?;
            let length = usize::try_from(length).ok()?.min(rest.len());
            return Some(Chunk {
                total_bytes: u64::try_from(words.len()).ok()?,
                bytes: rest[..length].to_vec(),
            });
        }
        if !board.read(job, |job| may_have(job, *me, *served, asker, digest))? {
            return None;
        }
        // Content of other holders is not this node's to give, whatever a job of this node calls it.
        let total_bytes = self.content.length(digest, *me).ok()?;
        let bytes = self.content.read_range(digest, *me, offset, length).ok()?;
        Some(Chunk { total_bytes, bytes })
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("open", &self.access.get().is_some()).finish_non_exhaustive()
    }
}

/// Decides who serves what: only the requester serves an input, and only the node that revealed a result serves it.
///
/// A stopped job has no revealed result, so there is nothing to ask for.
fn may_have(job: &Job, me: NodeId, served: Served, asker: NodeId, digest: Digest) -> bool {
    let has_seat = job.seat_of(asker).is_some();
    let is_input = job.spec.inputs.iter().any(|input| input.digest == digest);
    if is_input && me == job.requester && has_seat && !job.state.is_terminal() {
        return true;
    }
    (asker == job.requester || has_seat || job.spec.public_result) && served.of_node(job, me) == Some(digest)
}

const fn revealed_root(status: SeatStatus) -> Option<Digest> {
    match status {
        SeatStatus::Revealed(opening) => Some(opening.output_root),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    }
}

/// Nodes of one process, which read each other's shelves without a network.
#[derive(Debug, Default)]
pub struct LocalHub {
    shelves: Mutex<BTreeMap<NodeId, Arc<Shelf>>>,
}

impl LocalHub {
    /// Adds a node and returns its way to the others. Replaces an earlier node with the same id.
    pub fn join(self: &Arc<Self>, node: NodeId, shelf: Arc<Shelf>) -> LocalTransfer {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner).insert(node, shelf);
        LocalTransfer { hub: Arc::clone(self), node }
    }

    /// Drops a node's shelf, which frees its directory.
    pub fn leave(&self, node: NodeId) {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }
}

/// One node's way to the shelves of the others.
#[derive(Debug, Clone)]
pub struct LocalTransfer {
    hub: Arc<LocalHub>,
    node: NodeId,
}

impl Transfer for LocalTransfer {
    fn fetch_chunk(
        &self,
        from: NodeId,
        request: ChunkRequest,
    ) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        let shelf = self.hub.shelves.lock().unwrap_or_else(PoisonError::into_inner).get(&from).cloned();
        let chunk = match shelf {
            Some(shelf) => shelf
                .read_for(self.node, request)
                .ok_or(TransferError::Refused { from, digest: request.digest }),
            None => Err(TransferError::Unreachable { from, reason: "no such node here".to_owned() }),
        };
        Box::pin(std::future::ready(chunk))
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        BTreeMap::new()
    }
}
