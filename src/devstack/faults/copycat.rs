//! A scheduler that sends another node's commitment as its node's own, and then that node's opening.
//!
//! Commitments cover the seat and the node, so the opening does not open the copy: the rules refuse it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::{sync::watch, time::timeout};
use tracing::debug;

use super::decorate::SchedulerFault;
use crate::{
    domain::{Action, Digest, Event, JobId, NodeId, Opening, SignedAction},
    identity::NodeKey,
    rules::Ledger,
    scheduler::{BackendError, Cursor, EventStream, LogItem, LogUpdate, Scheduler, SubmitError},
};

/// How long it waits for somebody to copy in one attempt, less than a node gives one, and in how many; then it sends what
/// it has. Where nodes commit together there is nothing to copy, until they give up waiting for this one.
const PATIENCE: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 4;

/// How long the copied opening may take to be refused.
const REVEAL_LIMIT: Duration = Duration::from_secs(10);

/// Sends what others commit to.
#[derive(Debug)]
pub(super) struct Copycat {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Arc<dyn Scheduler>,
    key: NodeKey,
    jobs: Mutex<BTreeMap<JobId, Seen>>,
    /// What it has read, which tells its seats.
    ledger: Mutex<Ledger>,
    /// Counts commitments of others, to be waited for.
    commitments: watch::Sender<u64>,
}

/// What a copycat knows of one job.
#[derive(Debug, Default)]
struct Seen {
    /// The first commitment of another node: whose, and what.
    other: Option<(NodeId, Digest)>,
    /// The action in which it was copied.
    copied: Option<Action>,
    /// Attempts in which there was nothing to copy.
    in_vain: u32,
}

impl Copycat {
    pub(super) fn new(inner: Arc<dyn Scheduler>, key: NodeKey) -> Self {
        let ledger = Mutex::new(Ledger::new(inner.domain()));
        let commitments = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { inner, key, jobs: Mutex::default(), ledger, commitments }) }
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Seen>> {
        // Every change to the map is a single insertion.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // An event that the rules refuse changes nothing.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn other(&self, job: JobId) -> Option<Digest> {
        self.jobs().get(&job).and_then(|seen| seen.other).map(|(_, commitment)| commitment)
    }

    fn sign(&self, action: Action) -> SignedAction {
        let signature = self.key.sign(action.signing_digest(self.inner.domain()));
        SignedAction { action, signature }
    }

    /// The node's own commitment, with the content of another's.
    async fn commit(&self, own: SignedAction) -> Result<Cursor, SubmitError> {
        let job = own.action.job;
        let mut commitments = self.commitments.subscribe();
        let seen = timeout(PATIENCE, commitments.wait_for(|_| self.other(job).is_some())).await.is_ok();
        let Some(commitment) = self.other(job).filter(|_| seen) else {
            let in_vain = {
                let mut jobs = self.jobs();
                let seen = jobs.entry(job).or_default();
                seen.in_vain += 1;
                seen.in_vain
            };
            if in_vain < ATTEMPTS {
                return Err(SubmitError::NotOrdered(BackendError::UnderWay { job }));
            }
            return self.inner.submit(own).await;
        };
        let action = Action { event: Event::Committed { commitment }, ..own.action };
        self.jobs().entry(job).or_default().copied = Some(action.clone());
        self.inner.submit(self.sign(action)).await
    }

    /// Learns from what others do, and repeats the opening of the node that it copied.
    async fn observe(&self, item: &LogItem) {
        let (job, author) = (item.stamped.job, item.stamped.author);
        // Logs that the rules do not follow have no seat to open.
        let _ = self.ledger().apply(&item.stamped);
        if author == self.key.node_id() {
            return;
        }
        match &item.stamped.event {
            Event::Committed { commitment } => {
                self.jobs().entry(job).or_default().other.get_or_insert((author, *commitment));
                self.commitments.send_modify(|count| *count += 1);
            }
            Event::Revealed { opening, seat: _ } => self.reveal(job, author, opening, item.entry).await,
            Event::Submitted { .. }
            | Event::DealUpdated { .. }
            | Event::Cancelled
            | Event::BidPlaced { .. }
            | Event::BidWithdrawn
            | Event::BidAccepted { .. }
            | Event::BidRejected { .. }
            | Event::FailureReported { .. }
            | Event::Stopped
            | Event::VerdictPosted { .. }
            | Event::Expired
            | Event::Remarked { .. }
            | Event::SecretPublished { .. }
            | Event::Ticked => {}
        }
    }

    async fn reveal(&self, job: JobId, author: NodeId, opening: &Opening, entry: Digest) {
        let copied = self.jobs().get_mut(&job).and_then(|seen| {
            seen.other.filter(|(other, _)| *other == author)?;
            seen.copied.take()
        });
        let seat = self.ledger().get(job).and_then(|job| job.seat_of(self.key.node_id()));
        let (Some(copied), Some(seat)) = (copied, seat) else { return };
        let action = Action {
            sequence: copied.sequence + 1,
            seen: entry,
            event: Event::Revealed { seat, opening: *opening },
            ..copied
        };
        let refused = timeout(REVEAL_LIMIT, self.inner.submit(self.sign(action))).await;
        debug!(%job, ?refused, "a copied opening was sent");
    }
}

impl SchedulerFault for Copycat {
    fn replaces(&self, event: &Event) -> bool {
        matches!(event, Event::Committed { .. })
    }

    fn submit<'a>(
        &'a self,
        _: &'a dyn Scheduler,
        action: SignedAction,
    ) -> BoxFuture<'a, Result<Cursor, SubmitError>> {
        self.shared.commit(action).boxed()
    }

    fn events(&self, inner: &Arc<dyn Scheduler>, after: Cursor) -> EventStream {
        let shared = Arc::clone(&self.shared);
        let observed = inner.events(after).then(move |update| {
            let shared = Arc::clone(&shared);
            async move {
                match &update {
                    Ok(LogUpdate::Entry(item)) => shared.observe(item).await,
                    Ok(LogUpdate::Forgotten(job)) => shared.ledger().forget(*job),
                    Ok(LogUpdate::CaughtUp | LogUpdate::Rewound { .. }) | Err(_) => {}
                }
                update
            }
        });
        observed.boxed()
    }
}
