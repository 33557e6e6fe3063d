//! What a requester remembers of nodes and of its own jobs, as far as it decides how many nodes run the next ones.
//!
//! Unlike [`super::Reputation`], which counts each node's kept and broken promises, also in jobs of others, this is one
//! record a node, folded: its size does not grow with the number of jobs.

use rusqlite::{OptionalExtension as _, Transaction};

use super::db::{Db, DbError, Unsigned};
use crate::domain::{JobId, NodeId, Timestamp};

/// What is remembered of a node; `policy::trust` says what each figure means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRow {
    /// The node.
    pub node: NodeId,
    /// Compared results in a row.
    pub compared: u32,
    /// Kept results.
    pub kept: u32,
    /// Rejected results.
    pub rejected: u32,
    /// Results that own runs proved wrong.
    pub proofs: u32,
    /// Unlike traces.
    pub odd: u8,
    /// Kept results that no own run has checked, the oldest first.
    pub unchecked: Vec<JobId>,
    /// When the last of its jobs ended.
    pub last: Timestamp,
}

/// What is kept of a job of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicated {
    /// Why so many nodes run it, as its owner encoded that; `None` where its user chose.
    pub plan: Option<Vec<u8>>,
    /// Whether its verdict is in the records of its nodes.
    pub counted: bool,
    /// What the requester's own run said, if one was asked for.
    pub own_run: Option<String>,
}

/// The memory in a database; clones share it.
#[derive(Debug, Clone)]
pub struct TrustBook {
    db: Db,
}

impl TrustBook {
    /// The memory in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// The records of all nodes. What the disk has altered counts for nobody, and does not take other rows with it.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn records(&self) -> Result<Vec<TrustRow>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT node, compared, kept, rejected, proofs, odd, unchecked, last FROM trust
             WHERE length(node) = 20 AND length(unchecked) % 32 = 0",
        )?;
        let rows = statement.query_map((), |row| {
            let (unchecked, Unsigned(last)): (Vec<u8>, _) = (row.get(6)?, row.get(7)?);
            let jobs = unchecked.as_chunks::<32>().0.iter();
            Ok(TrustRow {
                node: row.get(0)?,
                compared: row.get(1)?,
                kept: row.get(2)?,
                rejected: row.get(3)?,
                proofs: row.get(4)?,
                odd: row.get(5)?,
                unchecked: jobs.map(|job| JobId::new(*job)).collect(),
                last: Timestamp::from_secs(last),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps why so many nodes run a job that is about to be submitted.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn plan(&self, job: JobId, plan: &[u8]) -> Result<(), DbError> {
        self.db.execute("INSERT OR IGNORE INTO replications (job, plan) VALUES (?1, ?2)", (job, plan))
    }

    /// What is kept of a job.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn replicated(&self, job: JobId) -> Result<Replicated, DbError> {
        let sql = "SELECT plan, counted, own_run FROM replications WHERE job = ?1";
        let row = self.db.connection().query_row(sql, [job], |row| {
            Ok(Replicated { plan: row.get(0)?, counted: row.get(1)?, own_run: row.get(2)? })
        });
        Ok(row.optional()?.unwrap_or_default())
    }

    /// Notes that the verdict of a job is in these records, what is known of an own run of it, and the jobs that need one
    /// next because of it. A job that had its own run gets no second one.
    ///
    /// # Errors
    /// [`DbError`]; nothing is noted then.
    pub fn count(
        &self,
        job: JobId,
        own_run: Option<&str>,
        records: &[TrustRow],
        again: &[JobId],
    ) -> Result<(), DbError> {
        self.db.write(|transaction| {
            store(transaction, records)?;
            let sql = "INSERT INTO replications (job, counted, own_run) VALUES (?1, 1, ?2)
                       ON CONFLICT (job) DO UPDATE SET counted = 1, own_run = excluded.own_run";
            transaction.execute(sql, (job, own_run))?;
            let sql = "UPDATE replications SET own_run = 'due' WHERE job = ?1 AND own_run IS NULL";
            for job in again {
                transaction.execute(sql, [job])?;
            }
            Ok(())
        })
    }

    /// A job that an own run is due of.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn due(&self) -> Result<Option<JobId>, DbError> {
        let sql = "SELECT job FROM replications WHERE own_run = 'due' LIMIT 1";
        Ok(self.db.connection().query_row(sql, (), |row| row.get(0)).optional()?)
    }
}

fn store(transaction: &Transaction<'_>, records: &[TrustRow]) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO trust (node, compared, kept, rejected, proofs, odd, unchecked, last)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    for row in records {
        let unchecked: Vec<u8> = row.unchecked.iter().flat_map(|job| *job.as_bytes()).collect();
        let last = Unsigned(row.last.as_secs());
        let values = (row.node, row.compared, row.kept, row.rejected, row.proofs, row.odd, unchecked, last);
        transaction.execute(sql, values)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(byte: u8) -> JobId {
        JobId::new([byte; 32])
    }

    fn row(node: u8, compared: u32) -> TrustRow {
        TrustRow {
            node: NodeId::new([node; 20]),
            compared,
            kept: compared + 1,
            rejected: 2,
            proofs: 1,
            odd: 3,
            unchecked: vec![job(1), job(2)],
            last: Timestamp::from_secs(1_700_000_000),
        }
    }

    #[test]
    fn records_and_plans_survive_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let open = || TrustBook::new(Db::open(&crate::store::DataDir::open(dir.path()).unwrap()).unwrap());
        let book = open();
        book.plan(job(1), b"why").unwrap();
        book.count(job(1), None, &[row(1, 5), row(2, 6)], &[]).unwrap();
        book.count(job(2), Some("due"), &[row(1, 7)], &[]).unwrap();
        drop(book);
        let book = open();
        assert_eq!(book.records().unwrap(), [row(1, 7), row(2, 6)]);
        let planned = Replicated { plan: Some(b"why".to_vec()), counted: true, own_run: None };
        assert_eq!(book.replicated(job(1)).unwrap(), planned);
        assert_eq!(book.due().unwrap(), Some(job(2)));
    }

    #[test]
    fn an_own_run_has_others_follow_that_have_had_none() {
        let book = TrustBook::new(Db::in_memory().unwrap());
        for (byte, own_run) in [(1, Some("due")), (2, Some("due")), (3, None)] {
            book.count(job(byte), own_run, &[], &[]).unwrap();
        }
        book.count(job(1), Some("right"), &[], &[]).unwrap();
        book.count(job(2), Some("wrong"), &[row(1, 0)], &[job(1), job(3), job(9)]).unwrap();
        assert_eq!(book.due().unwrap(), Some(job(3)));
        let said = |byte| book.replicated(job(byte)).unwrap().own_run;
        assert_eq!((said(1), said(9)), (Some("right".to_owned()), None));
        book.count(job(3), Some("right"), &[], &[]).unwrap();
        assert_eq!((book.due().unwrap(), book.records().unwrap()), (None, vec![row(1, 0)]));
    }
}
