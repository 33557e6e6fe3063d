//! Reads the contract's events, block by block, as soon as they are deep enough in the chain.
//!
//! An event is appended once enough blocks follow it, so a shallower reorganisation is never seen. A deeper one cuts
//! the log after the newest block that still stands, and the follower reads on from there. The `sender` resends the
//! transactions that were lost. Another chain behind the same endpoint is no reorganisation: its first block differs,
//! and the log ends with an error that names it.
//!
//! The follower leaves an endpoint that is behind the others, or without news for long, for the next one.

use std::{
    cmp::Ordering,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::{
    eips::BlockNumberOrTag, primitives::Address, pubsub::Subscription, rpc::types::Header,
    transports::TransportError,
};
use tokio::{
    sync::{Notify, broadcast::error::RecvError, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::ChainConfig,
    decode::{Decoded, Mined, decode},
    error::ConnectError,
    funds::FundsBook,
    health::Health,
    log::{ChainLog, log_name},
    newest::header,
    reader::chain_id,
    rpc::{AskError, Endpoints, Pace},
    span::RANGE,
    window::{Source, Wanted, Window},
};
use crate::{
    domain::{Backoff, Digest, LogDomain, Timestamp},
    scheduler::{BackendError, StartError, WallClock, stored::store_error},
    store::{Chains, Db, ReadUpTo},
};

/// Longest pause between attempts while no endpoint answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After so long without a new block, the follower tries the next endpoint: this one may be stuck.
const STALE: Duration = Duration::from_secs(15);

/// How long endpoints may be behind the log before the chain counts as rewound. A single endpoint on this machine
/// gets no such time.
const CATCHES_UP: Duration = Duration::from_secs(30);

/// Most blocks whose headers are read for nodes' addresses alone.
const CHECKED: u64 = 10_000;

/// The chain as last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// The newest block; 0 before the first look.
    pub head: u64,
    /// Its time.
    pub time: Timestamp,
    /// Every event up to this block is in the log.
    pub read: u64,
    /// How many blocks must follow one before it is read.
    pub confirmations: u64,
}

impl Seen {
    /// Whether everything is read that is deep enough.
    pub const fn is_complete(self) -> bool {
        self.head > 0 && self.read.saturating_add(self.confirmations) >= self.head
    }
}

/// What the follower needs.
pub(super) struct Follower {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) log: Arc<ChainLog>,
    pub(super) contract: Address,
    pub(super) confirmations: u64,
    /// The first block that may hold an event.
    pub(super) first_block: u64,
    pub(super) seen: watch::Sender<Seen>,
    /// Wakes the follower after a transaction was sent.
    pub(super) wake: Arc<Notify>,
    /// The chain dropped blocks: what was sent may be gone.
    pub(super) lost: Arc<Notify>,
    pub(super) clock: WallClock,
    pub(super) health: Arc<Mutex<Health>>,
    /// What the events name may have changed.
    pub(super) funds: Arc<FundsBook>,
}

