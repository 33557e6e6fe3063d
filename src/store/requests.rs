//! Client requests by idempotency key, so that a retry is carried out once.

use rusqlite::OptionalExtension as _;

use super::db::{Db, DbError};
use crate::domain::Digest;

/// The requests in a database; clones share them.
#[derive(Debug, Clone)]
pub struct Requests {
    db: Db,
}

/// What is stored under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of the request.
    pub digest: Digest,
    /// The plan of the request; opaque here.
    pub plan: Vec<u8>,
    /// What came of it; `None` until it was done.
    pub reply: Option<Vec<u8>>,
}

impl Requests {
    /// The requests in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// What is stored under `key`.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn get(&self, key: &str) -> Result<Option<Asked>, DbError> {
        let sql = "SELECT digest, plan, reply FROM requests WHERE key = ?1";
        let asked = self.db.connection().query_row(sql, [key], |row| {
            Ok(Asked { digest: row.get(0)?, plan: row.get(1)?, reply: row.get(2)? })
        });
        Ok(asked.optional()?)
    }

    /// Stores a request durably, unless there is one under this key; returns the one that is there now.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn begin(&self, key: &str, digest: Digest, plan: &[u8]) -> Result<Asked, DbError> {
        let sql = "INSERT INTO requests (key, digest, plan) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO NOTHING";
        self.db.write(|transaction| -> Result<_, DbError> {
            transaction.execute(sql, (key, digest, plan))?;
            Ok(())
        })?;
        Ok(self.get(key)?.unwrap_or_else(|| Asked { digest, plan: plan.to_owned(), reply: None }))
    }

    /// Stores what came of a request.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn finish(&self, key: &str, reply: &[u8]) -> Result<(), DbError> {
        self.db.write(|transaction| -> Result<_, DbError> {
            transaction.execute("UPDATE requests SET reply = ?2 WHERE key = ?1", (key, reply))?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DataDir;

    #[test]
    fn the_first_request_under_a_key_stands_also_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        let requests = Requests::new(Db::open(&dir).unwrap());
        let digest = Digest::sha256("a request");
        let first = Asked { digest, plan: b"plan".to_vec(), reply: None };
        assert_eq!(requests.get("key").unwrap(), None);
        assert_eq!(requests.begin("key", digest, b"plan").unwrap(), first);
        assert_eq!(requests.begin("key", Digest::ZERO, b"other").unwrap(), first);
        drop(requests);
        let requests = Requests::new(Db::open(&dir).unwrap());
        assert_eq!(requests.get("key").unwrap(), Some(first.clone()));
        requests.finish("key", b"done").unwrap();
        let done = Asked { reply: Some(b"done".to_vec()), ..first };
        assert_eq!(requests.begin("key", digest, b"plan").unwrap(), done);
        assert_eq!(requests.get("another key").unwrap(), None);
    }
}
