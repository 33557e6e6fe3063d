//! Ended jobs leave memory, and are read from the store when somebody asks about them.

use super::{HeldLog, Logs, retired};
use crate::{
    domain::{Job, JobId},
    scheduler::{BackendError, stored::store_error},
    store::EndedJob,
};

impl Logs {
    /// Keeps ended jobs in the store alone. What strangers announced stays: it is bounded, and goes whole.
    pub(in super::super) fn retire(&self, ended: Vec<EndedJob>) -> Result<Vec<JobId>, BackendError> {
        let me = self.key.node_id();
        let failed = |error: &dyn std::error::Error| store_error(error);
        let (here, gone): (Vec<EndedJob>, Vec<EndedJob>) = {
            let inner = self.lock();
            ended.into_iter().partition(|ended| inner.jobs.contains_key(&ended.job))
        };
        let here: Vec<EndedJob> = {
            let inner = self.lock();
            let may_go = |ended: &EndedJob| inner.jobs.get(&ended.job).is_some_and(|log| log.may_go(me));
            here.into_iter().filter(may_go).collect()
        };
        let mut retired = self.store.retire(&here).map_err(|error| failed(&error))?;
        for ended in here.iter().filter(|ended| retired.contains(&ended.job)) {
            // Whoever is changing the log takes it back from the store, or has put another one in its place.
            let _turn = self.turn(ended.job);
            let mut inner = self.lock();
            if inner.jobs.get(&ended.job).is_some_and(|log| log.job_log().height() == ended.height) {
                inner.remove(ended.job);
            }
            inner.known.extend(ended.is_honest.then_some(ended.requester));
        }
        for ended in gone {
            if self.store.ended().contains(ended.job).map_err(|error| failed(&error))? {
                retired.push(ended.job);
            }
        }
        Ok(retired)
    }

    /// The log of a job, from memory or, if it was retired, from the store. Says whether it is in memory.
    pub(super) fn held(&self, job: JobId) -> Option<(HeldLog, bool)> {
        let held = self.lock().jobs.get(&job).cloned();
        held.map(|log| (log, true)).or_else(|| Some((self.retired(job)?, false)))
    }

    /// The log of a retired job, read from the store.
    pub(super) fn retired(&self, job: JobId) -> Option<HeldLog> {
        retired(&self.key, self.domain, &self.store, job)
    }

    /// A job that others follow up.
    pub(super) fn parent(&self, job: JobId) -> Option<Job> {
        let held = self.lock().job(job).cloned();
        held.or_else(|| Some(self.retired(job)?.job().clone()))
    }
}
