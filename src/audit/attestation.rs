//! Attestations: what the run of one accepted node gave, in the form that tools of supply chains read.
//!
//! Each is an in-toto statement (v1) with a SLSA provenance (v1) in a DSSE envelope. Its subjects are the files that runs of
//! the job are compared by. The job's exported log is in it as a by-product, so it carries its own proof: everything
//! else that the statement says follows from the log, and [`check`] writes it anew and compares. The log holds the result hash that
//! the node committed to and signed. A result hash is over contents, so it proves a whole result; a single file is proven by the
//! signature of the node's key over the envelope.

mod envelope;
mod link;
mod statement;

pub use envelope::{Envelope, EnvelopeError, PAYLOAD_TYPE};
pub use link::{Metablock, link, public_pem};
pub use statement::{Subject, TooManySubjects};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AuditError, Finding, LogDocument, audit, document::DocumentError};
use crate::{
    domain::{Job, JobId, JobState, NodeId, Opening, Timestamp},
    rules::openings_of,
    scheduler::LogEntry,
};
use statement::Statement;

/// The form of bundles that this program reads and writes.
pub const BUNDLE_VERSION: u32 = 1;

/// The longest bundle that is read, in bytes: 31 attestations of usual jobs have a tenth of it.
pub const MAX_BUNDLE_BYTES: u64 = 256 << 20;

/// The attestations of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`BUNDLE_VERSION`].
    pub version: u32,
    /// One for each accepted node.
    pub attestations: Vec<Envelope>,
}

/// What an attestation says, as far as it holds.
#[derive(Debug)]
pub struct Attested {
    /// The job, as its log makes it.
    pub job: Job,
    /// The node that ran it.
    pub node: NodeId,
    /// What the node committed to.
    pub opening: Opening,
    /// The files of the result. The log proves them only together; see [`Self::is_signed`].
    pub subjects: Vec<Subject>,
    /// Whether the node's key signed the statement.
    pub is_signed: bool,
    /// What the log comes to by itself: [`Finding::Agrees`], or [`Finding::NotChecked`] where only a chain can prove it.
    pub finding: Finding,
    /// The log in it.
    pub log: LogDocument,
}

