//! Jobs that ended and left memory: a row each, for lists and for the start. Their entries stay in the log.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::db::{Db, DbError, Unsigned};
use crate::domain::{JobId, NodeId, Timestamp};

/// A job that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedJob {
    /// The job.
    pub job: JobId,
    /// How many entries its log has.
    pub height: u64,
    /// Who asked for it.
    pub requester: NodeId,
    /// The job that it followed up.
    pub parent: Option<JobId>,
    /// The name of its last state.
    pub state: String,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The id of the group that it is one of, in hex digits.
    pub member_of: Option<String>,
    /// Whether it speaks for its requester.
    pub is_honest: bool,
    /// What else a list shows; opaque here.
    pub summary: Vec<u8>,
}

/// The jobs that left memory; clones share them.
#[derive(Debug, Clone)]
pub struct EndedJobs {
    db: Db,
}

const COLUMNS: &str = "job, (SELECT max(height) FROM entries WHERE entries.job = ended.job), requester, parent, state, \
                       submitted_at, ended_at, is_honest, summary, member_of";

impl EndedJobs {
    /// The ended jobs in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Whether this job ended and left memory. Does not wait for the disk where it never did.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn contains(&self, job: JobId) -> Result<bool, DbError> {
        if !self.db.marks().may_have(job) {
            return Ok(false);
        }
        let connection = self.db.connection();
        let mut known = connection.prepare_cached("SELECT 1 FROM ended WHERE job = ?1")?;
        Ok(known.exists([job])?)
    }

    /// The newest jobs by submission, at most `limit` of them.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn newest(&self, limit: usize) -> Result<Vec<EndedJob>, DbError> {
        let connection = self.db.connection();
        let sql = format!("SELECT {COLUMNS} FROM ended ORDER BY submitted_at DESC, job LIMIT ?1");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([u32::try_from(limit).unwrap_or(u32::MAX)], ended_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The jobs that [`newest`](Self::newest) lists behind this one, at most `limit` of them.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn older(&self, than: (Timestamp, JobId), limit: usize) -> Result<Vec<EndedJob>, DbError> {
        let connection = self.db.connection();
        let sql = format!(
            "SELECT {COLUMNS} FROM ended WHERE submitted_at < ?1 OR (submitted_at = ?1 AND job > ?2) \
             ORDER BY submitted_at DESC, job LIMIT ?3"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let rows =
            statement.query_map(params![Unsigned::bound(than.0.as_secs()), than.1, limit], ended_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The jobs of one requester whose groups' ids begin so.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn of_group(&self, requester: NodeId, group: &str) -> Result<Vec<EndedJob>, DbError> {
        let connection = self.db.connection();
        // An id has hex digits, and all of them come before g.
        let sql = format!(
            "SELECT {COLUMNS} FROM ended WHERE member_of >= ?1 AND member_of < ?1 || 'g' AND requester = ?2"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params![group, requester], ended_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Jobs that ended at this time or later and whose summaries `counts` is true of, the newest first, or those behind `after`.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn since(
        &self,
        ended_at: Timestamp,
        after: Option<(Timestamp, JobId)>,
        counts: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<JobId>, DbError> {
        let connection = self.db.connection();
        let sql = "SELECT job, summary FROM ended WHERE ended_at >= ?1
                   AND (?2 IS NULL OR ended_at < ?2 OR (ended_at = ?2 AND job > ?3)) ORDER BY ended_at DESC, job";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![
            Unsigned::bound(ended_at.as_secs()),
            after.map(|(at, _)| Unsigned::bound(at.as_secs())),
            after.map(|(_, job)| job)
        ])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let summary: Vec<u8> = row.get(1)?;
            if counts(&summary) {
                found.push(row.get(0)?);
            }
        }
        Ok(found)
    }

    /// Jobs that ended before this time and that no ended job follows up, the oldest first, at most `limit` of them.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn before(&self, ended_at: Timestamp, limit: u32) -> Result<Vec<JobId>, DbError> {
        let connection = self.db.connection();
        let sql = "SELECT job FROM ended WHERE ended_at < ?1
                   AND NOT EXISTS (SELECT 1 FROM ended child WHERE child.parent = ended.job)
                   ORDER BY ended_at LIMIT ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map((Unsigned(ended_at.as_secs()), limit), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deletes all that is known of these jobs, of those that ended and left memory; returns them. Their content stays.
    ///
    /// # Errors
    /// [`DbError`]; nothing is deleted then.
    pub fn forget(&self, jobs: &[JobId]) -> Result<Vec<JobId>, DbError> {
        let mut writer = self.db.writer();
        let forgotten = writer.write(|transaction| -> Result<_, DbError> {
            let mut forgotten = Vec::new();
            for job in jobs {
                if transaction.prepare_cached("DELETE FROM ended WHERE job = ?1")?.execute([job])? == 0 {
                    continue;
                }
                for table in
                    ["entries", "faults", "executions", "last_words", "replications", "ended_content"]
                {
                    let sql = format!("DELETE FROM {table} WHERE job = ?1");
                    transaction.prepare_cached(&sql)?.execute([job])?;
                }
                forgotten.push(*job);
            }
            Ok(forgotten)
        })?;
        self.db.recent().forget(&forgotten);
        Ok(forgotten)
    }

    /// How many jobs ended in each state, by its name, without those that the caller has counted.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn states(
        &self,
        counted: impl IntoIterator<Item = JobId>,
    ) -> Result<BTreeMap<String, usize>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached("SELECT state, count(*) FROM ended GROUP BY state")?;
        let rows = statement.query_map((), |row| {
            let Unsigned(count) = row.get(1)?;
            Ok((row.get(0)?, usize::try_from(count).unwrap_or(usize::MAX)))
        })?;
        let mut states: BTreeMap<String, usize> = rows.collect::<Result<_, _>>()?;
        let mut state_of = connection.prepare_cached("SELECT state FROM ended WHERE job = ?1")?;
        for job in counted.into_iter().filter(|job| self.db.marks().may_have(*job)) {
            let state: Option<String> = state_of.query_row([job], |row| row.get(0)).optional()?;
            if let Some(count) = state.and_then(|state| states.get_mut(&state)) {
                *count -= 1;
            }
        }
        Ok(states)
    }

    /// The first jobs, at most `limit` of them, whose ids are `first` or above and at most `last`.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn between(&self, first: JobId, last: JobId, limit: u32) -> Result<Vec<JobId>, DbError> {
        let connection = self.db.connection();
        let sql = "SELECT job FROM ended WHERE job >= ?1 AND job <= ?2 ORDER BY job LIMIT ?3";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map((first, last, limit), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The job that followed up `parent`, if it is among these.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn child_of(&self, parent: JobId) -> Result<Option<JobId>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached("SELECT job FROM ended WHERE parent = ?1")?;
        Ok(statement.query_row([parent], |row| row.get(0)).optional()?)
    }

    /// The requesters for which any of these jobs speaks, and at most `most` such jobs of each.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn honest(&self, most: u32) -> Result<BTreeMap<NodeId, Vec<JobId>>, DbError> {
        let connection = self.db.connection();
        // The next requester is looked up, never scanned for: one may have asked for a hundred thousand jobs.
        let next = "SELECT min(requester) FROM ended WHERE is_honest = 1 AND requester > ?1";
        let mut next = connection.prepare_cached(next)?;
        let jobs = "SELECT job FROM ended WHERE is_honest = 1 AND requester = ?1 LIMIT ?2";
        let mut jobs = connection.prepare_cached(jobs)?;
        let (mut honest, mut last) = (BTreeMap::new(), Vec::new());
        while let Some(requester) = next.query_row([&last], |row| row.get::<_, Option<NodeId>>(0))? {
            let rows = jobs.query_map((requester, most), |row| row.get(0))?;
            honest.insert(requester, rows.collect::<Result<_, _>>()?);
            last = requester.as_bytes().to_vec();
        }
        Ok(honest)
    }
}

