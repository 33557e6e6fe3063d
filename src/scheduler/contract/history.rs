//! The log of one job, or of all, read from the chain at once: for whoever looks without a node of its own.
//!
//! Nothing is judged here: an event that the rules refuse is given like any other.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::B256,
    providers::Provider,
    rpc::types::{Filter, Log},
};
use alloy_sol_types::SolEventInterface;

use super::{
    abi::Events,
    client::ConnectError,
    convert::{ChainEvent, JobLog, chain_event, entry_hash},
    follow::RANGE,
    reader::ContractReader,
    rpc::header,
};
use crate::{
    domain::{Amount, Digest, Event, JobId, LogDomain, NodeId, Timestamp},
    rules::{Ledger, held},
    scheduler::{BackendError, Cursor, LogItem},
};

/// Most follow-ups of follow-ups: each has at least twice the seats of the one before, and 31 is the most.
const MAX_ANCESTORS: usize = 5;

/// The logs of a job and of those that it follows up.
#[derive(Debug)]
pub struct History {
    /// What the log is bound to.
    pub domain: LogDomain,
    /// Each job with its entries, the oldest first, the job asked for last. None is empty.
    pub jobs: Vec<(JobId, Vec<LogItem>)>,
}

/// Why there is no history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no way to the contract.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The chain failed while it was read.
    #[error("the events cannot be read")]
    Chain(#[source] BackendError),
    /// The contract has no event of the job.
    #[error("contract {contract} has no event of job {job} in blocks {first} to {last} of chain {chain_id}")]
    UnknownJob {
        /// The job.
        job: JobId,
        /// The contract.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
        /// The first block that was read.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// An event is none of this interface.
    #[error("the job's log in block {block} is none of this version's contract")]
    Unreadable {
        /// The block.
        block: u64,
    },
    /// The first event is not the job's submission.
    #[error("the events of job {job} from block {first} on do not begin with its submission")]
    NotFromTheStart {
        /// The job.
        job: JobId,
        /// The first block that was read.
        first: u64,
    },
}

/// Reads the events of `job`, and of the jobs that it follows up, from `first_block` to the newest.
///
/// # Errors
/// [`HistoryError`].
pub async fn history(
    rpc_urls: &[String],
    contract: NodeId,
    first_block: u64,
    job: JobId,
) -> Result<History, HistoryError> {
    let reader = ContractReader::connect(rpc_urls, contract, None).await?;
    let pages = Pages::of(&reader, first_block).await?;
    let mut found = Vec::new();
    let mut next = Some(job);
    while let Some(job) = next.filter(|_| found.len() <= MAX_ANCESTORS) {
        let events = pages.events(Some(job)).await?;
        if events.is_empty() {
            let LogDomain { chain_id, contract } = reader.domain();
            let Pages { first, last, .. } = pages;
            return Err(HistoryError::UnknownJob { job, contract, chain_id, first, last });
        }
        let Some(Event::Submitted { deal, .. }) = events.first().map(|event| &event.log.event) else {
            return Err(HistoryError::NotFromTheStart { job, first: first_block });
        };
        next = deal.parent;
        found.insert(0, (job, events));
    }
    let mut ledger = Ledger::new(reader.domain());
    let jobs = found.into_iter().map(|(job, events)| (job, items(events, &mut ledger))).collect();
    Ok(History { domain: reader.domain(), jobs })
}

/// What `party` has locked in jobs that are not over, by the events from `first_block` to the newest.
///
/// # Errors
/// [`HistoryError`].
pub async fn locked(
    reader: &ContractReader,
    first_block: u64,
    party: NodeId,
) -> Result<Amount, HistoryError> {
    let events = Pages::of(reader, first_block).await?.events(None).await?;
    let mut ledger = Ledger::new(reader.domain());
    for event in events {
        // A job whose beginning is not here, or that the rules cannot read, holds nothing that could be told.
        if let Some(stamped) = event.log.stamped(event.at, &ledger) {
            let _ = ledger.apply(&stamped);
        }
    }
    let held = ledger.open_jobs().filter_map(|job| held(job).get(&party).copied());
    Ok(held.fold(Amount::ZERO, |total, amount| total.checked_add(amount).unwrap_or(Amount::MAX)))
}

/// An event of a job and its place on the chain.
struct Placed {
    block: u64,
    block_hash: Digest,
    index: u64,
    at: Timestamp,
    log: JobLog,
}

fn items(events: Vec<Placed>, ledger: &mut Ledger) -> Vec<LogItem> {
    let mut items = Vec::with_capacity(events.len());
    for (cursor, Placed { block_hash, index, at, log, .. }) in (1..).zip(events) {
        // Nothing after a submission that the rules refuse has an author: whoever folds the log stops there.
        let Some(stamped) = log.stamped(at, ledger) else { break };
        // What the rules refuse changes nothing here; that they do is for the reader of the log to find.
        let _ = ledger.apply(&stamped);
        let entry = entry_hash(block_hash, index);
        items.push(LogItem { cursor: Cursor(cursor), entry, stamped, proof: Vec::new() });
    }
    items
}

struct Pages {
    reader: ContractReader,
    first: u64,
    last: u64,
}

impl Pages {
    async fn of(reader: &ContractReader, first: u64) -> Result<Self, HistoryError> {
        let (last, _) = reader.head().await.map_err(HistoryError::Chain)?;
        Ok(Self { reader: reader.clone(), first, last })
    }

    /// Every event of a job, or of all jobs, in the chain's order.
    async fn events(&self, job: Option<JobId>) -> Result<Vec<Placed>, HistoryError> {
        let mut times = BTreeMap::new();
        let mut events = Vec::new();
        let mut first = self.first;
        while first <= self.last {
            let to = self.last.min(first.saturating_add(RANGE - 1));
            for log in self.logs(job, first, to).await? {
                let Some(block) = log.block_number else { continue };
                let at = match times.get(&block) {
                    Some(at) => *at,
                    None => self.time(block).await?,
                };
                times.insert(block, at);
                events.extend(placed(&log, at, job)?);
            }
            first = to.saturating_add(1);
        }
        events.sort_by_key(|event| (event.block, event.index));
        Ok(events)
    }

    async fn logs(&self, job: Option<JobId>, first: u64, last: u64) -> Result<Vec<Log>, HistoryError> {
        let filter = Filter::new().address(self.reader.contract).from_block(first).to_block(last);
        let filter = match job {
            Some(job) => filter.topic1(B256::from(job)),
            None => filter,
        };
        let asked = self.reader.endpoints.ask(|provider| {
            let filter = filter.clone();
            async move { provider.get_logs(&filter).await }
        });
        asked.await.map_err(|error| HistoryError::Chain(error.into()))
    }

    async fn time(&self, block: u64) -> Result<Timestamp, HistoryError> {
        let number = BlockNumberOrTag::Number(block);
        let asked = self.reader.endpoints.ask(|provider| async move { header(&provider, number).await });
        let header = asked.await.map_err(|error| HistoryError::Chain(error.into()))?;
        Ok(Timestamp::from_secs(header.timestamp))
    }
}

/// A log's event with its place; `None` when it changes no job, or is about another than asked for.
fn placed(log: &Log, at: Timestamp, job: Option<JobId>) -> Result<Option<Placed>, HistoryError> {
    let (Some(block), Some(block_hash), Some(index)) = (log.block_number, log.block_hash, log.log_index)
    else {
        return Ok(None);
    };
    let unreadable = HistoryError::Unreadable { block };
    let event = Events::decode_raw_log(log.topics(), &log.data().data).map_err(|_| unreadable.clone())?;
    Ok(match chain_event(event).map_err(|_| unreadable)? {
        ChainEvent::Job(event) if job.is_none_or(|job| job == event.job) => {
            Some(Placed { block, block_hash: block_hash.into(), index, at, log: *event })
        }
        ChainEvent::Job(_) | ChainEvent::Announced { .. } | ChainEvent::Other => None,
    })
}
