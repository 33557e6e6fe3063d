//! Cuts the log where the chain dropped blocks, or where a job is to be read once more.

use std::collections::BTreeSet;

use super::ChainLog;
use crate::{
    domain::JobId,
    scheduler::{BackendError, Cursor, stored::store_error},
    store::ReadUpTo,
};

impl ChainLog {
    /// Cuts the log before the first job that was found broken, so that it is read once more: the endpoint may have
    /// been at fault.
    pub(super) fn read_broken_again(&self) -> Result<(), BackendError> {
        let mut first = None;
        let mut broken: BTreeSet<JobId> = self.lock().broken.keys().copied().collect();
        let names = self.db.cursors_of(&self.broken_names()).map_err(|error| store_error(&error))?;
        broken.extend(names.iter().filter_map(|name| name.rsplit('/').next()?.parse::<JobId>().ok()));
        for job in broken {
            let begin = self.store.read_job(job, 0, 1).map_err(|error| store_error(&error))?;
            let Some(begin) = begin.first() else { continue };
            first = first.into_iter().chain([begin.cursor]).min();
            self.db.set_cursor(&self.broken_name(job), 0).map_err(|error| store_error(&error))?;
        }
        match first {
            Some(cursor) => self.cut(Cursor(cursor.saturating_sub(1))),
            None => Ok(()),
        }
    }

    /// Cuts the log after the entries of the first `kept` blocks that hold any.
    pub(in super::super) fn cut_after(&self, kept: usize) -> Result<(), BackendError> {
        let kept = kept.checked_sub(1).and_then(|last| self.lock().places.get(last).copied());
        self.cut(kept.map_or(Cursor::default(), |place| place.cursor))
    }

    /// Cuts the log before the first entry of a job.
    pub(super) fn cut_before(&self, job: JobId) -> Result<(), BackendError> {
        let begin = self.store.read_job(job, 0, 1).map_err(|error| store_error(&error))?;
        begin.first().map_or(Ok(()), |first| self.cut(Cursor(first.cursor.saturating_sub(1))))
    }

    /// Cuts the log after an entry, and tells the readers.
    fn cut(&self, to: Cursor) -> Result<(), BackendError> {
        let mut inner = self.lock();
        let before: Vec<(JobId, u64)> = inner.broken.iter().map(|(job, block)| (*job, *block)).collect();
        let revived = self.store.cut(to.0).map_err(|error| store_error(&error))?;
        let mut rest = self.replay()?;
        rest.suspects = std::mem::take(&mut inner.suspects);
        let newest = rest.places.back().map_or(0, |place| place.block);
        // The last block is read again, since more of its events may follow.
        self.set_position(ReadUpTo { block: newest.saturating_sub(1), hash: None })?;
        for (job, block) in before {
            if block <= newest && rest.ledger.get(job).is_some() {
                rest.broken.insert(job, block);
            } else {
                self.db.set_cursor(&self.broken_name(job), 0).map_err(|error| store_error(&error))?;
            }
        }
        let broken = &rest.broken;
        self.breaks.send_modify(|breaks| {
            breaks.retain(
                |error| matches!(error, BackendError::BrokenLog { job, .. } if broken.contains_key(job)),
            )
        });
        *inner = rest;
        // Jobs that are live again have entries that no reader was told of since its start.
        let to = revived.map_or(to, |first| to.min(Cursor(first.saturating_sub(1))));
        self.cuts.send_modify(|cuts| cuts.push(to));
        Ok(())
    }
}
