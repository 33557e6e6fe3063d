//! What decides across the jobs of a node, and what makes each of them ask again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    domain::JobId,
    policy::{
        admission::Together,
        capacity::{Capacity, Obligations},
    },
};

/// How the slots of a node are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Runs.
    pub(crate) running: usize,
    /// Seats that wait for a slot.
    pub(crate) queued: usize,
    /// Both, and fresh bids.
    pub(crate) promised: usize,
}

/// A job that was never asked about, until this is dropped.
#[derive(Debug)]
pub(super) struct Unasked(Arc<watch::Sender<usize>>);

/// The jobs of a node, as far as they depend on each other.
#[derive(Debug)]
pub(super) struct Workload {
    capacity: Mutex<Capacity>,
    /// What the node still owes, as a level to wait for.
    obligations: watch::Sender<Obligations>,
    /// How many jobs with a driver were never asked about, so what the node owes there is unknown.
    unasked: Arc<watch::Sender<usize>>,
    /// Jobs with a driver, each with the bell that makes it ask again.
    driven: Mutex<BTreeMap<JobId, Arc<Notify>>>,
}

impl Workload {
    pub(super) fn new(slots: usize, together: Together) -> Self {
        let capacity = Mutex::new(Capacity::new(slots).within(together));
        Self {
            capacity,
            obligations: watch::Sender::default(),
            unasked: Arc::default(),
            driven: Mutex::default(),
        }
    }

    /// Jobs with a driver.
    pub(super) fn driven(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Notify>>> {
        // A map of bells cannot be left half changed.
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is still owed, now and as it changes.
    pub(super) fn obligations(&self) -> watch::Receiver<Obligations> {
        self.obligations.subscribe()
    }

    /// Counts a job about which nobody asked yet.
    pub(super) fn unasked(&self) -> Unasked {
        self.unasked.send_modify(|jobs| *jobs += 1);
        Unasked(Arc::clone(&self.unasked))
    }

    /// Waits until nothing is owed in any job, for `limit` at most. Returns what is owed then; `None` while a job with a
    /// driver was never asked about.
    pub(super) async fn settled(&self, limit: Duration) -> Option<Obligations> {
        let (mut unasked, mut owed) = (self.unasked.subscribe(), self.obligations());
        let is_settled = async {
            // The senders are in `self`, so the waits cannot fail.
            let _ = unasked.wait_for(|jobs| *jobs == 0).await;
            let _ = owed.wait_for(|owed| *owed == Obligations::default()).await;
        };
        // Time that has run out is an answer too.
        let _ = timeout(limit, is_settled).await;
        (*self.unasked.borrow() == 0).then(|| *self.obligations.borrow())
    }

    /// How the slots are used now.
    pub(super) fn load(&self, now_ms: u64) -> Load {
        self.with_capacity(|capacity| {
            let (running, queued) = (capacity.running(), capacity.queued());
            (Load { running, queued, promised: capacity.firm(now_ms) }, Vec::new())
        })
    }

    /// Has the node take nothing on, or go on, and every job ask again.
    pub(super) fn pause(&self, paused: bool) {
        self.with_capacity(|capacity| (capacity.pause(paused), Vec::new()));
        self.driven().values().for_each(|bell| bell.notify_one());
    }

    /// Asks or tells what decides across jobs, then makes the jobs that may go on ask again.
    pub(super) fn with_capacity<T>(&self, act: impl FnOnce(&mut Capacity) -> (T, Vec<JobId>)) -> T {
        let (answer, ring) = {
            // After a panic inside, the next question of each job corrects its places.
            let mut capacity = self.capacity.lock().unwrap_or_else(PoisonError::into_inner);
            let acted = act(&mut capacity);
            let owed = capacity.obligations();
            self.obligations.send_if_modified(|known| std::mem::replace(known, owed) != owed);
            acted
        };
        let driven = self.driven();
        ring.iter().filter_map(|job| driven.get(job)).for_each(|bell| bell.notify_one());
        answer
    }
}

impl Drop for Unasked {
    fn drop(&mut self) {
        self.0.send_modify(|jobs| *jobs -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_owed_is_unknown_until_every_job_was_asked_about() {
        let workload = Workload::new(1, Together::default());
        let unasked = workload.unasked();
        assert_eq!(workload.settled(Duration::ZERO).await, None);
        drop(unasked);
        assert_eq!(workload.settled(Duration::ZERO).await, Some(Obligations::default()));
    }
}
