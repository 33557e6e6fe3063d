//! Whether the operator lets a node take on work: in its hours, and while it is not paused. A pause lasts until the operator
//! ends it, also across restarts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{
    domain::Timestamp,
    store::{Db, DbError},
};

/// The position in the database that holds the time of the pause; 0 means none.
const PAUSED_SINCE: &str = "paused since";

/// Whether the node takes on work, in memory and, as far as the operator decides it, in the database.
#[derive(Debug)]
pub(super) struct Intake {
    db: Db,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Since when the operator has it paused.
    pub(super) since: Option<Timestamp>,
    /// Whether it is in its hours.
    pub(super) is_open: bool,
}

impl Intake {
    /// As the last process left it.
    pub(super) fn restored(db: Db, is_open: bool) -> Result<Self, DbError> {
        let since = match db.cursor(PAUSED_SINCE)? {
            0 => None,
            secs => Some(Timestamp::from_secs(secs)),
        };
        Ok(Self { db, state: Mutex::new(State { since, is_open }) })
    }

    /// What holds now.
    pub(super) fn state(&self) -> State {
        *self.lock()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is written whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores since when the node takes on no work; blocks until that is durable.
    pub(super) fn store(&self, since: Option<Timestamp>) -> Result<(), DbError> {
        self.db.set_cursor(PAUSED_SINCE, since.map_or(0, Timestamp::as_secs))
    }
}

impl State {
    /// Whether the node takes on work.
    pub(super) const fn takes_on(self) -> bool {
        self.is_open && self.since.is_none()
    }
}
