//! What a requester keeps of its own jobs: the counter of its nonces and its notes.

use rusqlite::OptionalExtension;

use super::db::{Db, DbError, Unsigned};
use crate::domain::JobId;

/// A job of this requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The job.
    pub job: JobId,
    /// Label and origin, as JSON; opaque to the store, and never sent anywhere.
    pub notes: String,
}

/// The submissions in a database; clones share it.
#[derive(Debug, Clone)]
pub struct Submissions {
    db: Db,
}

impl Submissions {
    /// The submissions in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// A nonce that this never gave before, nor will again, also across restarts: 0, 1, 2 and so on.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn next_nonce(&self) -> Result<u64, DbError> {
        let sql = "UPDATE nonce SET next = next + 1 RETURNING next - 1";
        let Unsigned(nonce) = self.db.write(|transaction| -> Result<_, DbError> {
            Ok(transaction.query_row(sql, (), |row| row.get(0))?)
        })?;
        Ok(nonce)
    }

    /// Stores the notes of a job, in place of the ones before.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn put(&self, submission: &Submission) -> Result<(), DbError> {
        let sql = "INSERT INTO submissions (job, notes) VALUES (?1, ?2)
                   ON CONFLICT (job) DO UPDATE SET notes = excluded.notes";
        self.db.connection().execute(sql, (submission.job, &submission.notes))?;
        Ok(())
    }

    /// The notes of a job, if there are any.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn notes(&self, job: JobId) -> Result<Option<String>, DbError> {
        let sql = "SELECT notes FROM submissions WHERE job = ?1";
        Ok(self.db.connection().query_row(sql, [job], |row| row.get(0)).optional()?)
    }

    /// Every job with notes, by id.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn list(&self) -> Result<Vec<Submission>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached("SELECT job, notes FROM submissions ORDER BY job")?;
        let rows = statement.query_map((), |row| Ok(Submission { job: row.get(0)?, notes: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use super::*;
    use crate::store::DataDir;

    #[test]
    fn a_nonce_is_never_given_twice_not_even_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let submissions = Submissions::new(Db::open(&dir).unwrap());
        assert_eq!([0, 1, 2].map(|_| submissions.next_nonce().unwrap()), [0, 1, 2]);
        drop(submissions);
        let submissions = Submissions::new(Db::open(&dir).unwrap());
        assert_eq!(submissions.next_nonce().unwrap(), 3);
    }

    #[test]
    fn threads_share_the_counter() {
        let submissions = Submissions::new(Db::in_memory().unwrap());
        let nonces: BTreeSet<u64> = thread::scope(|scope| {
            let draw = || (0..25).map(|_| submissions.next_nonce().unwrap()).collect::<Vec<_>>();
            let threads = [0; 4].map(|_| scope.spawn(draw));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(nonces, (0..100).collect());
    }

    #[test]
    fn notes_are_replaced_and_listed() {
        let submissions = Submissions::new(Db::in_memory().unwrap());
        let note = |byte, notes: &str| Submission { job: JobId::new([byte; 32]), notes: notes.to_owned() };
        for submission in [note(2, "{}"), note(1, r#"{"label":"a"}"#), note(2, r#"{"label":"b"}"#)] {
            submissions.put(&submission).unwrap();
        }
        assert_eq!(submissions.list().unwrap(), [note(1, r#"{"label":"a"}"#), note(2, r#"{"label":"b"}"#)]);
        assert_eq!(submissions.notes(JobId::new([1; 32])).unwrap().as_deref(), Some(r#"{"label":"a"}"#));
        assert_eq!(submissions.notes(JobId::new([3; 32])).unwrap(), None);
    }
}
