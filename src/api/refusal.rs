//! The JSON of error answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorReply {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// For programs; the HTTP status follows from it.
    pub code: ErrorCode,
    /// What failed, on what, and why.
    pub message: String,
    /// What to do about it, where there is something.
    pub hint: Option<String>,
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read, or names something impossible.
    BadRequest,
    /// The request does not bear the node's token.
    Unauthorized,
    /// As many clients ask as the node answers at once; the same request may be answered later.
    Busy,
    /// The node still reads its logs; the same request will be answered later.
    Loading,
    /// The body of the request did not come in time.
    TooSlow,
    /// The Host header names another machine: a page of a foreign site is asking.
    ForbiddenHost,
    /// There is no such address.
    NotFound,
    /// The body is longer than allowed.
    TooLarge,
    /// A term of the deal is out of bounds, or this backend cannot keep it.
    InvalidDeal,
    /// The spec is not one that a node may run.
    InvalidSpec,
    /// The image is neither here nor in a registry.
    UnknownImage,
    /// An input is not in this node's store.
    UnknownInput,
    /// The Idempotency-Key names another request.
    KeyReused,
    /// The job asks for more nodes than are known.
    NotEnoughNodes,
    /// No job has this id, or begins so.
    NoSuchJob,
    /// Several jobs begin so.
    AmbiguousJob,
    /// This node did not submit the job.
    NotRequester,
    /// The rules refuse, given where the job is.
    Refused,
    /// The job has no verdict yet.
    NotDecided,
    /// The job ended without a result to keep.
    NoResult,
    /// The results are at another node, which does not serve them.
    Unavailable,
    /// The node, its engine or its backend failed, or is stopping.
    Unexpected,
}
