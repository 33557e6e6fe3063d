//! `assay verdict check --rpc-url URL --contract ADDRESS`: a verdict on a chain, checked without any node of ours.

use serde::Serialize;

use crate::{
    api::types::LogEntry,
    cli::{
        CliError, ExitStatus,
        args::OnChainArgs,
        audit::{self, Audit, AuditError, Claim, JobLog},
        document::Document,
        output::Output,
        settings::SettingsError,
        text,
    },
    domain::{Event, Job, JobId, JobState, LogDomain, NodeId, SeatOpening, SeatSet},
    rules,
    scheduler::{LogItem, contract::history},
};

/// What the contract's log says of the job's end. Who was rejected follows, and is not posted.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Posted {
    state: JobState,
    accepted: Vec<NodeId>,
}

/// What a check came to, for programs.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    job: JobId,
    agrees: bool,
    entries: usize,
    /// What the rules make of the log.
    found: &'a Claim,
    /// What was posted.
    posted: Posted,
}

impl Document for Checked<'_> {}

/// Recomputes a verdict from the contract's events and compares it with the one posted.
pub(super) async fn check(
    job: &str,
    contract: NodeId,
    chain: &OnChainArgs,
    output: Output,
) -> Result<ExitStatus, CliError> {
    // No node is asked, so nobody knows what the beginning of an id would name.
    let job: JobId = job.parse().map_err(|_| SettingsError::WholeJob { text: job.to_owned() })?;
    let history = history(&chain.rpc_url, contract, chain.first_block, job).await;
    let history = history.map_err(|source| CliError::History { job, source })?;
    let broken = |source| CliError::Audit { log: format!("contract {contract}"), source };
    let domain = history.domain;
    let mut logs: Vec<JobLog> = history.jobs.into_iter().map(job_log).collect();
    let accepted = recompute(domain, &mut logs).map_err(broken)?;
    let Audit { job: audited, found, .. } = audit::audit_logs(domain, &logs).map_err(broken)?;
    let Some(accepted) = accepted else { return Err(CliError::NoVerdict { job, state: audited.state }) };
    // By seat, since a bit may be set that no node has.
    let agrees = audited.verdict.as_ref().is_some_and(|verdict| verdict.accepted == accepted);
    let posted = posted_by(&audited, accepted);
    let entries = logs.iter().map(|log| log.entries.len()).sum();
    let checked = Checked { job, agrees, entries, found: &found, posted };
    output.result(&checked, || report(&checked))?;
    Ok(if agrees { ExitStatus::Success } else { ExitStatus::NoResult })
}

fn job_log((job, items): (JobId, Vec<LogItem>)) -> JobLog {
    let entries = (1..).zip(items).map(|(height, item)| LogEntry::new(height, item)).collect();
    JobLog { job, entries }
}

/// Puts the verdict of the rules in place of the one posted, which is returned: what is compared must not take
/// part in the comparison.
fn recompute(domain: LogDomain, logs: &mut [JobLog]) -> Result<Option<SeatSet>, AuditError> {
    let is_verdict = |entry: &LogEntry| matches!(entry.event, Event::VerdictPosted { .. });
    let log = logs.last_mut().ok_or(AuditError::Empty)?;
    let Some(at) = log.entries.iter().position(is_verdict) else { return Ok(None) };
    let mut rest = log.entries.split_off(at);
    let before = audit::audit_logs(domain, logs)?.job;
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

fn posted_by(job: &Job, accepted: SeatSet) -> Posted {
    let mut nodes: Vec<NodeId> = accepted.iter().filter_map(|seat| Some(job.seat(seat)?.node)).collect();
    nodes.sort_unstable();
    let state = if accepted.is_empty() { JobState::Inconclusive } else { JobState::Verified };
    Posted { state, accepted: nodes }
}

fn report(checked: &Checked<'_>) -> String {
    let Checked { job, agrees, entries, found, posted } = checked;
    format!(
        "{}: job {}\nposted:     {}, {} accepted\nrecomputed: {}, {} accepted, {} rejected, {} absent\nrules:      \
         {entries} entries folded, none refused\n",
        if *agrees { "AGREES" } else { "DIFFERS" },
        text::job(*job),
        posted.state,
        posted.accepted.len(),
        found.state,
        found.accepted.len(),
        found.rejected.len(),
        found.absent.len(),
    )
}
