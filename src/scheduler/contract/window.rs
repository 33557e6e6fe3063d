//! Reads the contract's logs of a window of blocks, and checks that none is missing.
//!
//! An endpoint that catches up or is broken may silently answer `[]` or leave logs out. Each header has a bloom
//! filter over the logs of its block. If the logs do not fit it, the receipts of the block decide, and these must
//! match the filter themselves. Parent hashes chain the headers, so a window belongs to one chain.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, Bloom, BloomInput},
    providers::{DynProvider, Provider},
    rpc::{
        client::BatchRequest,
        types::{Block, Filter, Header, Log},
    },
    transports::{TransportError, TransportErrorKind},
};
use alloy_sol_types::SolEvent;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    abi::IJobScheduler::Announced,
    newest::header,
    rpc::{AskError, Endpoints, PAUSES},
};
use crate::domain::{Digest, JobId, Timestamp};

/// Headers asked for by one request, and how many such requests at a time.
const BATCH: u64 = 50;
const AT_A_TIME: usize = 4;

/// Most transactions of a block whose receipts are asked for one by one.
const MAX_RECEIPTS: usize = 2000;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every event of the contract.
    All,
    /// Those of one job.
    Job(JobId),
    /// Where nodes can be reached.
    Announcements,
}

/// A contract's logs in a window of blocks, each with the time of its block, in the chain's order.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) logs: Vec<(Log, Timestamp)>,
    /// The hash of the last block.
    pub(super) tip: Digest,
}

/// Where logs are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) endpoints: &'a Endpoints,
    pub(super) contract: Address,
    pub(super) wanted: Wanted,
}

impl Wanted {
    /// The one job, if it is about one.
    pub(super) const fn job(self) -> Option<JobId> {
        match self {
            Self::Job(job) => Some(job),
            Self::All | Self::Announcements => None,
        }
    }

    fn topics(self) -> Option<B256> {
        match self {
            Self::All => None,
            Self::Job(job) => Some(B256::from(job)),
            Self::Announcements => Some(Announced::SIGNATURE_HASH),
        }
    }

    fn narrow(self, filter: Filter) -> Filter {
        match self {
            Self::All => filter,
            Self::Job(job) => filter.topic1(B256::from(job)),
            Self::Announcements => filter.event_signature(Announced::SIGNATURE_HASH),
        }
    }

    fn takes(self, log: &Log) -> bool {
        match self {
            Self::All => true,
            Self::Job(job) => log.topics().get(1) == Some(&B256::from(job)),
            Self::Announcements => log.topic0() == Some(&Announced::SIGNATURE_HASH),
        }
    }
}