/// Why there is no attestation, or why one does not hold.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// The bundle is of another version.
    #[error("it has version {found}, this program reads {BUNDLE_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// The bundle is longer than what is read.
    #[error("it has more than {MAX_BUNDLE_BYTES} bytes")]
    TooLong,
    /// The bundle holds none.
    #[error("it holds no attestation")]
    Empty,
    /// The bytes are no bundle.
    #[error("it is no bundle of attestations: {0}")]
    Json(serde_json::Error),
    /// An envelope is not one, or a signature in it does not hold.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The log in it cannot be read.
    #[error("the log in it cannot be read")]
    Log(#[source] DocumentError),
    /// The log in it proves nothing.
    #[error("the log in it proves nothing")]
    Audit(#[from] AuditError),
    /// The log does not verify the job.
    #[error("the log in it does not verify job {}: {finding:?}", job.short())]
    NotVerified {
        /// The job.
        job: JobId,
        /// What the log comes to.
        finding: Finding,
    },
    /// The log accepts no result of the node.
    #[error("the log accepts no result of node {node}")]
    NotAccepted {
        /// The node.
        node: NodeId,
    },
    /// The statement is not what follows from its log.
    #[error("it says something else than its log")]
    OtherStatement,
    /// Attestations of one job have logs that contradict each other.
    #[error("two attestations have different logs of job {}, from entry {height} on", job.short())]
    OtherLog {
        /// The job.
        job: JobId,
        /// The first entry that differs.
        height: u64,
    },
    /// A link would rest on a contract's log that was not compared with its chain.
    #[error("a link carries no log, and that of job {} was not compared with its chain", job.short())]
    Unproven {
        /// The job.
        job: JobId,
    },
    /// A result has more files than an attestation names.
    #[error(transparent)]
    Subjects(#[from] TooManySubjects),
    /// A file, input or image has a name that the tools which read links do not write in one way.
    #[error("a link cannot name {name:?}: it takes printable ASCII without quotation marks and backslashes")]
    Unlinkable {
        /// Its name.
        name: String,
    },
}

/// The attestation of an accepted node over the files of its result, not signed yet. `now` is the clock of this machine.
///
/// # Errors
/// [`AttestationError`], if the log does not verify the job, or accepts no result of the node.
pub fn attest(
    log: &LogDocument,
    node: NodeId,
    subjects: Vec<Subject>,
    now: Timestamp,
) -> Result<Envelope, AttestationError> {
    let (job, _) = verified(log, now)?;
    let opening = accepted(&job, node)?;
    Ok(Envelope::new(Statement::of(&job, node, &opening, subjects, log)?.to_bytes()))
}

/// Reads a bundle that anybody may have written.
///
/// # Errors
/// [`AttestationError::Json`], [`AttestationError::Version`] and [`AttestationError::Empty`].
pub fn parse(bytes: &[u8]) -> Result<Bundle, AttestationError> {
    let bundle: Bundle = serde_json::from_slice(bytes).map_err(AttestationError::Json)?;
    match bundle.version {
        BUNDLE_VERSION if bundle.attestations.is_empty() => Err(AttestationError::Empty),
        BUNDLE_VERSION => Ok(bundle),
        found => Err(AttestationError::Version { found }),
    }
}

/// Checks an attestation: the signatures, the log in it, and that it says what the log says. Asks nobody.
///
/// # Errors
/// The first thing that does not hold. A missing signature is none.
pub fn check(envelope: &Envelope, now: Timestamp) -> Result<Attested, AttestationError> {
    let (payload, signers) = envelope.open()?;
    let said = Statement::parse(&payload)?;
    let log = LogDocument::parse(&said.log()?).map_err(AttestationError::Log)?;
    let (job, finding) = verified(&log, now)?;
    let node = said.node().ok_or(AttestationError::OtherStatement)?;
    let opening = accepted(&job, node)?;
    let subjects = said.into_subjects();
    // What is signed is what is read: a statement has one form.
    if Statement::of(&job, node, &opening, subjects.clone(), &log)?.to_bytes() != payload {
        return Err(AttestationError::OtherStatement);
    }
    Ok(Attested { is_signed: signers.contains(&node), job, node, opening, subjects, finding, log })
}

/// Checks that attestations tell one history of each job: one log may go on where another ends, and no two entries differ.
/// Logs that contradict each other may each verify the job, so nodes of both must never be counted together.
///
/// # Errors
/// [`AttestationError::OtherLog`].
pub fn one_log(attested: &[Attested]) -> Result<(), AttestationError> {
    // Each is compared with the longest so far: two that only go on from a shorter one differ from each other.
    let mut longest: BTreeMap<JobId, &[LogEntry]> = BTreeMap::new();
    for log in attested.iter().flat_map(|one| &one.log.logs) {
        let known = longest.entry(log.job).or_insert(&log.entries);
        if let Some((entry, _)) = log.entries.iter().zip(known.iter()).find(|(one, other)| one != other) {
            return Err(AttestationError::OtherLog { job: log.job, height: entry.height });
        }
        if log.entries.len() > known.len() {
            *known = &log.entries;
        }
    }
    Ok(())
}

/// The job of a log that verifies it, as far as the log itself can show that.
fn verified(log: &LogDocument, now: Timestamp) -> Result<(Job, Finding), AttestationError> {
    let audit = audit(log, now)?;
    let holds = match audit.finding {
        Finding::Agrees | Finding::NotChecked => audit.job.state == JobState::Verified,
        Finding::Differs | Finding::Undecided | Finding::Forked | Finding::Broken => false,
    };
    if holds {
        return Ok((audit.job, audit.finding));
    }
    Err(AttestationError::NotVerified { job: audit.job.id, finding: audit.finding })
}

fn accepted(job: &Job, node: NodeId) -> Result<Opening, AttestationError> {
    let seat = job
        .seat_of(node)
        .filter(|seat| job.verdict.as_ref().is_some_and(|verdict| verdict.accepted.contains(*seat)));
    let opening = seat.and_then(|seat| openings_of(job).get(&seat).copied());
    opening.ok_or(AttestationError::NotAccepted { node })
}
