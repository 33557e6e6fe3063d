//! Ended jobs that left memory: read from the disk when somebody asks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tracing::error;

use crate::{
    domain::{Event, Job, JobId, LogDomain, Member, NodeId, SeatStatus},
    explain::one_line,
    policy::reputation::speaks_for_requester,
    rules::{Ledger, Rejection},
    scheduler::{Cursor, LogItem, Scheduler},
    store::{EndedJob, EndedJobs, JobContent},
};

/// Jobs that were asked for last and are kept at hand: a result is fetched in many pieces.
const RECENT: usize = 16;

/// An ended job and its log.
#[derive(Debug)]
pub(super) struct Past {
    pub(super) job: Job,
    pub(super) items: Vec<LogItem>,
    pub(super) followed_by: Option<JobId>,
    /// Why its log ends before the job does: the disk altered it.
    pub(super) broken: Option<String>,
}

/// What a list shows of an ended job, beside what the store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// The image as the requester named it.
    pub(crate) image: String,
    /// What ran in it.
    pub(crate) command: Vec<String>,
    /// Its place in a group; absent in rows from before.
    #[serde(default)]
    pub(crate) member: Option<Member>,
    /// N.
    pub(crate) concurrency: u8,
    /// How many seats were filled.
    pub(crate) seats: usize,
    /// How many results the verdict accepted.
    pub(crate) accepted: Option<usize>,
    /// Whether this node had a seat; absent in rows from before.
    #[serde(default)]
    pub(crate) has_seat: Option<bool>,
}

impl Summary {
    /// Whether this node may have had a seat in a job, by the summary in its row.
    pub(super) fn may_have_seat(bytes: &[u8]) -> bool {
        serde_json::from_slice(bytes).map_or(true, |summary: Self| summary.has_seat != Some(false))
    }
}

/// The jobs on the disk.
#[derive(Debug)]
pub(super) struct Archive {
    scheduler: Arc<dyn Scheduler>,
    ended: EndedJobs,
    recent: Mutex<VecDeque<Arc<Past>>>,
}

impl Archive {
    pub(super) fn new(scheduler: Arc<dyn Scheduler>, ended: EndedJobs) -> Self {
        Self { scheduler, ended, recent: Mutex::default() }
    }

    pub(super) fn domain(&self) -> LogDomain {
        self.scheduler.domain()
    }

    /// A job that ended and left memory. Blocks while it is read. What cannot be read is not there, and says so in the
    /// node's own log.
    pub(super) fn get(&self, job: JobId) -> Option<Arc<Past>> {
        let is_there = self.ended.contains(job).unwrap_or_else(|error| {
            error!(%job, error = %one_line(&error), "cannot look for an ended job");
            false
        });
        if !is_there {
            return None;
        }
        let known = self.recent().iter().find(|past| past.job.id == job).cloned();
        if known.is_some() {
            return known;
        }
        let past = Arc::new(self.read(job, None)?);
        let mut recent = self.recent();
        recent.push_front(Arc::clone(&past));
        recent.truncate(RECENT);
        Some(past)
    }

    /// The follow-up of a job, if that has left memory.
    pub(super) fn child_of(&self, job: JobId) -> Option<JobId> {
        self.ended.child_of(job).ok().flatten()
    }

    /// The job as it was before the entry at `before`, which is told now and makes it live again.
    pub(super) fn before(&self, job: JobId, before: Cursor) -> Option<Past> {
        self.read(job, Some(before))
    }

    /// Reads jobs again when they are asked for: they may have changed.
    pub(super) fn forget_recent(&self) {
        self.recent().clear();
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Past>>> {
        // Pushed and dropped whole.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, job: JobId, before: Option<Cursor>) -> Option<Past> {
        let (mut items, mut broken) = (Vec::new(), None);
        for item in self.scheduler.log_of(job) {
            match item {
                Ok(item) if before.is_none_or(|before| item.cursor < before) => items.push(item),
                Ok(_) => break,
                Err(error) => {
                    error!(%job, %error, "cannot read the rest of an ended job");
                    broken = Some(one_line(&error));
                }
            }
        }
        let folded = self.fold(job, &items);
        let folded =
            folded.inspect_err(|error| error!(%job, %error, "the rules refuse the log of an ended job"));
        let followed_by = self.child_of(job);
        Some(Past { job: folded.ok()?, items, followed_by, broken })
    }

    fn fold(&self, job: JobId, items: &[LogItem]) -> Result<Job, Rejection> {
        let mut ledger = Ledger::new(self.domain());
        for item in items {
            if let Event::Submitted { deal, .. } = &item.stamped.event
                && let Some(parent) = deal.parent.and_then(|parent| self.get(parent))
            {
                ledger.recall(parent.job.clone(), None);
            }
            ledger.apply(&item.stamped)?;
        }
        ledger.get(job).cloned().ok_or(Rejection::NoSuchJob)
    }
}

/// The row of a job that ended, whose log has `height` entries; `None` for one that can still change.
pub(super) fn row_of(job: &Job, height: usize, me: NodeId) -> Option<EndedJob> {
    if !job.state.is_terminal() {
        return None;
    }
    let summary = Summary {
        image: job.spec.image_name.clone(),
        command: job.spec.command.clone(),
        member: Member::of(&job.spec.environment),
        concurrency: job.deal.concurrency,
        seats: job.seats.len(),
        accepted: job.verdict.as_ref().map(|verdict| usize::from(verdict.accepted.len())),
        has_seat: Some(job.seat_of(me).is_some()),
    };
    Some(EndedJob {
        job: job.id,
        height: u64::try_from(height).ok()?,
        requester: job.requester,
        parent: job.deal.parent,
        state: job.state.name().to_owned(),
        submitted_at: job.submitted_at,
        ended_at: job.ended_at,
        member_of: summary.member.as_ref().map(|member| member.group.clone()),
        is_honest: speaks_for_requester(job, me),
        summary: serde_json::to_vec(&summary).expect("a summary is plain values"),
    })
}

/// What a job uses.
pub(super) fn content_of(job: &Job) -> JobContent {
    let results = job.seats.iter().filter_map(|seat| match seat.status {
        SeatStatus::Revealed(opening) => Some(opening.output_root),
        SeatStatus::Accepted | SeatStatus::Committed(_) | SeatStatus::Failed(_) => None,
    });
    let inputs = job.spec.inputs.iter().map(|input| input.digest).collect();
    JobContent { job: job.id, inputs, results: results.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_of_a_seat_and_one_from_before_may_have_had_one() {
        let row = |has_seat: &str| {
            format!(r#"{{"image":"x","command":[],"concurrency":1,"seats":1,"accepted":null{has_seat}}}"#)
        };
        let may = |text: &str| Summary::may_have_seat(text.as_bytes());
        assert!(may(&row(r#","has_seat":true"#)) && !may(&row(r#","has_seat":false"#)));
        assert!(may(&row("")) && may("of another program"), "then the job itself tells");
    }
}
