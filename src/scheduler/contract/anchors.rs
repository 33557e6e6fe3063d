//! Where the entries of a job stand on the chain, and what their transactions took.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::{
    primitives::{Address, B256},
    providers::Provider,
    rpc::types::TransactionReceipt,
};
use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::{
    decode::jobs_in,
    log::{ChainLog, place},
    reader::ContractReader,
};
use crate::{
    domain::{Amount, Digest, JobId},
    scheduler::{Anchor, BackendError, Cost, stored::store_error},
};

/// Most receipts that are kept: those of some forty jobs. They never change once their block is final.
const MAX_KEPT: usize = 1024;

/// Most receipts fetched for one question, how many at a time, and how long all may take.
const MAX_ASKED: usize = 256;
const AT_A_TIME: usize = 8;
const LIMIT: Duration = Duration::from_secs(5);

/// Entries read from the store at a time.
const PAGE: u32 = 256;

/// The costs of transactions, fetched when asked for.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    kept: Mutex<BTreeMap<Digest, Cost>>,
}

/// An entry's height, block and transaction.
type Place = (u64, u64, Digest);

impl Receipts {
    /// The anchors of a job; `head` is the newest block.
    pub(super) async fn anchors(
        &self,
        log: &Arc<ChainLog>,
        reader: &ContractReader,
        job: JobId,
        head: u64,
    ) -> Result<Vec<Anchor>, BackendError> {
        let log = Arc::clone(log);
        let read = tokio::task::spawn_blocking(move || places(&log, job)).await;
        let places = read.unwrap_or(Err(BackendError::Stopped))?;
        let costs = self.costs(reader, &places).await;
        let anchor = |(height, block, transaction): Place| Anchor {
            height,
            transaction,
            block,
            confirmations: head.saturating_sub(block),
            cost: costs.get(&transaction).copied(),
        };
        Ok(places.into_iter().map(anchor).collect())
    }

    /// The costs of these transactions. Fetches those that are not known yet.
    async fn costs(&self, reader: &ContractReader, places: &[Place]) -> BTreeMap<Digest, Cost> {
        let wanted: BTreeSet<Digest> = places.iter().map(|(_, _, transaction)| *transaction).collect();
        let mut known: BTreeMap<Digest, Cost> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.iter().filter_map(|transaction| Some((*transaction, *kept.get(transaction)?))).collect()
        };
        let missing: Vec<Digest> = wanted
            .into_iter()
            .filter(|transaction| !known.contains_key(transaction))
            .take(MAX_ASKED)
            .collect();
        let asked = missing.into_iter().map(|transaction| cost(reader, transaction));
        let mut answers = stream::iter(asked).buffer_unordered(AT_A_TIME);
        let mut found = Vec::new();
        let asking = async {
            while let Some(answer) = answers.next().await {
                found.extend(answer);
            }
        };
        // Receipts that come too late are asked for again the next time.
        let _ = timeout(LIMIT, asking).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + found.len() > MAX_KEPT {
            kept.clear();
        }
        kept.extend(found.iter().copied());
        known.extend(found);
        known
    }
}

fn places(log: &ChainLog, job: JobId) -> Result<Vec<Place>, BackendError> {
    let mut places = Vec::new();
    let mut after = 0;
    loop {
        let page = log.store().read_job(job, after, PAGE).map_err(|error| store_error(&error))?;
        let Some(last) = page.last() else { return Ok(places) };
        after = last.entry.height;
        for stored in &page {
            if let Some((block, transaction)) = place(stored)? {
                places.push((stored.entry.height, block, transaction));
            }
        }
    }
}

async fn cost(reader: &ContractReader, transaction: Digest) -> Option<(Digest, Cost)> {
    let hash = B256::from(transaction);
    let asked = reader.endpoints.ask(|provider| async move { provider.get_transaction_receipt(hash).await });
    match asked.await {
        Ok(receipt) => Some((transaction, cost_of(&receipt?, reader.contract)?)),
        Err(error) => {
            tracing::debug!(%transaction, ?error, "the chain does not tell what a transaction took");
            None
        }
    }
}

/// What the transaction took for one job: steps of several may share it, and each bears an equal part, rounded up. `None` for
/// numbers that no transaction can have.
fn cost_of(receipt: &TransactionReceipt, contract: Address) -> Option<Cost> {
    let jobs = u64::try_from(jobs_in(receipt, contract).len()).ok()?.max(1);
    let gas_used = receipt.gas_used.div_ceil(jobs);
    let fee = u128::from(gas_used).checked_mul(receipt.effective_gas_price)?;
    Some(Cost { payer: receipt.from.into(), gas_used, fee: Amount::new(fee)? })
}
