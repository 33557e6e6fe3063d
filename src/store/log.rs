//! The log as this node holds it: entries in the order of their arrival, each job's without a gap.
//!
//! Readers follow it by cursor: they read the entries after theirs, then wait until the head passes it. They wait for
//! a level, so no wake-up can be lost, and a slow reader delays nobody.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::watch;

#[cfg(test)]
use super::db::Writer;
use super::{
    chains::{Chains, ReadUpTo},
    db::{Db, DbError, Unsigned, WriteError},
    ended,
    entries::{NewEntry, StoredEntry},
};
use crate::domain::{Digest, JobId, NodeId};

mod live;

/// An entry that the log does not take.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An entry is missing in between.
    #[error("entry {found} of job {job} came before entry {expected}")]
    Gap {
        /// The job.
        job: JobId,
        /// The height that comes next.
        expected: u64,
        /// The height that came.
        found: u64,
    },
    /// The job has another entry at this height: there are two histories.
    #[error("job {job} has another entry at height {height}: {held}")]
    Conflict {
        /// The job.
        job: JobId,
        /// The height of both entries.
        height: u64,
        /// The hash of the entry that this node holds.
        held: Digest,
    },
    /// The job has this very entry at another height.
    #[error("entry {entry_hash} of job {job} came a second time")]
    Repeated {
        /// The job.
        job: JobId,
        /// The entry.
        entry_hash: Digest,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl WriteError for LogError {
    fn into_failure(self) -> Result<DbError, Self> {
        match self {
            Self::Db(failure) => Ok(failure),
            refusal @ (Self::Gap { .. } | Self::Conflict { .. } | Self::Repeated { .. }) => Err(refusal),
        }
    }
}

impl From<rusqlite::Error> for LogError {
    fn from(err: rusqlite::Error) -> Self {
        Self::Db(err.into())
    }
}

/// The newest entry of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its height: the number of entries the job has.
    pub height: u64,
    /// Its hash.
    pub entry_hash: Digest,
}

/// The log of all jobs that a node follows; clones share it.
#[derive(Debug, Clone)]
pub struct EventLog {
    db: Db,
}

impl EventLog {
    /// The log in this database.
    pub const fn new(db: Db) -> Self {
        Self { db }
    }

    /// Appends an entry, durably, and returns its cursor. A known entry keeps its cursor.
    ///
    /// # Errors
    /// [`LogError::Gap`] unless its height follows the job's head, [`LogError::Conflict`] if another entry has
    /// its height, [`LogError::Repeated`] if it has another height itself.
    pub fn append(&self, entry: &NewEntry) -> Result<u64, LogError> {
        let cursors = self.append_all(std::slice::from_ref(entry))?;
        Ok(cursors.into_iter().next_back().expect("one cursor for the one entry"))
    }

    /// Appends entries in one transaction, all or none, and returns the cursor of each.
    ///
    /// # Errors
    /// That of the first entry that [`Self::append`] would refuse.
    pub fn append_all(&self, entries: &[NewEntry]) -> Result<Vec<u64>, LogError> {
        self.append_until_fault(entries, None)
    }

    /// Appends entries as [`Self::append_all`] does, and with them the entry after which a job's log is broken. It is
    /// no part of the log, but the proof that its requester broke it; the first one of a job is kept for good.
    ///
    /// # Errors
    /// As [`Self::append_all`]; nothing is stored then.
    pub fn append_until_fault(
        &self,
        entries: &[NewEntry],
        fault: Option<(JobId, &[u8])>,
    ) -> Result<Vec<u64>, LogError> {
        let fault = fault.map(|(job, bytes)| (job, bytes.to_owned()));
        self.append_then(entries.to_owned(), fault, || ())
    }

    /// As [`Self::append_until_fault`]. What several threads append at a time waits for the disk together. Runs `stored`,
    /// which must be short, once the entries are durable and before any reader hears of them.
    ///
    /// # Errors
    /// As [`Self::append_all`].
    pub fn append_then(
        &self,
        entries: Vec<NewEntry>,
        fault: Option<(JobId, Vec<u8>)>,
        stored: impl FnOnce() + Send + 'static,
    ) -> Result<Vec<u64>, LogError> {
        let also = move |connection: &Connection| -> Result<(), DbError> {
            let Some((job, bytes)) = &fault else { return Ok(()) };
            let sql = "INSERT INTO faults (job, bytes) VALUES (?1, ?2) ON CONFLICT (job) DO NOTHING";
            connection.prepare_cached(sql)?.execute(params![job, bytes])?;
            // Its log is read at every start, so that the proof is found again.
            ended::revive(connection, *job)
        };
        self.append_with(entries, also, stored)
    }

