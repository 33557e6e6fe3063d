//! The auditor: recomputes a job from its log alone, and trusts nobody who hands the log over.
//!
//! - [`document`]: the exported log, and how it is read from bytes that anybody may have written.
//! - [`signed`]: a log without a chain. Every entry carries a proof: the author's signature, and the requester's
//!   over the entry before.
//! - [`on_chain`]: a log of a contract. Its entries prove nothing by themselves, so they are compared with the chain.
//! - [`outcome`]: what an audit came to.
//! - [`attestation`]: what a node's run gave, for tools of supply chains, with the log as its proof.
//!
//! Which of the two a log is follows from its domain, and a job's id is a hash over that domain: who changes the
//! domain names another job. All functions are pure; the caller reads the file, the node or the chain.
//!
//! ```
//! use assay::{
//!     audit::{Finding, LogDocument, audit},
//!     domain::{JobState, Timestamp},
//! };
//!
//! let document = LogDocument::parse(include_bytes!("../../examples/data/verified.json"))?;
//! let audit = audit(&document, Timestamp::from_secs(1_800_000_000))?;
//! assert_eq!((audit.finding, audit.job.state), (Finding::Agrees, JobState::Verified));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attestation;
pub mod document;
pub mod on_chain;
pub mod outcome;
pub mod signed;

mod error;
mod evidence;
mod lineage;
mod proof;

pub use document::{Claim, JobLog, LogDocument};
pub use error::AuditError;
pub use outcome::{Audit, Finding};

use crate::domain::{LogDomain, NodeId, Timestamp};

/// Whose word the order of a log rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// The signatures in the log.
    Signatures,
    /// A contract on a chain.
    Chain,
}

/// What backs the logs of a domain.
///
/// # Errors
/// [`AuditError::Domain`] for a chain without a contract, or a contract without a chain.
pub fn backing(domain: LogDomain) -> Result<Backing, AuditError> {
    match (domain.chain_id, domain.contract == NodeId::ZERO) {
        (0, true) => Ok(Backing::Signatures),
        (0, false) | (_, true) => Err(AuditError::Domain { domain }),
        (_, false) => Ok(Backing::Chain),
    }
}

/// Checks a document without a chain. `now` is the auditor's clock: no signed entry may be stamped beyond it.
///
/// A log of a contract is folded by the rules and found to be [`Finding::NotChecked`] at best.
///
/// # Errors
/// The first fault in the logs. A claim that differs is not an error.
pub fn audit(document: &LogDocument, now: Timestamp) -> Result<Audit, AuditError> {
    document.check_version()?;
    let (domain, logs) = (document.domain, document.logs.as_slice());
    match backing(domain)? {
        Backing::Signatures => Ok(signed::audit(domain, logs, now)?.compared(&document.claim)),
        Backing::Chain => Ok(on_chain::fold(domain, logs)?.compared(&document.claim).unchecked()),
    }
}

#[cfg(test)]
mod tests;
