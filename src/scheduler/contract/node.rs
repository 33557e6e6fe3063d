//! The backend of one node: its handle, and its tasks.

mod attempts;
mod reading;
mod updates;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use alloy::primitives::Bytes;
use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{attempts::Attempts, updates::Reader};
use super::{
    anchors::Receipts,
    calls::{call_data, rostered_secret, to_contract, unpack_call},
    client::{ChainClient, ChainConfig},
    convert::Revert,
    error::{ConnectError, MoneyError},
    follow::{Follower, Seen, known_chain, same_chain},
    funds::FundsBook,
    health::Health,
    log::{self, ChainLog, NodeAddresses},
    outbox::Outbox,
    reader::ContractReader,
    sender::{PATIENCE, SendError},
    signed::{courier::SignedPath, pool::Pool},
};
use crate::{
    domain::{Action, Asset, Event, Funds, JobId, LogDomain, NodeId, Pace, SignedAction, Timestamp},
    identity::NodeKey,
    rules::Rejection,
    scheduler::{
        self, Anchor, BackendError, Cursor, EnvelopeRefusal, EventStream, Evidence, LogItem, LogOrder,
        Scheduler, SubmitError, Trouble, WallClock, stored, tasks::Tasks,
    },
    store::{Db, EndedJob},
};

/// What the backend of a node needs.
pub struct ContractConfig {
    /// The contract and the way to it.
    pub chain: ChainConfig,
    /// The block that the contract was deployed in, or an earlier one: reading begins there.
    pub first_block: u64,
    /// Where the log is kept.
    pub db: Db,
    /// The node's key, which pays and signs.
    pub key: NodeKey,
    /// The node's clock.
    pub clock: WallClock,
    /// What lets others carry what the node signs; without it, the node sends each step itself.
    pub signed: Option<SignedPath>,
}

/// Why the backend cannot be started: there is no way to the contract, or the log cannot be read.
pub type StartError = scheduler::StartError<ConnectError>;

/// What becomes of an action.
pub(super) type Answered = Result<Cursor, SubmitError>;

/// The scheduler of one node; clones share it. Ends when its [`Running`] is shut down or dropped.
#[derive(Clone)]
pub struct ContractScheduler {
    shared: Arc<State>,
}

pub(super) struct State {
    pub(super) client: Arc<ChainClient>,
    pub(super) log: Arc<ChainLog>,
    pub(super) node: NodeId,
    pub(super) signed: Option<SignedPath>,
    clock: WallClock,
    seen: watch::Receiver<Seen>,
    pub(super) wake: Arc<Notify>,
    pub(super) pool: Pool,
    pub(super) funds: Arc<FundsBook>,
    receipts: Receipts,
    /// What the follower sees of the chain.
    health: Arc<Mutex<Health>>,
    /// Why this node's addresses are not announced.
    unannounced: Mutex<Option<BackendError>>,
    attempts: Attempts,
    pub(super) stop: CancellationToken,
}

/// The tasks of a running backend.
#[derive(Debug)]
pub struct Running {
    client: Arc<ChainClient>,
    stop: CancellationToken,
    tasks: Tasks,
    attempts: TaskTracker,
}

