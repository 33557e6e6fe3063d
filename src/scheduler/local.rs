//! The log in memory, for one process: what [`Scheduler`] means, with a clock that its owner sets.
//!
//! Several nodes share one [`LocalLog`]; each holds a [`LocalScheduler`] on it, with nothing but its own id.
//! Used by tests and simulations, and by nothing that must survive a restart.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::sync::watch;

use super::{
    Anchor, BackendError, Cursor, EnvelopeRefusal, EventStream, Evidence, LogItem, LogOrder, Scheduler,
    SubmitError, Trouble, submit_in_turn, updates::History,
};
use crate::{
    domain::{
        Amount, Asset, Digest, Funds, JobId, LogDomain, NodeId, Pace, SignedAction, Stamped, Timestamp,
    },
    rules::Ledger,
    store::EndedJob,
};

/// One log, its money and its clock.
#[derive(Debug)]
pub struct LocalLog {
    domain: LogDomain,
    inner: Mutex<Inner>,
    head: watch::Sender<u64>,
    /// How often money may have moved.
    moved: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    items: Vec<LogItem>,
    now: Timestamp,
    members: Vec<NodeId>,
    /// By job and author: the actions so far, so that a repeated one finds its place.
    actions: BTreeMap<(JobId, NodeId), Vec<(Digest, Cursor)>>,
}

impl LocalLog {
    /// An empty log whose clock stands at `now`.
    pub fn new(domain: LogDomain, now: Timestamp) -> Arc<Self> {
        let inner = Inner {
            ledger: Ledger::new(domain),
            items: Vec::new(),
            now,
            members: Vec::new(),
            actions: BTreeMap::new(),
        };
        Arc::new(Self {
            domain,
            inner: Mutex::new(inner),
            head: watch::Sender::new(0),
            moved: watch::Sender::new(0),
        })
    }

    /// The scheduler of one member.
    pub fn join(self: &Arc<Self>, node: NodeId) -> LocalScheduler {
        self.lock().members.push(node);
        LocalScheduler { log: Arc::clone(self), node }
    }

    /// Sets the clock; it never goes back.
    pub fn set_now(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.now = inner.now.max(now);
    }

    /// Adds to a free balance.
    ///
    /// # Panics
    /// When all deposits together are no amount: the caller made the money up.
    pub fn deposit(&self, node: NodeId, amount: Amount) {
        self.lock().ledger.accounts_mut().deposit(node, amount).expect("deposits fit 96 bits together");
        self.moved.send_modify(|moved| *moved += 1);
    }

    /// The jobs and the money as of now.
    pub fn ledger(&self) -> Ledger {
        self.lock().ledger.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside leaves the ledger as it was: events apply whole or not at all.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, signed: &SignedAction) -> Result<Cursor, SubmitError> {
        let author =
            signed.author(self.domain).map_err(|_| SubmitError::Refused(EnvelopeRefusal::BadSignature))?;
        let digest = signed.action.signing_digest(self.domain);
        let action = &signed.action;
        let mut inner = self.lock();
        let known = inner.actions.get(&(action.job, author));
        let expected = u64::try_from(known.map_or(0, Vec::len)).unwrap_or(u64::MAX);
        if action.sequence != expected {
            let index = usize::try_from(action.sequence).unwrap_or(usize::MAX);
            let same = known.and_then(|known| known.get(index)).filter(|(known, _)| *known == digest);
            return same
                .map(|(_, cursor)| *cursor)
                .ok_or(SubmitError::Refused(EnvelopeRefusal::WrongSequence { expected }));
        }
        let stamped = Stamped {
            job: action.job,
            author,
            at: inner.now,
            revision: action.revision,
            facts: inner.ledger.facts(action.job, author, &action.event),
            event: action.event.clone(),
        };
        inner.ledger.apply(&stamped).map_err(SubmitError::Rejected)?;
        let cursor = Cursor(u64::try_from(inner.items.len()).unwrap_or(u64::MAX) + 1);
        inner.items.push(LogItem { cursor, entry: digest, stamped, proof: Vec::new() });
        inner.actions.entry((action.job, author)).or_default().push((digest, cursor));
        // Under the lock: told in another order than appended, the head would go back and a reader sleep on.
        self.head.send_replace(cursor.0);
        if inner.ledger.accounts().is_used() {
            self.moved.send_modify(|moved| *moved += 1);
        }
        Ok(cursor)
    }

