//! What a node holds of its logs in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    entry::Entry,
    job_log::CheckedLog,
    room::{Heard, has_room_for_proof, heard},
    sequence::{Arrival, Follower, Receipt, Sequencer},
};
use crate::{
    domain::{Job, JobId, NodeId, Timestamp},
    scheduler::{BackendError, stored::store_error},
    store::EventLog,
};

#[derive(Default)]
pub(super) struct Inner {
    pub(super) jobs: BTreeMap<JobId, HeldLog>,
    pub(super) children: BTreeMap<JobId, JobId>,
    /// When jobs of others were announced last.
    pub(super) heard_at: BTreeMap<JobId, Timestamp>,
    /// Jobs whose logs are kept because they prove a fault of their requester.
    pub(super) proofs: BTreeSet<JobId>,
    /// Requesters that gave this node honest work in jobs that were retired.
    pub(super) known: BTreeSet<NodeId>,
}

#[derive(Clone)]
pub(super) enum HeldLog {
    Own(Box<Sequencer>),
    Followed(Box<Follower>),
}

impl Inner {
    pub(super) fn job(&self, job: JobId) -> Option<&Job> {
        self.jobs.get(&job).map(HeldLog::job)
    }

    pub(super) fn remove(&mut self, job: JobId) {
        self.heard_at.remove(&job);
        self.proofs.remove(&job);
        if let Some(log) = self.jobs.remove(&job)
            && let Some(parent) = log.job().deal.parent
        {
            self.children.remove(&parent);
        }
    }

    /// Lets others follow up what this job does.
    pub(super) fn disown(&mut self, job: JobId) {
        self.children.retain(|_, child| *child != job);
    }

    pub(super) fn heard(&self, me: NodeId, now: Timestamp) -> Vec<Heard> {
        let others = self.jobs.values().filter_map(|log| match log {
            HeldLog::Followed(follower) => Some(follower.job_log()),
            HeldLog::Own(_) => None,
        });
        let others: Vec<_> = others.collect();
        let mut heard = heard(&others, &self.known, &self.children, &self.heard_at, (me, now));
        heard.retain(|heard| !self.proofs.contains(&heard.job));
        heard
    }

    /// Keeps the log of a job if it proves a fault of its requester, and there is room for another proof.
    pub(super) fn keep_proof(&mut self, job: JobId) {
        let log_of = |job: &JobId| self.jobs.get(job).map(HeldLog::job_log);
        let held = |log: &CheckedLog| (log.job().requester, log.bytes());
        let is_proof =
            matches!(self.jobs.get(&job), Some(HeldLog::Followed(follower)) if follower.fault().is_some());
        let kept: Vec<_> = self.proofs.iter().filter_map(log_of).map(held).collect();
        if let Some((requester, bytes)) = log_of(&job).map(held).filter(|_| is_proof)
            && !self.proofs.contains(&job)
            && has_room_for_proof(&kept, requester, bytes)
        {
            self.proofs.insert(job);
        }
    }

    pub(super) fn insert(&mut self, log: HeldLog) {
        let (job, parent) = (log.job().id, log.job().deal.parent);
        if let Some(parent) = parent {
            self.children.insert(parent, job);
        }
        self.jobs.insert(job, log);
    }
}

impl HeldLog {
    /// Whether nothing needs this log in memory: it ended, `me` took part, and it proves no fault.
    pub(super) fn may_go(&self, me: NodeId) -> bool {
        let (is_sound, is_party) = match self {
            Self::Own(_) => (true, true),
            Self::Followed(follower) => (follower.fault().is_none(), self.job_log().next_sequence(me) > 0),
        };
        is_sound && is_party && self.job().state.is_terminal()
    }

    /// Finds the fault again that this node found before it was started.
    pub(super) fn break_again(&mut self, store: &EventLog, job: JobId) -> Result<(), BackendError> {
        let Self::Followed(follower) = self else { return Ok(()) };
        let Some(bytes) = store.fault(job).map_err(|error| store_error(&error))? else { return Ok(()) };
        let is_proof = Entry::decode(&bytes)
            .is_ok_and(|entry| follower.receive(entry, Arrival::Stored) == Receipt::Broken);
        if !is_proof {
            tracing::error!(%job, "the stored proof that a log is broken proves nothing");
        }
        Ok(())
    }

    pub(super) const fn job_log(&self) -> &CheckedLog {
        match self {
            Self::Own(sequencer) => sequencer.job_log(),
            Self::Followed(follower) => follower.job_log(),
        }
    }

    pub(super) const fn job(&self) -> &Job {
        self.job_log().job()
    }
}
