//! The backend of one node: its handle, and its tasks.

mod updates;

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    announcer, compare,
    convert::refusal_from_wire,
    courier, follow,
    interest::Interest,
    logs::Logs,
    parcel::Message,
    sequence::Arrival,
    serve,
    shared::{LogCounters, MAX_ASKING_PARENTS, Shared, request_error, unreachable},
    timekeeper,
    wire::{self, LogRequest, LogResponse},
};
use crate::{
    domain::{Asset, Event, Funds, JobId, LogDomain, NodeId, Pace, SignedAction, Timestamp, codec},
    network::{self, BlobSource, NetworkConfig, NetworkError, NetworkHandle, WireBytes},
    scheduler::{
        self, Anchor, BackendError, Cursor, EnvelopeRefusal, EventStream, Evidence, Loading, LogItem,
        LogOrder, Scheduler, SubmitError, Trouble, WallClock, submit_in_turn, tasks::Tasks,
    },
    store::{EndedJob, EventLog},
};

/// Messages waiting to be delivered: one entry to every bidder of two large jobs.
const PARCELS: usize = 2048;

/// The name of this backend in the node's own log.
const NAME: &str = "the libp2p backend";

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

/// Why the backend cannot be started: the network cannot be set up, or the logs cannot be read.
pub type StartError = scheduler::StartError<NetworkError>;

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
    tasks: Tasks,
    network: Tasks,
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
        let logs = opened.unwrap_or(Err(BackendError::Stopped)).map_err(StartError::Log)?;
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
            joined: Default::default(),
            heard: Default::default(),
            doubts: Default::default(),
            wake_follower: Default::default(),
            wake_announcer: Default::default(),
            answered: Default::default(),
            witnesses: Default::default(),
            clocks: Default::default(),
            asking_parents: Semaphore::new(MAX_ASKING_PARENTS),
            waiting_bids: Semaphore::new(serve::MAX_WAITING_BIDS),
            counting: Default::default(),
        });
        let (mut tasks, mut network) = (Tasks::new(NAME, &stop), Tasks::new(NAME, &stop));
        network.spawn(driver.run(stop_network.clone()));
        tasks.spawn(serve::run(Arc::clone(&shared), inbound));
        tasks.spawn(courier::run(Arc::clone(&shared), parcel_receiver));
        tasks.spawn(follow::run(Arc::clone(&shared)));
        tasks.spawn(announcer::run(Arc::clone(&shared)));
        tasks.spawn(timekeeper::run(Arc::clone(&shared)));
        Ok((Self { shared }, Running { stop, stop_network, steps, tasks, network }))
    }

    /// The network, for moving content and for showing how it stands.
    pub fn network(&self) -> NetworkHandle {
        self.shared.network.clone()
    }

    /// Counters since the start.
    pub fn counters(&self) -> LogCounters {
        self.shared.counters()
    }

    /// Orders actions of this node in one of its own jobs.
    async fn submit_own(&self, job: JobId, actions: Vec<SignedAction>) -> Result<Cursor, SubmitError> {
        let (shared, now) = (&self.shared, self.shared.now());
        let placed = shared.blocking(move |shared| shared.logs.sequence(now, actions)).await;
        let mut placed = placed.map_err(SubmitError::NotOrdered)??;
        let (height, cursor, refused) = (placed.height, placed.cursor, placed.refused.take());
        serve::spread(shared, placed, None);
        shared.wake_announcer.notify_one();
        match (refused, cursor) {
            (Some(refused), _) => Err(refused),
            (None, Some(cursor)) => Ok(cursor),
            (None, None) => self.cursor(job, height).await.map_err(SubmitError::NotOrdered),
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
        shared.join(job);
        if !shared.logs.holds(job, height, digest) {
            let broken = shared.logs.view(job).and_then(|view| view.may_act.err());
            let lied = unreachable(requester, "it named a place where the action is not");
            return Err(SubmitError::NotOrdered(broken.unwrap_or(lied)));
        }
        self.cursor(job, height).await.map_err(SubmitError::NotOrdered)
    }

    /// Before a reveal, checks that the other seats were not shown another history.
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

    /// Commitments and reveals also go to every seat, so that seats notice if the requester leaves one out. A reveal
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
        if let Some(cursor) = self.shared.logs.store().recent_cursor(job, height) {
            return Ok(Cursor(cursor));
        }
        self.shared.blocking(move |shared| shared.logs.cursor(job, height)).await?
    }
}

impl Scheduler for Libp2pScheduler {
    /// Resolves when the requester has signed the action's place and this node has stored it. Bounded by the
    /// network's timeouts.
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        async move {
            if self.shared.stop.is_cancelled() {
                return Err(SubmitError::NotOrdered(BackendError::Stopped));
            }
            let job = action.action.job;
            match self.shared.logs.view(job) {
                Some(view) if view.own => self.submit_own(job, vec![action]).await,
                Some(view) => {
                    view.may_act.map_err(SubmitError::NotOrdered)?;
                    self.submit_to(view.requester, action).await
                }
                None => self.submit_own(job, vec![action]).await,
            }
        }
        .boxed()
    }

    /// In a job of this node's own, all of them wait for the disk once and leave as one message.
    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        async move {
            let job = actions.first().map(|first| first.action.job);
            let is_own = |job| self.shared.logs.view(job).is_some_and(|view| view.own);
            match job.filter(|job| is_own(*job) && !self.shared.stop.is_cancelled()) {
                Some(job) => self.submit_own(job, actions).await,
                None => submit_in_turn(self, actions).await,
            }
        }
        .boxed()
    }

    fn events(&self, after: Cursor) -> EventStream {
        updates::Reader::new(Arc::clone(&self.shared), after).stream()
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

    fn asset(&self) -> Asset {
        Asset::Ether
    }

    fn holds_money(&self) -> bool {
        false
    }

    /// There is no money, and no deal asks for any.
    fn funds(&self, _: NodeId) -> Option<Funds> {
        Some(Funds::default())
    }

    fn watch_funds(&self) -> Option<watch::Receiver<u64>> {
        None
    }

    fn pace(&self) -> Pace {
        Pace::QUICK
    }

    fn anchors(&self, _: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.shared.logs.evidence(job)
    }

    fn retire(&self, ended: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>> {
        async move { self.shared.blocking(move |shared| shared.logs.retire(ended)).await? }.boxed()
    }

    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>> {
        updates::log_of(&self.shared.logs, job)
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
        self.tasks.join().await;
        self.stop_network.cancel();
        self.network.join().await;
        self.steps.close();
        self.steps.wait().await;
    }

    /// Resolves when the backend has stopped, by [`Self::shutdown`] or because one of its tasks ended.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl fmt::Debug for Libp2pConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Libp2pConfig").field("network", &self.network).finish_non_exhaustive()
    }
}
