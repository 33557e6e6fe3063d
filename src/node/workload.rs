//! What decides across the jobs of a node, and what makes each of them ask again.

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
    /// What the node still owes, as a level to wait for.
    obligations: watch::Sender<Obligations>,
    /// Jobs with a driver, each with the bell that makes it ask again.
    driven: Mutex<BTreeMap<JobId, Arc<Notify>>>,
}

impl Workload {
    pub(super) fn new(slots: usize) -> Self {
        let capacity = Mutex::new(Capacity::new(slots));
        Self { capacity, obligations: watch::Sender::default(), driven: Mutex::default() }
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
