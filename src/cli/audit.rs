//! Recomputes a job from its log alone: every signature, the order of the entries, every rule, the verdict.
//!
//! A pure function of a [`LogDocument`], which a node exports and anybody can check offline.

use serde::{Deserialize, Serialize};

use crate::{
    api::types::{JobView, LogEntry, VerdictView},
    domain::{Job, JobId, JobState, LogDomain, NodeId, SeatSet},
    rules::{self, Rejection},
    scheduler::libp2p::{
        entry::{Entry, EntryError},
        sequence::{Follower, RebuildError},
    },
};

/// The form of exported logs that this program reads and writes.
pub(super) const LOG_VERSION: u32 = 1;

/// A job's log with what is needed to check it, and what its node makes of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogDocument {
    /// [`LOG_VERSION`].
    pub(super) version: u32,
    /// What signatures in the log are bound to.
    pub(super) domain: LogDomain,
    /// The job's log, after those of the jobs that it follows up, the oldest first.
    pub(super) logs: Vec<JobLog>,
    /// What the node says of the job: this is compared with what the log says.
    pub(super) claim: Claim,
}

/// All entries of one job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobLog {
    pub(super) job: JobId,
    pub(super) entries: Vec<LogEntry>,
}

/// What a node says of a job's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) state: JobState,
    pub(super) accepted: Vec<NodeId>,
    pub(super) rejected: Vec<NodeId>,
    pub(super) absent: Vec<NodeId>,
}

impl From<&JobView> for Claim {
    fn from(view: &JobView) -> Self {
        let nodes = |nodes: fn(&VerdictView) -> &Vec<NodeId>| {
            let mut nodes = view.verdict.as_ref().map(nodes).cloned().unwrap_or_default();
            nodes.sort_unstable();
            nodes
        };
        Self {
            state: view.state,
            accepted: nodes(|verdict| &verdict.accepted),
            rejected: nodes(|verdict| &verdict.rejected),
            absent: nodes(|verdict| &verdict.absent),
        }
    }
}

/// What a log says.
#[derive(Debug)]
pub(super) struct Audit {
    /// The job as the log makes it.
    pub(super) job: Job,
    /// How many entries bear signatures that were checked; 0 where the backend proves order otherwise.
    pub(super) signed: usize,
    /// What the log says of the job's end.
    pub(super) found: Claim,
}

impl Audit {
    /// Whether the log says what is claimed. Where the log has no end yet, a claim may say that a deadline has
    /// passed meanwhile, but nothing of anybody's result.
    pub(super) fn agrees(&self, claim: &Claim) -> bool {
        let judges = !(claim.accepted.is_empty() && claim.rejected.is_empty() && claim.absent.is_empty());
        self.found == *claim || (!self.found.state.is_terminal() && !judges)
    }
}

/// Why a log says nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The document is of another version.
    #[error("it has version {found}, this program reads {LOG_VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// The document holds no log.
    #[error("it holds no log")]
    Empty,
    /// An entry is of another job.
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
    /// The proof of an entry cannot be read.
    #[error("the proof of entry {height} cannot be read")]
    Proof {
        /// Where.
        height: u64,
        /// Why.
        source: EntryError,
    },
    /// The proof of an entry proves something else.
    #[error("the proof of entry {height} is of something else")]
    OtherProof {
        /// Where.
        height: u64,
    },
    /// The proofs make no log.
    #[error("the signatures do not hold")]
    Signatures(#[source] RebuildError),
}

/// Folds a document's logs and finds what they say of the last job.
///
/// # Errors
/// The first thing that is wrong with the logs. That the claim differs is none.
pub(super) fn audit(document: &LogDocument) -> Result<Audit, AuditError> {
    if document.version != LOG_VERSION {
        return Err(AuditError::Version { found: document.version });
    }
    audit_logs(document.domain, &document.logs)
}

/// Folds logs, of which each follows up the one before, and finds what they say of the last job.
///
/// # Errors
/// The first thing that is wrong with the logs.
pub(super) fn audit_logs(domain: LogDomain, logs: &[JobLog]) -> Result<Audit, AuditError> {
    let mut parent: Option<Job> = None;
    let mut signed = 0;
    for log in logs {
        signed += check_proofs(domain, parent.as_ref(), log)?;
        parent = Some(fold(domain, parent.as_ref(), log)?);
    }
    let job = parent.ok_or(AuditError::Empty)?;
    let found = found(&job);
    Ok(Audit { job, signed, found })
}

fn fold(domain: LogDomain, parent: Option<&Job>, log: &JobLog) -> Result<Job, AuditError> {
    let mut job: Option<Job> = None;
    for (height, entry) in (1..).zip(&log.entries) {
        if entry.height != height {
            return Err(AuditError::Misplaced { height });
        }
        let stamped = entry.stamped(log.job);
        let next = match &job {
            None => rules::open(domain, parent, &stamped),
            Some(job) => rules::transition(job, &stamped),
        };
        job = Some(next.map_err(|rejection| AuditError::Rejected { height, rejection })?);
    }
    job.ok_or(AuditError::Empty)
}

/// Checks signatures and order where entries carry proofs; answers how many did.
fn check_proofs(domain: LogDomain, parent: Option<&Job>, log: &JobLog) -> Result<usize, AuditError> {
    if log.entries.iter().all(|entry| entry.proof.is_empty()) {
        return Ok(0);
    }
    let mut entries = Vec::with_capacity(log.entries.len());
    for (height, shown) in (1..).zip(&log.entries) {
        let bytes = alloy_primitives::hex::decode(&shown.proof);
        let bytes = bytes.map_err(|_| AuditError::OtherProof { height })?;
        let entry = Entry::decode(&bytes).map_err(|source| AuditError::Proof { height, source })?;
        let proven = entry.stamped(domain).map_err(|_| AuditError::OtherProof { height })?;
        // What is shown must be what was signed, or the check would be of another log.
        if entry.hash(domain) != shown.entry || proven != shown.stamped(log.job) {
            return Err(AuditError::OtherProof { height });
        }
        entries.push(entry);
    }
    let signed = entries.len();
    Follower::rebuild(domain, parent, entries).map_err(AuditError::Signatures)?;
    Ok(signed)
}

fn found(job: &Job) -> Claim {
    let nodes = |seats: fn(&crate::domain::Verdict) -> SeatSet| {
        let seats = job.verdict.as_ref().map(seats).unwrap_or_default();
        let mut nodes: Vec<NodeId> =
            seats.iter().filter_map(|seat| job.seat(seat)).map(|seat| seat.node).collect();
        nodes.sort_unstable();
        nodes
    };
    Claim {
        state: job.state,
        accepted: nodes(|verdict| verdict.accepted),
        rejected: nodes(|verdict| verdict.rejected),
        absent: nodes(|verdict| verdict.absent),
    }
}
