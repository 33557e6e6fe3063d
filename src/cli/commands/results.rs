//! `assay results`, and `assay job logs`, which prints part of a result.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{group, job_name, jobs::follow_to_end};
use crate::{
    api::types::{JobView, Judgement, ResultRow, SeatView},
    cli::{
        CliError, ExitStatus, accepted,
        args::{FetchArgs, LogsArgs, ResultsListArgs},
        client::Client,
        document::Document,
        failure,
        fetch::{FailedRun, FetchedResult, fetch as fetch_result, fetch_accepted, keep_last_words},
        list::{Cell, Column, List},
        output::{Output, printable},
        session::{Need, Session, with_node},
        text,
    },
    domain::JobId,
    store::{STDERR, STDOUT},
};

/// The results of nodes, as JSON.
#[derive(Debug, Serialize)]
struct Listed {
    results: Vec<ResultRow>,
}

impl Document for Listed {}

/// Lists each node's result of a job.
pub(in crate::cli) async fn list(args: &ResultsListArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let results = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let rows = session.client().results(job).await;
        rows.map_err(CliError::node(format!("list the results of job {job}")))
    });
    let listed = Listed { results: results.await? };
    output.list(&listed, || rows(&listed.results))?;
    Ok(ExitStatus::Success)
}

const COLUMNS: [Column; 5] = [
    Column::new("NODE"),
    Column::new("EXIT"),
    Column::new("VERDICT"),
    Column::new("SIZE").named("bytes"),
    Column::new("ROOT"),
];

fn rows(results: &[ResultRow]) -> List {
    let row = |row: &ResultRow| {
        let judgement = match row.judgement {
            Some(Judgement::Accepted) => "accepted",
            Some(Judgement::Rejected) => "rejected",
            Some(Judgement::Absent) => "absent",
            None => "-",
        };
        vec![
            Cell::Id { short: text::node(row.node), whole: row.node.to_string() },
            Cell::text(&row.exit_code),
            Cell::text(&judgement),
            Cell::Quantity {
                shown: row.bytes.map_or("not here".to_owned(), text::bytes),
                raw: row.bytes.map_or(String::new(), |bytes| bytes.to_string()),
            },
            Cell::Id { short: row.output_root.short(), whole: row.output_root.to_string() },
        ]
    };
    List { columns: &COLUMNS, rows: results.iter().map(row).collect() }
}

/// What was fetched, as JSON.
#[derive(Debug, Serialize)]
struct Fetched {
    job: JobId,
    results: Vec<FetchedResult>,
    /// Runs without a result.
    failed: Vec<FailedRun>,
}

impl Document for Fetched {}

/// Fetches the accepted results, checks each against the log and unpacks it. Also keeps what failed runs left.
pub(in crate::cli) async fn fetch(args: FetchArgs, output: Output) -> Result<ExitStatus, CliError> {
    let FetchArgs { job, group, output_dir, asked } = args;
    if let Some(group) = group {
        return group::fetch(&group, output_dir, &asked, output).await;
    }
    let job = job.unwrap_or_default();
    let job = job_name(&job)?;
    let fetched = with_node(&asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
        let dir = output_dir.unwrap_or_else(|| PathBuf::from(format!("job-{}", view.job.short())));
        let failed = keep_last_words(client, &view, &dir, output).await?;
        let results = fetch_accepted(client, &view, &dir, output).await?;
        Ok(Fetched { job: view.job, results, failed })
    });
    let fetched = fetched.await?;
    output.result(&fetched, || {
        let lines = fetched.results.iter().map(|result| format!("{}\n", result.directory.display()));
        lines.collect()
    })?;
    Ok(ExitStatus::Success)
}

/// Prints the output of a decided job.
pub(in crate::cli) async fn logs(args: &LogsArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        logs_from(session, job, args, output).await
    })
    .await
}

async fn logs_from(
    session: &Session,
    job: &str,
    args: &LogsArgs,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let client = session.client();
    let view = if args.follow {
        match follow_to_end(session, &[job], job, None, output).await? {
            Ok(view) => *view,
            Err(status) => return Ok(status),
        }
    } else {
        client.job(job).await.map_err(CliError::node(format!("find job {job}")))?
    };
    let seat = match &args.node {
        Some(node) if view.state.is_terminal() => {
            let named = view.seats.iter().find(|seat| is_named(seat, node) && seat.result.is_some());
            match named {
                Some(seat) => seat,
                None => {
                    print_last_words(client, &view, args, output).await?;
                    return Err(CliError::NoResultOf { job: view.job, node: node.clone() });
                }
            }
        }
        Some(_) | None => match accepted::seat(&view) {
            Some(seat) => seat,
            None => {
                print_last_words(client, &view, args, output).await?;
                return Err(no_result(&view));
            }
        },
    };
    let scratch = tempfile::tempdir().map_err(CliError::file("make a directory in", std::env::temp_dir()))?;
    let result = scratch.path().join("result");
    fetch_result(client, &view, seat, &result).await?;
    print(&result.join(if args.stderr { STDERR } else { STDOUT }), args.raw, output)?;
    Ok(ExitStatus::Success)
}

/// Prints the output of the first failed run that is available, and why it failed. The command still fails: this is one
/// node's word and not a result.
async fn print_last_words(
    client: &Client,
    view: &JobView,
    args: &LogsArgs,
    output: Output,
) -> Result<(), CliError> {
    let named = |seat: &SeatView| args.node.as_ref().is_none_or(|node| is_named(seat, node));
    let seats: Vec<&SeatView> = view.seats.iter().filter(|seat| named(seat)).collect();
    let Some(words) = failure::last_words(client, view, &seats).await.into_iter().next() else {
        return Ok(());
    };
    let node = text::node(words.node);
    output.note(&printable(&format!("the run of {node} failed: {}", words.reason)));
    output.note("standard output has the end of what it printed, not a result");
    let stream = if args.stderr { &words.stderr } else { &words.stdout };
    output.printed(stream.as_bytes(), args.raw)
}

/// Passes on a program's output.
fn print(path: &Path, raw: bool, output: Output) -> Result<(), CliError> {
    let bytes = std::fs::read(path).map_err(CliError::file("read", path))?;
    output.printed(&bytes, raw)
}

/// Whether the user means this node. A job has few seats, so a few digits suffice.
fn is_named(seat: &SeatView, node: &str) -> bool {
    let digits = node.strip_prefix("0x").unwrap_or(node);
    !digits.is_empty() && seat.node.to_string()[2..].starts_with(&digits.to_ascii_lowercase())
}

fn no_result(view: &JobView) -> CliError {
    CliError::NoResult { job: view.job, state: view.state }
}
