//! Why a result that came is not the one that was committed to.

use crate::{
    domain::{Digest, SummaryWord},
    store::{ResultError, UnpackError},
};

/// Why a result that came is not the one that was committed to, or is nowhere.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The archive is malformed, or another than the log names.
    #[error("it is not the archive that the log names")]
    Archive(#[from] UnpackError),
    /// The unpacked result cannot be read.
    #[error("it cannot be read")]
    Read(#[from] ResultError),
    /// The archive is the one that was named, but its content is not what nodes were compared by.
    #[error("it hashes to {found}, not to the revealed {claimed}")]
    Hash {
        /// In the log.
        claimed: Digest,
        /// Here.
        found: Digest,
    },
    /// The numbers in it are not those that nodes were compared by.
    #[error("its summary is {found}, and it was compared by {claimed}")]
    Summary {
        /// In the log.
        claimed: SummaryWord,
        /// Here.
        found: SummaryWord,
    },
    /// The node never revealed a result.
    #[error("the node revealed no result")]
    Nothing,
}
