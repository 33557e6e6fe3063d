//! What a verdict does not say: nodes may agree on a run that did not do what its user meant.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tempfile::TempDir;

use super::{accepted, client::Client, fetch, output::printable, text};
use crate::{
    api::types::{JobView, Judgement, SeatView},
    domain::{JobState, SummaryFault, SummaryWord},
    store::{self, STDERR},
};

/// How much of standard error is shown.
const MAX_TAIL_LINES: usize = 10;
const MAX_TAIL_BYTES: u64 = 4096;

/// A longer result is not fetched just for its standard error, in bytes.
const MAX_RESULT_BYTES: u64 = 64 << 20;

/// What may be wrong with an accepted result.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Doubts {
    /// The doubts, as sentences.
    pub(super) cautions: Vec<String>,
    /// The last lines of standard error, if there is a doubt or the program failed.
    pub(super) stderr_tail: Vec<String>,
}

impl Doubts {
    /// Examines the accepted result, or a run that kept numbers from being compared, and fetches it if something is wrong.
    pub(super) async fn of(client: &Client, view: &JobView) -> Self {
        let mut cautions = cautions(view);
        let failed = accepted::bad_exit(view).is_some();
        let void = without_summary(view);
        if !failed && cautions.is_empty() && void.is_none() {
            return Self::default();
        }
        let Some(seat) = void.or_else(|| accepted::seat(view)) else {
            return Self { cautions, stderr_tail: Vec::new() };
        };
        let fetched = fetched(client, view, seat).await;
        let result = fetched.as_ref().map(|(_scratch, result)| result.as_path());
        if void.is_some() {
            cautions.push(void_summary(view, seat, result));
        }
        let tail = result.and_then(|result| read_tail(&result.join(STDERR)).ok());
        Self { cautions, stderr_tail: tail.unwrap_or_default() }
    }

    /// All lines; empty if there is nothing to say.
    pub(super) fn lines(&self) -> String {
        let mut lines: String = self.cautions.iter().map(|caution| format!("caution: {caution}\n")).collect();
        if !self.stderr_tail.is_empty() {
            lines += "the end of its standard error:\n";
            lines.extend(self.stderr_tail.iter().map(|line| format!("  {}\n", printable(line))));
        }
        lines
    }
}

/// What is strange about the accepted result according to the log alone.
pub(super) fn cautions(view: &JobView) -> Vec<String> {
    let mut cautions = Vec::new();
    let Some(result) = accepted::seat(view).and_then(|seat| seat.result) else { return cautions };
    match result.exit_code {
        126 => cautions.push("exit code 126 usually means that the command cannot be executed".to_owned()),
        127 => cautions.push("exit code 127 usually means that the command was not found".to_owned()),
        _ => {}
    }
    if is_empty(view) {
        cautions.push("the output is empty: anybody could have guessed it".to_owned());
    }
    cautions
}

/// Whether the accepted run printed nothing and left no file in `/outputs`.
pub(super) fn is_empty(view: &JobView) -> bool {
    let result = accepted::seat(view).filter(|_| view.state == JobState::Verified);
    let result = result.and_then(|seat| seat.result);
    result.is_some_and(|result| result.result_hash == store::empty_result_hash(view.job, result.exit_code))
}

/// A run that has no summary although the deal compares one, so that it agrees with equal outputs alone: the accepted run, or
/// where none is accepted the first of those that are compared.
fn without_summary(view: &JobView) -> Option<&SeatView> {
    let lacks = |seat: &&SeatView| seat.result.is_some_and(|result| result.summary.is_none());
    let seat = if view.state == JobState::Inconclusive {
        view.seats.iter().find(lacks)
    } else {
        accepted::seat(view).filter(lacks)
    };
    seat.filter(|_| view.deal.summary.is_some())
}

/// What is said of a run without a summary. Why it has none is only known to whoever has the result: a node keeps one that is
/// not paid for.
fn void_summary(view: &JobView, seat: &SeatView, result: Option<&Path>) -> String {
    let is_accepted = seat.judgement == Some(Judgement::Accepted);
    let whose = if is_accepted {
        "its summary".to_owned()
    } else {
        format!("the summary of {}", text::node(seat.node))
    };
    let fault = result.and_then(|result| summary_fault(view, result));
    let why = fault.map_or(String::new(), |fault| format!(": {fault}"));
    format!("{whose} is void, so its numbers were not compared{why}")
}

