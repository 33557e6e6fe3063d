//! Eight bytes of each job that ended and left memory: whoever asks about any other job does not wait for the database.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use crate::domain::JobId;

/// Marks of the jobs that ended, and of some that are live again. Hardly two jobs have the same.
#[derive(Debug)]
pub(in crate::store) struct Marks(Mutex<HashSet<u64>>);

impl Marks {
    /// The marks of all ended jobs in a database.
    pub(super) fn read(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let mut statement = connection.prepare("SELECT job FROM ended")?;
        let marks = statement.query_map((), |row| Ok(mark(row.get(0)?)))?;
        Ok(Self(Mutex::new(marks.collect::<Result<_, _>>()?)))
    }

    /// Whether the database has to be asked about this job.
    pub(in crate::store) fn may_have(&self, job: JobId) -> bool {
        self.lock().contains(&mark(job))
    }

    /// Adds jobs that ended.
    pub(in crate::store) fn add(&self, jobs: &[JobId]) {
        self.lock().extend(jobs.iter().copied().map(mark));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u64>> {
        // A mark is inserted whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(job: JobId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *job.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
