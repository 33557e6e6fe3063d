//! The list of jobs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Cursor, Member};
use crate::{
    domain::{JobId, JobState, NodeId, Timestamp},
    scheduler::FaultKind,
};

/// The query of `GET /api/v1/jobs`: which jobs, and how many of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct JobFilter {
    /// The most rows; 50 if it is not said, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The id of a group of the node's own jobs, or the beginning of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// In one of these states, by name and with commas between them; in any state if it is not said.
    #[serde(default, with = "names", skip_serializing_if = "Vec::is_empty")]
    #[param(value_type = Option<String>)]
    pub state: Vec<JobState>,
    /// Submitted at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The `next` of the page before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

impl JobFilter {
    /// Whether the state and the time of a job are wanted.
    pub fn has(&self, row: &JobRow) -> bool {
        (self.state.is_empty() || self.state.contains(&row.state))
            && self.since.is_none_or(|since| row.submitted_at >= since)
    }

    /// Whether only some jobs are wanted.
    pub const fn is_narrow(&self) -> bool {
        !self.state.is_empty() || self.since.is_some()
    }
}

/// Names of states in the one value that a query has for them.
mod names {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::JobState;

    pub(super) fn serialize<S: Serializer>(states: &[JobState], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&states.iter().map(|state| state.name()).collect::<Vec<_>>().join(","))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<JobState>, D::Error> {
        let text = String::deserialize(from)?;
        let state = |name: &str| {
            let known = || JobState::ALL.map(JobState::name).join(", ");
            JobState::named(name)
                .ok_or_else(|| D::Error::custom(format!("no state is named {name:?}: {}", known())))
        };
        text.split(',').map(state).collect()
    }
}

/// `GET /api/v1/jobs`, by a [`JobFilter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// How many jobs are wanted and known, among the newest 10,000 where a state or a time is named.
    pub total: usize,
    /// The newest of them first, as many as were asked for.
    pub jobs: Vec<JobRow>,
    /// What to ask `after` for older jobs; null where there are none. A page may be short, even empty, before the last.
    #[serde(default)]
    pub next: Option<Cursor>,
}

impl JobList {
    /// The page of these rows that follows `after`. Rows older than the `horizon` are left to later pages: jobs of the disk
    /// that belong between them have not been read.
    pub fn page(mut rows: Vec<JobRow>, after: Option<Cursor>, horizon: Option<Cursor>, limit: usize) -> Self {
        rows.sort_by_key(|row| row.cursor().key());
        // A job that leaves memory meanwhile may be among them twice.
        rows.dedup_by_key(|row| row.job);
        let total = rows.len();
        rows.retain(|row| {
            let place = row.cursor();
            place.is_after(after) && horizon.is_none_or(|last| !place.is_after(Some(last)))
        });
        let is_cut = rows.len() > limit;
        rows.truncate(limit);
        let next = if is_cut { rows.last().map(JobRow::cursor).or(after) } else { horizon };
        Self { total, jobs: rows, next }
    }
}

/// One row of a [`JobList`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobRow {
    /// The job.
    pub job: JobId,
    /// Who asked for it.
    pub requester: NodeId,
    /// The state now. It is final if the log has ended.
    pub state: JobState,
    /// Whether this node cannot follow the job any more, so that the state may be old.
    pub is_broken: bool,
    /// How its requester broke its log; null unless this node holds the proof.
    #[serde(default)]
    pub fault: Option<FaultKind>,
    /// Whether a deadline passed while its requester, who alone can end it, does not answer.
    pub requester_gone: bool,
    /// The image as the requester named it.
    pub image: String,
    /// Its place in a group; null for a single job.
    #[serde(default)]
    pub member: Option<Member>,
    /// What runs in it.
    pub command: Vec<String>,
    /// N.
    pub concurrency: u8,
    /// How many seats are filled.
    pub seats: usize,
    /// How many results the verdict accepted; null before it.
    pub accepted: Option<usize>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended; null before.
    pub ended_at: Option<Timestamp>,
}

impl JobRow {
    /// Its place in the list.
    pub const fn cursor(&self) -> Cursor {
        Cursor { at: self.submitted_at, job: self.job }
    }
}
