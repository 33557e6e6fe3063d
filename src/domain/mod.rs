//! The values that jobs are made of: no async, no I/O, no clock, no randomness.
//!
//! A job's id follows from who asks for what under which terms, so nobody can give one job two meanings:
//!
//! ```
//! use assay::domain::{Amount, Deal, LogDomain, NodeId, Spec};
//!
//! let spec = Spec::builder("assay/demo:1").command(["true"]).build()?;
//! let deal = Deal { concurrency: 3, confidence: 2, price: Amount::ZERO, ..Deal::default() };
//! deal.validate()?;
//! let hash = Spec::hash_document(&spec.to_document());
//! let id = |nonce| LogDomain::default().job_id(NodeId::new([7; 20]), nonce, hash, deal.revision());
//! assert_ne!(id(1), id(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod amount;
mod ask;
mod asset;
mod audit;
mod backoff;
mod canonical;
mod chunk;
pub mod codec;
mod conduct;
mod deal;
mod event;
mod failure;
mod fingerprint;
mod group;
mod ids;
mod image;
mod job;
mod method;
mod note;
mod offer;
mod pace;
mod platform;
mod result;
mod seats;
mod seed;
mod signature;
mod spec;
mod summary;
mod text;
mod time;

pub use amount::Amount;
pub use ask::{Ask, ParsePercentError};
pub use asset::{Asset, ParseSumError, Sum, SumError, Token};
pub use audit::{Audit, AuditStage};
pub use backoff::Backoff;
pub use canonical::{Canonical, Mask, UnknownMask};
pub use chunk::{Chunk, ChunkRequest, MAX_CHUNK_BYTES};
pub use conduct::{Conduct, Tally};
pub use deal::{
    Acceptance, Deal, InvalidTerm, MAX_ALLOWED, MAX_BOND_FACTOR, MAX_DURATION, MIN_REVEAL,
    ParseToleranceError, RUN_MARGIN, Term, ToleranceKib,
};
pub use event::{Action, Event, EventKind, Facts, Funds, MAX_REMARK_BYTES, SignedAction, Stamped};
pub use failure::{FailureKind, UnknownFailureKind};
pub use fingerprint::{
    DirtyFingerprint, Fingerprint, FingerprintWord, MAX_FAULTS, MAX_TIME_MS, ParseFingerprintError, Profile,
    Sample, TENTHS,
};
pub use group::{GROUP_DIGITS, GROUP_VARIABLE, INDEX_VARIABLE, MAX_GROUP_JOBS, Member, is_group};
pub use ids::{AuditSecret, Digest, JobId, LogDomain, NodeId, ParseIdError, SecretHash};
pub use image::{DEFAULT_REGISTRY, ImageName, ImageNameError, is_digest, is_pinned, is_registry};
pub use job::{Bid, BidStatus, Job, JobRecord, JobState, Seat, SeatStatus, Verdict};
pub use method::{Method, UnknownMethod};
pub use note::{Note, UnknownNote};
pub use offer::{Exceeded, Limit, MAX_OFFER_BYTES, Offer, TooFew, too_few};
pub use pace::Pace;
pub use platform::{is_platform, runs_on};
pub use result::{Opening, SeatOpening};
pub use seats::{MAX_SEATS, SeatSet};
pub use seed::{RESERVED_VARIABLES, Seed};
#[cfg(all(test, feature = "libp2p"))]
pub(crate) use signature::recoveries;
pub use signature::{Signature, SignatureError, node_of_key};
pub use spec::{
    Input, InputKind, MAX_INPUTS, MAX_SPEC_BYTES, MAX_TEXT_FILES, MAX_URL_BYTES, OUTPUTS_DIR, Resources,
    SCRATCH_DIR, Spec, SpecBuilder, SpecError, SpecField, UrlScheme,
};
pub use summary::{
    Kind, KnownLiar, MAX_NUMBER_BYTES, MAX_NUMBERS, MAX_SUMMARY_BYTES, MIN_PILOTS, ParseFormError,
    ParseSummaryError, Proposal, ProposalFault, ProposedNumber, SUMMARY_FILE, SummaryFault, SummaryForm,
    SummaryWord, propose_summary,
};
pub use time::{Span, Timestamp};
