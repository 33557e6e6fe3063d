//! Fetches a node's result and checks that it is the one that the node committed to.

mod error;

use std::{
    io::{ErrorKind, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{
    CliError,
    client::{Client, ClientError},
    failure,
    output::{Output, printable},
    text,
};
use crate::{
    api::types::{JobView, Judgement, ResultView, SeatView},
    domain::{NodeId, Spec, SummaryWord},
    executor::MAX_STREAM_BYTES,
    store::{self, Compared, Comparison, Limits, STDERR, STDOUT, UnpackError},
};

pub(super) use error::FetchError;

/// Room in an archive besides `/outputs` and the two streams, in bytes: the trace, names and padding.
const ARCHIVE_MARGIN_BYTES: u64 = 64 << 20;

/// The file with the reason for a failed run.
const REASON: &str = "reason";

/// A result that was fetched, or was already there.
#[derive(Debug, Serialize)]
pub(super) struct FetchedResult {
    pub(super) node: NodeId,
    pub(super) directory: PathBuf,
}

/// A failed run, and the directory with the end of its output. Only its node vouches for it.
#[derive(Debug, Serialize)]
pub(super) struct FailedRun {
    node: NodeId,
    reason: String,
    directory: PathBuf,
}

/// Stores why runs failed and the end of their output, as their nodes tell it, each in a directory below `dir`. Keeps
/// existing files.
pub(super) async fn keep_last_words(
    client: &Client,
    view: &JobView,
    dir: &Path,
    output: Output,
) -> Result<Vec<FailedRun>, CliError> {
    let seats: Vec<&SeatView> = view.seats.iter().collect();
    let mut kept = Vec::new();
    for words in failure::last_words(client, view, &seats).await {
        let (node, directory) = (words.node, dir.join(format!("failed-{}", text::node(words.node))));
        let (id, place) = (text::node(node), directory.display());
        output.note(&printable(&format!("the run of {id} failed: {}", words.reason)));
        if is_there(&directory)? {
            output.note(&format!("{place} is here already and left as it is"));
        } else {
            let io_error = || CliError::file("write the last words of a run to", &directory);
            std::fs::create_dir_all(&directory).map_err(io_error())?;
            let reason = format!("{}\n", words.reason);
            for (name, text) in [(REASON, &reason), (STDOUT, &words.stdout), (STDERR, &words.stderr)] {
                std::fs::write(directory.join(name), text).map_err(io_error())?;
            }
            output.note(&format!("{place} holds the end of what it printed, which is no result"));
        }
        kept.push(FailedRun { node, reason: words.reason, directory });
    }
    Ok(kept)
}

/// What came of the accepted results of a job, and why others did not.
#[derive(Debug, Default)]
pub(super) struct FetchedEach {
    pub(super) results: Vec<FetchedResult>,
    pub(super) failed: Vec<CliError>,
}

/// Fetches every accepted result into a directory of its own below `dir`. Keeps an existing equal result, and never changes
/// a different one.
///
/// # Errors
/// The first, after all were tried and the others told.
pub(super) async fn fetch_accepted(
    client: &Client,
    view: &JobView,
    dir: &Path,
    output: Output,
) -> Result<Vec<FetchedResult>, CliError> {
    let FetchedEach { results, failed } = fetch_each(client, view, dir, output).await;
    let mut failed = failed.into_iter();
    let Some(first) = failed.next() else { return Ok(results) };
    failed.for_each(|error| output.error(&error));
    Err(first)
}

/// The same. A result that does not come keeps no other one away.
pub(super) async fn fetch_each(client: &Client, view: &JobView, dir: &Path, output: Output) -> FetchedEach {
    let accepted = |seat: &&SeatView| seat.judgement == Some(Judgement::Accepted);
    let seats: Vec<&SeatView> = view.seats.iter().filter(accepted).collect();
    let nothing = |error| FetchedEach { results: Vec::new(), failed: vec![error] };
    if seats.is_empty() {
        return nothing(CliError::NoResult { job: view.job, state: view.state });
    }
    if let Err(error) = std::fs::create_dir_all(dir) {
        return nothing(CliError::file("make the directory", dir)(error));
    }
    let mut each = FetchedEach::default();
    for seat in seats {
        match fetch_seat(client, view, seat, dir, output).await {
            Ok(result) => each.results.push(result),
            Err(error) => each.failed.push(error),
        }
    }
    each
}

async fn fetch_seat(
    client: &Client,
    view: &JobView,
    seat: &SeatView,
    dir: &Path,
    output: Output,
) -> Result<FetchedResult, CliError> {
    let (node, directory) = (seat.node, dir.join(text::node(seat.node)));
    let told = if is_there(&directory)? {
        same_content(view, seat, &directory).await?;
        "is here already; root and hash are those of the log"
    } else {
        fetch(client, view, seat, &directory).await?;
        "root and hash are those of the log"
    };
    output.note(&format!("node {}: {told}", text::node(node)));
    Ok(FetchedResult { node, directory })
}

/// Whether something is in the place for a result. An empty directory is free.
fn is_there(path: &Path) -> Result<bool, CliError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(std::fs::symlink_metadata(path).is_ok()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(true),
        Err(error) => Err(CliError::file("read the directory", path)(error)),
    }
}

/// Whether a directory holds the result of a seat, byte for byte.
async fn same_content(view: &JobView, seat: &SeatView, directory: &Path) -> Result<(), CliError> {
    let differs = || CliError::OtherContent { node: seat.node, path: directory.to_owned() };
    let (limits, path) = (limits(view), directory.to_owned());
    let packing = tokio::task::spawn_blocking(move || store::pack(&path, &mut std::io::sink(), &limits));
    match packing.await.expect("packing does not panic") {
        Ok(packed) if seat.result.is_some_and(|result| result.output_root == packed.digest) => Ok(()),
        Ok(_) => Err(differs()),
        Err(error) => {
            tracing::debug!(%error, "the directory does not hold a result");
            Err(differs())
        }
    }
}

/// Fetches the result of one seat into `dest`, which must be absent or empty. Checks the archive against the root in the
/// log, then its content against the hash that the verdict compared.
pub(super) async fn fetch(
    client: &Client,
    view: &JobView,
    seat: &SeatView,
    dest: &Path,
) -> Result<(), CliError> {
    fetch_within(client, view, seat, dest, u64::MAX).await
}

/// The same, for a result of at most `most` bytes.
pub(super) async fn fetch_within(
    client: &Client,
    view: &JobView,
    seat: &SeatView,
    dest: &Path,
    most: u64,
) -> Result<(), CliError> {
    let wrong = |source| match source {
        // A disk error of this machine is not the node's fault.
        FetchError::Archive(UnpackError::Write { path, source }) => {
            CliError::File { doing: "write the result to", path, source }
        }
        source => CliError::Fetch { job: view.job, node: seat.node, source },
    };
    let result = seat.result.ok_or(FetchError::Nothing).map_err(wrong)?;
    let limits = limits(view);
    let archive = download(client, view, seat.node, limits.bytes.min(most)).await;
    let archive = archive.map_err(CliError::node(format!(
        "fetch the result of node {} in job {}",
        seat.node.short(),
        view.job.short()
    )))?;
    let (comparison, dest) = (Comparison::of(view.job, &view.deal, &view.spec), dest.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        store::unpack(archive, &dest, result.output_root, &limits)?;
        same(&result, &comparison.look(&dest, &limits, &CancellationToken::new())?)
    });
    checked.await.expect("unpacking does not panic").map_err(wrong)
}

pub(super) fn limits(view: &JobView) -> Limits {
    limits_of(&view.spec)
}

/// How large a result of a job may be.
pub(super) fn limits_of(spec: &Spec) -> Limits {
    let outputs = spec.resources.disk_bytes;
    Limits::with_bytes(outputs.saturating_add(2 * MAX_STREAM_BYTES).saturating_add(ARCHIVE_MARGIN_BYTES))
}

fn same(result: &ResultView, found: &Compared) -> Result<(), FetchError> {
    let (claimed, summary) = (result.result_hash, found.summary_word());
    if found.result_hash != claimed {
        return Err(FetchError::Hash { claimed, found: found.result_hash });
    }
    let claimed = result.summary.unwrap_or(SummaryWord::VOID);
    if summary == claimed { Ok(()) } else { Err(FetchError::Summary { claimed, found: summary }) }
}

async fn download(
    client: &Client,
    view: &JobView,
    node: NodeId,
    limit: u64,
) -> Result<std::fs::File, ClientError> {
    let mut file = tempfile::tempfile()?;
    client.archive(&view.job.to_string(), node).await?.save(&mut file, limit).await?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}
