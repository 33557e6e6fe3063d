//! What a user, or the API, asks a node about its jobs. Changes nothing.

use super::{Node, RequestError, board::Snapshot};
use crate::{
    domain::{Job, JobId, Timestamp},
    scheduler::Anchor,
    store::Execution,
};

impl Node {
    /// The job as soon as this node reads in the log what `is_so` asks for; the caller bounds the wait.
    pub async fn when(&self, job: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        self.board.when(job, is_so).await
    }

    /// The log's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.moment().now
    }

    /// The job with this id, or the only one whose id begins so; `0x` may be left away.
    ///
    /// # Errors
    /// [`RequestError::UnknownPrefix`], [`RequestError::AmbiguousPrefix`].
    pub fn find_job(&self, text: &str) -> Result<JobId, RequestError> {
        let prefix = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
        let begins_so = |job: &Job| {
            let id = job.id.to_string();
            (!prefix.is_empty() && id.trim_start_matches("0x").starts_with(&prefix)).then_some(job.id)
        };
        let found: Vec<JobId> = self.board.read_all(begins_so).into_iter().flatten().collect();
        // Foreign text goes back to whoever sent it, but not all of it.
        let shown = || text.chars().take(2 + 64).collect();
        match *found {
            [job] => Ok(job),
            [] => Err(RequestError::UnknownPrefix { prefix: shown() }),
            _ => Err(RequestError::AmbiguousPrefix { prefix: shown(), matches: found.len() }),
        }
    }

    pub(crate) fn known_job(&self, job: JobId) -> Result<Job, RequestError> {
        Ok(self.board.snapshot(job).ok_or(RequestError::NoSuchJob(job))?.job)
    }

    /// A job, the one that followed it, and why it cannot be followed any more.
    pub(crate) fn describe(&self, job: JobId) -> Result<Snapshot, RequestError> {
        self.board.snapshot(job).ok_or(RequestError::NoSuchJob(job))
    }

    /// Where the entries of a job stand on a chain, if they do.
    pub(crate) async fn anchors(&self, job: JobId) -> Result<Vec<Anchor>, RequestError> {
        self.scheduler.anchors(job).await.map_err(RequestError::Backend)
    }

    /// This node's own run of a job.
    pub(crate) fn execution(&self, job: JobId) -> Result<Option<Execution>, RequestError> {
        Ok(self.executions.get(job)?)
    }
}
