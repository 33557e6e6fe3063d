//! `assay results diff`: where the outputs of two nodes differ.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Serialize;
use similar::TextDiff;

use super::job_name;
use crate::{
    api::types::{JobView, Judgement, SeatView},
    cli::{
        CliError, ExitStatus, accepted,
        args::DiffArgs,
        document::Document,
        fetch::{fetch, limits},
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{JobId, NodeId},
    store::{Difference, Entry, differences},
};

/// The longest file that is shown as text, in bytes, and how long two of them are compared by lines.
const MAX_TEXT: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// The most files that are listed, and lines that are shown of each.
const MAX_FILES: usize = 100;
const MAX_LINES: usize = 100;

/// The tool that looks into archives, images and programs.
const DIFFOSCOPE: &str = "diffoscope";

/// Two results compared, as JSON.
#[derive(Debug, Serialize)]
struct Compared {
    job: JobId,
    first: NodeId,
    second: NodeId,
    /// The exit codes in the log.
    exit_codes: (i32, i32),
    /// Whether the job compares them as equal. Files may differ all the same, in what its deal leaves out.
    is_equal: bool,
    files: Vec<Differing>,
}

impl Document for Compared {}

#[derive(Debug, Serialize)]
struct Differing {
    #[serde(flatten)]
    difference: Difference,
    /// The lines that differ, as `diff -u` shows them, if both are text.
    text: Option<String>,
}

/// Compares two results of a job.
pub(in crate::cli) async fn run(args: DiffArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
        let (first, second) = pair(&view, &args.nodes)?;
        let scratch = tempfile::tempdir();
        let scratch = scratch.map_err(CliError::file("make a directory in", std::env::temp_dir()))?;
        let place = |seat: &SeatView| scratch.path().join(text::node(seat.node));
        fetch(client, &view, first, &place(first)).await?;
        if second.node != first.node {
            fetch(client, &view, second, &place(second)).await?;
        }
        let (one, other) = (place(first), place(second));
        let compared = compare(&view, (first, second), (one.clone(), other.clone())).await?;
        output.result(&compared, || shown(&compared))?;
        if args.diffoscope && !compared.is_equal {
            look_deeper(&one, &other, output).await?;
        }
        Ok(ExitStatus::Success)
    })
    .await
}

/// The seat with a result of the node that the user names.
fn find<'a>(view: &'a JobView, node: &str) -> Result<&'a SeatView, CliError> {
    let (job, named) = (view.job, node.to_owned());
    let digits = node.strip_prefix("0x").unwrap_or(node).to_ascii_lowercase();
    let is_named = |seat: &&SeatView| !digits.is_empty() && seat.node.to_string()[2..].starts_with(&digits);
    let seats: Vec<&SeatView> = view.seats.iter().filter(is_named).collect();
    match seats[..] {
        [] => Err(CliError::NoSeatOf { job, node: named }),
        [seat] if seat.result.is_none() => Err(CliError::NoResultOf { job, node: named }),
        [seat] => Ok(seat),
        _ => {
            let nodes = seats.iter().map(|seat| seat.node).collect();
            Err(CliError::ManySeatsOf { job, node: named, nodes })
        }
    }
}

/// The two seats to compare: those that are named, or an accepted one and the first that has another result.
fn pair<'a>(view: &'a JobView, named: &[String]) -> Result<(&'a SeatView, &'a SeatView), CliError> {
    let find = |node: &String| find(view, node);
    let no_result = || CliError::NoResult { job: view.job, state: view.state };
    if let [first, second] = named {
        return Ok((find(first)?, find(second)?));
    }
    let mut with_result = view.seats.iter().filter(|seat| seat.result.is_some());
    let first = match named.first() {
        Some(first) => find(first)?,
        None => accepted::seat(view).or_else(|| with_result.next()).ok_or_else(no_result)?,
    };
    let hash = |seat: &SeatView| seat.result.map(|result| result.result_hash);
    let others = || view.seats.iter().filter(|seat| seat.result.is_some() && seat.node != first.node);
    // A rejected result that nobody pays for stays with its node, so those that can be had come first.
    let differs = |seat: &&SeatView| hash(seat) != hash(first);
    let is_accepted = |seat: &&SeatView| seat.judgement == Some(Judgement::Accepted);
    let second = others().filter(differs).find(is_accepted).or_else(|| others().find(differs));
    let second = second.or_else(|| others().next()).ok_or_else(no_result)?;
    Ok((first, second))
}

async fn compare(
    view: &JobView,
    (first, second): (&SeatView, &SeatView),
    (one, other): (PathBuf, PathBuf),
) -> Result<Compared, CliError> {
    let limits = limits(view);
    let comparing = tokio::task::spawn_blocking(move || {
        let found = differences(&one, &other, &limits)?;
        let files = found
            .into_iter()
            .map(|difference| Differing { text: lines(&one, &other, &difference), difference });
        Ok(files.collect::<Vec<_>>())
    });
    let files = comparing.await.expect("comparing returns its errors");
    let files = files.map_err(|source| CliError::Compare { job: view.job, source })?;
    let exit_code = |seat: &SeatView| seat.result.map_or(0, |result| result.exit_code);
    let exit_codes = (exit_code(first), exit_code(second));
    // What the deal masks may differ, and so may the file of a summary.
    let hash = |seat: &SeatView| seat.result.map(|result| result.result_hash);
    let is_equal = hash(first) == hash(second);
    Ok(Compared { job: view.job, first: first.node, second: second.node, exit_codes, is_equal, files })
}