/// Why a result has no summary; nothing if it cannot be read.
fn summary_fault(view: &JobView, result: &Path) -> Option<SummaryFault> {
    let content = store::summary_content(result, &view.spec.summary_file).ok()?;
    let form = view.deal.summary?;
    content.and_then(|content| SummaryWord::of(form, &content)).err()
}

/// The result of a seat, and the directory that holds it; nothing if it is unavailable, because the job's end can be shown
/// without it.
async fn fetched(client: &Client, view: &JobView, seat: &SeatView) -> Option<(TempDir, PathBuf)> {
    let scratch = tempfile::tempdir().ok()?;
    let result = scratch.path().join("result");
    match fetch::fetch_within(client, view, seat, &result, MAX_RESULT_BYTES).await {
        Ok(()) => Some((scratch, result)),
        Err(error) => {
            tracing::debug!(%error, node = text::node(seat.node), "the result is not shown");
            None
        }
    }
}

fn read_tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().rev().take(MAX_TAIL_LINES).map(str::to_owned).collect();
    lines.reverse();
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::tests::{failed_view, verified_view};
    use crate::domain::{FailureKind, SUMMARY_FILE};
    use crate::store::OUTPUTS;

    fn empty_view(exit_code: i32) -> JobView {
        let mut view = verified_view(exit_code);
        let result = view.seats[0].result.as_mut().unwrap();
        result.result_hash = store::empty_result_hash(view.job, exit_code);
        view
    }

    #[test]
    fn an_empty_output_and_a_command_that_did_not_start_are_cautioned() {
        assert_eq!(cautions(&verified_view(0)), [""; 0]);
        assert_eq!(cautions(&empty_view(0)), ["the output is empty: anybody could have guessed it"]);
        assert_eq!(cautions(&empty_view(127)).len(), 2);
        assert!(cautions(&verified_view(126))[0].contains("cannot be executed"));
        assert_eq!(cautions(&verified_view(7)), [""; 0]);
        assert_eq!(cautions(&failed_view(FailureKind::Memory, JobState::Failed)), [""; 0]);
    }

    #[test]
    fn a_run_without_the_summary_that_its_deal_compares_says_why() {
        let form = Some("exact,exact".parse().unwrap());
        let deal = crate::domain::Deal { summary: form, ..crate::domain::Deal::default() };
        let view = JobView { deal, ..verified_view(0) };
        assert!(without_summary(&view).is_some() && without_summary(&verified_view(0)).is_none());
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(summary_fault(&view, dir.path()), Some(SummaryFault::Missing));
        std::fs::create_dir(dir.path().join(OUTPUTS)).unwrap();
        std::fs::write(dir.path().join(OUTPUTS).join(SUMMARY_FILE), "1").unwrap();
        assert_eq!(summary_fault(&view, dir.path()), Some(SummaryFault::Count { found: 1, expected: 2 }));
        let said = |view: &JobView, result| void_summary(view, &view.seats[0], result);
        let why = ": the summary has 1 numbers, the deal has 2";
        let void = "is void, so its numbers were not compared";
        assert_eq!(said(&view, Some(dir.path())), format!("its summary {void}{why}"));
        // Without a verdict any run may be the one, and its node may keep the result.
        let mut undecided = JobView { state: JobState::Inconclusive, ..view };
        undecided.seats[0].judgement = None;
        let node = text::node(undecided.seats[0].node);
        assert_eq!(without_summary(&undecided).map(|seat| seat.node), Some(undecided.seats[0].node));
        assert_eq!(said(&undecided, Some(dir.path())), format!("the summary of {node} {void}{why}"));
        assert_eq!(said(&undecided, None), format!("the summary of {node} {void}"));
    }

    #[test]
    fn the_end_of_standard_error_is_bounded_and_cannot_steer_a_terminal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let long: String = (0..5000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(file.path(), long + "\x1b[2Jlast\n").unwrap();
        let tail = read_tail(file.path()).unwrap();
        assert_eq!((tail.len(), tail[0].as_str()), (MAX_TAIL_LINES, "line 4991"));
        let doubts = Doubts { cautions: vec![], stderr_tail: tail };
        assert!(doubts.lines().ends_with("  \\u{1b}[2Jlast\n"), "{}", doubts.lines());
        std::fs::write(file.path(), "x".repeat(100_000)).unwrap();
        assert_eq!(read_tail(file.path()).unwrap()[0].len(), 4096);
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(read_tail(file.path()).unwrap(), [""; 0]);
        assert_eq!(Doubts::default().lines(), "");
    }
}