    /// As [`Self::append_all`], and notes how far a chain was read, all or none.
    ///
    /// # Errors
    /// As [`Self::append_all`].
    pub fn append_read(
        &self,
        entries: Vec<NewEntry>,
        chain: &Chains,
        read_up_to: ReadUpTo,
    ) -> Result<Vec<u64>, LogError> {
        let chain = chain.clone();
        self.append_with(entries, move |connection| chain.note_read_up_to(connection, read_up_to), || ())
    }

    fn append_with(
        &self,
        entries: Vec<NewEntry>,
        mut also: impl FnMut(&Connection) -> Result<(), DbError> + Send + 'static,
        stored: impl FnOnce() + Send + 'static,
    ) -> Result<Vec<u64>, LogError> {
        let (db, entries) = (self.db.clone(), Arc::new(entries));
        let appended = Arc::clone(&entries);
        self.db.write_then(
            move |connection| {
                also(connection)?;
                entries.iter().map(|entry| insert(connection, entry)).collect()
            },
            move |cursors: &Vec<u64>| {
                stored();
                db.recent().add(cursors.iter().copied().zip(appended.iter().cloned()));
                let newest = cursors.iter().copied().max().unwrap_or_default();
                db.head().send_if_modified(|head| {
                    let rises = newest > *head;
                    *head = newest.max(*head);
                    rises
                });
            },
        )
    }

