//! One line about a group while its jobs run: redrawn in place on a terminal, else written when it has got further.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::{api::types::JobRow, cli::output::Output, domain::JobState};

/// How often a live line advances its spinner.
const TICK: Duration = Duration::from_millis(120);

/// How many lines are written of a group without a terminal, at most and about.
const LINES: usize = 20;

/// Shows a group, from one look at it to the next.
#[derive(Debug)]
pub(in crate::cli) struct GroupProgress {
    output: Output,
    began: Instant,
    /// The step of the last line.
    told: Option<usize>,
    live: Option<ProgressBar>,
}

impl GroupProgress {
    pub(in crate::cli) fn new(output: Output) -> Self {
        let live = output.is_live().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { output, began: Instant::now(), told: None, live }
    }

    /// Shows these rows of a group that will have `jobs` jobs.
    pub(in crate::cli) fn show<'a>(&mut self, rows: impl Iterator<Item = &'a JobRow>, jobs: usize) {
        let (line, ended) = line(rows, jobs);
        if let Some(bar) = &self.live {
            bar.set_message(line);
            return;
        }
        let step = step(ended, jobs);
        if self.told == Some(step) {
            return;
        }
        self.told = Some(step);
        let elapsed = self.began.elapsed();
        let (secs, tenths) = (elapsed.as_secs(), elapsed.subsec_millis() / 100);
        self.output.note(&format!("[{secs:>3}.{tenths}s] {line}"));
    }

    /// Tells something else, above a live line.
    pub(in crate::cli) fn note(&self, text: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    /// Removes a live line, so that what follows starts on a clean one.
    pub(in crate::cli) fn finish(&self) {
        if let Some(bar) = &self.live {
            bar.finish_and_clear();
        }
    }
}

/// The part of the group that has ended, in steps of which few are told.
fn step(ended: usize, jobs: usize) -> usize {
    ended.saturating_mul(LINES) / jobs.max(1)
}

/// How many of the jobs are in each state, and how many have ended.
fn line<'a>(rows: impl Iterator<Item = &'a JobRow>, jobs: usize) -> (String, usize) {
    let mut states: BTreeMap<JobState, usize> = BTreeMap::new();
    for row in rows {
        *states.entry(row.state).or_default() += 1;
    }
    let known: usize = states.values().sum();
    let ended = states.iter().filter(|(state, _)| state.is_terminal()).map(|(_, count)| count).sum();
    let mut parts: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if known < jobs {
        parts.push(format!("{} to submit", jobs - known));
    }
    (format!("{ended} of {jobs} jobs ended: {}", parts.join(", ")), ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sweep::summary::tests::row;

    #[test]
    fn a_line_counts_the_jobs_in_each_state_and_those_to_come() {
        let rows = [row(0, JobState::Verified), row(1, JobState::Open), row(2, JobState::Verified)];
        let (line, ended) = line(rows.iter(), 5);
        assert_eq!(line, "2 of 5 jobs ended: 1 open, 2 verified, 2 to submit");
        assert_eq!(ended, 2);
        let steps: std::collections::BTreeSet<usize> = (0..=1000).map(|ended| step(ended, 1000)).collect();
        assert_eq!(steps.len(), LINES + 1);
    }
}
