//! The exported log of a job: what `verdict export` writes and anybody can check.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use super::AuditError;
use crate::{
    domain::{Job, JobId, JobState, LogDomain, NodeId, SeatSet, Verdict},
    scheduler::{Evidence, LogEntry},
};

/// The form of exported logs that this program reads and writes.
pub const LOG_VERSION: u32 = 1;

/// Longest document that is read: several times the longest log that a node follows, shown and proven.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Most logs in a document. A follow-up has at least twice the seats of the job before, and 31 is the most.
pub const MAX_LOGS: usize = 6;

/// A job's log with what is needed to check it, and what its node makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogDocument {
    /// [`LOG_VERSION`].
    pub version: u32,
    /// What signatures in the log are bound to.
    pub domain: LogDomain,
    /// The job's log, after those of the jobs that it follows up, the oldest first.
    pub logs: Vec<JobLog>,
    /// What the node says of the job: this is compared with what the log says.
    pub claim: Claim,
}

/// All entries of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobLog {
    /// The job.
    pub job: JobId,
    /// Its entries, from the submission on.
    pub entries: Vec<LogEntry>,
    /// What its requester signed and must not have, as far as the exporter knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// What is said of a job's end. Nodes are in rising order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The state of the job.
    pub state: JobState,
    /// Nodes whose results to keep.
    pub accepted: Vec<NodeId>,
    /// Nodes whose results disagree.
    pub rejected: Vec<NodeId>,
    /// Nodes with nothing to compare.
    pub absent: Vec<NodeId>,
}

/// Why bytes are no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// They cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// There are more than [`MAX_DOCUMENT_BYTES`].
    #[error("it is longer than {MAX_DOCUMENT_BYTES} bytes")]
    TooLong,
    /// They are of a version that this program does not read.
    #[error(transparent)]
    Version(AuditError),
    /// They are not the JSON of a document.
    #[error("{0}")]
    Json(serde_json::Error),
}

impl LogDocument {
    /// Reads a document that anybody may have written: no more than [`MAX_DOCUMENT_BYTES`] of it.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn read(source: impl Read) -> Result<Self, DocumentError> {
        let mut bytes = Vec::new();
        let length = source.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
        if length as u64 > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLong);
        }
        Self::parse(&bytes)
    }

    /// Parses a document. A later form is named as such.
    ///
    /// # Errors
    /// [`DocumentError::Version`] and [`DocumentError::Json`]; never panics, also not on nesting without end.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let parsed: Result<Self, _> = serde_json::from_slice(bytes);
        let version = match &parsed {
            Ok(document) => document.version,
            Err(_) => serde_json::from_slice::<Versioned>(bytes).map_or(LOG_VERSION, |found| found.version),
        };
        check_version(version).map_err(DocumentError::Version)?;
        parsed.map_err(DocumentError::Json)
    }

    /// Checks that this is a form that this program reads.
    ///
    /// # Errors
    /// [`AuditError::Version`].
    pub fn check_version(&self) -> Result<(), AuditError> {
        check_version(self.version)
    }
}

const fn check_version(version: u32) -> Result<(), AuditError> {
    if version == LOG_VERSION {
        Ok(())
    } else {
        Err(AuditError::Version { found: version, expected: LOG_VERSION })
    }
}

impl Claim {
    /// What a log says of its job.
    pub fn of(job: &Job) -> Self {
        let nodes = |seats: fn(&Verdict) -> SeatSet| {
            let seats = job.verdict.as_ref().map(seats).unwrap_or_default();
            let mut nodes: Vec<NodeId> =
                seats.iter().filter_map(|seat| job.seat(seat)).map(|seat| seat.node).collect();
            nodes.sort_unstable();
            nodes
        };
        Self {
            state: job.state,
            accepted: nodes(|verdict| verdict.accepted),
            rejected: nodes(|verdict| verdict.rejected),
            absent: nodes(|verdict| verdict.absent),
        }
    }

    /// Whether it says something that only an entry of the log can say: not that a deadline passed meanwhile.
    pub(super) const fn needs_an_entry(&self) -> bool {
        let names = !(self.accepted.is_empty() && self.rejected.is_empty() && self.absent.is_empty());
        names
            || match self.state {
                JobState::Verified | JobState::Inconclusive | JobState::Cancelled => true,
                JobState::Open
                | JobState::Running
                | JobState::Revealing
                | JobState::Failed
                | JobState::Expired => false,
            }
    }
}