    fn item_after(&self, after: Cursor) -> Option<LogItem> {
        let index = usize::try_from(after.0).ok()?;
        self.lock().items.get(index).cloned()
    }
}

/// One node's way into a [`LocalLog`].
#[derive(Debug, Clone)]
pub struct LocalScheduler {
    log: Arc<LocalLog>,
    node: NodeId,
}

impl Scheduler for LocalScheduler {
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        async move { self.log.append(&action) }.boxed()
    }

    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        submit_in_turn(self, actions).boxed()
    }

    fn events(&self, after: Cursor) -> EventStream {
        // Weak, so that the stream ends with the log instead of keeping it alive.
        let (log, head) = (Arc::downgrade(&self.log), self.log.head.subscribe());
        let history = History::up_to(Cursor(*head.borrow()));
        stream::unfold((log, head, after, history), |(log, mut head, after, mut history)| async move {
            if let Some(end) = history.end(after) {
                return Some((Ok(end), (log, head, after, history)));
            }
            // A level, not an edge: an entry appended before this is waited for is seen at once.
            head.wait_for(|head| *head > after.0).await.ok()?;
            let item = log.upgrade()?.item_after(after)?;
            let cursor = item.cursor;
            Some((Ok(item.into()), (log, head, cursor, history)))
        })
        .boxed()
    }

    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>> {
        let now = self.log.lock().now;
        async move { Ok(now) }.boxed()
    }

    fn members(&self) -> Vec<NodeId> {
        self.log.lock().members.iter().copied().filter(|member| *member != self.node).collect()
    }

    fn domain(&self) -> LogDomain {
        self.log.domain
    }

    fn order(&self, _: JobId) -> LogOrder {
        LogOrder::Neutral
    }

    fn asset(&self) -> Asset {
        Asset::Ether
    }

    fn holds_money(&self) -> bool {
        true
    }

    fn funds(&self, node: NodeId) -> Option<Funds> {
        let inner = self.log.lock();
        let accounts = inner.ledger.accounts();
        Some(Funds { free: accounts.free(node), paid: accounts.paid(node) })
    }

    fn watch_funds(&self) -> Option<watch::Receiver<u64>> {
        Some(self.log.moved.subscribe())
    }

    fn pace(&self) -> Pace {
        Pace::QUICK
    }

    fn anchors(&self, _: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn evidence(&self, _: JobId) -> Option<Evidence> {
        None
    }

    /// It has no disk.
    fn retire(&self, _: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>> {
        self.log.lock().items.iter().filter(|item| item.stamped.job == job).cloned().map(Ok).collect()
    }

    fn troubles(&self) -> Vec<Trouble> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::{
        domain::{Action, Deal, Event, Spec},
        identity::NodeKey,
        scheduler::entries,
    };

    fn signed(key: &NodeKey, job: JobId, deal: &Deal, event: Event) -> SignedAction {
        let action = Action { job, revision: deal.revision(), sequence: 0, seen: Digest::ZERO, event };
        SignedAction { signature: key.sign(action.signing_digest(LogDomain::default())), action }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn the_head_never_falls_behind_what_many_threads_append() {
        let (domain, deal, document) = (LogDomain::default(), Deal::default(), Spec::sample().to_document());
        let requester = NodeKey::generate().unwrap();
        let job = domain.job_id(requester.node_id(), 0, Spec::hash_document(&document), deal.revision());
        let log = LocalLog::new(domain, Timestamp::from_secs(1000));
        let submitted = Event::Submitted { deal: deal.clone(), spec: document, nonce: 0 };
        let scheduler = log.join(requester.node_id());
        scheduler.submit(signed(&requester, job, &deal, submitted)).await.unwrap();
        let mut bidders = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let key = NodeKey::generate().unwrap();
            let bid = signed(&key, job, &deal, Event::BidPlaced { price: Amount::ZERO });
            let scheduler = log.join(key.node_id());
            bidders.spawn(async move { scheduler.submit(bid).await });
        }
        assert!(bidders.join_all().await.iter().all(Result::is_ok));
        assert_eq!(*log.head.borrow(), 201);
        let read = entries(scheduler.events(Cursor(0))).take(201).collect::<Vec<_>>().await;
        assert_eq!(
            read.last().and_then(|item| item.as_ref().ok()).map(|item| item.cursor),
            Some(Cursor(201))
        );
    }
}
