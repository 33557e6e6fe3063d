//! How nodes fared in the jobs that this node took part in; each job counts once for each node.

use std::collections::BTreeMap;

use super::db::{Db, DbError};
use crate::domain::{JobId, NodeId};

/// How often a node was accepted and rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Jobs in which its result was accepted.
    pub accepted: u32,
    /// Jobs in which it was rejected, failed or withheld.
    pub rejected: u32,
}

/// The record of other nodes in a database; clones share it.
#[derive(Debug, Clone)]
pub struct Reputation {
    db: Db,
}

impl Reputation {
    /// The record in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Notes how `node` fared in `job`. The first note stays, so a replayed log changes nothing.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn record(&self, job: JobId, node: NodeId, accepted: bool) -> Result<(), DbError> {
        let sql = "INSERT OR IGNORE INTO reputation (job, node, accepted) VALUES (?1, ?2, ?3)";
        self.db.execute(sql, (job, node, accepted))
    }

    /// The tally of every node that has one.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn counts(&self) -> Result<BTreeMap<NodeId, Tally>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            // What the disk has altered counts for nobody, and does not take the other rows with it.
            "SELECT node, sum(accepted), sum(1 - accepted) FROM reputation
             WHERE length(node) = 20 AND accepted IN (0, 1) GROUP BY node",
        )?;
        let rows = statement
            .query_map((), |row| Ok((row.get(0)?, Tally { accepted: row.get(1)?, rejected: row.get(2)? })))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_counts_once_for_each_node() {
        let reputation = Reputation::new(Db::in_memory().unwrap());
        let (alice, bob) = (NodeId::new([1; 20]), NodeId::new([2; 20]));
        let job = |byte| JobId::new([byte; 32]);
        for _replay in 0..2 {
            reputation.record(job(1), alice, true).unwrap();
            reputation.record(job(1), bob, false).unwrap();
            reputation.record(job(2), alice, true).unwrap();
            reputation.record(job(3), alice, false).unwrap();
        }
        reputation.record(job(1), bob, true).unwrap();
        let expected = BTreeMap::from([
            (alice, Tally { accepted: 2, rejected: 1 }),
            (bob, Tally { accepted: 0, rejected: 1 }),
        ]);
        assert_eq!(reputation.counts().unwrap(), expected);
    }
}