impl Source<'_> {
    /// Reads blocks `first` to `last` of the chain that has the block `anchor`: the one before them, or one of them.
    /// `None` when they are of another chain, or the chain changed meanwhile. `newest` is a header that is known already.
    pub(super) async fn window(
        &self,
        first: u64,
        last: u64,
        anchor: Option<(u64, Digest)>,
        newest: Option<&Header>,
    ) -> Result<Option<Window>, AskError> {
        let headers = match newest {
            Some(newest) if first == last && newest.number == last => vec![newest.clone()],
            _ => self.headers(first, last).await?,
        };
        if !are_chained(&headers, anchor) {
            return Ok(None);
        }
        let mut given = match headers.as_slice() {
            [only] => by_block(self.logs_of(only.hash).await?),
            _ => by_block(self.logs(first, last).await?),
        };
        let mut logs = Vec::new();
        for header in &headers {
            let mut own = given.remove(&header.number).unwrap_or_default();
            own.retain(|log| log.address() == self.contract && self.wanted.takes(log) && !log.removed);
            if own.iter().any(|log| log.block_hash != Some(header.hash)) {
                return Ok(None);
            }
            own.sort_by_key(|log| log.log_index);
            own.dedup();
            if !self.is_whole(header, &own) {
                own = self.by_receipts(header, own).await?;
            }
            let at = Timestamp::from_secs(header.timestamp);
            logs.extend(own.into_iter().map(|log| (log, at)));
        }
        let tip = headers.last().map_or(Digest::ZERO, |header| header.hash.into());
        Ok(Some(Window { logs, tip }))
    }

    /// Reads blocks `first` to `last` without a look at their headers: for more blocks than can be checked.
    pub(super) async fn logs(&self, first: u64, last: u64) -> Result<Vec<Log>, AskError> {
        let (mut from, mut found) = (first, Vec::new());
        while from <= last {
            let span = self.endpoints.span().now();
            let to = last.min(from.saturating_add(span - 1));
            let error = match self.logs_at_once(from, to).await {
                Ok(logs) => {
                    self.endpoints.span().answered();
                    // Logs that nobody asked for are ignored.
                    found
                        .extend(logs.into_iter().filter(|log| {
                            log.block_number.is_some_and(|block| (from..=to).contains(&block))
                        }));
                    from = to.saturating_add(1);
                    continue;
                }
                Err(error) => error,
            };
            // Every endpoint words "too many" differently, so any request that is refused or times out is split.
            match &error {
                AskError::Answer(_) | AskError::Declined(_) => {
                    self.endpoints.span().complained(to - from + 1)
                }
                AskError::Reverted(_) | AskError::Unreachable(_) => return Err(error),
            }
            if to == from {
                return Err(error);
            }
            tracing::debug!(from, to, ?error, "the endpoint takes fewer blocks at a time");
            if matches!(error, AskError::Declined(_)) {
                sleep(PAUSES.first).await;
            }
        }
        Ok(found)
    }

    /// Reads blocks `first` to `last` by one request.
    async fn logs_at_once(&self, first: u64, last: u64) -> Result<Vec<Log>, AskError> {
        let filter = Filter::new().address(self.contract).from_block(first).to_block(last);
        let filter = self.wanted.narrow(filter);
        let ask = |provider: DynProvider| {
            let filter = filter.clone();
            async move { provider.get_logs(&filter).await }
        };
        if first == last { self.endpoints.ask(ask).await } else { self.endpoints.ask_for_many(ask).await }
    }

    async fn logs_of(&self, block: B256) -> Result<Vec<Log>, AskError> {
        let filter = self.wanted.narrow(Filter::new().address(self.contract).at_block_hash(block));
        let asked = self.endpoints.ask(|provider| {
            let filter = filter.clone();
            async move { provider.get_logs(&filter).await }
        });
        asked.await
    }

    async fn headers(&self, first: u64, last: u64) -> Result<Vec<Header>, AskError> {
        let starts = (first..=last).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX));
        let asked = starts.map(|from| async move {
            let to = last.min(from + BATCH - 1);
            self.endpoints.ask(|provider| batch_of(provider, from, to)).await
        });
        let mut answers = stream::iter(asked).buffered(AT_A_TIME);
        let mut headers = Vec::new();
        while let Some(answer) = answers.next().await {
            headers.extend(answer?);
        }
        Ok(headers)
    }

    /// Whether these logs match the header's bloom filter.
    fn is_whole(&self, header: &Header, logs: &[Log]) -> bool {
        let bloom = header.logs_bloom;
        if logs.is_empty() {
            let has = |topic: &[u8]| bloom.contains_input(BloomInput::Raw(topic));
            let topic = self.wanted.topics();
            return !(has(self.contract.as_slice()) && topic.is_none_or(|topic| has(topic.as_slice())));
        }
        bloom_of(logs) == bloom
    }

    /// The block's logs from its receipts, which must match the header.
    async fn by_receipts(&self, header: &Header, given: Vec<Log>) -> Result<Vec<Log>, AskError> {
        let (hash, number) = (header.hash, header.number);
        let all = self.endpoints.ask(|provider| receipts(provider, hash)).await?;
        let is_kept = header.logs_bloom != Bloom::ZERO;
        if is_kept && bloom_of(&all) != header.logs_bloom {
            let reason = format!("its receipts of block {number} are not those of the block's header");
            return Err(AskError::Answer(reason));
        }
        if all.iter().any(|log| log.block_hash != Some(hash) || log.block_number != Some(number)) {
            return Err(AskError::Answer(format!("its receipts of block {number} are of another block")));
        }
        let own = |log: &Log| log.address() == self.contract && self.wanted.takes(log);
        let mut own: Vec<Log> = all.into_iter().filter(own).collect();
        own.sort_by_key(|log| log.log_index);
        if own.len() != given.len() {
            let endpoint = self.endpoints.shown();
            let (told, real) = (given.len(), own.len());
            tracing::warn!(
                block = number,
                told,
                real,
                endpoint,
                "eth_getLogs left events out; reading them from the receipts"
            );
        }
        Ok(own)
    }
}

