//! Logs without a chain: each entry is proven by two signatures, or the log proves nothing.

use super::{Audit, AuditError, document::JobLog, error::MAX_AHEAD, evidence, lineage, proof::decode};
use crate::{
    domain::{Job, LogDomain, Timestamp},
    scheduler::{
        LogEntry,
        libp2p::{entry::Entry, job_log::MAX_LOG_ENTRIES, sequence::Follower},
    },
};

/// Checks every signature, the order of the entries and every rule, from the oldest job on.
///
/// # Errors
/// The first thing that is wrong. An entry without a proof is.
pub fn audit(domain: LogDomain, logs: &[JobLog], now: Timestamp) -> Result<Audit, AuditError> {
    lineage::check(logs)?;
    let mut parent: Option<Job> = None;
    let (mut entries, mut fault) = (0, None);
    for log in logs {
        let follower = follow(domain, parent.as_ref(), log, now)?;
        fault = fault.or(evidence::check(domain, &follower, &log.evidence)?);
        entries += log.entries.len();
        parent = Some(follower.job_log().job().clone());
    }
    let job = parent.ok_or(AuditError::Empty)?;
    Ok(Audit::new(job, entries, entries).broken_by(fault))
}

fn follow(
    domain: LogDomain,
    parent: Option<&Job>,
    log: &JobLog,
    now: Timestamp,
) -> Result<Follower, AuditError> {
    let (job, found) = (log.job, log.entries.len());
    if found > MAX_LOG_ENTRIES {
        return Err(AuditError::TooLong { job, found, limit: MAX_LOG_ENTRIES });
    }
    // Places and hashes first: they cost little, and signatures of a log that does not hang together say nothing.
    let entries: Vec<Entry> = (1..)
        .zip(&log.entries)
        .map(|(height, shown)| placed(domain, log, height, shown))
        .collect::<Result<_, _>>()?;
    for (entry, shown) in entries.iter().zip(&log.entries) {
        let height = entry.height;
        let proven = entry.stamped(domain).map_err(|_| AuditError::OtherProof { height })?;
        // What is shown must be what was signed, or the check would be of another log.
        if proven != shown.stamped(log.job) {
            return Err(AuditError::OtherProof { height });
        }
        if entry.at > now.plus(MAX_AHEAD) {
            return Err(AuditError::Future { height, at: entry.at, now });
        }
    }
    Follower::rebuild(domain, parent, entries).map_err(AuditError::Signatures)
}

/// The entry that an entry's proof holds, if it is of this job, height and hash.
fn placed(domain: LogDomain, log: &JobLog, height: u64, shown: &LogEntry) -> Result<Entry, AuditError> {
    if shown.height != height {
        return Err(AuditError::Misplaced { height });
    }
    if shown.proof.is_empty() {
        return Err(AuditError::Unsigned { height });
    }
    let entry = decode(&shown.proof).map_err(|error| error.at(height))?;
    if entry.height != height || entry.job() != log.job {
        return Err(AuditError::Misplaced { height });
    }
    if entry.hash(domain) != shown.entry {
        return Err(AuditError::OtherProof { height });
    }
    Ok(entry)
}
