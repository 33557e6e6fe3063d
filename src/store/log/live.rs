//! The part of the log that is not of ended jobs.

use super::{
    super::{
        db::Unsigned,
        ended::{self, EndedJob, EndedJobs},
    },
    EventLog, LogError, StoredEntry, entry_of_row,
};
use crate::domain::JobId;

impl EventLog {
    /// The jobs that ended and left memory.
    pub fn ended(&self) -> EndedJobs {
        EndedJobs::new(self.db.clone())
    }

    /// Takes ended jobs out of what [`Self::read_live_after`] and [`Self::live_jobs`] see, those whose logs end at the
    /// given heights and were not broken. Returns them.
    ///
    /// # Errors
    /// [`LogError::Db`]; no job is taken out then.
    pub fn retire(&self, jobs: &[EndedJob]) -> Result<Vec<JobId>, LogError> {
        let mut writer = self.db.writer();
        let retired = writer.write(|transaction| -> Result<_, LogError> {
            let mut retired = Vec::new();
            for job in jobs {
                if ended::retire(transaction, job)? {
                    retired.push(job.job);
                }
            }
            Ok(retired)
        })?;
        self.db.marks().add(&retired);
        // Should a job go on, its earlier entries are read from the database.
        self.db.recent().clear(*self.db.head().borrow());
        Ok(retired)
    }

    /// As [`Self::read_after`], without entries of jobs that ended and left memory.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn read_live_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEntry>, LogError> {
        if let Some(entries) = self.read_recent(after, limit) {
            return Ok(entries);
        }
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT cursor, job, height, entry_hash, author, bytes, checksum FROM entries INDEXED BY live_entries
             WHERE ended = 0 AND cursor > ?1 ORDER BY cursor LIMIT ?2",
        )?;
        let rows = statement.query_map((Unsigned(after), limit), entry_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The cursor of the newest entry of a live job; 0 if there is none.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn newest_live(&self) -> Result<u64, LogError> {
        let connection = self.db.connection();
        let sql = "SELECT ifnull(max(cursor), 0) FROM entries INDEXED BY live_entries WHERE ended = 0";
        let Unsigned(newest) = connection.prepare_cached(sql)?.query_row((), |row| row.get(0))?;
        Ok(newest)
    }

    /// Every job that has an entry and has not left memory, in the order in which their first entries came.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn live_jobs(&self) -> Result<Vec<JobId>, LogError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT job FROM entries INDEXED BY live_first_entries WHERE ended = 0 AND height = 1 ORDER BY cursor",
        )?;
        let rows = statement.query_map((), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
