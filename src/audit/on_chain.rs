//! Logs of a contract: the chain is the proof, so a log in a file is compared with it, entry by entry.

use super::{
    Audit, AuditError, Backing, backing,
    document::{JobLog, LogDocument},
    lineage,
};
use crate::{
    domain::{Event, Job, LogDomain, SeatOpening, SeatSet},
    rules,
    scheduler::LogEntry,
};

/// Folds logs by the rules. Whether a chain has them is not asked: see [`compare`].
///
/// # Errors
/// The first entry that the rules refuse, or that stands where it must not.
pub fn fold(domain: LogDomain, logs: &[JobLog]) -> Result<Audit, AuditError> {
    lineage::check(logs)?;
    let mut parent: Option<Job> = None;
    for log in logs {
        parent = Some(fold_one(domain, parent.as_ref(), log)?);
    }
    let job = parent.ok_or(AuditError::Empty)?;
    Ok(Audit::new(job, logs.iter().map(|log| log.entries.len()).sum(), 0))
}

fn fold_one(domain: LogDomain, parent: Option<&Job>, log: &JobLog) -> Result<Job, AuditError> {
    if !log.evidence.is_empty() {
        return Err(AuditError::Evidence { job: log.job });
    }
    let mut job: Option<Job> = None;
    for (height, entry) in (1..).zip(&log.entries) {
        if entry.height != height {
            return Err(AuditError::Misplaced { height });
        }
        if !entry.proof.is_empty() {
            return Err(AuditError::Unexpected { height });
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

/// Checks that a document is, entry by entry, what the chain has: `domain` and `chain` were read there.
///
/// # Errors
/// The first difference. That the document ends earlier is one: it is then to be exported again.
pub fn compare(document: &LogDocument, domain: LogDomain, chain: &[JobLog]) -> Result<(), AuditError> {
    document.check_version()?;
    match backing(document.domain)? {
        Backing::Signatures => return Err(AuditError::NotOnChain),
        Backing::Chain => {}
    }
    if document.domain != domain {
        return Err(AuditError::OtherDomain { document: document.domain, asked: domain });
    }
    lineage::check(&document.logs)?;
    lineage::check(chain)?;
    // Both name their ancestors, so that logs of the same last job are logs of the same jobs.
    for (ours, theirs) in document.logs.iter().zip(chain) {
        compare_one(ours, theirs)?;
    }
    match (document.logs.last(), chain.last()) {
        (Some(ours), Some(theirs)) if ours.job != theirs.job => {
            Err(AuditError::OtherJob { wanted: theirs.job.to_string(), found: ours.job })
        }
        (Some(_), Some(_)) => Ok(()),
        (None, _) | (_, None) => Err(AuditError::Empty),
    }
}

fn compare_one(ours: &JobLog, theirs: &JobLog) -> Result<(), AuditError> {
    let job = theirs.job;
    if ours.job != job {
        return Err(AuditError::OtherJob { wanted: job.to_string(), found: ours.job });
    }
    let entries = ours.entries.iter().zip(&theirs.entries);
    if let Some((_, on_chain)) = entries.clone().find(|(ours, theirs)| ours != theirs) {
        return Err(AuditError::NotTheChains { job, height: on_chain.height });
    }
    let (found, on_chain) = (ours.entries.len(), theirs.entries.len());
    if found == on_chain { Ok(()) } else { Err(AuditError::OtherLength { job, found, on_chain }) }
}

/// The audit of a job whose log was read from the chain, and whom the verdict posted there accepts, by seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The job with the verdict of the rules in place of the one posted.
    pub audit: Audit,
    /// The seats that were posted as accepted; `None` without a verdict.
    pub accepted: Option<SeatSet>,
}

impl Posted {
    /// Whether the rules accept the seats that were posted. By seat, since a bit may be set that no node has.
    pub fn agrees(&self) -> bool {
        self.accepted.is_some()
            && self.audit.job.verdict.as_ref().map(|verdict| verdict.accepted) == self.accepted
    }
}

/// Recomputes the verdict of a log that was read from the chain.
///
/// # Errors
/// The first entry that the rules refuse.
pub fn recompute(domain: LogDomain, mut logs: Vec<JobLog>) -> Result<Posted, AuditError> {
    let accepted = replace_verdict(domain, &mut logs)?;
    Ok(Posted { audit: fold(domain, &logs)?, accepted })
}

/// Puts the verdict of the rules in place of the one posted, which is returned: what is compared must not take
/// part in the comparison.
fn replace_verdict(domain: LogDomain, logs: &mut [JobLog]) -> Result<Option<SeatSet>, AuditError> {
    let is_verdict = |entry: &LogEntry| matches!(entry.event, Event::VerdictPosted { .. });
    let log = logs.last_mut().ok_or(AuditError::Empty)?;
    let Some(at) = log.entries.iter().position(is_verdict) else { return Ok(None) };
    let mut rest = log.entries.split_off(at);
    let before = fold(domain, logs)?.job;
    let verdict = rest.first_mut().map(|entry| &mut entry.event);
    let Some(Event::VerdictPosted { openings, accepted }) = verdict else { return Ok(None) };
    let posted = std::mem::replace(accepted, accepted_by_rules(&before, openings));
    logs.last_mut().ok_or(AuditError::Empty)?.entries.append(&mut rest);
    Ok(Some(posted))
}

/// Whom the rules accept over the openings given and those in the log.
fn accepted_by_rules(job: &Job, given: &[SeatOpening]) -> SeatSet {
    let mut openings = rules::openings_of(job);
    openings.extend(given.iter().map(|given| (given.seat, given.opening)));
    rules::verdict_of(job, &openings).accepted
}
