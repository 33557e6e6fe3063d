//! The backend of one node: its handle, and its tasks.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::Arc,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::{
    sync::{Mutex, Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    announcer, clocks, compare,
    convert::refusal_from_wire,
    courier,
    entry::Entry,
    follow,
    interest::Interest,
    logs::{Logs, store_error},
    parcel::Message,
    sequence::Arrival,
    serve,
    shared::{LogCounters, MAX_ASKING_PARENTS, Shared, request_error, unreachable},
    wire::{self, LogRequest, LogResponse},
};
use crate::{
    domain::{Event, JobId, LogDomain, NodeId, SignedAction, Timestamp, codec},
    network::{self, BlobSource, NetworkConfig, NetworkError, NetworkHandle, WireBytes},
    scheduler::{
        Anchor, BackendError, Cursor, EnvelopeRefusal, EventStream, Evidence, Loading, LogItem, LogOrder,
        LogUpdate, Scheduler, SubmitError, Trouble, WallClock, submit_in_turn, updates::History,
    },
    store::{EventLog, StoredEntry},
};

/// Messages waiting to be delivered: one entry to every bidder of two large jobs.
const PARCELS: usize = 2048;

/// Entries that a reader takes from the store at a time.
const READ_AHEAD: u32 = 64;

/// What the backend of a node needs.
pub struct Libp2pConfig {
    /// The swarm.
    pub network: NetworkConfig,
    /// Where the logs are kept.
    pub log: EventLog,
    /// The node's clock.
    pub clock: WallClock,
    /// What the node serves to others.
    pub blobs: Arc<dyn BlobSource>,
    /// Which jobs of others it follows.
    pub interest: Interest,
    /// Told how far the logs are read.
    pub loading: watch::Sender<Loading>,
}

/// Why the backend cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The network cannot be set up.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The logs cannot be read.
    #[error("cannot read the logs of this node")]
    Logs(#[source] BackendError),
}

/// The scheduler of one node; clones share it. Ends when its [`Running`] is shut down or dropped.
#[derive(Debug, Clone)]
pub struct Libp2pScheduler {
    shared: Arc<Shared>,
}

/// The tasks of a running backend.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    stop_network: CancellationToken,
    steps: TaskTracker,
    tasks: Mutex<JoinSet<()>>,
    network: Mutex<JoinSet<()>>,
}

