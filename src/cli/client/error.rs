//! Why a node did not do as asked.

use std::io;

use crate::{
    api::{
        TokenError,
        types::{ErrorBody, ErrorCode},
    },
    cli::exit::ExitStatus,
    explain::Hint,
};

/// Why a node did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers, or stops answering.
    #[error("the node at {api} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        api: String,
        /// Whether the user named it, or it was assumed.
        assumed: bool,
        /// Why: the innermost cause, which alone says something new.
        reason: String,
        /// Whether the node may have had the request.
        sent: bool,
    },
    /// The node may have done what was asked, and its answer is lost.
    #[error("the node at {api} gave no answer in time, so the request may have been done: {reason}")]
    Unknown {
        /// Where.
        api: String,
        /// Why.
        reason: String,
    },
    /// The node says no.
    #[error("the node at {api} says: {}", body.message)]
    Refused {
        /// Where.
        api: String,
        /// What it says.
        body: ErrorBody,
    },
    /// The server speaks another protocol.
    #[error("{api} is not an Assay node of this version: {problem}")]
    Foreign {
        /// Where.
        api: String,
        /// What was seen.
        problem: String,
    },
    /// The reply is longer than anything a node sends.
    #[error("the answer of the node at {api} is longer than {limit} bytes")]
    TooLong {
        /// Where.
        api: String,
        /// The limit.
        limit: u64,
    },
    /// The file that the user names holds no token.
    #[error("cannot read the token for the API of the node")]
    Token(#[from] TokenError),
    /// A local file on its way to or from the node.
    #[error("cannot use a temporary file")]
    Local(#[from] io::Error),
}

impl ClientError {
    /// How the program ends.
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
