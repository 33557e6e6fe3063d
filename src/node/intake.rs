//! Whether the operator lets a node take on work. A pause lasts until the operator ends it, also across restarts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    domain::Timestamp,
    store::{Db, DbError},
};

/// The position in the database that holds the time of the pause; 0 means none.
const PAUSED_SINCE: &str = "paused since";

/// Since when the node takes on no work, in memory and in the database.
#[derive(Debug)]
pub(super) struct Intake {
    db: Db,
    since: Mutex<Option<Timestamp>>,
}

impl Intake {
    /// As the last process left it.
    pub(super) fn restored(db: Db) -> Result<Self, DbError> {
        let since = match db.cursor(PAUSED_SINCE)? {
            0 => None,
            secs => Some(Timestamp::from_secs(secs)),
        };
        Ok(Self { db, since: Mutex::new(since) })
    }

    /// Since when the node takes on no work.
    pub(super) fn since(&self) -> Option<Timestamp> {
        *self.lock()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Timestamp>> {
        // A time is written whole.
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores since when the node takes on no work; blocks until that is durable.
    pub(super) fn store(&self, since: Option<Timestamp>) -> Result<(), DbError> {
        self.db.set_cursor(PAUSED_SINCE, since.map_or(0, Timestamp::as_secs))
    }
}
