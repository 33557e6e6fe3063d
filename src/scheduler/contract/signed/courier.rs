//! The way between the backends of two nodes, beside the chain.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::domain::NodeId;

/// How long a requester waits for enough bids before it submits the job without them.
pub const GATHER: Duration = Duration::from_secs(5);

/// Carries bytes to other nodes' backends. It may lose them: every step has a way by the chain alone.
pub trait Courier: fmt::Debug + Send + Sync + 'static {
    /// Brings a request to a node, and its answer back. Bounded in time by whoever carries it.
    fn ask(&self, node: NodeId, request: Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Unreached>>;
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{node} cannot be reached: {reason}")]
pub struct Unreached {
    /// Who was asked.
    pub node: NodeId,
    /// What was seen.
    pub reason: String,
}

/// What a backend needs to let others carry what its node signs.
#[derive(Debug, Clone)]
pub struct SignedPath {
    /// The way to other nodes.
    pub courier: Arc<dyn Courier>,
    /// Whether this node runs jobs: one that does not is not asked for bids.
    pub runs_jobs: bool,
    /// See [`GATHER`].
    pub gather: Duration,
}

impl SignedPath {
    /// By this courier, with the usual patience.
    pub fn new(courier: Arc<dyn Courier>, runs_jobs: bool) -> Self {
        Self { courier, runs_jobs, gather: GATHER }
    }
}