impl Libp2pScheduler {
    /// Starts the backend of a node: reads its logs, listens, dials, announces and follows.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Libp2pConfig) -> Result<(Self, Running), StartError> {
        let Libp2pConfig { network, log, clock, blobs, interest, loading } = config;
        let key = network.key.clone();
        let now = clock();
        let open = move || Logs::open_watched(key, LogDomain::default(), log, now, &loading);
        let opened = tokio::task::spawn_blocking(open).await;
        let logs = opened.unwrap_or(Err(BackendError::Stopped)).map_err(StartError::Logs)?;
        let (driver, handle, inbound) = network::start(network, Some(wire::protocol()), blobs)?;
        let (stop, stop_network) = (CancellationToken::new(), CancellationToken::new());
        let steps = TaskTracker::new();
        let (parcels, parcel_receiver) = mpsc::channel(PARCELS);
        let shared = Arc::new(Shared {
            logs,
            network: handle,
            clock,
            interest,
            stop: stop.clone(),
            steps: steps.clone(),
            parcels,
            wanted: Default::default(),
            heard: Default::default(),
            doubts: Default::default(),
            wake_follower: Default::default(),
            wake_announcer: Default::default(),
            witnesses: Default::default(),
            clocks: Default::default(),
            asking_parents: Semaphore::new(MAX_ASKING_PARENTS),
            waiting_bids: Semaphore::new(serve::MAX_WAITING_BIDS),
            counting: Default::default(),
        });
        let (mut tasks, mut network) = (JoinSet::new(), JoinSet::new());
        // Whichever task ends, however it ends, stops the others: half a backend would only look alive.
        let guarded = |task: BoxFuture<'static, ()>| {
            let guard = stop.clone().drop_guard();
            async move {
                task.await;
                drop(guard);
            }
        };
        network.spawn(guarded(driver.run(stop_network.clone()).boxed()));
        tasks.spawn(guarded(serve::run(Arc::clone(&shared), inbound).boxed()));
        tasks.spawn(guarded(courier::run(Arc::clone(&shared), parcel_receiver).boxed()));
        tasks.spawn(guarded(follow::run(Arc::clone(&shared)).boxed()));
        tasks.spawn(guarded(announcer::run(Arc::clone(&shared)).boxed()));
        tasks.spawn(guarded(clocks::run(Arc::clone(&shared)).boxed()));
        let running =
            Running { stop, stop_network, steps, tasks: Mutex::new(tasks), network: Mutex::new(network) };
        Ok((Self { shared }, running))
    }

    /// The network, for moving content and for showing how it stands.
    pub fn network(&self) -> NetworkHandle {
        self.shared.network.clone()
    }

    /// What was seen and done since the start.
    pub fn counters(&self) -> LogCounters {
        self.shared.counters()
    }

    async fn submit_own(&self, action: SignedAction) -> Result<Cursor, SubmitError> {
        let (shared, now, job) = (&self.shared, self.shared.now(), action.action.job);
        let placed = shared.blocking(move |shared| shared.logs.sequence(now, action)).await;
        let placed = placed.map_err(SubmitError::NotOrdered)??;
        let (height, cursor) = (placed.height, placed.cursor);
        serve::spread(shared, placed);
        shared.wake_announcer.notify_one();
        match cursor {
            Some(cursor) => Ok(cursor),
            None => self.cursor(job, height).await.map_err(SubmitError::NotOrdered),
        }
    }

    async fn submit_to(&self, requester: NodeId, action: SignedAction) -> Result<Cursor, SubmitError> {
        let shared = &self.shared;
        let job = action.action.job;
        let digest = action.action.signing_digest(shared.logs.domain());
        let bytes = WireBytes(codec::encode_action(&action));
        self.compare_before_reveal(&action).await?;
        self.inform_seats(&action, &bytes)?;
        let after_height = shared.logs.view(job).map_or(0, |view| view.height);
        let submission = LogRequest::Submit { action: bytes, after_height };
        let answered = shared.ask(requester, &submission);
        let (height, entries) = match answered.await {
            Ok(LogResponse::Placed { height, entries }) => (height, entries),
            Ok(other) => {
                return Err(refusal_from_wire(&other, |reason| unreachable(requester, reason)));
            }
            Err(error) => return Err(SubmitError::NotOrdered(request_error(requester, &error))),
        };
        shared.receive(job, entries, Arrival::Synced(shared.now())).await.map_err(SubmitError::NotOrdered)?;
        if shared.logs.view(job).is_some_and(|view| view.height < height) {
            shared.sync(job).await.map_err(SubmitError::NotOrdered)?;
        }
        shared.want(job);
        if !shared.logs.holds(job, height, digest) {
            let broken = shared.logs.view(job).and_then(|view| view.may_act.err());
            let lied = unreachable(requester, "it named a place where the action is not");
            return Err(SubmitError::NotOrdered(broken.unwrap_or(lied)));
        }
        self.cursor(job, height).await.map_err(SubmitError::NotOrdered)
    }

    /// Before a reveal leaves this node, the other seats must not have been shown another history.
    async fn compare_before_reveal(&self, action: &SignedAction) -> Result<(), SubmitError> {
        let (shared, job) = (&self.shared, action.action.job);
        let view = shared.logs.view(job);
        if let (Event::Revealed { .. }, Some(view)) = (&action.action.event, view)
            && let Some(closing_height) = view.closing_height
        {
            compare::with_other_seats(shared, job, &view, closing_height).await;
        }
        shared.logs.view(job).map_or(Ok(()), |view| view.may_act).map_err(SubmitError::NotOrdered)
    }

    /// Commitments and reveals go to every seat as well, so that leaving one out does not stay unseen. A reveal
    /// leaves this node only when its own log says that commits are closed.
    fn inform_seats(&self, action: &SignedAction, bytes: &WireBytes) -> Result<(), SubmitError> {
        let (shared, job) = (&self.shared, action.action.job);
        let Some(view) = shared.logs.view(job) else { return Ok(()) };
        let reveals = matches!(action.action.event, Event::Revealed { .. });
        if !reveals && !matches!(action.action.event, Event::Committed { .. }) {
            return Ok(());
        }
        let seen = shared.logs.height_of(job, action.action.seen);
        let closed = view.closing_height.is_some_and(|closing| seen.is_some_and(|seen| seen >= closing));
        if reveals && !closed {
            return Err(SubmitError::Refused(EnvelopeRefusal::WrongSeen));
        }
        let me = shared.network.node();
        for seat in view.seats.into_iter().filter(|seat| *seat != me && *seat != view.requester) {
            shared.post(seat, Message::Evidence { job, bytes: bytes.clone() });
        }
        Ok(())
    }

    async fn cursor(&self, job: JobId, height: u64) -> Result<Cursor, BackendError> {
        self.shared.blocking(move |shared| shared.logs.cursor(job, height)).await?
    }
}

