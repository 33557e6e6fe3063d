//! How a job ended: its document, the sentence about it, the verdict table and the exit code.

use serde::Serialize;

use super::{
    CliError, ExitStatus, accepted,
    client::Client,
    document::Document,
    doubts::{self, Doubts},
    failure,
    fetch::FetchedResult,
    output::{Output, table},
    text,
};
use crate::{
    api::types::{JobView, SeatView, VerdictView},
    domain::{FailureKind, JobId, JobState},
    executor::MAX_STREAM_BYTES,
};

/// How a job ended, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct EndDocument<'a> {
    job: JobId,
    state: JobState,
    /// Whether the log ends in that state, so that it cannot change.
    is_final: bool,
    /// The program's exit code in the accepted run; null without one.
    program_exit_code: Option<i32>,
    /// The exit code of this command.
    exit_code: u8,
    /// Why there is no verdict, for people.
    failure: Option<&'a str>,
    /// The end, in one sentence.
    summary: String,
    /// What to do next, if there is something to do.
    hint: Option<String>,
    #[serde(flatten)]
    doubts: &'a Doubts,
    verdict: Option<&'a VerdictView>,
    seats: &'a [SeatView],
    /// The output of the accepted run, with replacement characters where it is not UTF-8.
    stdout: String,
    /// Where accepted results were fetched to, if they were.
    results: &'a [FetchedResult],
}

impl Document for EndDocument<'_> {}

/// A job that has ended, with all that is shown of it.
#[derive(Debug)]
pub(super) struct Ending {
    view: Box<JobView>,
    printed: Vec<u8>,
    doubts: Doubts,
    results: Vec<FetchedResult>,
}

impl Ending {
    /// Collects the output of the accepted run, and the doubts about it.
    pub(super) async fn of(client: &Client, view: Box<JobView>) -> Result<Self, CliError> {
        let mut printed = Vec::new();
        if view.state == JobState::Verified {
            let failed = || CliError::node(format!("read the output of job {}", view.job));
            let download = client.output(&view.job.to_string()).await.map_err(failed())?;
            download.save(&mut printed, MAX_STREAM_BYTES).await.map_err(failed())?;
        }
        let doubts = Doubts::of(client, &view).await;
        Ok(Self { view, printed, doubts, results: Vec::new() })
    }

    /// The same, with the directory that results were fetched to.
    pub(super) fn with_results(self, results: Vec<FetchedResult>) -> Self {
        Self { results, ..self }
    }

    pub(super) fn exit_status(&self) -> ExitStatus {
        exit_status(&self.view)
    }

    pub(super) fn document(&self) -> EndDocument<'_> {
        let Self { view, printed, doubts, results } = self;
        EndDocument {
            job: view.job,
            state: view.state,
            is_final: view.state.is_terminal(),
            program_exit_code: accepted::seat(view)
                .and_then(|seat| seat.result)
                .map(|result| result.exit_code),
            exit_code: exit_status(view).code(),
            failure: view.failure.as_deref(),
            summary: summary(view),
            hint: advice(view),
            doubts,
            verdict: view.verdict.as_ref(),
            seats: &view.seats,
            stdout: String::from_utf8_lossy(printed).into_owned(),
            results,
        }
    }

    /// Shows the user how the job ended: the accepted run's output on standard output, the rest on standard error.
    pub(super) fn tell(&self, output: Output) -> Result<ExitStatus, CliError> {
        let view = &self.view;
        if output.is_document() {
            output.document(&self.document())?;
        } else {
            output.printed(&self.printed, false)?;
            if !view.seats.is_empty() {
                output.note(verdict_table(view).trim_end());
            }
        }
        self.say_why(output);
        Ok(self.exit_status())
    }

    /// The end in a sentence, the doubts about it, and what to do next.
    pub(super) fn say_why(&self, output: Output) {
        let Self { view, doubts, .. } = self;
        // `--quiet` still says why there is no good result.
        let say = |text: &str| if is_good(view) { output.note(text) } else { output.outcome(text) };
        say(&summary(view));
        if let Some(code) = accepted::bad_exit(view) {
            say(&format!("the program ended with exit code {code}, on every node that agrees"));
        }
        let doubts = doubts.lines();
        if !doubts.is_empty() {
            output.outcome(doubts.trim_end());
        }
        if let Some(advice) = advice(view) {
            say(&format!("hint: {advice}"));
        }
    }
}

