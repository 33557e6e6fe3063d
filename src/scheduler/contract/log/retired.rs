//! Ended jobs leave memory, and come back for a step that names them.

use super::{ChainLog, Inner, PAGE, record};
use crate::{
    domain::{Deal, Event, JobId, NodeId, SignedAction, Timestamp},
    rules::Rejection,
    scheduler::{
        BackendError, Cursor,
        contract::signed::drafts::{OfferOf, Refusal},
        stored::{store_error, unreadable},
    },
    store::EndedJob,
};

impl ChainLog {
    /// Keeps jobs that ended in the store alone.
    pub(in super::super) fn retire(&self, ended: &[EndedJob]) -> Result<Vec<JobId>, BackendError> {
        let mut inner = self.lock();
        let may_go = |ended: &&EndedJob| {
            let is_over = inner.ledger.get(ended.job).is_none_or(|job| job.state.is_terminal());
            is_over && !inner.broken.contains_key(&ended.job) && !inner.suspects.contains(&ended.job)
        };
        let ended: Vec<EndedJob> = ended.iter().filter(may_go).cloned().collect();
        let retired = self.store.retire(&ended).map_err(|error| store_error(&error))?;
        for job in &retired {
            inner.ledger.forget(*job);
            inner.heights.remove(job);
            inner.own.remove(job);
            inner.rostered.remove(job);
        }
        Ok(retired)
    }

    /// Begins a draft of a job that this log never had; one that ended may be in the store alone.
    ///
    /// The log stays locked meanwhile: appending the job would end its draft before there is one.
    pub(in super::super) fn open_draft(
        &self,
        submission: &SignedAction,
        author: NodeId,
        times: (Timestamp, Timestamp),
        by: OfferOf,
    ) -> Result<(), Refusal> {
        let (inner, job) = (self.lock(), submission.action.job);
        let is_known = inner.ledger.get(job).is_some() || inner.broken.contains_key(&job);
        if is_known || self.store.ended().contains(job).map_err(|_| Refusal::Unread)? {
            return Err(Refusal::Rejected(Rejection::JobExists));
        }
        let opened = self.drafts.open(self.domain, submission, author, times, by);
        drop(inner);
        opened
    }

    /// Has a retired job in memory again, for a step that names it.
    pub(in super::super) fn recall(&self, job: JobId) -> Result<(), BackendError> {
        self.recall_in(&mut self.lock(), job)
    }

    pub(super) fn recall_in(&self, inner: &mut Inner, job: JobId) -> Result<(), BackendError> {
        let ended = self.store.ended();
        if inner.ledger.get(job).is_some() || !ended.contains(job).map_err(|error| store_error(&error))? {
            return Ok(());
        }
        let mut after = 0;
        loop {
            let page = self.store.read_job(job, after, PAGE).map_err(|error| store_error(&error))?;
            let Some(last) = page.last() else { break };
            after = last.entry.height;
            for stored in page {
                let read = record(&stored).and_then(|record| {
                    if let Event::Submitted { deal: Deal { parent: Some(parent), .. }, .. } =
                        &record.stamped.event
                    {
                        self.recall_in(inner, *parent)?;
                    }
                    let folded = inner.ledger.apply(&record.stamped);
                    folded.map_err(|rejection| unreadable(&stored, &rejection))?;
                    Ok(record)
                });
                match read {
                    Ok(record) => {
                        inner.note(self.node, &record, stored.entry.height, Cursor(stored.cursor));
                    }
                    Err(error @ BackendError::BrokenLog { .. }) => {
                        tracing::error!(%job, %error, "cannot continue the log of an ended job");
                        inner.broken.insert(job, inner.places.back().map_or(0, |place| place.block));
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let child = ended.child_of(job).map_err(|error| store_error(&error))?;
        if let Some(known) = inner.ledger.get(job).cloned().filter(|_| child.is_some()) {
            inner.ledger.recall(known, child);
        }
        Ok(())
    }
}
