//! Why a node does not start, or why it ended.

use std::path::PathBuf;

use tokio::task::JoinError;

use crate::{scheduler::BackendError, store::DbError};

/// Why a node does not start, or why it ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The backend failed or ended.
    #[error("the backend failed")]
    Backend(#[source] BackendError),
    /// The database failed.
    #[error("the node's database failed")]
    Db(#[from] DbError),
    /// The node cannot empty its scratch directory.
    #[error("cannot clear {}", path.display())]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A server that belongs to the node failed.
    #[error("a server of the node failed")]
    Server(#[source] std::io::Error),
    /// A task panicked.
    #[error("the task {task} panicked")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// The panic's message, if it has one.
        #[source]
        source: JoinError,
    },
    /// A task ended though nobody stopped it.
    #[error("the task {task} ended unexpectedly")]
    Ended {
        /// Its name.
        task: &'static str,
    },
}

impl NodeError {
    pub(crate) fn panicked(task: &'static str) -> impl FnOnce(JoinError) -> Self {
        move |source| Self::Panicked { task, source }
    }
}
