//! The log of one job as it grows, for readers that follow it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Node, RequestError};
use crate::{
    domain::{Digest, JobId},
    scheduler::LogItem,
};

/// The rest of a job's log, until the job ends, its log breaks, or the node stops.
#[derive(Debug)]
pub(crate) struct Entries {
    node: Arc<Node>,
    job: JobId,
    /// The entries that the reader has. Where a chain took entries back, others come at their heights.
    sent: Vec<Digest>,
    changed: watch::Receiver<u64>,
}

impl Node {
    /// All entries of a job so far, each with its height.
    pub(crate) fn entries(&self, job: JobId) -> Vec<(u64, LogItem)> {
        (1..).zip(self.board.entries_after(job, 0)).collect()
    }

    /// The entries of a job above the height that the reader has, and those to come.
    ///
    /// # Errors
    /// [`RequestError::NoSuchJob`].
    pub(crate) fn follow_entries(self: Arc<Self>, job: JobId, after: u64) -> Result<Entries, RequestError> {
        let changed = self.board.watch(job).ok_or(RequestError::NoSuchJob(job))?;
        let known = self.board.entries_after(job, 0).into_iter();
        let sent = known.take(usize::try_from(after).unwrap_or(usize::MAX)).map(|item| item.entry).collect();
        Ok(Entries { node: self, job, sent, changed })
    }
}

impl Entries {
    /// The next entries, each with its height, as soon as there are some; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Vec<(u64, LogItem)>> {
        loop {
            self.changed.borrow_and_update();
            // In this order: entries read after the job was seen to end are complete.
            let is_over = self.node.board.read(self.job, |job| job.state.is_terminal()).unwrap_or(false)
                || self.node.board.is_broken(self.job);
            let (same, items) = self.node.board.entries_beyond(self.job, &self.sent);
            self.sent.truncate(same);
            if !items.is_empty() {
                self.sent.extend(items.iter().map(|item| item.entry));
                let height = u64::try_from(same).unwrap_or(u64::MAX);
                return Some((height + 1..).zip(items).collect());
            }
            if is_over {
                return None;
            }
            self.node.stop.run_until_cancelled(self.changed.changed()).await?.ok()?;
        }
    }
}
