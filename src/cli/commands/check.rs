//! `assay verdict export` and `check`: a verdict without trust in any node.

use std::{fs::File, path::Path};

use serde::Serialize;

use super::{check_chain, job_name};
use crate::{
    api::{
        self,
        types::{JobView, SeatView, VerdictView},
    },
    audit::{
        self, Audit, AuditError, Claim, Finding, JobLog, LogDocument,
        document::{LOG_VERSION, MAX_LOGS},
    },
    cli::{
        CliError, ExitStatus,
        args::{CheckArgs, ExportArgs},
        client::Client,
        document::Document,
        ending,
        output::Output,
        session::{Need, Session, with_node},
        settings, text,
    },
    domain::{JobId, LogDomain, NodeId},
    node::wall_clock,
    scheduler::libp2p::job_log::parent_of,
};

/// The outcome of a check, as JSON.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    job: JobId,
    finding: Finding,
    agrees: bool,
    entries: usize,
    signed_entries: usize,
    /// The verdict according to the log.
    found: &'a Claim,
    /// The verdict according to the node or the file.
    claimed: &'a Claim,
    /// The reason for each seat's judgement, according to the log.
    seats: Vec<SeatView>,
}

impl Document for Checked<'_> {}

/// Writes a job's log with everything needed to check it elsewhere.
pub(in crate::cli) async fn export(args: &ExportArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let document = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        collect(session.client(), job).await
    });
    let document = document.await?;
    output.file(&document)?;
    Ok(ExitStatus::Success)
}

/// Recomputes a verdict from the log alone and compares it with the claimed one.
pub(in crate::cli) async fn check(args: &CheckArgs, output: Output) -> Result<ExitStatus, CliError> {
    let wanted = args.job.as_deref().map(job_name).transpose()?;
    let file = args.file.as_deref().map(|path| read(path, wanted)).transpose()?;
    if let Some(contract) = args.chain.contract {
        return check_chain::check(wanted, file, contract, &args.chain, output).await;
    }
    let (document, source) = match (file, wanted) {
        (Some(file), _) => file,
        (None, Some(job)) => {
            let client = Client::new(settings::api(&args.api)?, output);
            let document = collect(&client, job).await?;
            (document, format!("the node at {}", client.address()))
        }
        (None, None) => unreachable!("clap requires a job or a file"),
    };
    let audit = audit::audit(&document, wall_clock())
        .map_err(|error| CliError::Audit { log: source, source: error })?;
    let checked = Checked {
        job: audit.job.id,
        finding: audit.finding,
        agrees: audit.agrees(),
        entries: audit.entries,
        signed_entries: audit.signed,
        found: &audit.found,
        claimed: &document.claim,
        seats: api::seats(&audit.job),
    };
    output
        .result(&checked, || report(&audit, &document.claim) + &ending::recomputed_table(&checked.seats))?;
    if audit.finding == Finding::NotChecked {
        output.note(&ask_the_chain(audit.job.id, document.domain));
    }
    Ok(exit_status(audit.finding))
}

/// The exit code. A claim without proof never ends with success.
const fn exit_status(finding: Finding) -> ExitStatus {
    match finding {
        Finding::Agrees => ExitStatus::Success,
        Finding::Differs | Finding::Undecided => ExitStatus::NoResult,
        Finding::NotChecked | Finding::Forked | Finding::Broken => ExitStatus::Failure,
    }
}

fn ask_the_chain(job: JobId, domain: LogDomain) -> String {
    let contract = domain.contract;
    format!(
        "hint: only chain {} can prove this log; ask it: assay verdict check {job} --rpc-url URL --contract {contract}",
        domain.chain_id
    )
}

fn report(audit: &Audit, claimed: &Claim) -> String {
    let Audit { job, entries, signed, found, finding } = audit;
    let headline = match finding {
        Finding::Agrees => "AGREES",
        Finding::Differs => "DIFFERS",
        Finding::Undecided => "UNDECIDED",
        Finding::NotChecked => "NOT CHECKED",
        Finding::Forked => "FORKED",
        Finding::Broken => "BROKEN",
    };
    let signatures = match signed {
        0 => "none: a contract orders this log, and its chain was not asked".to_owned(),
        signed => format!("{signed} entries, each by its author and by the requester"),
    };
    let broken = match finding {
        Finding::Forked => {
            "evidence:   the requester signed two histories of this job; this log is one of them\n"
        }
        Finding::Broken => "evidence:   the requester signed an entry that the rules refuse\n",
        Finding::Agrees | Finding::Differs | Finding::Undecided | Finding::NotChecked => "",
    };
    format!(
        "{headline}: job {}\nlog says:   {}\nclaimed:    {}\nrules:      {entries} entries folded, none refused\n\
         signatures: {signatures}\n{broken}",
        job.id,
        text::claim(found),
        text::claim(claimed),
    )
}

/// Reads a document and its source, if it is about the job that the user names.
fn read(path: &Path, wanted: Option<&str>) -> Result<(LogDocument, String), CliError> {
    let file = File::open(path).map_err(CliError::file("read", path))?;
    let document = LogDocument::read(file)
        .map_err(|source| CliError::NoLog { path: path.to_owned(), source: Box::new(source) })?;
    let source = path.display().to_string();
    if let (Some(wanted), Some(log)) = (wanted, document.logs.last()) {
        is_named(log.job, wanted).map_err(|error| CliError::Audit { log: source.clone(), source: error })?;
    }
    Ok((document, source))
}

/// Whether this is the user's job. The file may hold the log of another one.
fn is_named(job: JobId, wanted: &str) -> Result<(), AuditError> {
    let digits = wanted.strip_prefix("0x").unwrap_or(wanted).to_ascii_lowercase();
    let id = job.to_string();
    let named = id.strip_prefix("0x").unwrap_or(&id).starts_with(&digits);
    if named { Ok(()) } else { Err(AuditError::OtherJob { wanted: wanted.to_owned(), found: job }) }
}

/// The log of a job and of those that it follows up, the oldest first.
pub(super) async fn collect(client: &Client, job: &str) -> Result<LogDocument, CliError> {
    let failed = || CliError::node(format!("read the log of job {job}"));
    let domain = client.node().await.map_err(failed())?.domain;
    let asked = client.job(job).await.map_err(failed())?;
    is_named(asked.job, job)
        .map_err(|source| CliError::Audit { log: format!("the node at {}", client.address()), source })?;
    let claim = claim(&asked);
    let mut logs = Vec::new();
    let mut next = Some(asked.job);
    while let Some(job) = next.filter(|_| logs.len() < MAX_LOGS) {
        let id = job.to_string();
        let entries = client.log(&id).await.map_err(failed())?;
        // Read after the entries, so that evidence that comes in between is about them too.
        let evidence = client.job(&id).await.map_err(failed())?.evidence.into_iter().collect();
        next = entries.first().and_then(|first| parent_of(&first.event));
        logs.insert(0, JobLog { job, entries, evidence });
    }
    Ok(LogDocument { version: LOG_VERSION, domain, logs, claim })
}

/// The claim of a node about a job's end.
fn claim(view: &JobView) -> Claim {
    let nodes = |nodes: fn(&VerdictView) -> &Vec<NodeId>| {
        let mut nodes = view.verdict.as_ref().map(nodes).cloned().unwrap_or_default();
        nodes.sort_unstable();
        nodes
    };
    Claim {
        state: view.state,
        accepted: nodes(|verdict| &verdict.accepted),
        rejected: nodes(|verdict| &verdict.rejected),
        absent: nodes(|verdict| &verdict.absent),
    }
}
