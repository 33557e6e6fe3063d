//! The values of the field: no async, no I/O, no clock, no randomness.

mod amount;
mod failure;
mod fingerprint;
mod ids;
mod method;
mod signature;
mod spec;
mod time;

pub use amount::Amount;
pub use failure::{FailureKind, UnknownFailureKind};
pub use fingerprint::{
    DirtyFingerprint, Fingerprint, FingerprintWord, MAX_TIME_MS, ParseFingerprintError, Profile, Sample,
    TENTHS,
};
pub use ids::{Digest, JobId, LogDomain, NodeId, ParseIdError};
pub use method::{Method, UnknownMethod};
pub use signature::{Signature, SignatureError};
pub use spec::{Input, MAX_INPUTS, MAX_SPEC_BYTES, OUTPUTS_DIR, Resources, Spec, SpecError};
pub use time::{Span, Timestamp};