/// What one look at the chain found.
enum Look {
    /// New blocks up to this place, and what is in them.
    Blocks { place: ReadUpTo, window: Window, head: (u64, Timestamp) },
    /// Nothing new.
    Nothing { head: (u64, Timestamp) },
    /// The chain ends before the place.
    Behind { head: (u64, Timestamp) },
    /// Another block stands at the place, or the chain changed meanwhile.
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
        let mut state = State { place: None, behind_since: None };
        let mut blocks = None;
        let pauses = Backoff { first: self.endpoints.poll_interval(), longest: LONGEST_PAUSE };
        let mut pause = Duration::ZERO;
        let mut pace = Pace::new(self.endpoints.poll_interval());
        let mut newest_since = Instant::now();
        // Answers to questions from before this are too old.
        let mut since = Instant::now();
        let mut newest = self.endpoints.watch_newest();
        loop {
            let before = state.place;
            let head = self.seen.borrow().head;
            newest.mark_unchanged();
            let stepped = self.step(&mut state, since).await;
            since = Instant::now();
            let is_behind = match self.seen.borrow().head.cmp(&head) {
                Ordering::Greater => {
                    newest_since = Instant::now();
                    false
                }
                Ordering::Equal => newest_since.elapsed() > STALE,
                Ordering::Less => true,
            };
            // Another endpoint may be able to tell.
            if (is_behind || stepped.is_err()) && self.endpoints.move_on() {
                (blocks, newest_since) = (None, Instant::now());
                newest = self.endpoints.watch_newest();
            }
            let failure = stepped.as_ref().err().map(BackendError::to_string);
            self.health.lock().unwrap_or_else(PoisonError::into_inner).looked(failure);
            match stepped {
                Ok(true) => {
                    pause = Duration::ZERO;
                    pace.hurry();
                    continue;
                }
                Ok(false) => {
                    pause = Duration::ZERO;
                    if state.place != before {
                        pace.hurry();
                    }
                }
                Err(error) if error.is_retryable() => {
                    pause = pauses.after(pause);
                    // Told once, as a trouble.
                    tracing::debug!(%error, "cannot follow the chain");
                }
                Err(error) => return Err(error),
            }
            if blocks.is_none() {
                blocks = self.endpoints.new_blocks().await;
            }
            let paced = pace.pause();
            since = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.wake.notified(), if pause.is_zero() => {
                    pace.hurry();
                    Instant::now()
                }
                // A subscription only wakes the follower: its silence proves nothing. Nor has each node to ask.
                () = sleep(pause.max(paced)) => {
                    let now = Instant::now();
                    if pause.is_zero() { now.checked_sub(paced).unwrap_or(now) } else { now }
                }
                () = next_block(&mut blocks) => Instant::now(),
                // Another node of this process heard of a block.
                Ok(()) = newest.changed(), if pause.is_zero() => {
                    newest.borrow().as_ref().map_or(since, |told| told.asked_at)
                }
            };
        }
    }

    /// Looks once, at the chain as it is since then; says whether to look again at once. Without a place, finds where to
    /// begin.
    async fn step(&self, state: &mut State, since: Instant) -> Result<bool, BackendError> {
        let Some(from) = state.place else {
            let place = self.log.resume(self.first_block)?;
            self.read_announcements(place.block).await?;
            state.place = Some(place);
            return Ok(true);
        };
        let (head, found) = match self.look(from, since).await? {
            Look::Reorganised => {
                state.place = Some(self.rewind(from).await?);
                state.behind_since = None;
                return Ok(true);
            }
            Look::Behind { head } => {
                if state.is_behind_for_good(&self.endpoints, from, head.0) {
                    state.place = Some(self.rewind(from).await?);
                    state.behind_since = None;
                    return Ok(true);
                }
                (head, None)
            }
            Look::Nothing { head } => (head, None),
            Look::Blocks { place, window, head } => (head, Some((place, window))),
        };
        let more = found.is_some();
        let mut read = from.block;
        if let Some((reached, window)) = found {
            let log = Arc::clone(&self.log);
            let requester = |job| self.log.with_ledger(|ledger| ledger.get(job).map(|job| job.requester));
            self.funds.touch(window.logs.iter().map(|(log, _)| log), requester);
            let mined = self.decode(window);
            let appended = if mined.is_empty() && log.is_near(reached) {
                Ok(0)
            } else {
                let appended = tokio::task::spawn_blocking(move || log.append(&mined, reached));
                appended.await.map_err(|_| BackendError::Stopped)?
            };
            if appended.is_err() {
                // Appended entries stay, and cut ones are read again.
                state.place = Some(self.log.resume(self.first_block)?);
            }
            appended?;
            state.place = Some(reached);
            read = reached.block;
        }
        self.saw(head);
        if head.0 >= from.block {
            state.behind_since = None;
        }
        self.seen.send_if_modified(|seen| {
            let before = *seen;
            *seen = Seen { head: head.0, time: seen.time.max(head.1), read, ..before };
            before != *seen
        });
        Ok(more && read.saturating_add(self.confirmations) < head.0)
    }

    fn saw(&self, (number, time): (u64, Timestamp)) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.saw(number, time, (self.clock)(), Instant::now());
    }

    fn source(&self, wanted: Wanted) -> Source<'_> {
        Source { endpoints: &self.endpoints, contract: self.contract, wanted }
    }

    /// Reads nodes' addresses up to `last`: the only events that the store does not keep.
    async fn read_announcements(&self, last: u64) -> Result<(), BackendError> {
        let source = self.source(Wanted::Announcements);
        let unchecked = last.saturating_sub(CHECKED);
        if self.first_block <= unchecked {
            for log in source.logs(self.first_block, unchecked).await? {
                self.note_address(decode(&log, Timestamp::ZERO));
            }
        }
        let mut first = self.first_block.max(unchecked + 1);
        while first <= last {
            let to = last.min(first + RANGE - 1);
            let window = source.window(first, to, None, None).await?;
            for (log, at) in window.into_iter().flat_map(|window| window.logs) {
                self.note_address(decode(&log, at));
            }
            first = to + 1;
        }
        Ok(())
    }

    fn note_address(&self, decoded: Decoded) -> Option<Mined> {
        match decoded {
            Decoded::Job(mined) => Some(*mined),
            Decoded::NodeAnnounced { node, addresses } => {
                self.log.announce(node, addresses);
                None
            }
            Decoded::Other => None,
        }
    }

    fn decode(&self, window: Window) -> Vec<Mined> {
        let logs = window.logs.into_iter();
        logs.filter_map(|(log, at)| self.note_address(decode(&log, at))).collect()
    }

    async fn look(&self, from: ReadUpTo, since: Instant) -> Result<Look, AskError> {
        let newest = self.endpoints.newest(since).await?;
        let head = (newest.number, time_of(&newest));
        match newest.number.cmp(&from.block) {
            Ordering::Less => return Ok(Look::Behind { head }),
            Ordering::Equal if from.hash.is_none_or(|hash| hash == newest.hash.into()) => {
                return Ok(Look::Nothing { head });
            }
            Ordering::Equal => return Ok(Look::Reorganised),
            Ordering::Greater => {}
        }
        let (first, safe) = (from.block + 1, newest.number.saturating_sub(self.confirmations));
        if safe < first {
            return Ok(Look::Nothing { head });
        }
        let last = safe.min(from.block + RANGE);
        let newest_entry = || self.log.places().back().map(|place| (place.block, place.block_hash));
        let anchor = from.hash.map(|hash| (from.block, hash)).or_else(newest_entry);
        let window = self.source(Wanted::All).window(first, last, anchor, Some(&newest)).await?;
        let Some(window) = window else { return Ok(Look::Reorganised) };
        let place = ReadUpTo { block: last, hash: Some(window.tip) };
        Ok(Look::Blocks { place, window, head })
    }

    /// Cuts the log after the newest block with entries that the chain still has, and says from where to read on.
    async fn rewind(&self, from: ReadUpTo) -> Result<ReadUpTo, BackendError> {
        same_chain(&self.endpoints, self.log.chain()).await?;
        let head = self.header(BlockNumberOrTag::Latest).await?.number;
        let places = self.log.places();
        // Blocks that still stand come before those that were dropped.
        let (mut kept, mut unknown) = (0, places.len());
        while kept < unknown {
            let middle = kept + (unknown - kept) / 2;
            let place = &places[middle];
            let is_there = place.block <= head
                && Digest::from(self.header(BlockNumberOrTag::Number(place.block)).await?.hash)
                    == place.block_hash;
            if is_there { kept = middle + 1 } else { unknown = middle }
        }
        let newest = kept.checked_sub(1).map(|last| places[last].block);
        let dropped = places.len() - kept;
        tracing::warn!(
            block = from.block,
            head,
            dropped,
            kept = newest,
            "the chain was reorganised: blocks with events were dropped; reading the chain again from there"
        );
        let log = Arc::clone(&self.log);
        let place = ReadUpTo {
            block: newest.map_or(0, |block| block - 1).max(self.first_block.saturating_sub(1)),
            hash: None,
        };
        let cut = tokio::task::spawn_blocking(move || {
            if dropped > 0 {
                log.cut_after(kept)?;
            }
            log.set_position(place)
        });
        cut.await.map_err(|_| BackendError::Stopped)??;
        self.funds.touch_all();
        self.seen.send_modify(|seen| seen.read = seen.read.min(place.block));
        self.lost.notify_one();
        Ok(place)
    }

    async fn header(&self, block: BlockNumberOrTag) -> Result<Header, AskError> {
        self.endpoints.ask(|provider| async move { header(&provider, block).await }).await
    }
}

