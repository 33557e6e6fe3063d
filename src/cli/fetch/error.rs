//! Why a fetched result is not the one that its node committed to.

use crate::{
    domain::{Digest, SummaryWord},
    store::{ResultError, UnpackError},
};

/// Why a fetched result is not the one that its node committed to, or does not exist.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The archive is malformed, or not the one in the log.
    #[error("it is not the archive that the log names")]
    Archive(#[from] UnpackError),
    /// The unpacked result cannot be read.
    #[error("it cannot be read")]
    Read(#[from] ResultError),
    /// The archive is the right one, but its content is not what the verdict compared.
    #[error("it hashes to {found}, not to the revealed {claimed}")]
    Hash {
        /// The result hash in the log.
        claimed: Digest,
        /// The result hash of the content.
        found: Digest,
    },
    /// The numbers in the result are not those that the verdict compared.
    #[error("its summary is {found}, and it was compared by {claimed}")]
    Summary {
        /// The numbers in the log.
        claimed: SummaryWord,
        /// The numbers in the content.
        found: SummaryWord,
    },
    /// The node never revealed a result.
    #[error("the node revealed no result")]
    Nothing,
}
