//! `assay verdict export` and `check`: a verdict that nobody has to be trusted for.

use std::{fs::File, path::Path};

use serde::Serialize;

use super::{check_chain, job_name};
use crate::{
    api::types::LogEntry,
    cli::{
        CliError, ExitStatus,
        args::{CheckArgs, ExportArgs},
        audit::{self, Claim, JobLog, LOG_VERSION, LogDocument},
        client::Client,
        document::Document,
        output::Output,
        session::{Need, Session, with_node},
        settings, text,
    },
    domain::{Event, JobId},
};

/// Most follow-ups of follow-ups: each has at least twice the seats of the one before, and 31 is the most.
const MAX_ANCESTORS: usize = 5;

/// What a check came to, for programs.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    job: JobId,
    agrees: bool,
    entries: usize,
    signed_entries: usize,
    /// What the log says.
    found: &'a Claim,
    /// What the node, or the file, says.
    claimed: &'a Claim,
}

impl Document for Checked<'_> {}

/// Writes a job's log with all that is needed to check it elsewhere.
pub(in crate::cli) async fn export(args: &ExportArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let document = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        collect(session.client(), job).await
    });
    let document = document.await?;
    output.file(&document)?;
    Ok(ExitStatus::Success)
}

/// Recomputes a verdict from the log alone and compares it with the one that is claimed.
pub(in crate::cli) async fn check(args: &CheckArgs, output: Output) -> Result<ExitStatus, CliError> {
    if let (Some(contract), Some(job)) = (args.chain.contract, &args.job) {
        return check_chain::check(job, contract, &args.chain, output).await;
    }
    let (document, source) = match (&args.file, &args.job) {
        (Some(path), _) => (read(path)?, path.display().to_string()),
        (None, Some(job)) => {
            let client = Client::new(settings::api(&args.api)?);
            let document = collect(&client, job_name(job)?).await?;
            (document, format!("the node at {}", client.address()))
        }
        (None, None) => unreachable!("clap requires a job or a file"),
    };
    let audit =
        audit::audit(&document).map_err(|error| CliError::Audit { log: source.clone(), source: error })?;
    let agrees = audit.agrees(&document.claim);
    let checked = Checked {
        job: audit.job.id,
        agrees,
        entries: document.logs.iter().map(|log| log.entries.len()).sum(),
        signed_entries: audit.signed,
        found: &audit.found,
        claimed: &document.claim,
    };
    output.result(&checked, || report(&checked))?;
    Ok(if agrees { ExitStatus::Success } else { ExitStatus::NoResult })
}

fn report(checked: &Checked<'_>) -> String {
    let claim = |claim: &Claim| {
        format!(
            "{}, {} accepted, {} rejected, {} absent",
            claim.state,
            claim.accepted.len(),
            claim.rejected.len(),
            claim.absent.len()
        )
    };
    let signatures = match checked.signed_entries {
        0 => "none to check: the backend proves the order of events otherwise".to_owned(),
        signed => format!("{signed} entries, each by its author and by the requester"),
    };
    format!(
        "{}: job {}\nlog says:   {}\nclaimed:    {}\nrules:      {} entries folded, none refused\nsignatures: \
         {signatures}\n",
        if checked.agrees { "AGREES" } else { "DIFFERS" },
        text::job(checked.job),
        claim(checked.found),
        claim(checked.claimed),
        checked.entries,
    )
}

fn read(path: &Path) -> Result<LogDocument, CliError> {
    let file = File::open(path).map_err(CliError::file("read", path))?;
    serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| CliError::NoLog { path: path.to_owned(), reason: error.to_string() })
}

/// The log of a job and of those that it follows up, the oldest first.
async fn collect(client: &Client, job: &str) -> Result<LogDocument, CliError> {
    let failed = || CliError::node(format!("read the log of job {job}"));
    let domain = client.node().await.map_err(failed())?.domain;
    let view = client.job(job).await.map_err(failed())?;
    let mut logs = Vec::new();
    let mut next = Some(view.job);
    while let Some(job) = next.filter(|_| logs.len() <= MAX_ANCESTORS) {
        let entries = client.log(&job.to_string()).await.map_err(failed())?;
        next = parent(&entries);
        logs.insert(0, JobLog { job, entries });
    }
    Ok(LogDocument { version: LOG_VERSION, domain, logs, claim: Claim::from(&view) })
}

fn parent(entries: &[LogEntry]) -> Option<JobId> {
    match &entries.first()?.event {
        Event::Submitted { deal, .. } => deal.parent,
        _ => None,
    }
}
