//! The log of one job, or of all, read from the chain at once: for readers that run no node.
//!
//! Nothing is judged here: events that the rules refuse are included.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::sleep;

use alloy::eips::BlockNumberOrTag;

use super::{
    convert::{JobEvent, entry_hash},
    decode::{Decoded, Mined, decode},
    error::ConnectError,
    newest::header,
    reader::ContractReader,
    span::RANGE,
    window::{Source, Wanted},
};
use crate::{
    domain::{Amount, Digest, Event, JobId, LogDomain, NodeId, Timestamp},
    rules::{Ledger, MoneyError, held},
    scheduler::{BackendError, Cursor, LogItem},
};

/// Most follow-ups of follow-ups: each has at least twice the seats of the one before, and 31 is the most.
const MAX_ANCESTORS: usize = 5;

/// Most blocks whose headers are checked: the newest ones.
const CHECKED: u64 = 50_000;

/// How often a window is read again if the chain changes meanwhile, and the pause before.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

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
    #[error("cannot read the events")]
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
    /// The events name more money than a contract can hold.
    #[error("cannot tell from the events what is locked")]
    Money(#[source] MoneyError),
    /// An event does not fit the interface.
    #[error("the job's log in block {block} is not that of this version's contract: {reason}")]
    Unreadable {
        /// The block.
        block: u64,
        /// What is wrong.
        reason: String,
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
        let events = pages.events(Some(job)).await?.into_iter();
        let events = events.map(readable).collect::<Result<Vec<Placed>, _>>()?;
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
    let mut unreadable = BTreeSet::new();
    for event in events {
        // A job that is unreadable, or whose beginning is missing, counts as holding nothing.
        match event.log {
            Ok(log) => {
                if let Some(stamped) = log.stamped(event.at, &ledger) {
                    let _ = ledger.apply(&stamped);
                }
            }
            Err(_) => drop(unreadable.insert(event.job)),
        }
    }
    let mut jobs = ledger.open_jobs().filter(|job| !unreadable.contains(&job.id));
    jobs.try_fold(Amount::ZERO, |total, job| {
        let amount = held(job)?.get(&party).copied().unwrap_or(Amount::ZERO);
        total.checked_add(amount).ok_or(MoneyError::TooMuch)
    })
    .map_err(HistoryError::Money)
}

/// An event that can be read, and its place on the chain.
struct Placed {
    block_hash: Digest,
    index: u64,
    at: Timestamp,
    log: JobEvent,
}

fn readable(event: Mined) -> Result<Placed, HistoryError> {
    let Mined { block, block_hash, index, at, log, .. } = event;
    let log = log.map_err(|reason| HistoryError::Unreadable { block, reason })?;
    Ok(Placed { block_hash, index, at, log })
}

fn items(events: Vec<Placed>, ledger: &mut Ledger) -> Vec<LogItem> {
    let mut items = Vec::with_capacity(events.len());
    for (cursor, Placed { block_hash, index, at, log, .. }) in (1..).zip(events) {
        // After a refused submission no event has an author, and a fold of the log stops there.
        let Some(stamped) = log.stamped(at, ledger) else { break };
        // Refused events change nothing here; readers of the log find them.
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
    async fn events(&self, job: Option<JobId>) -> Result<Vec<Mined>, HistoryError> {
        let wanted = job.map_or(Wanted::All, Wanted::Job);
        let Self { reader, first, last } = self;
        let source = Source { endpoints: &reader.endpoints, contract: reader.contract, wanted };
        let mut events = Vec::new();
        let mut from = *first;
        let checked = last.saturating_sub(CHECKED);
        if from < checked {
            self.old_events(&source, from, checked, &mut events).await?;
            from = checked + 1;
        }
        while from <= *last {
            let to = (*last).min(from.saturating_add(RANGE - 1));
            let window = self.window(&source, from, to).await?;
            events.extend(window.iter().filter_map(|(log, at)| of_a_job(decode(log, *at), job)));
            from = to.saturating_add(1);
        }
        Ok(events)
    }

    /// The events of blocks whose headers are not looked at.
    async fn old_events(
        &self,
        source: &Source<'_>,
        first: u64,
        last: u64,
        events: &mut Vec<Mined>,
    ) -> Result<(), HistoryError> {
        let mut times = BTreeMap::new();
        let failed = |error: super::rpc::AskError| HistoryError::Chain(error.into());
        let mut logs = source.logs(first, last).await.map_err(failed)?;
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        for log in logs {
            let Some(block) = log.block_number else { continue };
            let at = match times.get(&block) {
                Some(at) => *at,
                None => self.time(block).await?,
            };
            times.insert(block, at);
            events.extend(of_a_job(decode(&log, at), source.wanted.job()));
        }
        Ok(())
    }

    /// The logs of a window, read again while the chain changes under it.
    async fn window(
        &self,
        source: &Source<'_>,
        first: u64,
        last: u64,
    ) -> Result<Vec<(alloy::rpc::types::Log, Timestamp)>, HistoryError> {
        for _ in 0..ATTEMPTS {
            let read = source.window(first, last, None, None).await;
            if let Some(window) = read.map_err(|error| HistoryError::Chain(error.into()))? {
                return Ok(window.logs);
            }
            sleep(PAUSE).await;
        }
        let reason = format!("blocks {first} to {last} change while they are read");
        Err(HistoryError::Chain(BackendError::Chain { reason }))
    }

    async fn time(&self, block: u64) -> Result<Timestamp, HistoryError> {
        let number = BlockNumberOrTag::Number(block);
        let asked = self.reader.endpoints.ask(|provider| async move { header(&provider, number).await });
        let header = asked.await.map_err(|error| HistoryError::Chain(error.into()))?;
        Ok(Timestamp::from_secs(header.timestamp))
    }
}

/// The event, if it is about the requested job.
fn of_a_job(decoded: Decoded, job: Option<JobId>) -> Option<Mined> {
    match decoded {
        Decoded::Job(mined) => job.is_none_or(|job| job == mined.job).then_some(*mined),
        Decoded::NodeAnnounced { .. } | Decoded::Other => None,
    }
}
