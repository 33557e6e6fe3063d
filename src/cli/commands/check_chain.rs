//! `assay verdict check --rpc-url URL --contract ADDRESS`: checks a verdict on a chain without a node of ours.

use serde::Serialize;

use crate::{
    api::{self, types::SeatView},
    audit::{
        AuditError, Claim, JobLog, LogDocument,
        on_chain::{self, Posted},
    },
    cli::{
        CliError, ExitStatus, args::OnChainArgs, document::Document, ending, output::Output,
        settings::SettingsError, text,
    },
    domain::{Job, JobId, JobState, LogDomain, NodeId, SeatSet},
    scheduler::{LogEntry, LogItem, contract::history},
};

/// The job's end in the contract's log. The rejected seats follow from it and are not posted.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PostedVerdict {
    state: JobState,
    accepted: Vec<NodeId>,
}

/// The outcome of a check, as JSON.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    job: JobId,
    agrees: bool,
    entries: usize,
    /// What the rules derive from the log.
    found: &'a Claim,
    /// What was posted.
    posted: PostedVerdict,
    /// The claim in the file; null without a file.
    claimed: Option<&'a Claim>,
    /// The reason for each seat's judgement, according to the chain's log.
    seats: Vec<SeatView>,
}

impl Document for Checked<'_> {}

/// Recomputes a verdict from the contract's events and compares it with the posted one. With a file, also compares every
/// entry.
pub(super) async fn check(
    wanted: Option<&str>,
    file: Option<(LogDocument, String)>,
    contract: NodeId,
    chain: &OnChainArgs,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let job = whole_id(wanted, file.as_ref())?;
    let (domain, logs) = read(&chain.rpc_url, contract, chain.first_block, job).await?;
    let broken = |source| CliError::Audit { log: format!("contract {contract}"), source };
    if let Some((document, log)) = &file {
        on_chain::compare(document, domain, &logs)
            .map_err(|source| CliError::Audit { log: log.clone(), source })?;
    }
    let posted = on_chain::recompute(domain, logs).map_err(broken)?;
    let Posted { audit, accepted } = &posted;
    let Some(accepted) = *accepted else { return Err(CliError::NoVerdict { job, state: audit.job.state }) };
    let claimed = file.as_ref().map(|(document, _)| &document.claim);
    let agrees = posted.agrees() && claimed.is_none_or(|claimed| *claimed == audit.found);
    let checked = Checked {
        job,
        agrees,
        entries: audit.entries,
        found: &audit.found,
        posted: posted_by(&audit.job, accepted),
        claimed,
        seats: api::seats(&audit.job),
    };
    output.result(&checked, || report(&checked) + &ending::recomputed_table(&checked.seats))?;
    Ok(if agrees { ExitStatus::Success } else { ExitStatus::NoResult })
}

/// The logs of a job and of those that it follows up, as the chain has them.
pub(super) async fn read(
    rpc_urls: &[String],
    contract: NodeId,
    first_block: u64,
    job: JobId,
) -> Result<(LogDomain, Vec<JobLog>), CliError> {
    let history = history(rpc_urls, contract, first_block, job).await;
    let history = history.map_err(|source| CliError::History { job, source })?;
    Ok((history.domain, history.jobs.into_iter().map(job_log).collect()))
}

/// The job to look for. Without a node, a prefix cannot be resolved, except by a file, which was compared with it.
fn whole_id(wanted: Option<&str>, file: Option<&(LogDocument, String)>) -> Result<JobId, CliError> {
    let of_file = |(document, log): &(LogDocument, String)| match document.logs.last() {
        Some(last) => Ok(last.job),
        None => Err(CliError::Audit { log: log.clone(), source: AuditError::Empty }),
    };
    match (file, wanted) {
        (Some(file), _) => of_file(file),
        (None, wanted) => {
            let wanted = wanted.unwrap_or_default();
            wanted.parse().map_err(|_| SettingsError::WholeJob { text: wanted.to_owned() }.into())
        }
    }
}

fn job_log((job, items): (JobId, Vec<LogItem>)) -> JobLog {
    let entries = (1..).zip(items).map(|(height, item)| LogEntry::new(height, item)).collect();
    JobLog { job, entries, evidence: Vec::new() }
}

fn posted_by(job: &Job, accepted: SeatSet) -> PostedVerdict {
    let mut nodes: Vec<NodeId> = accepted.iter().filter_map(|seat| Some(job.seat(seat)?.node)).collect();
    nodes.sort_unstable();
    let state = if accepted.is_empty() { JobState::Inconclusive } else { JobState::Verified };
    PostedVerdict { state, accepted: nodes }
}

fn report(checked: &Checked<'_>) -> String {
    let Checked { job, agrees, entries, found, posted, claimed, seats: _ } = checked;
    let claimed = claimed.map_or(String::new(), |claimed| {
        format!("claimed:    {}\nfile:       each entry is the chain's\n", text::claim(claimed))
    });
    format!(
        "{}: job {job}\nposted:     {}, {} accepted\nrecomputed: {}\n{claimed}rules:      {entries} entries folded, \
         none refused\n",
        if *agrees { "AGREES" } else { "DIFFERS" },
        posted.state,
        posted.accepted.len(),
        text::claim(found),
    )
}
