//! What a node keeps of a chain besides the log: which chain it is, how far it was read, what this node sent.

use rusqlite::{Connection, OptionalExtension, params};

use super::db::{Db, DbError, Unsigned};
use crate::domain::Digest;

/// A block up to which a chain was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadUpTo {
    /// Its number.
    pub block: u64,
    /// Its hash; `None` when what follows from here must be read again.
    pub hash: Option<Digest>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentTransaction {
    /// The nonce of its sender.
    pub nonce: u64,
    /// Its hash.
    pub hash: Digest,
    /// As it is sent.
    pub raw: Vec<u8>,
    /// The block that has it, as far as is known.
    pub block: Option<u64>,
}

/// What is kept of one chain; clones share it.
#[derive(Debug, Clone)]
pub struct Chains {
    db: Db,
    name: String,
}

impl Chains {
    /// What this database keeps of the chain, or the contract on it, of this name.
    pub const fn new(db: Db, name: String) -> Self {
        Self { db, name }
    }

    /// The hash of the chain's first block, once it was noted.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn genesis(&self) -> Result<Option<Digest>, DbError> {
        let sql = "SELECT genesis FROM chains WHERE name = ?1";
        let row = self.db.connection().query_row(sql, [&self.name], |row| row.get(0)).optional()?;
        Ok(row.flatten())
    }

    /// Notes, durably, the hash of the chain's first block.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn set_genesis(&self, genesis: Digest) -> Result<(), DbError> {
        let sql = "INSERT INTO chains (name, genesis, block, hash) VALUES (?1, ?2, 0, NULL)
                   ON CONFLICT (name) DO UPDATE SET genesis = excluded.genesis";
        self.db.execute(sql, params![self.name, genesis])
    }

    /// How far the chain was read.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn read_up_to(&self) -> Result<Option<ReadUpTo>, DbError> {
        let sql = "SELECT block, hash FROM chains WHERE name = ?1 AND block > 0";
        let row = self.db.connection().query_row(sql, [&self.name], |row| {
            let Unsigned(block) = row.get(0)?;
            Ok(ReadUpTo { block, hash: row.get(1)? })
        });
        Ok(row.optional()?)
    }

    /// Notes, durably, how far the chain was read.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn set_read_up_to(&self, place: ReadUpTo) -> Result<(), DbError> {
        self.db.write(|transaction| self.note_read_up_to(transaction, place))
    }

    pub(super) fn note_read_up_to(&self, connection: &Connection, place: ReadUpTo) -> Result<(), DbError> {
        let sql = "INSERT INTO chains (name, block, hash) VALUES (?1, ?2, ?3)
                   ON CONFLICT (name) DO UPDATE SET block = excluded.block, hash = excluded.hash";
        connection.prepare_cached(sql)?.execute(params![self.name, Unsigned(place.block), place.hash])?;
        Ok(())
    }

    /// The transactions that are kept, by nonce.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn sent(&self) -> Result<Vec<SentTransaction>, DbError> {
        let connection = self.db.connection();
        let mut statement = connection.prepare_cached(
            "SELECT nonce, hash, raw, block FROM transactions WHERE chain = ?1 ORDER BY nonce",
        )?;
        let rows = statement.query_map([&self.name], |row| {
            let (Unsigned(nonce), Unsigned(block)) = (row.get(0)?, row.get(3)?);
            let block = (block > 0).then_some(block);
            Ok(SentTransaction { nonce, hash: row.get(1)?, raw: row.get(2)?, block })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps a transaction, durably, in place of another with its nonce.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn keep_sent(&self, sent: &SentTransaction) -> Result<(), DbError> {
        let sql = "INSERT OR REPLACE INTO transactions (chain, nonce, hash, raw, block)
                   VALUES (?1, ?2, ?3, ?4, ?5)";
        let SentTransaction { nonce, hash, raw, block } = sent;
        let block = Unsigned(block.unwrap_or_default());
        self.db.execute(sql, params![self.name, Unsigned(*nonce), hash, raw, block])
    }

    /// Keeps a transaction no longer.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn forget_sent(&self, nonce: u64) -> Result<(), DbError> {
        let sql = "DELETE FROM transactions WHERE chain = ?1 AND nonce = ?2";
        self.db.execute(sql, params![self.name, Unsigned(nonce)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::JobId,
        store::{EventLog, NewEntry},
    };

    #[test]
    fn each_chain_has_its_own_place_and_transactions() {
        let db = Db::in_memory().unwrap();
        let (one, other) = (Chains::new(db.clone(), "one".to_owned()), Chains::new(db, "other".to_owned()));
        let hash = Digest::new([7; 32]);
        assert_eq!((one.genesis().unwrap(), one.read_up_to().unwrap()), (None, None));
        one.set_genesis(hash).unwrap();
        assert_eq!(one.read_up_to().unwrap(), None, "nothing was read yet");
        for place in [ReadUpTo { block: 9, hash: Some(hash) }, ReadUpTo { block: 4, hash: None }] {
            one.set_read_up_to(place).unwrap();
            assert_eq!((one.genesis().unwrap(), one.read_up_to().unwrap()), (Some(hash), Some(place)));
        }
        let sent = |nonce, block| SentTransaction { nonce, hash, raw: vec![1, 2], block };
        for sent in [sent(3, None), sent(2, Some(5)), sent(3, Some(6))] {
            one.keep_sent(&sent).unwrap();
        }
        assert_eq!(one.sent().unwrap(), [sent(2, Some(5)), sent(3, Some(6))]);
        one.forget_sent(2).unwrap();
        assert_eq!(one.sent().unwrap(), [sent(3, Some(6))]);
        assert_eq!((other.genesis().unwrap(), other.read_up_to().unwrap()), (None, None));
        assert_eq!(other.sent().unwrap(), []);
    }

    #[test]
    fn what_was_read_of_a_chain_and_how_far_is_stored_at_once() {
        let db = Db::in_memory().unwrap();
        let (chain, log) = (Chains::new(db.clone(), "one".to_owned()), EventLog::new(db.clone()));
        let entry = |height| NewEntry {
            job: JobId::new([1; 32]),
            height,
            entry_hash: Digest::sha256([1]),
            author: None,
            bytes: vec![7],
        };
        let place = |block| ReadUpTo { block, hash: Some(Digest::new([7; 32])) };
        log.append_read(vec![entry(1)], &chain, place(9)).unwrap();
        assert_eq!((chain.read_up_to().unwrap(), db.commits()), (Some(place(9)), 1));
        // An entry that does not fit takes the place with it.
        log.append_read(vec![entry(3)], &chain, place(10)).unwrap_err();
        assert_eq!((chain.read_up_to().unwrap(), db.commits()), (Some(place(9)), 1));
    }
}