/// The exit code for this job's end.
pub(super) fn exit_status(view: &JobView) -> ExitStatus {
    match view.state {
        JobState::Verified => {
            let code = accepted::seat(view).and_then(|seat| seat.result).map(|result| result.exit_code);
            code.and_then(|code| u8::try_from(code).ok()).map_or(ExitStatus::Failure, ExitStatus::Program)
        }
        JobState::Inconclusive => ExitStatus::NoResult,
        JobState::Failed => failed_status(view),
        JobState::Cancelled => ExitStatus::Cancelled,
        JobState::Expired => ExitStatus::NoNode,
        // A deadline passed, but the sequencer did not record it.
        JobState::Open | JobState::Running | JobState::Revealing => ExitStatus::Unreachable,
    }
}

/// The exit code by the most frequent reported failure. Nodes without a report missed a deadline.
fn failed_status(view: &JobView) -> ExitStatus {
    match view.commonest_failure {
        None | Some(FailureKind::Timeout) => ExitStatus::Deadline,
        Some(
            FailureKind::Memory
            | FailureKind::Disk
            | FailureKind::Interrupted
            | FailureKind::Output
            | FailureKind::Command
            | FailureKind::WorkingDirectory
            | FailureKind::Killed,
        ) => ExitStatus::NoResult,
        Some(FailureKind::Engine | FailureKind::Image | FailureKind::Input | FailureKind::Platform) => {
            ExitStatus::NoNode
        }
    }
}

/// The reason for a seat's judgement: how it failed, what the verdict says, or how far it is.
fn why(seat: &SeatView, view: &JobView) -> String {
    let known = failure::of_seat(seat, view).or_else(|| seat.reason.clone());
    known.unwrap_or_else(|| text::progress(seat, view.state))
}

/// The verdict's judgement on each seat, with its reason.
pub(super) fn verdict_table(view: &JobView) -> String {
    let rows = view.seats.iter().map(|seat| {
        let result = seat.result.as_ref();
        vec![
            text::node(seat.node),
            result.map_or("-".to_owned(), |result| result.exit_code.to_string()),
            result.map_or("-".to_owned(), |result| result.result_hash.short()),
            text::distance(seat, view),
            text::judgement(seat).to_owned(),
            why(seat, view),
        ]
    });
    table(&["NODE", "EXIT", "OUTPUT", "DISTANCE", "VERDICT", "WHY"], rows)
}

/// The judgement on each seat, with its reason, from a log alone; empty before the job's end.
pub(super) fn recomputed_table(seats: &[SeatView]) -> String {
    if seats.iter().all(|seat| seat.reason.is_none()) {
        return String::new();
    }
    let rows = seats.iter().map(|seat| {
        let output = seat.result.as_ref().map_or("-".to_owned(), |result| result.result_hash.short());
        let why = seat.reason.clone().unwrap_or_default();
        vec![text::node(seat.node), output, text::judgement(seat).to_owned(), why]
    });
    format!("\n{}", table(&["NODE", "OUTPUT", "VERDICT", "WHY"], rows))
}

/// The end, in one sentence.
pub(super) fn summary(view: &JobView) -> String {
    let job = text::job(view.job);
    let reason = view.failure.as_deref().map_or(String::new(), |failure| format!(": {failure}"));
    match view.state {
        JobState::Verified => {
            let verdict = view.verdict.as_ref();
            let agreed = verdict.map_or(0, |verdict| verdict.accepted.len());
            let note = verdict.map_or("", |verdict| verdict.note.text());
            let alone = if view.asked == 1 { "; one run: nothing was compared" } else { "" };
            let streamed = match verdict {
                Some(verdict) if !verdict.independent => "; not independent: logs were live",
                _ => "",
            };
            format!("job {job} verified: {agreed} of {} nodes agree ({note}{alone}{streamed})", view.asked)
        }
        JobState::Inconclusive => {
            let note = view.verdict.as_ref().map_or("", |verdict| verdict.note.text());
            format!("job {job} is inconclusive: {note}")
        }
        JobState::Failed => format!("job {job} failed{reason}"),
        JobState::Cancelled => format!("job {job} was cancelled"),
        JobState::Expired => format!("job {job} expired{reason}"),
        JobState::Open | JobState::Running | JobState::Revealing if view.broken.is_some() => {
            format!("job {job} was {} when this node last could follow it", view.state)
        }
        JobState::Open | JobState::Running | JobState::Revealing => {
            format!(
                "job {job} is {}: overdue, and its requester cannot be reached (not final){reason}",
                view.state
            )
        }
    }
}

