//! Reads the contract's events, block by block, as soon as they are deep enough in the chain.
//!
//! Nothing is appended that has fewer blocks after it than asked, so a reorganisation above that depth is never
//! seen. One below it is harmless as long as no event went with it: then the blocks are read again. If one did,
//! what this node told its readers is no longer true, and it stops with a named error.
//!
//! An endpoint that is behind what another has told, or that has no news for long, is left for the next one.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::Address,
    providers::{DynProvider, Provider},
    pubsub::Subscription,
    rpc::types::{Filter, Header, Log},
    transports::TransportError,
};
use alloy_sol_types::{SolEvent, SolEventInterface};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    abi::{Events, IJobScheduler::Announced},
    convert::{ChainEvent, chain_event},
    log::{ChainLog, Mined},
    rpc::{Endpoints, Pace, header},
};
use crate::{
    domain::{Digest, Timestamp},
    scheduler::BackendError,
};

/// Most blocks asked for at a time: what public endpoints answer.
pub(super) const RANGE: u64 = 1000;

/// Longest pause between attempts while no endpoint answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An endpoint without a new block for so long is compared with the next one: it may be the one that stands still.
const STALE: Duration = Duration::from_secs(15);

/// The chain as last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest block; 0 before the first look.
    pub head: u64,
    /// Its time.
    pub time: Timestamp,
    /// Every event up to this block is in the log.
    pub read: u64,
}

impl Seen {
    /// Whether everything is read that has so many blocks after it.
    pub const fn is_complete(self, confirmations: u64) -> bool {
        self.head > 0 && self.read.saturating_add(confirmations) >= self.head
    }
}

/// What the follower needs.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) log: Arc<ChainLog>,
    pub(super) contract: Address,
    pub(super) confirmations: u64,
    /// The first block that may hold an event.
    pub(super) first_block: u64,
    pub(super) seen: watch::Sender<Seen>,
    /// Something was sent: look now.
    pub(super) wake: Arc<Notify>,
}

/// The last block that was read, with its hash once it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    block: u64,
    hash: Option<Digest>,
}

/// What one look at the chain found.
enum Look {
    /// New blocks, up to this position, and what is in them.
    Blocks { position: Position, logs: Vec<(Log, Timestamp)>, head: (u64, Timestamp) },
    /// Nothing new.
    Nothing { head: (u64, Timestamp) },
    /// The block at the position is another one now, or its chain changed meanwhile.
    Reorganised,
}

impl Follower {
    /// Follows until stopped, or until the log cannot go on.
    pub(super) async fn run(self, stop: CancellationToken) {
        if let Err(error) = self.follow(&stop).await {
            self.log.fail(error);
        }
    }

    async fn follow(&self, stop: &CancellationToken) -> Result<(), BackendError> {
        let mut position = None;
        let mut blocks = None;
        let mut pause = Duration::ZERO;
        let mut pace = Pace::new(self.endpoints.poll_interval());
        let mut newest_since = Instant::now();
        loop {
            let before = position;
            let head = self.seen.borrow().head;
            let stepped = self.step(&mut position).await;
            let is_behind = match self.seen.borrow().head.cmp(&head) {
                Ordering::Greater => {
                    newest_since = Instant::now();
                    false
                }
                Ordering::Equal => newest_since.elapsed() > STALE,
                Ordering::Less => true,
            };
            // What one endpoint cannot tell, another may.
            if (is_behind || stepped.is_err()) && self.endpoints.move_on() {
                (blocks, newest_since) = (None, Instant::now());
            }
            match stepped {
                Ok(true) => {
                    pause = Duration::ZERO;
                    pace.hurry();
                    continue;
                }
                Ok(false) => {
                    pause = Duration::ZERO;
                    if position != before {
                        pace.hurry();
                    }
                }
                Err(error) if error.is_retryable() => {
                    pause = (pause * 2).clamp(self.endpoints.poll_interval(), LONGEST_PAUSE);
                    tracing::warn!(%error, "the chain cannot be followed");
                }
                Err(error) => return Err(error),
            }
            if blocks.is_none() {
                blocks = self.endpoints.new_blocks().await;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.wake.notified(), if pause.is_zero() => pace.hurry(),
                // A subscription only wakes: one that is silent must not be believed.
                () = sleep(pause.max(pace.pause())) => {}
                () = next_block(&mut blocks) => {}
            }
        }
    }

