//! What a reader of the log is told: entries, and once that it holds the history.

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{BackendError, Cursor, LogItem};
use crate::domain::JobId;

/// One thing that a reader of the log is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogUpdate {
    /// The next entry.
    Entry(Box<LogItem>),
    /// The reader holds the history: every entry that the log had when the reader began. Told exactly once; what
    /// follows is news. The history is fixed at the start, so strangers who keep writing cannot delay this.
    CaughtUp,
    /// The backend keeps this job no longer: strangers announced more than there is room for, and this node has
    /// neither bid nor seat in it; or it was an offer, and is over. It may come again, from its first entry.
    Forgotten(JobId),
    /// The chain dropped blocks: entries with a greater cursor are void, as if they had never been. What takes their
    /// place follows, with cursors greater than all before.
    Rewound {
        /// The newest entry that still stands; 0 for none.
        to: Cursor,
    },
}

/// Every entry after a cursor, without gaps and in order, with [`LogUpdate::CaughtUp`] between history and news;
/// ends when the backend stops.
pub type EventStream = BoxStream<'static, Result<LogUpdate, BackendError>>;

impl From<LogItem> for LogUpdate {
    fn from(item: LogItem) -> Self {
        Self::Entry(Box::new(item))
    }
}

/// The entries alone, for readers to whom history and news are the same.
pub fn entries(updates: EventStream) -> BoxStream<'static, Result<LogItem, BackendError>> {
    let entry = |update| {
        let kept = match update {
            Ok(LogUpdate::Entry(item)) => Some(Ok(*item)),
            Ok(LogUpdate::CaughtUp | LogUpdate::Forgotten(_) | LogUpdate::Rewound { .. }) => None,
            Err(error) => Some(Err(error)),
        };
        stream::iter(kept)
    };
    updates.flat_map(entry).boxed()
}

/// Where the history of one reader ends, and whether it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct History {
    last: Cursor,
    told: bool,
}

impl History {
    /// The history ends with the entry at `last`.
    pub(super) const fn up_to(last: Cursor) -> Self {
        Self { last, told: false }
    }

    /// Entries after `to` are void.
    #[cfg(feature = "contract")]
    pub(super) fn rewind(&mut self, to: Cursor) {
        self.last = self.last.min(to);
    }

    /// Whether the end was told.
    #[cfg(feature = "contract")]
    pub(super) const fn is_told(self) -> bool {
        self.told
    }

    /// Whether a reader that holds everything up to `held` has reached the end of history and was not told.
    #[cfg(feature = "libp2p")]
    pub(super) fn ends(&self, held: Cursor) -> bool {
        !self.told && held >= self.last
    }

    /// The update to tell a reader that holds everything up to `held`; given once.
    pub(super) fn end(&mut self, held: Cursor) -> Option<LogUpdate> {
        let ends = !self.told && held >= self.last;
        self.told |= ends;
        ends.then_some(LogUpdate::CaughtUp)
    }
}
