//! Why a log proves nothing.

use crate::{
    domain::{JobId, LogDomain, Span, Timestamp},
    rules::Rejection,
    scheduler::libp2p::{entry::EntryError, sequence::RebuildError},
};

/// Why a log proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The document is of another version.
    #[error("it has version {found}, this program reads {expected}")]
    Version {
        /// Its version.
        found: u32,
        /// The one that this program reads.
        expected: u32,
    },
    /// The document holds no log, or a log without an entry.
    #[error("it holds no log")]
    Empty,
    /// The document holds more logs than a job can have ancestors.
    #[error("it holds {found} logs; a job and the jobs it follows up are at most {limit}")]
    TooManyLogs {
        /// How many.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// The log is longer than any that a requester can make.
    #[error("the log of job {job} has {found} entries; at most {limit} are possible")]
    TooLong {
        /// The job.
        job: JobId,
        /// How many.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// The domain is neither that of signed logs nor that of a contract.
    #[error("no log can belong to chain {} and contract {}", domain.chain_id, domain.contract)]
    Domain {
        /// As given.
        domain: LogDomain,
    },
    /// The log is of another job than the one asked for.
    #[error("it is the log of job {found}, not of job {wanted}")]
    OtherJob {
        /// What was asked for: an id or its beginning.
        wanted: String,
        /// The job of the log.
        found: JobId,
    },
    /// The log of the job that this one follows up is not in the document.
    #[error("job {job} follows up job {parent}, whose log is missing")]
    MissingParent {
        /// The follow-up.
        job: JobId,
        /// The missing job.
        parent: JobId,
    },
    /// A log in the document is not of the job that the next one follows up.
    #[error("job {job} does not follow up job {other}, whose log precedes it")]
    ForeignParent {
        /// The job.
        job: JobId,
        /// The job of the log before.
        other: JobId,
    },
    /// An entry is of another job, or at another place than its height says.
    #[error("entry {height} belongs to another job, or has another height")]
    Misplaced {
        /// Where.
        height: u64,
    },
    /// The rules refuse an entry.
    #[error("entry {height} breaks the rules: {rejection}")]
    Rejected {
        /// Where.
        height: u64,
        /// Why.
        rejection: Rejection,
    },
    /// An entry carries no proof, and no chain backs it.
    #[error("entry {height} has no proof: its signatures were removed")]
    Unsigned {
        /// Where.
        height: u64,
    },
    /// An entry of a contract's log carries a proof, which no contract makes.
    #[error("entry {height} carries a signature, but its log belongs to a contract, which signs nothing")]
    Unexpected {
        /// Where.
        height: u64,
    },
    /// The proof of an entry is no hex.
    #[error("the proof of entry {height} is not hex")]
    NotHex {
        /// Where.
        height: u64,
    },
    /// The proof of an entry cannot be read.
    #[error("the proof of entry {height} cannot be read")]
    Proof {
        /// Where.
        height: u64,
        /// Why.
        source: EntryError,
    },
    /// The proof of an entry proves something else than what is shown.
    #[error("the proof of entry {height} belongs to something else")]
    OtherProof {
        /// Where.
        height: u64,
    },
    /// The evidence that a log is broken proves nothing of the kind.
    #[error("the evidence that job {job} was forked or broken proves nothing")]
    Evidence {
        /// The job.
        job: JobId,
    },
    /// The proofs make no log.
    #[error("the signatures are invalid")]
    Signatures(#[source] RebuildError),
    /// An entry is stamped in the auditor's future.
    #[error("entry {height} is stamped {at}, but this machine's clock says {now}", at = at.as_secs(), now = now.as_secs())]
    Future {
        /// Where.
        height: u64,
        /// Its stamp.
        at: Timestamp,
        /// The auditor's clock.
        now: Timestamp,
    },
    /// The log is of another chain or contract than the one asked.
    #[error(
        "it belongs to chain {} and contract {}, not to chain {} and contract {}",
        document.chain_id, document.contract, asked.chain_id, asked.contract
    )]
    OtherDomain {
        /// What the document says.
        document: LogDomain,
        /// What was asked.
        asked: LogDomain,
    },
    /// No chain has this log: signatures prove it.
    #[error("a requester signed this log, so it is on no chain")]
    NotOnChain,
    /// An entry is not what the chain has at its place.
    #[error("entry {height} of job {job} differs from the one on the chain")]
    NotTheChains {
        /// The job.
        job: JobId,
        /// Where.
        height: u64,
    },
    /// The chain has more or fewer entries.
    #[error("the log of job {job} has {found} entries, but the chain has {on_chain}")]
    OtherLength {
        /// The job.
        job: JobId,
        /// How many the document has.
        found: usize,
        /// How many the chain has.
        on_chain: usize,
    },
}

/// How far a stamp may lie ahead of the auditor's clock.
pub(super) const MAX_AHEAD: Span = crate::scheduler::libp2p::sequence::MAX_SKEW;
