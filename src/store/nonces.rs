//! The counter of a requester's nonces.

use super::db::{Db, DbError, Unsigned};

/// The counter in a database; clones share it.
#[derive(Debug, Clone)]
pub struct Nonces {
    db: Db,
}

impl Nonces {
    /// The counter in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// A nonce that this never gave before, nor will again, also across restarts: 0, 1, 2 and so on.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn draw(&self) -> Result<u64, DbError> {
        let sql = "UPDATE nonce SET next = next + 1 RETURNING next - 1";
        let Unsigned(nonce) = self.db.write(|transaction| -> Result<_, DbError> {
            Ok(transaction.query_row(sql, (), |row| row.get(0))?)
        })?;
        Ok(nonce)
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
        let nonces = Nonces::new(Db::open(&dir).unwrap());
        assert_eq!([0, 1, 2].map(|_| nonces.draw().unwrap()), [0, 1, 2]);
        drop(nonces);
        let nonces = Nonces::new(Db::open(&dir).unwrap());
        assert_eq!(nonces.draw().unwrap(), 3);
    }

    #[test]
    fn threads_share_the_counter() {
        let nonces = Nonces::new(Db::in_memory().unwrap());
        let drawn: BTreeSet<u64> = thread::scope(|scope| {
            let draw = || (0..25).map(|_| nonces.draw().unwrap()).collect::<Vec<_>>();
            let threads = [0; 4].map(|_| scope.spawn(draw));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(drawn, (0..100).collect());
    }
}
