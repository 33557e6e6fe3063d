//! Sent transactions that the chain may still drop. They are kept, in the node's store if there is one, until they
//! are deep enough.

use std::collections::BTreeMap;

use alloy::{
    consensus::{TxEip1559, TxEnvelope},
    eips::Decodable2718,
    primitives::{B256, Bytes},
};

use crate::{
    scheduler::{BackendError, stored::store_error},
    store::{Chains, DbError, SentTransaction},
};

/// A transaction this many blocks deep stays: no reorganisation of a chain in use was ever longer.
const DEEP: u64 = 128;

/// A transaction that was sent.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) transaction: TxEip1559,
    pub(super) raw: Bytes,
    pub(super) hash: B256,
}

/// The transactions of one key on one chain that may have to be sent again, by nonce.
#[derive(Debug)]
pub(super) struct Outbox {
    store: Option<Chains>,
    kept: BTreeMap<u64, (Kept, u64)>,
}

impl Outbox {
    /// Of a short-lived process: nothing is stored.
    pub(super) const fn in_memory() -> Self {
        Self { store: None, kept: BTreeMap::new() }
    }

    /// What a store keeps.
    pub(super) fn open(store: Chains) -> Result<Self, BackendError> {
        let mut kept = BTreeMap::new();
        for SentTransaction { nonce, hash, raw, block } in
            store.sent().map_err(|error| store_error(&error))?
        {
            // A row of an earlier version cannot be sent again.
            if let Some(transaction) = read(&raw) {
                let sent = Kept { transaction, raw: raw.into(), hash: hash.into() };
                kept.insert(nonce, (sent, block.unwrap_or_default()));
            }
        }
        Ok(Self { store: Some(store), kept })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The nonce after all that were ever in a block.
    pub(super) fn next_nonce(&self) -> u64 {
        self.kept.last_key_value().map_or(0, |(nonce, _)| nonce + 1)
    }

    /// Stores a transaction before it is sent.
    pub(super) async fn about_to_send(
        &self,
        nonce: u64,
        hash: B256,
        raw: &Bytes,
    ) -> Result<(), BackendError> {
        let sent = SentTransaction { nonce, hash: hash.into(), raw: raw.to_vec(), block: None };
        self.with_store(move |store| store.keep_sent(&sent)).await
    }

    /// Keeps a transaction that is in a block, and forgets those that are deep below it.
    pub(super) async fn in_block(&mut self, kept: Kept, block: u64) {
        let nonce = kept.transaction.nonce;
        let sent =
            SentTransaction { nonce, hash: kept.hash.into(), raw: kept.raw.to_vec(), block: Some(block) };
        self.kept.insert(nonce, (kept, block));
        let deep = |(nonce, (_, at)): (&u64, &(Kept, u64))| (at + DEEP < block).then_some(*nonce);
        let old: Vec<u64> = self.kept.iter().filter_map(deep).collect();
        for nonce in &old {
            self.kept.remove(nonce);
        }
        let stored = self.with_store(move |store| {
            store.keep_sent(&sent)?;
            old.into_iter().try_for_each(|nonce| store.forget_sent(nonce))
        });
        if let Err(error) = stored.await {
            tracing::warn!(%error, nonce, "cannot record a transaction; a restart would not send it again");
        }
    }

    /// Keeps a transaction no longer.
    pub(super) async fn forget(&mut self, nonce: u64) {
        self.kept.remove(&nonce);
        if let Err(error) = self.with_store(move |store| store.forget_sent(nonce)).await {
            tracing::warn!(%error, nonce, "cannot remove the record of a transaction");
        }
    }

    /// Removes and returns the transactions that a chain with `mined` transactions of this key lacks, by nonce.
    pub(super) fn take_from(&mut self, mined: u64) -> Vec<Kept> {
        self.kept.split_off(&mined).into_values().map(|(kept, _)| kept).collect()
    }

    async fn with_store(
        &self,
        write: impl FnOnce(&Chains) -> Result<(), DbError> + Send + 'static,
    ) -> Result<(), BackendError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let written = tokio::task::spawn_blocking(move || write(&store)).await;
        written.map_err(|_| BackendError::Stopped)?.map_err(|error| store_error(&error))
    }
}

fn read(raw: &[u8]) -> Option<TxEip1559> {
    let envelope = TxEnvelope::decode_2718(&mut &*raw).ok()?;
    Some(envelope.as_eip1559()?.tx().clone())
}
