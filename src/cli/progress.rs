//! What happens to a job while the user waits: redrawn in place on a terminal, else one line for each change.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::{failure, output::Output, output::printable, text};
use crate::{
    api::types::{JobView, SeatView},
    domain::{JobState, NodeId},
};

/// How often a live display advances its spinner.
const TICK: Duration = Duration::from_millis(120);

/// Shows a job, from one view of it to the next.
#[derive(Debug)]
pub(super) struct Progress {
    output: Output,
    began: Instant,
    /// The last message by subject, so that nothing is said twice.
    said: BTreeMap<Subject, String>,
    live: Option<Live>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Job,
    Node(NodeId),
}

#[derive(Debug)]
struct Live {
    bars: MultiProgress,
    lines: BTreeMap<Subject, ProgressBar>,
}

impl Progress {
    pub(super) fn new(output: Output) -> Self {
        let live = output.is_live().then(|| Live {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            lines: BTreeMap::new(),
        });
        Self { output, began: Instant::now(), said: BTreeMap::new(), live }
    }

    /// Shows what is new in `view`.
    pub(super) fn show(&mut self, view: &JobView) {
        let refill = failure::refill(view);
        let waits = refill.as_ref().map_or(String::new(), |refill| format!("; {}", refill.waits));
        let left = refill.map_or(String::new(), |refill| format!(", {}", refill.left));
        self.say(Subject::Job, job_line(view) + &waits, &left);
        for seat in &view.seats {
            self.say(Subject::Node(seat.node), seat_line(seat, view), "");
        }
    }

    /// Removes a live display, so that what follows starts on a clean line.
    pub(super) fn finish(&self) {
        if let Some(live) = &self.live {
            live.lines.values().for_each(ProgressBar::finish_and_clear);
            // A terminal that is gone needs no cleaning.
            let _ = live.bars.clear();
        }
    }

    /// Writes a line unless it repeats the last one. A change of `left` alone is not news, since it changes by itself.
    fn say(&mut self, subject: Subject, line: String, left: &str) {
        if self.said.get(&subject) == Some(&line) {
            return;
        }
        let shown = printable(&format!("{line}{left}"));
        let name = match subject {
            Subject::Job => "job".to_owned(),
            Subject::Node(node) => format!("node {}", text::node(node)),
        };
        match &mut self.live {
            Some(live) => live.set(subject, &name, shown),
            None => {
                let elapsed = self.began.elapsed();
                let (secs, tenths) = (elapsed.as_secs(), elapsed.subsec_millis() / 100);
                self.output.note(&format!("[{secs:>3}.{tenths}s] {name:<13}  {shown}"));
            }
        }
        self.said.insert(subject, line);
    }
}

impl Live {
    fn set(&mut self, subject: Subject, name: &str, line: String) {
        let bars = &self.bars;
        let bar = self.lines.entry(subject).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner} {prefix:<13}  {msg}  {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            bar.set_style(style);
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(line);
    }
}

/// The state of the job, and the bounds on it when it begins.
fn job_line(view: &JobView) -> String {
    let (seats, wanted) = (view.seats.len(), view.asked);
    match view.state {
        JobState::Open if seats == 0 => {
            format!("open, {wanted} nodes wanted within {}", text::term(view.deal.open))
        }
        JobState::Open => format!("open, {seats} of {wanted} nodes accepted"),
        JobState::Running => format!("running, {} at most", text::term(view.deal.run)),
        JobState::Revealing => format!("revealing, {} at most", text::term(view.deal.reveal)),
        JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => view.state.to_string(),
    }
}

/// The state of a seat's execution, and why it gave no result if it did not.
fn seat_line(seat: &SeatView, view: &JobView) -> String {
    let progress = text::progress(seat, view.state);
    failure::of_seat(seat, view).map_or(progress, |why| format!("failed: {why}"))
}
