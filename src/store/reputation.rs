//! How nodes fared in the jobs that this node took part in; each job counts once for each node.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;

use super::db::{Db, DbError};
use crate::domain::{Conduct, JobId, NodeId, Tally};

/// What the rows call a conduct.
const CODES: [(Conduct, u8); 4] =
    [(Conduct::Rejected, 0), (Conduct::Kept, 1), (Conduct::Failed, 2), (Conduct::Absent, 3)];

/// The record of other nodes in a database; clones share it.
#[derive(Debug, Clone)]
pub struct Reputation {
    db: Db,
    /// What the database says, once it was asked: it is asked for every choice among bids. Taken after the connection,
    /// where both are.
    counted: Arc<Mutex<Option<Tallies>>>,
}

type Tallies = BTreeMap<NodeId, Tally>;

impl Reputation {
    /// The record in this database.
    pub fn new(db: Db) -> Self {
        Self { db, counted: Arc::default() }
    }

    /// Notes how nodes did in `job`. The first note of each stays, so a replayed log
    /// changes nothing, and writes nothing.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn record(&self, job: JobId, fared: BTreeMap<NodeId, Conduct>) -> Result<(), DbError> {
        if fared.is_empty() || self.knows(job, &fared)? {
            return Ok(());
        }
        let sql = "INSERT OR IGNORE INTO conduct (job, node, conduct) VALUES (?1, ?2, ?3)";
        let counted = Arc::clone(&self.counted);
        let write = move |connection: &Connection| -> Result<Vec<(NodeId, Conduct)>, DbError> {
            let mut statement = connection.prepare_cached(sql)?;
            let mut news = Vec::new();
            for (node, conduct) in &fared {
                let code = CODES.iter().find(|(known, _)| known == conduct).map(|(_, code)| code);
                if statement.execute((job, node, code))? == 1 {
                    news.push((*node, *conduct));
                }
            }
            Ok(news)
        };
        let count = move |news: &Vec<(NodeId, Conduct)>| {
            let mut counted = locked(&counted);
            let Some(tallies) = &mut *counted else { return };
            for (node, conduct) in news {
                tallies.entry(*node).or_default().add(*conduct);
            }
        };
        self.db.write_then(write, count).map(|_| ())
    }

    fn knows(&self, job: JobId, fared: &BTreeMap<NodeId, Conduct>) -> Result<bool, DbError> {
        let connection = self.db.connection();
        let sql = "SELECT 1 FROM conduct WHERE job = ?1 AND node = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        for node in fared.keys() {
            if !statement.exists((job, node))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The tally of every node that has one.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn counts(&self) -> Result<BTreeMap<NodeId, Tally>, DbError> {
        if let Some(tallies) = &*locked(&self.counted) {
            return Ok(tallies.clone());
        }
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            // What the disk has altered counts for nobody, and does not take the other rows with it.
            "SELECT node, sum(conduct = 1), sum(conduct = 0), sum(conduct = 2), sum(conduct = 3) FROM conduct
             WHERE length(node) = 20 GROUP BY node",
        )?;
        let rows = statement.query_map((), |row| {
            let [accepted, rejected, failed, absent] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((row.get(0)?, Tally { accepted, rejected, failed, absent }))
        })?;
        let tallies: Tallies = rows.collect::<Result<_, _>>()?;
        *locked(&self.counted) = Some(tallies.clone());
        Ok(tallies)
    }
}

fn locked(counted: &Mutex<Option<Tallies>>) -> MutexGuard<'_, Option<Tallies>> {
    // A count is one assignment.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
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
            // Counted from the database the first time, and from memory the second.
            reputation.counts().unwrap();
            reputation
                .record(job(1), BTreeMap::from([(alice, Conduct::Kept), (bob, Conduct::Rejected)]))
                .unwrap();
            reputation
                .record(job(2), BTreeMap::from([(alice, Conduct::Kept), (bob, Conduct::Failed)]))
                .unwrap();
            reputation.record(job(3), BTreeMap::from([(alice, Conduct::Absent)])).unwrap();
        }
        assert_eq!(reputation.db.commits(), 3, "one a job, and none for a replay");
        reputation.record(job(1), BTreeMap::from([(bob, Conduct::Kept)])).unwrap();
        let expected = BTreeMap::from([
            (alice, Tally { accepted: 2, absent: 1, ..Tally::default() }),
            (bob, Tally { rejected: 1, failed: 1, ..Tally::default() }),
        ]);
        assert_eq!(reputation.counts().unwrap(), expected);
        assert_eq!(Reputation::new(reputation.db.clone()).counts().unwrap(), expected);
    }
}