/// Whether there is a result of a program that succeeded.
fn is_good(view: &JobView) -> bool {
    view.state == JobState::Verified && accepted::bad_exit(view).is_none()
}

/// What to do after a job without a result, or with a failed program.
fn advice(view: &JobView) -> Option<String> {
    let id = text::job(view.job);
    if let Some(broken) = &view.broken {
        return Some(broken.clone());
    }
    Some(match view.state {
        JobState::Verified if accepted::bad_exit(view).is_some() => {
            format!("see what it wrote to stderr: assay job logs {id} --stderr")
        }
        JobState::Verified if doubts::is_empty(view) => {
            "have the program print its result, or write it to a file in /outputs".to_owned()
        }
        JobState::Verified | JobState::Cancelled => return None,
        JobState::Inconclusive if view.deal.escalation_limit > 0 => {
            format!("a larger job may follow it up; see assay job describe {id}")
        }
        JobState::Inconclusive => format!("see how far apart the runs are: assay verdict show {id}"),
        JobState::Failed => {
            let remedy = view.commonest_failure.map_or("allow more time with --timeout", failure::hint);
            format!("{remedy}; see assay job describe {id}")
        }
        JobState::Expired => "see which nodes there are: assay node list".to_owned(),
        JobState::Open | JobState::Running | JobState::Revealing => {
            "start the requester's node again; it resumes the job".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::tests::{failed_view, verified_view};

    #[test]
    fn a_program_that_failed_is_told_with_the_way_to_its_stderr() {
        let view = verified_view(127);
        let job = text::job(view.job);
        assert_eq!(exit_status(&view), ExitStatus::Program(127));
        assert_eq!(accepted::bad_exit(&view), Some(127));
        assert_eq!(
            advice(&view),
            Some(format!("see what it wrote to stderr: assay job logs {job} --stderr"))
        );
        assert_eq!((accepted::bad_exit(&verified_view(0)), advice(&verified_view(0))), (None, None));
    }

    #[test]
    fn a_job_that_cannot_be_followed_is_told_with_the_reason() {
        let view = JobView {
            broken: Some("contract and rules disagree".to_owned()),
            ..failed_view(FailureKind::Disk, JobState::Running)
        };
        assert!(summary(&view).ends_with("was running when this node last could follow it"));
        assert_eq!(advice(&view), view.broken);
        assert_eq!(exit_status(&view), ExitStatus::Unreachable);
    }

    #[test]
    fn an_overdue_job_whose_requester_is_away_has_not_ended() {
        let view = JobView { requester_gone: true, ..failed_view(FailureKind::Disk, JobState::Running) };
        assert!(summary(&view).contains("overdue, and its requester cannot be reached (not final)"));
        assert_eq!(exit_status(&view), ExitStatus::Unreachable);
    }

    #[test]
    fn a_failed_job_has_the_remedy_of_its_commonest_failure() {
        for (kind, code, remedy) in [
            (FailureKind::Timeout, 122, "--timeout"),
            (FailureKind::Memory, 121, "--memory"),
            (FailureKind::Disk, 121, "--disk"),
            (FailureKind::Image, 120, "image"),
        ] {
            let view = failed_view(kind, JobState::Failed);
            assert_eq!(exit_status(&view).code(), code);
            assert!(advice(&view).unwrap().contains(remedy), "{kind}");
        }
        let mut taken = failed_view(FailureKind::Engine, JobState::Failed);
        taken.commonest_failure = Some(FailureKind::Memory);
        assert_eq!(exit_status(&taken).code(), 121, "reports of nodes whose seats others took count too");
        let table = verdict_table(&failed_view(FailureKind::Disk, JobState::Failed));
        assert!(table.contains("1 GiB to /outputs") && table.contains("16 MiB to stdout"), "{table}");
    }
}
