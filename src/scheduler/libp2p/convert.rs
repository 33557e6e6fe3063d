//! Refusals, between values of the trait and messages on the wire.

use super::wire::{LogResponse, WireRefusal};
use crate::{
    rules::Rejection,
    scheduler::{BackendError, EnvelopeRefusal, SubmitError},
};

/// The answer to a refused action.
pub(super) fn refusal_to_wire(error: &SubmitError) -> LogResponse {
    match error {
        SubmitError::Rejected(rejection) => LogResponse::Rejected(rejection.index()),
        SubmitError::Refused(refusal) => LogResponse::Refused(match *refusal {
            EnvelopeRefusal::BadSignature => WireRefusal::BadSignature,
            EnvelopeRefusal::WrongSequence { expected } => WireRefusal::WrongSequence { expected },
            EnvelopeRefusal::WrongSeen => WireRefusal::WrongSeen,
            EnvelopeRefusal::NotRevealed => WireRefusal::NotRevealed,
            EnvelopeRefusal::CommitsClosed => WireRefusal::CommitsClosed,
            EnvelopeRefusal::Moneyless => WireRefusal::Moneyless,
            EnvelopeRefusal::TooMany => WireRefusal::TooMany,
        }),
        SubmitError::NotOrdered(BackendError::UnknownLog { .. }) => LogResponse::Unknown,
        SubmitError::NotOrdered(_) => LogResponse::Failed,
    }
}

/// The error in an answer without a place; `unreachable` makes the error for an answer that makes no sense.
pub(super) fn refusal_from_wire(
    response: &LogResponse,
    unreachable: impl Fn(&str) -> BackendError,
) -> SubmitError {
    let not_ordered = |reason| SubmitError::NotOrdered(unreachable(reason));
    match response {
        LogResponse::Rejected(index) => match Rejection::from_index(*index) {
            Some(rejection) => SubmitError::Rejected(rejection),
            None => not_ordered("it refused for a reason that this program does not know"),
        },
        LogResponse::Refused(refusal) => SubmitError::Refused(match *refusal {
            WireRefusal::BadSignature => EnvelopeRefusal::BadSignature,
            WireRefusal::WrongSequence { expected } => EnvelopeRefusal::WrongSequence { expected },
            WireRefusal::WrongSeen => EnvelopeRefusal::WrongSeen,
            WireRefusal::NotRevealed => EnvelopeRefusal::NotRevealed,
            WireRefusal::CommitsClosed => EnvelopeRefusal::CommitsClosed,
            WireRefusal::Moneyless => EnvelopeRefusal::Moneyless,
            WireRefusal::TooMany => EnvelopeRefusal::TooMany,
        }),
        LogResponse::Busy => not_ordered("it is busy"),
        LogResponse::Unknown => not_ordered("it does not know the job"),
        LogResponse::Failed => not_ordered("its own store failed"),
        LogResponse::Malformed => not_ordered("it cannot read the action"),
        LogResponse::Placed { .. }
        | LogResponse::Entries { .. }
        | LogResponse::Taken
        | LogResponse::Time { .. } => not_ordered("it answered something else"),
    }
}