    /// Keeps appends waiting, until it is dropped.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> Writer<'_> {
        self.db.writer()
    }

    /// As after a restart: what is read comes from the database.
    #[cfg(test)]
    pub(crate) fn forget_recent(&self) {
        self.db.recent().clear(*self.db.head().borrow());
    }

    /// How many transactions waited for the disk.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> u64 {
        self.db.commits()
    }

    /// How many appends wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.db.waiting()
    }

    /// Notes who signed the actions of entries, by job and height, where that is not noted yet; all or none. An altered
    /// row stays as it is.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn note_authors(&self, authors: &[(JobId, u64, NodeId)]) -> Result<(), LogError> {
        if authors.is_empty() {
            return Ok(());
        }
        let mut writer = self.db.writer();
        writer
            .write(|transaction| authors.iter().try_for_each(|author| note_author(transaction, *author)))?;
        self.db.recent().clear(*self.db.head().borrow());
        Ok(())
    }

    /// Deletes the logs of jobs, all or none. Their cursors are not given again.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn forget(&self, jobs: &[JobId]) -> Result<(), LogError> {
        let mut writer = self.db.writer();
        writer.write(|transaction| -> Result<_, LogError> {
            for sql in [
                "DELETE FROM entries WHERE job = ?1",
                "DELETE FROM faults WHERE job = ?1",
                "DELETE FROM ended WHERE job = ?1",
            ] {
                let mut statement = transaction.prepare_cached(sql)?;
                for job in jobs {
                    statement.execute([job])?;
                }
            }
            Ok(())
        })?;
        self.db.recent().forget(jobs);
        Ok(())
    }

    /// Removes every entry with a cursor above `after`, durably. Their cursors are never given again. Ended jobs that lose
    /// entries are live again; returns the cursor of the first of what is left of those.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn cut(&self, after: u64) -> Result<Option<u64>, LogError> {
        let mut writer = self.db.writer();
        let (newest, first) = writer.write(|transaction| -> Result<_, LogError> {
            let sql = "SELECT DISTINCT job FROM entries NOT INDEXED WHERE cursor > ?1 AND ended = 1";
            let revived: Vec<JobId> = transaction
                .prepare(sql)?
                .query_map([Unsigned(after)], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let mut first: Option<u64> = None;
            for job in revived {
                ended::revive(transaction, job)?;
                let sql = "SELECT cursor FROM entries WHERE job = ?1 AND height = 1 AND cursor <= ?2";
                let mut begin = transaction.prepare_cached(sql)?;
                let begin = begin.query_row((job, Unsigned(after)), |row| row.get(0)).optional()?;
                first = first.into_iter().chain(begin.map(|Unsigned(cursor)| cursor)).min();
            }
            transaction.execute("DELETE FROM entries WHERE cursor > ?1", [Unsigned(after)])?;
            let sql = "SELECT ifnull(max(cursor), 0) FROM entries";
            let Unsigned(newest) = transaction.query_row(sql, (), |row| row.get(0))?;
            Ok((newest, first))
        })?;
        self.db.recent().clear(newest);
        drop(writer);
        self.db.head().send_if_modified(|head| std::mem::replace(head, newest) != newest);
        Ok(first)
    }

    /// The cursor of the newest entry, 0 before the first, as a level to wait for.
    pub fn watch_head(&self) -> watch::Receiver<u64> {
        self.db.head().subscribe()
    }

    /// Up to `limit` entries with a cursor above `after`, in their order.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn read_after(&self, after: u64, limit: u32) -> Result<Vec<StoredEntry>, LogError> {
        if let Some(entries) = self.read_recent(after, limit) {
            return Ok(entries);
        }
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT cursor, job, height, entry_hash, author, bytes, checksum FROM entries
             WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
        )?;
        let rows = statement.query_map((Unsigned(after), limit), entry_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// As [`Self::read_live_after`], without a wait for the disk or the database; `None` where that is needed.
    pub fn read_recent(&self, after: u64, limit: u32) -> Option<Vec<StoredEntry>> {
        self.db.recent().read_after(after, limit)
    }

    /// The cursor of an entry of a job, if it was appended lately. Waits for nothing.
    pub fn recent_cursor(&self, job: JobId, height: u64) -> Option<u64> {
        self.db.recent().cursor(job, height)
    }

    /// Up to `limit` entries of a job with a height above `after_height`, in their order; 0 for all.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn read_job(&self, job: JobId, after_height: u64, limit: u32) -> Result<Vec<StoredEntry>, LogError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT cursor, job, height, entry_hash, author, bytes, checksum FROM entries
             WHERE job = ?1 AND height > ?2 ORDER BY height LIMIT ?3",
        )?;
        let rows = statement.query_map((job, Unsigned(after_height), limit), entry_of_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest entry of a job, if there is one.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn head(&self, job: JobId) -> Result<Option<Head>, LogError> {
        head(&self.db.connection(), job)
    }

    /// The entry by which the requester of a job broke its log, if it did.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn fault(&self, job: JobId) -> Result<Option<Vec<u8>>, LogError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached("SELECT bytes FROM faults WHERE job = ?1")?;
        Ok(statement.query_row([job], |row| row.get(0)).optional()?)
    }

    /// Every job that has an entry, in the order in which their first entries came.
    ///
    /// # Errors
    /// [`LogError::Db`].
    pub fn jobs(&self) -> Result<Vec<JobId>, LogError> {
        let connection = self.db.connection();
        let mut statement =
            connection.prepare_cached("SELECT job FROM entries WHERE height = 1 ORDER BY cursor")?;
        let rows = statement.query_map((), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn insert(connection: &Connection, entry: &NewEntry) -> Result<u64, LogError> {
    let NewEntry { job, height, entry_hash, author, ref bytes } = *entry;
    let known = newest(connection, job)?;
    let expected = known.map_or(0, |(head, _)| head.height) + 1;
    if (1..expected).contains(&height) {
        return held(connection, job, height, entry_hash);
    }
    if height != expected {
        return Err(LogError::Gap { job, expected, found: height });
    }
    let same = "SELECT 1 FROM entries WHERE job = ?1 AND entry_hash = ?2";
    if connection.prepare_cached(same)?.exists((job, entry_hash))? {
        return Err(LogError::Repeated { job, entry_hash });
    }
    // A remark may follow the end of a job.
    if known.is_some_and(|(_, is_ended)| is_ended) {
        ended::revive(connection, job)?;
    }
    let insert = "INSERT INTO entries (job, height, entry_hash, author, bytes, checksum)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING cursor";
    let mut statement = connection.prepare_cached(insert)?;
    let row = params![job, Unsigned(height), entry_hash, author, bytes, checksum(entry)];
    let Unsigned(cursor) = statement.query_row(row, |row| row.get(0))?;
    Ok(cursor)
}

/// The cursor of the entry that has this height, if it is the same one.
fn held(connection: &Connection, job: JobId, height: u64, entry_hash: Digest) -> Result<u64, LogError> {
    let sql = "SELECT cursor, entry_hash FROM entries WHERE job = ?1 AND height = ?2";
    let (Unsigned(cursor), held) = connection
        .prepare_cached(sql)?
        .query_row((job, Unsigned(height)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if held == entry_hash { Ok(cursor) } else { Err(LogError::Conflict { job, height, held }) }
}

fn head(connection: &Connection, job: JobId) -> Result<Option<Head>, LogError> {
    Ok(newest(connection, job)?.map(|(head, _)| head))
}

/// The newest entry of a job, and whether the job has left memory.
fn newest(connection: &Connection, job: JobId) -> Result<Option<(Head, bool)>, LogError> {
    let sql = "SELECT height, entry_hash, ended FROM entries WHERE job = ?1 ORDER BY height DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let head = statement.query_row([job], |row| {
        let Unsigned(height) = row.get(0)?;
        Ok((Head { height, entry_hash: row.get(1)? }, row.get(2)?))
    });
    Ok(head.optional()?)
}

/// Notes the author in a row that has none and is as it was written.
fn note_author(connection: &Connection, (job, height, author): (JobId, u64, NodeId)) -> Result<(), LogError> {
    let sql = "SELECT cursor, job, height, entry_hash, author, bytes, checksum FROM entries
               WHERE job = ?1 AND height = ?2 AND author IS NULL";
    let row = connection.prepare_cached(sql)?.query_row((job, Unsigned(height)), entry_of_row).optional()?;
    let Some(StoredEntry { cursor, entry, is_intact: true }) = row else { return Ok(()) };
    let entry = NewEntry { author: Some(author), ..entry };
    let sql = "UPDATE entries SET author = ?2, checksum = ?3 WHERE cursor = ?1";
    connection.prepare_cached(sql)?.execute((Unsigned(cursor), author, checksum(&entry)))?;
    Ok(())
}

fn entry_of_row(row: &Row<'_>) -> rusqlite::Result<StoredEntry> {
    let (Unsigned(cursor), Unsigned(height)) = (row.get(0)?, row.get(2)?);
    let (job, entry_hash, author, bytes) = (row.get(1)?, row.get(3)?, row.get(4)?, row.get(5)?);
    let entry = NewEntry { job, height, entry_hash, author, bytes };
    let written: Option<Digest> = row.get(6)?;
    // Rows without a checksum predate checksums and have no author either.
    let is_intact = written.map_or(author.is_none(), |written| written == checksum(&entry));
    Ok(StoredEntry { cursor, entry, is_intact })
}

/// How many entries there are, and which of them are not as they were written.
pub(super) fn altered(connection: &Connection) -> rusqlite::Result<(u64, Vec<(JobId, u64)>)> {
    let sql = "SELECT cursor, job, height, entry_hash, author, bytes, checksum FROM entries ORDER BY cursor";
    let mut statement = connection.prepare(sql)?;
    let (mut rows, mut count, mut altered) = (statement.query(())?, 0, Vec::new());
    while let Some(row) = rows.next()? {
        count += 1;
        let StoredEntry { entry, is_intact, .. } = entry_of_row(row)?;
        if !is_intact {
            altered.push((entry.job, entry.height));
        }
    }
    Ok((count, altered))
}

/// For a row without an author, the checksum of the version before authors.
fn checksum(entry: &NewEntry) -> Digest {
    let NewEntry { job, height, entry_hash, author, bytes } = entry;
    let author = author.as_ref().map_or(&[][..], |author| author.as_bytes());
    let parts: [&[u8]; 5] = [job.as_bytes(), &height.to_be_bytes(), entry_hash.as_bytes(), author, bytes];
    Digest::sha256(parts.concat())
}

#[cfg(test)]
mod tests;