impl ContractScheduler {
    /// Connects, checks chain and contract, reads this node's copy of the log and goes on from its end.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: ContractConfig) -> Result<(Self, Running), StartError> {
        let ContractConfig { chain, first_block, db, key, clock, signed } = config;
        known_chain(&chain, &db).await?;
        let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
        let (node, domain) = (key.node_id(), reader.domain());
        let opened = spawn_blocking(move || ChainLog::open(node, domain, db)).await;
        let log = Arc::new(opened.unwrap_or(Err(BackendError::Stopped)).map_err(StartError::Log)?);
        same_chain(&reader.endpoints, log.chain()).await.map_err(StartError::Log)?;
        let outbox = Outbox::open(log.outbox()).map_err(StartError::Log)?;
        let client = Arc::new(ChainClient::start(&chain, &key, reader, outbox, Arc::new(|_| {})).await);
        let head = client.reader().head().await;
        let (head, time) = head.map_err(|error| StartError::Way(ConnectError::Chain(error)))?;
        let confirmations = client.confirmations();
        let (seen_sender, seen) = watch::channel(Seen { head, time, confirmations, ..Seen::default() });
        let (wake, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let funds = Arc::new(FundsBook::default());
        let health = Arc::new(Mutex::new(Health::new(!client.is_for_development())));
        let follower = Follower {
            endpoints: Arc::clone(&client.reader().endpoints),
            log: Arc::clone(&log),
            contract: client.reader().contract,
            confirmations,
            first_block,
            seen: seen_sender,
            wake: Arc::clone(&wake),
            lost: client.lost(),
            funds: Arc::clone(&funds),
            clock: Arc::clone(&clock),
            health: Arc::clone(&health),
        };
        let mut tasks = Tasks::new("the contract backend", &stop);
        tasks.spawn(follower.run(stop.clone()));
        let receipts = Receipts::default();
        let unannounced = Mutex::default();
        let shared = Arc::new(State {
            client: Arc::clone(&client),
            log,
            node,
            signed,
            clock,
            seen,
            wake,
            pool: Pool::new(confirmations, client.pace()),
            funds,
            receipts,
            health,
            unannounced,
            attempts: Attempts::new(stop.clone()),
            stop: stop.clone(),
        });
        tasks.spawn(Arc::clone(&shared).follow_funds());
        if shared.signed.is_some() {
            tasks.spawn(Arc::clone(&shared).sweep_offers());
            tasks.spawn(Arc::clone(&shared).carry());
        }
        let attempts = shared.attempts.tasks();
        Ok((Self { shared }, Running { client, stop, tasks, attempts }))
    }

    /// The key's money in the contract.
    pub fn client(&self) -> Arc<ChainClient> {
        Arc::clone(&self.shared.client)
    }

    /// The key's account.
    pub(super) fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Says where this node can be reached. A failure is one of [`Scheduler::troubles`] until it is over.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn announce(&self, addresses: &str) -> Result<(), MoneyError> {
        let announced = self.shared.client.announce(addresses).await;
        let failure = match &announced {
            Err(MoneyError::Chain(error)) => Some(error.clone()),
            Ok(_) | Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => None,
        };
        *self.shared.unannounced.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        announced.map(|_| ())
    }

    /// What this node answers to another one's [`super::Courier`].
    pub fn answer(&self, from: NodeId, request: &[u8]) -> Vec<u8> {
        self.shared.answer(from, request).encode()
    }

    /// How far the chain was read.
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.shared.seen()
    }

    /// Where nodes said that they can be reached, as far as it was read.
    pub fn announced(&self) -> watch::Receiver<NodeAddresses> {
        self.shared.log.announced()
    }
}

impl State {
    /// max(latest block, wall clock): under automine no block comes by itself, and a chain's clock may lead.
    pub(super) fn now(&self) -> Timestamp {
        self.seen.borrow().time.max((self.clock)())
    }

    pub(super) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// What ended the log, if anything did.
    fn ended(&self) -> BackendError {
        self.log.failure().borrow().clone().unwrap_or(BackendError::Stopped)
    }

    /// Submits actions of this node to the contract in one call.
    async fn submit(self: Arc<Self>, signed: Vec<SignedAction>) -> Answered {
        if self.stop.is_cancelled() {
            return Err(SubmitError::NotOrdered(self.ended()));
        }
        let domain = self.client.reader().domain();
        let refused = |refusal| Err(SubmitError::Refused(refusal));
        if signed.iter().any(|signed| signed.author(domain) != Ok(self.node)) {
            return refused(EnvelopeRefusal::BadSignature);
        }
        let Some((first, last)) = signed.first().zip(signed.last()) else { return Ok(Cursor::default()) };
        let (first, last) = (&first.action, &last.action);
        let parent = if let Event::Submitted { deal, .. } = &first.event { deal.parent } else { None };
        for job in [Some(first.job), parent].into_iter().flatten() {
            self.log.recall(job).map_err(SubmitError::NotOrdered)?;
        }
        let is_on_draft = self.log.drafts().holds(last.job) && last.sequence > 0;
        if let Ok(cursor) = self.log.find(last) {
            return Ok(cursor);
        }
        if let Err(expected) = self.log.find(first)
            && expected != first.sequence
            && !is_on_draft
        {
            return refused(EnvelopeRefusal::WrongSequence { expected });
        }
        let digest = last.signing_digest(domain);
        let brought = self.attempts.join(digest, Arc::clone(&self).bring(signed)).await;
        brought.unwrap_or_else(|| Err(SubmitError::NotOrdered(self.ended())))
    }

