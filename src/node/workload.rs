//! What decides across the jobs of a node, and what has each of them ask again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::{
    domain::JobId,
    policy::capacity::{Capacity, Obligations},
};

/// The jobs of a node, as far as they depend on each other.
#[derive(Debug)]
pub(super) struct Workload {
    capacity: Mutex<Capacity>,
    /// What is still owed, as a level to wait for.
    obligations: watch::Sender<Obligations>,
    /// Jobs that have a driver, and the bell that has it ask again.
    driven: Mutex<BTreeMap<JobId, Arc<Notify>>>,
}

impl Workload {
    pub(super) fn new(slots: usize) -> Self {
        let capacity = Mutex::new(Capacity::new(slots));
        Self { capacity, obligations: watch::Sender::default(), driven: Mutex::default() }
    }

    /// Jobs that have a driver.
    pub(super) fn driven(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Notify>>> {
        // A map of bells cannot be left half changed.
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is still owed, now and as it changes.
    pub(super) fn obligations(&self) -> watch::Receiver<Obligations> {
        self.obligations.subscribe()
    }

    /// Asks, or tells, what decides across jobs; has the jobs that may go on then ask again.
    pub(super) fn with_capacity<T>(&self, act: impl FnOnce(&mut Capacity) -> (T, Vec<JobId>)) -> T {
        let (answer, ring) = {
            // A panic inside leaves places that the next question of each job sets right.
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