impl Scheduler for Libp2pScheduler {
    /// Resolves when the requester has signed the action's place and this node has stored it. Bounded by the
    /// network's time-outs.
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        async move {
            if self.shared.stop.is_cancelled() {
                return Err(SubmitError::NotOrdered(BackendError::Stopped));
            }
            let job = action.action.job;
            match self.shared.logs.view(job) {
                Some(view) if view.own => self.submit_own(action).await,
                Some(view) => {
                    view.may_act.map_err(SubmitError::NotOrdered)?;
                    self.submit_to(view.requester, action).await
                }
                None => self.submit_own(action).await,
            }
        }
        .boxed()
    }

    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        submit_in_turn(self, actions).boxed()
    }

    fn events(&self, after: Cursor) -> EventStream {
        let shared = Arc::clone(&self.shared);
        let head = shared.logs.store().watch_head();
        // What this node's own store holds: what it has not seen yet, from whomever, is news to it.
        let history = History::up_to(Cursor(*head.borrow()));
        let (forgotten, mut breaks) = (shared.logs.watch_forgotten(), shared.logs.watch_breaks());
        // Those that are broken already are to be told too.
        breaks.mark_changed();
        let (told, going, page) = (BTreeSet::new(), Vec::new(), VecDeque::new());
        let reader = Reader {
            shared,
            head,
            after,
            history,
            forgotten,
            told,
            going,
            page,
            breaks,
            breaking: Vec::new(),
            breaks_told: BTreeSet::new(),
            broken: BTreeSet::new(),
        };
        stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>> {
        let now = self.shared.now();
        async move { Ok(now) }.boxed()
    }

    fn members(&self) -> Vec<NodeId> {
        self.shared.network.status().borrow().subscribed.iter().copied().collect()
    }

    fn domain(&self) -> LogDomain {
        self.shared.logs.domain()
    }

    fn order(&self, job: JobId) -> LogOrder {
        let view = self.shared.logs.view(job);
        let (clock_agrees, suspended) =
            view.map_or((true, false), |view| (view.clock_agrees, view.may_act.is_err()));
        LogOrder::Requester { clock_agrees, suspended }
    }

    fn holds_money(&self) -> bool {
        false
    }

    fn anchors(&self, _: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.shared.logs.evidence(job)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.shared.clocks.trouble().or_else(|| self.shared.logs.clock_differs()).into_iter().collect()
    }
}

impl Running {
    /// Stops everything, in this order: no more actions and answers, then the network. Returns when all tasks have
    /// ended. Once more is no error.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        join(&mut *self.tasks.lock().await).await;
        self.stop_network.cancel();
        join(&mut *self.network.lock().await).await;
        self.steps.close();
        self.steps.wait().await;
    }

    /// Resolves when the backend has stopped, by [`Self::shutdown`] or because one of its tasks ended.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task of the libp2p backend panicked");
        }
    }
}