    /// Submits actions and waits until they are in this node's log.
    async fn bring(self: Arc<Self>, signed: Vec<SignedAction>) -> Answered {
        let brought = timeout(PATIENCE, self.bring_somehow(&signed)).await;
        let late = || BackendError::Chain { reason: format!("no block within {} s", PATIENCE.as_secs()) };
        brought.unwrap_or_else(|_| Err(SubmitError::NotOrdered(late())))
    }

    /// By the signed path where there is one, else by a transaction of this node's.
    async fn bring_somehow(&self, signed: &[SignedAction]) -> Answered {
        let is_first = |signed: &SignedAction| matches!(signed.action.event, Event::Submitted { .. });
        if let Some(job) = signed.first().filter(|first| !is_first(first)).map(|first| first.action.job)
            && self.log.drafts().holds(job)
        {
            return self.act_on_draft(job, signed).await;
        }
        if let Some(left) = self.hand_over(signed) {
            return left;
        }
        if let [submission] = signed
            && self.offers(submission)
            && let Some(cursor) = self.offer(submission).await
        {
            return Ok(cursor);
        }
        let actions: Vec<Action> = signed.iter().map(|signed| signed.action.clone()).collect();
        self.attempt(&actions).await
    }

    async fn attempt(&self, actions: &[Action]) -> Answered {
        let unknown = |job| SubmitError::NotOrdered(BackendError::UnknownLog { job });
        let mut is_fresh = false;
        loop {
            // Actions that an earlier attempt brought into the log, with its answer lost, are not sent again.
            let known = actions.iter().take_while(|action| self.log.find(action).is_ok()).count();
            let Some(last) = actions.last() else { return Ok(Cursor::default()) };
            if known == actions.len() {
                return self.log.find(last).map_err(|_| unknown(last.job));
            }
            let made = match self.rostered_draw(&actions[known..]) {
                Some(data) => Ok(Some(data)),
                None => {
                    self.log.with_ledger(|ledger| call_data(&actions[known..], self.node, self.now(), ledger))
                }
            };
            let data = made.map_err(SubmitError::Rejected)?.ok_or_else(|| unknown(last.job))?;
            let error = match self.send(last.job, data).await {
                Ok(block) => {
                    self.read_up_to(block).await?;
                    if let Ok(cursor) = self.log.find(last) {
                        return Ok(cursor);
                    }
                    if is_fresh {
                        return Err(unknown(last.job));
                    }
                    // The contract passed over some. Those alone are refused, with the reason.
                    is_fresh = true;
                    continue;
                }
                Err(error) => error,
            };
            // A call built from outdated state is built anew, once.
            self.catch_up().await?;
            if let Ok(cursor) = self.log.find(last) {
                return Ok(cursor);
            }
            if matches!(error, SendError::Reverted(Revert::Rule(Rejection::JobExists), _))
                && self.log.job(last.job).is_none()
            {
                return self.when_here(last).await;
            }
            return Err(match error {
                SendError::Failed(error) => SubmitError::NotOrdered(error),
                SendError::Reverted(Revert::Rule(rejection), _) => SubmitError::Rejected(rejection),
                SendError::Reverted(Revert::Stale(_), _) if !is_fresh => {
                    is_fresh = true;
                    continue;
                }
                SendError::Reverted(revert, _) => SubmitError::NotOrdered(BackendError::Chain {
                    reason: format!("the contract refused: {revert:?}"),
                }),
            });
        }
    }

    /// The call for a draw in a job whose seats the contract keeps as one hash: the draw needs no slots for them. Another
    /// build of the contract may lack this call; there the seats get slots first.
    fn rostered_draw(&self, actions: &[Action]) -> Option<Bytes> {
        let [Action { job, event: Event::SecretPublished { secret }, .. }] = actions else { return None };
        if !self.client.reader().code().is_ours {
            return None;
        }
        self.log.rostered(*job).map(|job| rostered_secret(&job, *secret))
    }

