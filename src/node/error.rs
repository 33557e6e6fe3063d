//! Why a node does not start, or has ended.

use std::path::PathBuf;

use tokio::task::JoinError;

use crate::{scheduler::BackendError, store::DbError};

/// Why a node does not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The backend failed or ended.
    #[error("the backend failed")]
    Backend(#[source] BackendError),
    /// The database failed.
    #[error("the node's database failed")]
    Db(#[from] DbError),
    /// The scratch directory cannot be emptied.
    #[error("cannot clear {}", path.display())]
    Scratch {
        /// The directory.
        path: PathBuf,
        /// Why.
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
        /// What is known of it.
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