/// Where the follower stands.
struct State {
    place: Option<ReadUpTo>,
    /// Since when the endpoints are behind the place.
    behind_since: Option<Instant>,
}

impl State {
    /// Logs once that the chain ends before the log does; says whether it counts as rewound.
    fn is_behind_for_good(&mut self, endpoints: &Endpoints, from: ReadUpTo, head: u64) -> bool {
        let since = *self.behind_since.get_or_insert_with(|| {
            let endpoint = endpoints.shown();
            tracing::warn!(
                endpoint,
                head,
                read = from.block,
                "the chain ends before what was read of it: the endpoint is behind, or the chain went back"
            );
            Instant::now()
        });
        let is_alone = endpoints.count() == 1 && endpoints.is_local();
        is_alone || since.elapsed() >= CATCHES_UP
    }
}

/// Checks by its first block that the endpoints serve the known chain. The first time, notes that block.
pub(super) async fn same_chain(endpoints: &Endpoints, known: &Chains) -> Result<(), BackendError> {
    let first = endpoints.ask(|provider| async move { genesis(provider).await }).await?;
    // An endpoint without old blocks cannot tell.
    let Some(found) = first else { return Ok(()) };
    let expected = known.genesis().map_err(|error| store_error(&error))?;
    match expected {
        Some(expected) if expected != found => {
            Err(BackendError::OtherChain { endpoint: endpoints.shown(), found })
        }
        Some(_) => Ok(()),
        None => known.set_genesis(found).map_err(|error| store_error(&error)),
    }
}

/// Detects another chain behind the endpoints first; else a missing contract would be reported instead.
pub(super) async fn known_chain(chain: &ChainConfig, db: &Db) -> Result<(), StartError<ConnectError>> {
    let endpoints = Endpoints::new(&chain.rpc_urls).map_err(ConnectError::from)?;
    let chain_id = chain_id(&endpoints, chain.chain_id).await?;
    let domain = LogDomain { chain_id, contract: chain.contract };
    let known = Chains::new(db.clone(), log_name(domain));
    if known.read_up_to().map_err(|error| StartError::Log(store_error(&error)))?.is_none() {
        return Ok(());
    }
    same_chain(&endpoints, &known).await.map_err(StartError::Log)
}

async fn genesis(provider: alloy::providers::DynProvider) -> Result<Option<Digest>, TransportError> {
    use alloy::providers::Provider as _;
    let found = provider.get_block_by_number(BlockNumberOrTag::Number(0)).await?;
    Ok(found.map(|block| block.header.hash.into()))
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