    /// Sends a call and returns its block. If the contract asks for it, gives the seats slots of their own first.
    pub(super) async fn send(&self, job: JobId, data: Bytes) -> Result<u64, SendError> {
        let call = to_contract(self.client.reader().contract, data);
        let mut sent = self.client.sender.send(call.clone()).await;
        if let (Err(SendError::Reverted(Revert::Rostered, _)), Some(job)) = (&sent, self.log.job(job)) {
            let unpack = to_contract(self.client.reader().contract, unpack_call(&job));
            match self.client.sender.send(unpack).await {
                // Another party was first.
                Ok(_) | Err(SendError::Reverted(Revert::NotRostered, _)) => {}
                Err(error) => return Err(error),
            }
            sent = self.client.sender.send(call).await;
        }
        self.wake.notify_one();
        sent.map(|receipt| receipt.block_number.unwrap_or_default())
    }
}

impl Scheduler for ContractScheduler {
    /// Resolves when the transaction is as deep in the chain as configured and this node has stored its event.
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Answered> {
        Arc::clone(&self.shared).submit(vec![action]).boxed()
    }

    /// The contract accepts several bids by one transaction, and passes over those that it cannot take any more.
    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Answered> {
        let accepts = |signed: &SignedAction| matches!(signed.action.event, Event::BidAccepted { .. });
        async move {
            let mut last = Cursor::default();
            for batch in actions.chunk_by(|one, next| accepts(one) && accepts(next)) {
                last = Arc::clone(&self.shared).submit(batch.to_vec()).await?;
            }
            Ok(last)
        }
        .boxed()
    }

    fn events(&self, after: Cursor) -> EventStream {
        let State { log, seen, stop, client, .. } = &*self.shared;
        let final_block = seen.borrow().head.saturating_sub(client.confirmations());
        Reader::new(Arc::clone(log), seen.clone(), stop.clone(), final_block, after).stream()
    }

    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>> {
        let now = self.shared.now();
        async move { Ok(now) }.boxed()
    }

    fn members(&self) -> Vec<NodeId> {
        self.shared.log.members()
    }

    fn domain(&self) -> LogDomain {
        self.shared.client.reader().domain()
    }

    fn order(&self, job: JobId) -> LogOrder {
        self.shared.order(job)
    }

    fn asset(&self) -> Asset {
        self.client().reader().asset().clone()
    }

    fn holds_money(&self) -> bool {
        true
    }

    fn funds(&self, node: NodeId) -> Option<Funds> {
        self.shared.funds.of(node)
    }

    fn watch_funds(&self) -> Option<watch::Receiver<u64>> {
        Some(self.shared.funds.watch())
    }

    fn pace(&self) -> Pace {
        self.shared.client.pace()
    }

    fn anchors(&self, job: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        let State { client, log, seen, receipts, .. } = &*self.shared;
        let head = seen.borrow().head;
        async move { receipts.anchors(log, client.reader(), job, head).await }.boxed()
    }

    fn evidence(&self, _: JobId) -> Option<Evidence> {
        None
    }

    fn retire(&self, ended: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>> {
        let log = Arc::clone(&self.shared.log);
        let retired = spawn_blocking(move || log.retire(&ended));
        async move { retired.await.map_err(|_| BackendError::Stopped)? }.boxed()
    }

    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>> {
        stored::log_of(self.shared.log.store(), job, |stored| log::item(&stored))
    }

    fn troubles(&self) -> Vec<Trouble> {
        let State { client, clock, health, unannounced, .. } = &*self.shared;
        let endpoint = client.reader().endpoints.shown();
        let health = health.lock().unwrap_or_else(PoisonError::into_inner);
        let mut troubles = health.troubles(&endpoint, clock(), Instant::now());
        let unannounced = unannounced.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.extend(unannounced.clone().map(Trouble::NotAnnounced));
        troubles
    }
}

impl Running {
    /// Stops reading and sending. Returns when all tasks have ended. Once more is no error.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.join().await;
        self.attempts.close();
        self.attempts.wait().await;
        self.client.shutdown().await;
    }

    /// Resolves when the backend has stopped, by [`Self::shutdown`] or because its log cannot go on.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl fmt::Debug for ContractScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContractScheduler")
            .field("node", &self.shared.node)
            .field("domain", &self.shared.client.reader().domain())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ContractConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContractConfig").field("chain", &self.chain).finish_non_exhaustive()
    }
}