fn are_chained(headers: &[Header], anchor: Option<(u64, Digest)>) -> bool {
    let holds = |header: &Header, (number, hash): (u64, Digest)| {
        let is_before = header.number == number + 1;
        (header.number != number || Digest::from(header.hash) == hash)
            && (!is_before || Digest::from(header.parent_hash) == hash)
    };
    anchor.is_none_or(|anchor| headers.iter().all(|header| holds(header, anchor)))
        && headers.windows(2).all(|pair| pair[0].hash == pair[1].parent_hash)
}

fn by_block(logs: Vec<Log>) -> BTreeMap<u64, Vec<Log>> {
    let mut blocks: BTreeMap<u64, Vec<Log>> = BTreeMap::new();
    for log in logs {
        if let Some(block) = log.block_number {
            blocks.entry(block).or_default().push(log);
        }
    }
    blocks
}

fn bloom_of(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue_raw_log(log.address(), log.topics());
    }
    bloom
}

/// The headers of blocks `first` to `last`: by one request, or one by one where that is not taken.
async fn batch_of(provider: DynProvider, first: u64, last: u64) -> Result<Vec<Header>, TransportError> {
    if first == last {
        return Ok(vec![header(&provider, BlockNumberOrTag::Number(first)).await?]);
    }
    let batched = async {
        let mut batch = BatchRequest::new(provider.client());
        let mut waiting = Vec::new();
        for block in first..=last {
            let params = (BlockNumberOrTag::Number(block), false);
            waiting.push(batch.add_call::<_, Option<Block>>("eth_getBlockByNumber", &params)?);
        }
        batch.send().await?;
        let mut headers = Vec::new();
        for (number, block) in (first..).zip(waiting) {
            let found = block.await?.map(|block| block.header);
            headers.push(found.ok_or_else(|| missing(number))?);
        }
        Ok::<_, TransportError>(headers)
    };
    let headers = match batched.await {
        Ok(headers) => headers,
        Err(_) => {
            let numbers = stream::iter(first..=last);
            let one = |number| {
                let provider = &provider;
                async move { header(provider, BlockNumberOrTag::Number(number)).await }
            };
            let mut answers = numbers.map(one).buffered(2 * AT_A_TIME);
            let mut headers = Vec::new();
            while let Some(answer) = answers.next().await {
                headers.push(answer?);
            }
            headers
        }
    };
    match (first..).zip(&headers).find(|(number, header)| header.number != *number) {
        Some((number, _)) => Err(missing(number)),
        None => Ok(headers),
    }
}

fn missing(block: u64) -> TransportError {
    TransportErrorKind::non_retryable_str(&format!("it has no block {block}"))
}

/// The part of a receipt that is read; the rest differs from chain to chain.
#[derive(Debug, Deserialize)]
struct Logs {
    logs: Vec<Log>,
}

/// Every log of a block, by its receipts.
async fn receipts(provider: DynProvider, block: B256) -> Result<Vec<Log>, TransportError> {
    let client = provider.client();
    let whole = client.request::<_, Option<Vec<Logs>>>("eth_getBlockReceipts", (block,)).await;
    if let Ok(Some(receipts)) = whole {
        return Ok(receipts.into_iter().flat_map(|receipt| receipt.logs).collect());
    }
    // Not every endpoint knows this method.
    let found = provider.get_block_by_hash(block).await?;
    let found = found.ok_or_else(|| TransportErrorKind::non_retryable_str("it has no such block"))?;
    let hashes: Vec<B256> = found.transactions.hashes().take(MAX_RECEIPTS).collect();
    let mut logs = Vec::new();
    for hash in hashes {
        let receipt = client.request::<_, Option<Logs>>("eth_getTransactionReceipt", (hash,)).await?;
        let receipt = receipt.ok_or_else(|| TransportErrorKind::non_retryable_str("a receipt is missing"))?;
        logs.extend(receipt.logs);
    }
    Ok(logs)
}
