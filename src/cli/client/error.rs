//! Why a request to a node failed.

use std::io;

use crate::{
    api::{
        TokenError,
        types::{ErrorBody, ErrorCode},
    },
    cli::exit::ExitStatus,
    explain::Hint,
};

/// Why a request to a node failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers, or the node stopped answering.
    #[error("the node at {api} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        api: String,
        /// Who named the address.
        assumed: bool,
        /// The innermost cause, which alone adds information.
        reason: String,
        /// Whether the node may have received the request.
        sent: bool,
    },
    /// The node may have carried out the request, but its answer was lost.
    #[error("the node at {api} gave no answer in time, so the request may have been done: {reason}")]
    Unknown {
        /// The address.
        api: String,
        /// The cause.
        reason: String,
    },
    /// The node refused.
    #[error("the node at {api} says: {}", body.message)]
    Refused {
        /// The address.
        api: String,
        /// The node's message.
        body: ErrorBody,
    },
    /// The server speaks another protocol.
    #[error("{api} is not an Assay node of this version: {problem}")]
    Foreign {
        /// The address.
        api: String,
        /// What it sent.
        problem: String,
    },
    /// The reply is longer than a node's ever is.
    #[error("the answer of the node at {api} is longer than {limit} bytes")]
    TooLong {
        /// The address.
        api: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The token file that the user named has no token.
    #[error("cannot read the token for the API of the node")]
    Token(#[from] TokenError),
    /// A local file on its way to or from the node.
    #[error("cannot use a temporary file")]
    Local(#[from] io::Error),
}

impl ClientError {
    /// The exit code for this error.
    pub(in crate::cli) fn exit_status(&self) -> ExitStatus {
        match self {
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Foreign { .. } => ExitStatus::Unreachable,
            Self::TooLong { .. } | Self::Local(_) => ExitStatus::Failure,
            Self::Token(_) => ExitStatus::Usage,
            Self::Refused { body, .. } => match body.code {
                ErrorCode::BadRequest
                | ErrorCode::InvalidDeal
                | ErrorCode::InvalidSpec
                | ErrorCode::UnknownImage
                | ErrorCode::UnknownInput
                | ErrorCode::KeyReused
                | ErrorCode::NoSuchJob
                | ErrorCode::AmbiguousJob => ExitStatus::Usage,
                ErrorCode::NotEnoughNodes => ExitStatus::NoNode,
                ErrorCode::NoResult => ExitStatus::NoResult,
                ErrorCode::Unavailable | ErrorCode::Busy | ErrorCode::Loading => ExitStatus::Unreachable,
                ErrorCode::Unauthorized
                | ErrorCode::TooSlow
                | ErrorCode::ForbiddenHost
                | ErrorCode::NotFound
                | ErrorCode::TooLarge
                | ErrorCode::NotRequester
                | ErrorCode::Refused
                | ErrorCode::NotDecided
                | ErrorCode::Unexpected => ExitStatus::Failure,
            },
        }
    }
}

impl Hint for ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { assumed: true, .. } => {
                Some("start a network with `assay devstack`, or name a node with --api URL".to_owned())
            }
            Self::Unreachable { assumed: false, .. } | Self::Foreign { .. } => {
                Some("check the address in --api or ASSAY_API, and that the node runs".to_owned())
            }
            Self::Unknown { .. } => {
                Some("check whether it was done before you retry: assay job list".to_owned())
            }
            Self::Refused { body, .. } => body.hint.clone(),
            Self::Token(error) => error.hint(),
            Self::TooLong { .. } | Self::Local(_) => None,
        }
    }
}
