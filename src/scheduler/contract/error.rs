//! Why a contract cannot be used, or money cannot be moved.

use super::rpc::{AskError, EndpointError};
use crate::{
    domain::{LogDomain, NodeId},
    rules::Rejection,
    scheduler::BackendError,
};

/// Why the contract cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// An endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No endpoint answers.
    #[error("no RPC endpoint answers")]
    Chain(#[source] BackendError),
    /// The endpoint serves another chain.
    #[error("the RPC endpoint serves chain {found}, not {expected}; check --rpc-url and the chain id")]
    WrongChain {
        /// The chain wanted.
        expected: u64,
        /// The chain there.
        found: u64,
    },
    /// There is no contract at the address.
    #[error("there is no contract at {contract} on chain {chain_id}; check --contract, or deploy one")]
    NoCode {
        /// The address.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
    },
    /// The contract there is one of an older version.
    #[error(
        "the contract at {contract} on chain {chain_id} has version {version}, and this assay speaks version {}",
        LogDomain::SIGNING_VERSION
    )]
    OlderContract {
        /// The address.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
        /// Its version.
        version: &'static str,
    },
    /// The contract there is another one.
    #[error(
        "the contract at {contract} on chain {chain_id} is not a job scheduler of this version; check --contract"
    )]
    OtherContract {
        /// The address.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
    },
}

/// Why money does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The contract refuses.
    #[error("refused by the contract: {0}")]
    Rejected(Rejection),
    /// The contract refuses for a reason of its own.
    #[error("refused by the contract: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The chain failed; whether the money moved is told by the balance.
    #[error(transparent)]
    Chain(BackendError),
}

impl From<AskError> for MoneyError {
    /// What the chain or the contract answers to a question, and who could not be asked.
    fn from(error: AskError) -> Self {
        match error {
            AskError::Reverted(revert) => Self::Refused { reason: format!("{revert:?}") },
            // An endpoint's own error says nothing of the contract.
            error @ (AskError::Answer(_) | AskError::Declined(_) | AskError::Unreachable(_)) => {
                Self::Chain(error.into())
            }
        }
    }
}
