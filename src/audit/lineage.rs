//! Which job a log follows up, and whether that one's log stands before it.

use super::{
    AuditError,
    document::{JobLog, MAX_LOGS},
};
use crate::scheduler::libp2p::job_log::parent_of;

/// Checks that the logs are those of a job and of all that it follows up, the oldest first, and nothing else.
pub(super) fn check(logs: &[JobLog]) -> Result<(), AuditError> {
    if logs.is_empty() {
        return Err(AuditError::Empty);
    }
    if logs.len() > MAX_LOGS {
        return Err(AuditError::TooManyLogs { found: logs.len(), limit: MAX_LOGS });
    }
    let mut before = None;
    for log in logs {
        let first = log.entries.first().ok_or(AuditError::Empty)?;
        match (parent_of(&first.event), before) {
            (None, None) => {}
            (Some(parent), Some(before)) if parent == before => {}
            (Some(parent), None) => return Err(AuditError::MissingParent { job: log.job, parent }),
            (_, Some(other)) => return Err(AuditError::ForeignParent { job: log.job, other }),
        }
        before = Some(log.job);
    }
    Ok(())
}
