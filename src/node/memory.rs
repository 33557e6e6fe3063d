//! What this node remembers of others as a requester, in use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{
    policy::trust::{Record, Trust, TrustTerms},
    store::{DbError, TrustBook, TrustRow},
};

/// A requester's memory, in use.
#[derive(Debug)]
pub(super) struct TrustMemory {
    trust: Mutex<Trust>,
    /// Counts what was noted, so that an own run that is due, or over, can be waited for.
    pub(super) noted: watch::Sender<u64>,
}

impl TrustMemory {
    /// As it was stored.
    pub(super) fn restored(book: &TrustBook) -> Result<Self, DbError> {
        let records = book.records()?.into_iter().map(|row| (row.node, record(row)));
        let trust = Mutex::new(Trust::restored(TrustTerms::default(), records));
        Ok(Self { trust, noted: watch::Sender::new(0) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Trust> {
        // A panic inside leaves counts that are whole.
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(row: TrustRow) -> Record {
    let TrustRow { node: _, compared, kept, rejected, proofs, odd, unchecked, last: _ } = row;
    Record { compared, kept, rejected, proofs, odd, unchecked: unchecked.into() }
}
