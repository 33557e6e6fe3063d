//! Why a run gave nothing to commit to.

use super::{fetch::FetchError, url::UrlError};
use crate::{
    domain::FailureKind,
    executor::ExecutorError,
    store::{
        BlobError, DbError, ExecutionError, PackError, ResultError, TreeError, UnpackError, is_of_full_disk,
    },
};

/// A run that gave nothing to commit to.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error("cannot get an input")]
    Input(#[source] FetchError),
    #[error("cannot get an input from its URL")]
    Url {
        /// The one in the job; the error may name where it redirects to.
        url: String,
        source: Box<UrlError>,
    },
    #[error("cannot copy an input")]
    Copy(#[source] std::io::Error),
    #[error("cannot unpack an input")]
    Unpack(#[source] UnpackError),
    #[error("the input for {target} must be a file, but is not the archive of one")]
    NotOneFile { target: String },
    #[error("the run gave no result")]
    Executor(#[source] ExecutorError),
    #[error("cannot store the result")]
    Pack(#[source] PackError),
    #[error("cannot store the result")]
    Blob(#[from] BlobError),
    #[error("the result is incomplete")]
    Result(#[source] ResultError),
    #[error("cannot record the run")]
    Execution(#[from] ExecutionError),
    #[error("no randomness from the operating system")]
    Randomness(#[source] getrandom::Error),
}

impl WorkError {
    pub(super) fn kind(&self) -> FailureKind {
        // Nobody can foresee that other programs fill the disk, and the job did nothing wrong.
        if self.is_of_full_node() {
            return FailureKind::Killed;
        }
        match self {
            Self::Input(_) | Self::Url { .. } | Self::Unpack(_) | Self::NotOneFile { .. } => {
                FailureKind::Input
            }
            Self::Executor(error) => error.failure_kind(),
            Self::Pack(PackError::TooLarge { .. }) => FailureKind::Disk,
            Self::Pack(PackError::Tree(error)) | Self::Result(ResultError::Tree(error))
                if error.is_fault_of_tree() =>
            {
                FailureKind::Output
            }
            Self::Pack(_)
            | Self::Blob(_)
            | Self::Copy(_)
            | Self::Result(_)
            | Self::Execution(_)
            | Self::Randomness(_) => FailureKind::Engine,
        }
    }
}

impl WorkError {
    /// Whether this node's store or disk is full.
    pub(super) fn is_of_full_node(&self) -> bool {
        matches!(self, Self::Blob(BlobError::Full { .. })) || is_of_full_disk(self)
    }

    /// Whether the store may take later what it refuses now, because the result itself is fine.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Pack(PackError::Write(_))
                | Self::Blob(BlobError::Io { .. } | BlobError::Holders(_))
                | Self::Execution(ExecutionError::Db(_))
        )
    }
}

impl From<PackError> for WorkError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Tree(TreeError::Cancelled { .. }) => Self::Executor(ExecutorError::Interrupted),
            error => Self::Pack(error),
        }
    }
}

impl From<ResultError> for WorkError {
    fn from(error: ResultError) -> Self {
        match error {
            ResultError::Tree(TreeError::Cancelled { .. }) => Self::Executor(ExecutorError::Interrupted),
            error => Self::Result(error),
        }
    }
}

impl From<DbError> for WorkError {
    fn from(error: DbError) -> Self {
        Self::Execution(error.into())
    }
}
