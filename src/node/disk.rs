//! Whether the disks of a node have room for work.
//!
//! A node on a full disk can neither finish runs nor record them, and its jobs would blame it. So it takes nothing on until
//! there is room again. The data directory and the scratch directory may lie on different disks.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Node, warnings::Obstacle};
use crate::{
    domain::Job,
    executor::{RESERVE_BYTES, free_bytes},
};

/// How long the disk counts as full for a job that found too little room. The job asks again before that.
const SHORT_MS: u64 = 15_000;

/// Pause between two looks at a disk that was full when a run was to begin.
const PAUSE: Duration = Duration::from_secs(1);

impl Node {
    /// The problem, if a disk of this node has fewer free bytes than `needed` plus the reserve.
    fn short_of_disk(&self, needed: u64) -> Option<String> {
        let least = needed.saturating_add(RESERVE_BYTES);
        [self.store_path(), self.scratch()].into_iter().find_map(|path| {
            // A path that cannot be checked is not a full disk. Whatever fails on it will say so.
            let free = free_bytes(&path).ok().filter(|free| *free < least)?;
            let path = path.display();
            Some(format!("no bids: the disk of {path} has {free} bytes free, and a job needs {least}"))
        })
    }

    /// Whether the disks of this node have room for a job that may write `needed` bytes. Warns if not.
    pub(crate) fn has_disk_for(&self, needed: u64) -> bool {
        let Some(message) = self.short_of_disk(needed) else { return true };
        let moment = self.clock.moment();
        self.disk_short_until_ms.store(moment.elapsed_ms.saturating_add(SHORT_MS), Ordering::Relaxed);
        self.warnings.raise(Obstacle::DiskFull, None, moment.now, message);
        false
    }

    /// Warns while a disk is full, and says so once it is not.
    pub(crate) fn look_at_disks(&self) {
        let moment = self.clock.moment();
        match self.short_of_disk(0) {
            Some(message) => self.warnings.raise(Obstacle::DiskFull, None, moment.now, message),
            None if moment.elapsed_ms < self.disk_short_until_ms.load(Ordering::Relaxed) => {}
            None => self.warnings.clear(Obstacle::DiskFull, None),
        }
    }

    /// Waits until no disk is full, but no longer than another node could still take the seat, since a run without room
    /// fails at once.
    pub(crate) async fn wait_for_disk(&self, job: &Job, cancel: &CancellationToken) {
        while self.short_of_disk(0).is_some() && self.clock.moment().now < job.refill_by() {
            if cancel.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }
}