    /// Looks once; says whether there may be more at once. Without a position, finds the one to begin at.
    async fn step(&self, position: &mut Option<Position>) -> Result<bool, BackendError> {
        let Some(from) = *position else {
            let resumed =
                Position { block: self.log.resume(self.first_block)?.saturating_sub(1), hash: None };
            let newest = self.rewind().await?;
            let start = if newest.block < resumed.block { resumed } else { newest };
            self.read_announcements(start.block).await?;
            *position = Some(start);
            return Ok(true);
        };
        let look = self.endpoints.ask(|provider| self.look(provider, from)).await?;
        let (head, found) = match look {
            Look::Reorganised => {
                tracing::warn!(
                    block = from.block,
                    "the chain was reorganised; reading on from the newest event"
                );
                *position = Some(self.rewind().await?);
                return Ok(true);
            }
            Look::Nothing { head } => (head, None),
            Look::Blocks { position, logs, head } => (head, Some((position, logs))),
        };
        let more = found.is_some();
        let mut read = from.block;
        if let Some((reached, logs)) = found {
            let log = Arc::clone(&self.log);
            let appended = tokio::task::spawn_blocking(move || {
                log.append(&decode(logs, &log))?;
                log.set_position(reached.block)
            });
            appended.await.map_err(|_| BackendError::Stopped)??;
            *position = Some(reached);
            read = reached.block;
        }
        self.seen.send_if_modified(|seen| {
            let before = *seen;
            *seen = Seen { head: head.0, time: seen.time.max(head.1), read };
            before != *seen
        });
        Ok(more && read.saturating_add(self.confirmations) < head.0)
    }

    /// Reads where nodes can be reached, up to `last`: of all events the store keeps these alone not.
    async fn read_announcements(&self, last: u64) -> Result<(), BackendError> {
        let mut first = self.first_block;
        while first <= last {
            let to = last.min(first + RANGE - 1);
            let filter = Filter::new().address(self.contract).from_block(first).to_block(to);
            let filter = filter.event_signature(Announced::SIGNATURE_HASH);
            let asked = self.endpoints.ask(|provider| {
                let filter = filter.clone();
                async move { provider.get_logs(&filter).await }
            });
            let logs = asked.await.map_err(BackendError::from)?;
            decode(logs.into_iter().map(|log| (log, Timestamp::ZERO)).collect(), &self.log);
            first = to + 1;
        }
        Ok(())
    }

