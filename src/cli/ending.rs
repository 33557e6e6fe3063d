//! How a job ended: its document, the sentence about it, the verdict table and the exit code.

use serde::Serialize;

use super::{
    CliError, ExitStatus,
    client::Client,
    output::{Output, table},
    text,
};
use crate::{
    api::types::{JobView, Judgement, SeatView, VerdictView},
    domain::{FailureKind, JobId, JobState},
    executor::MAX_STREAM_BYTES,
};

/// Version of the documents that commands about one job write.
const DOCUMENT_VERSION: u32 = 1;

/// How a job ended, for programs.
#[derive(Debug, Serialize)]
pub(super) struct EndDocument<'a> {
    version: u32,
    job: JobId,
    state: JobState,
    /// Of the program, in the accepted run; null without one.
    program_exit_code: Option<i32>,
    /// Of this command.
    exit_code: u8,
    /// Why there is no verdict, in words.
    failure: Option<&'a str>,
    verdict: Option<&'a VerdictView>,
    seats: &'a [SeatView],
    /// What the accepted run printed, with replacement characters where it is no UTF-8; null where it was not
    /// asked for.
    stdout: Option<String>,
}

impl<'a> EndDocument<'a> {
    pub(super) fn new(view: &'a JobView, stdout: Option<&[u8]>) -> Self {
        Self {
            version: DOCUMENT_VERSION,
            job: view.job,
            state: view.state,
            program_exit_code: accepted(view).and_then(|seat| seat.result).map(|result| result.exit_code),
            exit_code: exit_status(view).code(),
            failure: view.failure.as_deref(),
            verdict: view.verdict.as_ref(),
            seats: &view.seats,
            stdout: stdout.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

/// The accepted seat whose output and exit code stand for the job: the first.
pub(super) fn accepted(view: &JobView) -> Option<&SeatView> {
    view.seats.iter().find(|seat| seat.judgement == Some(Judgement::Accepted))
}

/// How the program ends after this job did.
pub(super) fn exit_status(view: &JobView) -> ExitStatus {
    match view.state {
        JobState::Verified => {
            let code = accepted(view).and_then(|seat| seat.result).map(|result| result.exit_code);
            code.and_then(|code| u8::try_from(code).ok()).map_or(ExitStatus::Failure, ExitStatus::Program)
        }
        JobState::Inconclusive => ExitStatus::NoResult,
        JobState::Failed => failed_status(view),
        JobState::Cancelled => ExitStatus::Cancelled,
        JobState::Expired => ExitStatus::NoNode,
        // A deadline passed, and whoever orders the log did not say so.
        JobState::Open | JobState::Running | JobState::Revealing => ExitStatus::Unreachable,
    }
}

/// By the failure that most nodes reported; nodes that said nothing let a deadline pass.
fn failed_status(view: &JobView) -> ExitStatus {
    let count = |kind| view.seats.iter().filter(|seat| seat.failure == Some(kind)).count();
    let commonest = FailureKind::ALL.into_iter().rev().max_by_key(|kind| count(*kind));
    match commonest.filter(|kind| count(*kind) > 0) {
        None | Some(FailureKind::Timeout) => ExitStatus::Deadline,
        Some(FailureKind::Memory | FailureKind::Disk | FailureKind::Interrupted) => ExitStatus::NoResult,
        Some(FailureKind::Engine | FailureKind::Image | FailureKind::Input) => ExitStatus::NoNode,
    }
}

/// What the verdict says of each seat, and why.
pub(super) fn verdict_table(view: &JobView) -> String {
    let rows = view.seats.iter().map(|seat| {
        let result = seat.result.as_ref();
        vec![
            text::node(seat.node),
            result.map_or("-".to_owned(), |result| result.exit_code.to_string()),
            result.map_or("-".to_owned(), |result| result.result_hash.short()),
            text::distance(seat, view),
            text::judgement(seat).to_owned(),
            seat.reason.clone().unwrap_or_else(|| text::progress(seat, view.state)),
        ]
    });
    table(&["NODE", "EXIT", "OUTPUT", "DISTANCE", "VERDICT", "WHY"], rows)
}

/// The end in one sentence.
pub(super) fn summary(view: &JobView) -> String {
    let job = text::job(view.job);
    let reason = view.failure.as_deref().map_or(String::new(), |failure| format!(": {failure}"));
    match view.state {
        JobState::Verified => {
            let verdict = view.verdict.as_ref();
            let agreed = verdict.map_or(0, |verdict| verdict.accepted.len());
            let note = verdict.map_or("", |verdict| verdict.note.as_str());
            let alone = if view.deal.concurrency == 1 { "; one run: nothing was compared" } else { "" };
            let streamed = match verdict {
                Some(verdict) if !verdict.independent => "; not independent: logs were live",
                _ => "",
            };
            format!(
                "job {job} verified: {agreed} of {} nodes agree ({note}{alone}{streamed})",
                view.deal.concurrency
            )
        }
        JobState::Inconclusive => {
            let note = view.verdict.as_ref().map_or("", |verdict| verdict.note.as_str());
            format!("job {job} is inconclusive: {note}")
        }
        JobState::Failed => format!("job {job} failed{reason}"),
        JobState::Cancelled => format!("job {job} was cancelled"),
        JobState::Expired => format!("job {job} expired{reason}"),
        JobState::Open | JobState::Running | JobState::Revealing => {
            format!("job {job} hangs: a deadline passed and its requester does not answer{reason}")
        }
    }
}

/// What to do after a job that left no result.
fn advice(view: &JobView) -> Option<String> {
    let id = text::job(view.job);
    Some(match view.state {
        JobState::Verified | JobState::Cancelled => return None,
        JobState::Inconclusive if view.deal.escalation_limit > 0 => {
            format!("a larger job may follow it up; see assay job describe {id}")
        }
        JobState::Inconclusive => format!("see how far apart the runs are: assay verdict show {id}"),
        JobState::Failed => match failed_status(view) {
            ExitStatus::Deadline => format!("allow more time with --timeout; see assay job describe {id}"),
            _ => format!("see assay job describe {id}"),
        },
        JobState::Expired => "see which nodes there are: assay node list".to_owned(),
        JobState::Open | JobState::Running | JobState::Revealing => {
            "start the requester's node again; it goes on where it was".to_owned()
        }
    })
}

/// Tells the user how a job ended: what the accepted run printed on standard output, all else aside.
pub(super) async fn tell(client: &Client, view: &JobView, output: Output) -> Result<ExitStatus, CliError> {
    let mut printed = Vec::new();
    if view.state == JobState::Verified {
        let download = client.output(&view.job.to_string()).await;
        let download = download.map_err(CliError::node(format!("read the output of job {}", view.job)))?;
        let saved = download.save(&mut printed, MAX_STREAM_BYTES).await;
        saved.map_err(CliError::node(format!("read the output of job {}", view.job)))?;
    }
    if output.is_json() {
        output.document(&EndDocument::new(view, Some(&printed)))?;
    } else {
        output.data(&printed)?;
        if !view.seats.is_empty() {
            output.note(verdict_table(view).trim_end());
        }
    }
    output.note(&summary(view));
    if let Some(advice) = advice(view) {
        output.note(&format!("hint: {advice}"));
    }
    Ok(exit_status(view))
}
