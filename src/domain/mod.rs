//! The values of the field: no async, no I/O, no clock, no randomness.

mod amount;
mod failure;
mod ids;
mod spec;
mod time;

pub use amount::Amount;
pub use failure::{FailureKind, UnknownFailureKind};
pub use ids::{Digest, JobId, LogDomain, NodeId, ParseIdError};
pub use spec::{Input, MAX_INPUTS, MAX_SPEC_BYTES, OUTPUTS_DIR, Resources, Spec, SpecError};
pub use time::{Span, Timestamp};
