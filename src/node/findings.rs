//! Why this node does not bid for jobs that it has looked at: the last reason for each.
//!
//! In memory: a node that starts anew looks anew.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::JobId;

/// The most jobs with a reason, since strangers can submit any number of them.
const MOST: usize = 1024;

/// The longest reason, in bytes, since strangers write URLs and names.
const LONGEST: usize = 1024;

/// The reasons by job.
#[derive(Debug, Default)]
pub(crate) struct Findings(Mutex<BTreeMap<JobId, String>>);

impl Findings {
    /// Keeps why this node does not bid for the job now. Too many displace others.
    pub(crate) fn note(&self, job: JobId, mut reason: String) {
        reason.truncate(reason.floor_char_boundary(LONGEST));
        let mut held = self.lock();
        if held.len() >= MOST && !held.contains_key(&job) {
            held.pop_first();
        }
        held.insert(job, reason);
    }

    /// Forgets what kept this node from bidding for the job.
    pub(crate) fn clear(&self, job: JobId) {
        self.lock().remove(&job);
    }

    /// Why this node did not bid when it last looked.
    pub(crate) fn of(&self, job: JobId) -> Option<String> {
        self.lock().get(&job).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, String>> {
        // Every change to the map is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(index: usize) -> JobId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&index.to_be_bytes());
        JobId::new(id)
    }

    #[test]
    fn the_last_reason_is_kept_until_it_is_over() {
        let findings = Findings::default();
        findings.note(job(1), "first".to_owned());
        findings.note(job(1), "second".to_owned());
        assert_eq!((findings.of(job(1)), findings.of(job(2))), (Some("second".to_owned()), None));
        findings.clear(job(1));
        assert_eq!(findings.of(job(1)), None);
    }

    #[test]
    fn strangers_cannot_fill_the_memory_with_reasons() {
        let findings = Findings::default();
        for index in 0..2 * MOST {
            findings.note(job(index), "\u{e9}".repeat(LONGEST));
        }
        assert_eq!(findings.lock().len(), MOST);
        assert!(findings.lock().values().all(|reason| reason.len() <= LONGEST));
        assert!(findings.of(job(2 * MOST - 1)).is_some(), "the newest is there");
    }
}