/// One reader's place in the stored log.
struct Reader {
    shared: Arc<Shared>,
    head: watch::Receiver<u64>,
    after: Cursor,
    history: History,
    forgotten: watch::Receiver<u64>,
    /// Jobs that this reader was told of.
    told: BTreeSet<JobId>,
    /// Those of them that are forgotten, and it is to be told.
    going: Vec<JobId>,
    page: VecDeque<StoredEntry>,
    breaks: watch::Receiver<u64>,
    /// Logs that their requesters broke, and it is to be told.
    breaking: Vec<(JobId, BackendError)>,
    /// Those of which it was.
    breaks_told: BTreeSet<JobId>,
    /// Jobs of which an entry cannot be read: the later ones mean nothing without it.
    broken: BTreeSet<JobId>,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<LogUpdate, BackendError>> {
        loop {
            // Who holds the history knows which logs are broken.
            if self.history.ends(self.after) && self.breaks.has_changed().ok()? {
                self.find_breaks();
            }
            if self.breaking.is_empty()
                && let Some(end) = self.history.end(self.after)
            {
                return Some(Ok(end));
            }
            // A level, not an edge: what was forgotten is missing, however often that has happened.
            if self.forgotten.has_changed().ok()? {
                self.forgotten.borrow_and_update();
                self.page.clear();
                self.breaking.clear();
                self.breaks.mark_changed();
                let told = std::mem::take(&mut self.told);
                let missing =
                    self.shared.blocking(move |shared| (shared.logs.missing(&told), told)).await.ok()?;
                (self.going, self.told) = missing;
            }
            if let Some(job) = self.going.pop() {
                self.told.remove(&job);
                self.broken.remove(&job);
                self.breaks_told.remove(&job);
                return Some(Ok(LogUpdate::Forgotten(job)));
            }
            if let Some((job, broken)) = self.breaking.pop() {
                self.breaks_told.insert(job);
                return Some(Err(broken));
            }
            if let Some(stored) =
                self.page.front().map(|stored| &stored.entry).filter(|entry| entry.height == 1)
                && !self.told.insert(stored.job)
            {
                // It was forgotten and came again before this reader was told.
                let job = stored.job;
                self.told.remove(&job);
                self.broken.remove(&job);
                self.breaks_told.remove(&job);
                return Some(Ok(LogUpdate::Forgotten(job)));
            }
            if let Some(stored) = self.page.pop_front() {
                self.after = Cursor(stored.cursor);
                let job = stored.entry.job;
                if self.broken.contains(&job) {
                    continue;
                }
                let item = item(&self.shared.logs, stored);
                if item.is_err() {
                    self.broken.insert(job);
                }
                return Some(item.map(LogUpdate::from));
            }
            // A level, not an edge: what was appended before this is waited for is seen at once.
            let head = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return None,
                changed = self.forgotten.changed() => {
                    changed.ok()?;
                    self.forgotten.mark_changed();
                    continue;
                }
                head = self.head.wait_for(|head| *head > self.after.0) => Some(*head.ok()?),
                // After the entries before it.
                changed = self.breaks.changed() => {
                    changed.ok()?;
                    None
                }
            };
            let Some(head) = head else {
                self.find_breaks();
                continue;
            };
            let after = self.after.0;
            let page = self.shared.blocking(move |shared| shared.logs.store().read_after(after, READ_AHEAD));
            match page.await.ok()? {
                // All up to there was forgotten before it was read.
                Ok(page) if page.is_empty() => self.after = Cursor(head),
                Ok(page) => self.page = page.into(),
                Err(error) => return Some(Err(store_error(&error))),
            }
        }
    }
}

impl Reader {
    /// Finds the broken logs of which this reader was not told.
    fn find_breaks(&mut self) {
        self.breaks.borrow_and_update();
        let broken = self.shared.logs.broken().into_iter();
        self.breaking = broken.filter(|(job, _)| !self.breaks_told.contains(job)).collect();
    }
}

fn item(logs: &Logs, stored: StoredEntry) -> Result<LogItem, BackendError> {
    let StoredEntry { cursor, entry: stored, is_intact } = stored;
    let unreadable = |reason: &dyn fmt::Display| BackendError::BrokenLog {
        job: stored.job,
        height: stored.height,
        reason: reason.to_string(),
    };
    if !is_intact {
        return Err(unreadable(&StoredEntry::ALTERED));
    }
    let entry = Entry::decode(&stored.bytes).map_err(|error| unreadable(&error))?;
    // Every signature was checked before the entry was stored.
    let stamped = match logs.author_at(stored.job, stored.height) {
        Some(author) => entry.stamped_by(author),
        None => entry.stamped(logs.domain()).map_err(|error| unreadable(&error))?,
    };
    Ok(LogItem { cursor: Cursor(cursor), entry: stored.entry_hash, stamped, proof: stored.bytes })
}

impl fmt::Debug for Libp2pConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libp2pConfig").field("network", &self.network).finish_non_exhaustive()
    }
}