/// The lines that differ, if both files are text and short.
fn lines(one: &Path, other: &Path, difference: &Difference) -> Option<String> {
    let read = |root: &Path, entry: &Option<Entry>| match entry {
        Some(Entry::File { bytes, .. }) if *bytes <= MAX_TEXT => {
            let text = std::fs::read_to_string(root.join(&difference.path)).ok()?;
            (!text.contains('\0')).then_some(text)
        }
        Some(Entry::File { .. } | Entry::Directory | Entry::Link { .. }) | None => None,
    };
    difference.at_byte?;
    let (one, other) = (read(one, &difference.first)?, read(other, &difference.second)?);
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&one, &other);
    Some(diff.unified_diff().context_radius(2).to_string())
}

fn shown(compared: &Compared) -> String {
    let Compared { first, second, exit_codes, is_equal, files, .. } = compared;
    let (first, second) = (text::node(*first), text::node(*second));
    let mut shown: Vec<String> = Vec::new();
    match (*is_equal, files.is_empty()) {
        (true, true) => return format!("the outputs of {first} and {second} are equal\n"),
        (true, false) => shown.push(format!(
            "the outputs of {first} and {second} are equal in what the job compares; they differ in what it leaves out\n"
        )),
        (false, _) => {}
    }
    if exit_codes.0 != exit_codes.1 {
        let (one, other) = exit_codes;
        shown.push(format!("{first} ended with exit code {one}, {second} with {other}\n"));
    }
    if !files.is_empty() {
        let rows = files.iter().take(MAX_FILES).map(|Differing { difference, .. }| {
            let Difference { path, first, second, at_byte } = difference;
            let at = at_byte.map_or("-".to_owned(), |at| format!("at byte {at}"));
            let [first, second] = described([first.as_ref(), second.as_ref()]);
            vec![printable(path), first, second, at]
        });
        shown.push(table(&["PATH", &first, &second, "DIFFERS"], rows));
    }
    if let Some(left) = files.len().checked_sub(MAX_FILES).filter(|left| *left > 0) {
        shown.push(format!("{left} more paths differ; --output json lists them\n"));
    }
    for Differing { difference, text } in files.iter().take(MAX_FILES) {
        let Some(text) = text else { continue };
        shown.push(format!("\n{}\n", printable(&difference.path)));
        shown.extend(text.lines().take(MAX_LINES).map(|line| printable(line) + "\n"));
        if let Some(left) = text.lines().count().checked_sub(MAX_LINES).filter(|left| *left > 0) {
            shown.push(format!("({left} more lines)\n"));
        }
    }
    shown.concat()
}

/// What is at one path of both. Lengths that would read alike and are not are told to the byte.
fn described(entries: [Option<&Entry>; 2]) -> [String; 2] {
    let lengths = entries.map(|entry| match entry {
        Some(Entry::File { bytes, .. }) => Some(*bytes),
        Some(Entry::Directory | Entry::Link { .. }) | None => None,
    });
    let is_rounded = match lengths {
        [Some(one), Some(other)] => one != other && text::bytes(one) == text::bytes(other),
        _ => false,
    };
    entries.map(|entry| match entry {
        None => "absent".to_owned(),
        Some(Entry::Directory) => "directory".to_owned(),
        Some(Entry::File { bytes, .. }) if is_rounded => format!("{bytes} bytes"),
        Some(Entry::File { bytes, .. }) => text::bytes(*bytes),
        Some(Entry::Link { target }) => printable(&format!("link to {target}")),
    })
}

/// Has another program look into archives, images and programs. What it says goes to standard error, which is not data.
async fn look_deeper(one: &Path, other: &Path, output: Output) -> Result<(), CliError> {
    let run = tokio::process::Command::new(DIFFOSCOPE)
        .args(["--text", "-", "--max-report-size", "1000000"])
        .args([one, other])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let failed = || CliError::file("run", PathBuf::from(DIFFOSCOPE));
    let seen = run.await.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CliError::NoTool { tool: DIFFOSCOPE },
        _ => failed()(source),
    })?;
    // It ends with 1 if it found differences, and with more if it could not look.
    if !matches!(seen.status.code(), Some(0 | 1)) {
        let said = String::from_utf8_lossy(&seen.stderr);
        let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or("it did not say why");
        return Err(failed()(io::Error::other(printable(last))));
    }
    let said = String::from_utf8_lossy(&seen.stdout);
    output.note(&said.lines().map(printable).collect::<Vec<_>>().join("\n"));
    Ok(())
}