/// Takes a job out of the live part of the log, if its log ends where the row says and nobody broke it. Says whether.
pub(super) fn retire(connection: &Connection, ended: &EndedJob) -> Result<bool, DbError> {
    let EndedJob {
        job,
        height,
        requester,
        parent,
        state,
        submitted_at,
        ended_at,
        is_honest,
        summary,
        member_of,
    } = ended;
    let sql = "SELECT (SELECT max(height) FROM entries WHERE job = ?1) = ?2
               AND NOT EXISTS (SELECT 1 FROM faults WHERE job = ?1)";
    let is_whole: Option<bool> =
        connection.prepare_cached(sql)?.query_row((job, Unsigned(*height)), |row| row.get(0))?;
    if is_whole != Some(true) {
        return Ok(false);
    }
    connection.prepare_cached("UPDATE entries SET ended = 1 WHERE job = ?1")?.execute([job])?;
    let sql = "INSERT OR REPLACE INTO ended
               (job, requester, parent, state, submitted_at, ended_at, is_honest, summary, member_of)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (submitted_at, ended_at) = (Unsigned(submitted_at.as_secs()), Unsigned(ended_at.as_secs()));
    let row = params![job, requester, parent, state, submitted_at, ended_at, is_honest, summary, member_of];
    connection.prepare_cached(sql)?.execute(row)?;
    Ok(true)
}

/// Takes a job back into the live part of the log.
pub(super) fn revive(connection: &Connection, job: JobId) -> Result<(), DbError> {
    connection.prepare_cached("UPDATE entries SET ended = 0 WHERE job = ?1")?.execute([job])?;
    connection.prepare_cached("DELETE FROM ended WHERE job = ?1")?.execute([job])?;
    Ok(())
}

fn ended_of_row(row: &Row<'_>) -> rusqlite::Result<EndedJob> {
    let (height, Unsigned(submitted_at), Unsigned(ended_at)) =
        (row.get::<_, Option<Unsigned>>(1)?, row.get(5)?, row.get(6)?);
    Ok(EndedJob {
        job: row.get(0)?,
        height: height.map_or(0, |Unsigned(height)| height),
        requester: row.get(2)?,
        parent: row.get(3)?,
        state: row.get(4)?,
        submitted_at: Timestamp::from_secs(submitted_at),
        ended_at: Timestamp::from_secs(ended_at),
        is_honest: row.get(7)?,
        summary: row.get(8)?,
        member_of: row.get(9)?,
    })
}