    async fn look(&self, provider: DynProvider, position: Position) -> Result<Look, TransportError> {
        let newest = header(&provider, BlockNumberOrTag::Latest).await?;
        let head = (newest.number, time_of(&newest));
        if position.hash == Some(newest.hash.into()) {
            return Ok(Look::Nothing { head });
        }
        let is_next = newest.number == position.block + 1 && position.hash == Some(newest.parent_hash.into());
        if is_next && self.confirmations == 0 {
            // Its events by its own hash are of one chain with the position: nothing has to be looked at again.
            let filter = Filter::new().address(self.contract).at_block_hash(newest.hash);
            let logs = provider.get_logs(&filter).await?.into_iter().map(|log| (log, head.1)).collect();
            let position = Position { block: newest.number, hash: Some(newest.hash.into()) };
            return Ok(Look::Blocks { position, logs, head });
        }
        let safe = newest.number.saturating_sub(self.confirmations);
        let first = position.block + 1;
        let last = safe.min(position.block + RANGE).max(position.block);
        let tip = match last.cmp(&newest.number) {
            Ordering::Less => hash_at(&provider, last).await?,
            Ordering::Equal => newest.hash.into(),
            Ordering::Greater => Digest::ZERO,
        };
        if let Some(hash) = position.hash
            && position.block <= newest.number
            && hash_at(&provider, position.block).await? != hash
        {
            return Ok(Look::Reorganised);
        }
        if safe < first {
            return Ok(Look::Nothing { head });
        }
        let filter = Filter::new().address(self.contract).from_block(first).to_block(last);
        let logs = provider.get_logs(&filter).await?;
        // The same tip before and after all this: position and events are of one chain.
        if hash_at(&provider, last).await? != tip {
            return Ok(Look::Reorganised);
        }
        let mut timed = Vec::with_capacity(logs.len());
        for log in logs {
            let time = match (log.block_timestamp, timed.last()) {
                (Some(time), _) => Timestamp::from_secs(time),
                (None, Some((before, time))) if same_block(before, &log) => *time,
                (None, _) => {
                    let block = BlockNumberOrTag::Number(log.block_number.unwrap_or_default());
                    time_of(&header(&provider, block).await?)
                }
            };
            timed.push((log, time));
        }
        let position = Position { block: last, hash: Some(tip) };
        Ok(Look::Blocks { position, logs: timed, head })
    }

    /// The position from which everything after the newest entry is read, if that entry's block is still there.
    async fn rewind(&self) -> Result<Position, BackendError> {
        let Some(newest) = self.log.newest() else {
            return Ok(Position { block: self.first_block.saturating_sub(1), hash: None });
        };
        let asked = self.endpoints.ask(|provider| async move { hash_at(&provider, newest.block).await });
        let hash = asked.await.map_err(BackendError::from)?;
        if hash != newest.block_hash {
            return Err(BackendError::Reorganised { block: newest.block });
        }
        // Its block is read again, for what follows in it.
        Ok(Position { block: newest.block.saturating_sub(1), hash: None })
    }
}

async fn next_block(blocks: &mut Option<Subscription<Header>>) {
    let Some(subscription) = blocks else { return std::future::pending().await };
    match subscription.recv().await {
        Ok(_) | Err(RecvError::Lagged(_)) => {}
        Err(RecvError::Closed) => *blocks = None,
    }
}

fn time_of(header: &Header) -> Timestamp {
    Timestamp::from_secs(header.timestamp)
}

async fn hash_at(provider: &DynProvider, block: u64) -> Result<Digest, TransportError> {
    Ok(header(provider, BlockNumberOrTag::Number(block)).await?.hash.into())
}

fn same_block(a: &Log, b: &Log) -> bool {
    a.block_hash == b.block_hash
}

/// Reads logs; what is no event of the interface is passed over, as another version's would be.
fn decode(logs: Vec<(Log, Timestamp)>, known: &ChainLog) -> Vec<Mined> {
    let mut mined = Vec::new();
    for (log, at) in logs {
        let (Some(block), Some(block_hash), Some(index), Some(transaction)) =
            (log.block_number, log.block_hash, log.log_index, log.transaction_hash)
        else {
            continue;
        };
        let event = Events::decode_raw_log(log.topics(), &log.data().data);
        match event.map(chain_event) {
            Ok(Ok(ChainEvent::Job(event))) => {
                let (block_hash, transaction) = (block_hash.into(), transaction.into());
                mined.push(Mined { block, block_hash, index, transaction, at, log: *event });
            }
            Ok(Ok(ChainEvent::Announced { node, addresses })) => known.announce(node, addresses),
            Ok(Ok(ChainEvent::Other)) => {}
            Ok(Err(error)) => tracing::error!(block, index, %error, "an event cannot be read"),
            Err(error) => tracing::error!(block, index, %error, "an event cannot be read"),
        }
    }
    mined.sort_by_key(|event| (event.block, event.index));
    mined
}
