//! What the tasks of the backend share, and the steps that several of them take.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    clocks::Clocks,
    entry::{Entry, EntryError},
    interest::Interest,
    logs::{AdoptError, Logs, Received},
    parcel::{Message, Parcel},
    sequence::Arrival,
    wire::{self, LogRequest, LogResponse},
    witness::Witnesses,
};
use crate::{
    domain::{Digest, JobId, NodeId, Span, Timestamp},
    network::{NetworkHandle, RequestError, WireBytes},
    scheduler::{BackendError, WallClock},
};

/// Most pages asked for at a time: enough for the longest log.
const MAX_PAGES: usize = 32;

/// Up to so many entries are decoded where they are, and more on a thread for it.
const FEW: usize = 16;

/// Up to which age an announced job can be assumed to have no further entries.
const FRESH: Span = Span::from_secs(1);

/// From this many nodes on, those that answered before that are forgotten.
const MOST_ANSWERED: usize = 1024;
const RECENT: Duration = Duration::from_secs(60);

/// Most generations of follow-ups: seats at least double, and a job has at most 31.
const MAX_PARENTS: usize = 5;

/// Announcements that may wait for their requester at a time: strangers who announce follow-ups and never answer must
/// not block answers to the nodes that work for this one.
pub(super) const MAX_ASKING_PARENTS: usize = 8;

/// What was seen and done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Actions that a requester left out of its log although their author sent them.
    pub actions_censored: u64,
    /// Entries that came and were not signed by the requester.
    pub entries_forged: u64,
    /// Undelivered messages to other nodes, which those may ask for.
    pub messages_dropped: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) actions_censored: AtomicU64,
    pub(super) entries_forged: AtomicU64,
    pub(super) messages_dropped: AtomicU64,
}

pub(super) struct Shared {
    pub(super) logs: Logs,
    pub(super) network: NetworkHandle,
    pub(super) clock: WallClock,
    pub(super) interest: Interest,
    pub(super) stop: CancellationToken,
    /// Blocking steps, which hold the store until they end.
    pub(super) steps: TaskTracker,
    pub(super) parcels: mpsc::Sender<Parcel>,
    /// Jobs to poll at once, and the wake-up that goes with them.
    pub(super) wanted: Mutex<BTreeSet<JobId>>,
    /// Jobs that this node has just acted in, to poll soon.
    pub(super) joined: Mutex<BTreeSet<JobId>>,
    /// New jobs to poll later.
    pub(super) heard: Mutex<BTreeSet<JobId>>,
    /// Jobs of which another node has seen an entry that this node lacks: the node, and the entry.
    pub(super) doubts: Mutex<BTreeMap<JobId, (NodeId, Digest)>>,
    pub(super) wake_follower: Notify,
    pub(super) wake_announcer: Notify,
    /// When nodes last answered something.
    pub(super) answered: Mutex<BTreeMap<NodeId, Instant>>,
    pub(super) witnesses: Mutex<Witnesses>,
    pub(super) clocks: Clocks,
    /// One permit an announcement that waits for its requester's answer about a parent.
    pub(super) asking_parents: Semaphore,
    /// One permit a bid that waits for its requester's choice.
    pub(super) waiting_bids: Semaphore,
    pub(super) counting: Counting,
}

impl Shared {
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn counters(&self) -> LogCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogCounters {
            actions_censored: read(&self.counting.actions_censored),
            entries_forged: read(&self.counting.entries_forged),
            messages_dropped: read(&self.counting.messages_dropped),
        }
    }

    /// Requests a poll of the job's log soon.
    pub(super) fn want(&self, job: JobId) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
        self.wake_follower.notify_one();
    }

    /// Requests polls of a job that this node takes part in from now on. What it lacked came with the answer, so the first
    /// is not due at once.
    pub(super) fn join(&self, job: JobId) {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
        self.wake_follower.notify_one();
    }

    /// Requests a later poll of a new job's log; if this node takes part, entries are pushed to it.
    pub(super) fn heed(&self, job: JobId) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(job);
        self.wake_follower.notify_one();
    }

    /// Requests a poll of the job's log; if `seen` is still missing then, compares the log with that of `other`.
    pub(super) fn doubt(&self, job: JobId, other: NodeId, seen: Digest) {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).insert(job, (other, seen));
        self.want(job);
    }

    /// Settles a doubt about a job, if there is one: entries of another history at another node prove that the
    /// requester signed two.
    pub(super) async fn settle(self: &Arc<Self>, job: JobId) -> Result<(), BackendError> {
        let other = self.doubts.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        let Some((other, seen)) = other else { return Ok(()) };
        if self.logs.height_of(job, seen).is_some() {
            return Ok(());
        }
        let (_, entries) = self.read(other, job, 0).await?;
        self.receive(job, entries, Arrival::Synced(self.now())).await.map(|_| ())
    }

    /// Sends without waiting for an answer; a lost message is asked for later.
    pub(super) fn post(&self, to: NodeId, message: Message) {
        self.send(Parcel { to, message, posted: Instant::now(), can_wait: false });
    }

    /// As [`Self::post`], but the message leaves with the next one to `to`: it has its content already.
    pub(super) fn post_later(&self, to: NodeId, message: Message) {
        self.send(Parcel { to, message, posted: Instant::now(), can_wait: true });
    }

    fn send(&self, parcel: Parcel) {
        if self.parcels.try_send(parcel).is_err() {
            self.counting.messages_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a blocking step on a thread for it, to its end even if the caller is gone.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        let shared = Arc::clone(self);
        self.steps.spawn_blocking(move || run(&shared)).await.map_err(|error| {
            tracing::error!(%error, "a step of the log failed");
            BackendError::Stopped
        })
    }

    /// Takes encoded entries of a followed log.
    pub(super) async fn receive(
        self: &Arc<Self>,
        job: JobId,
        entries: Vec<WireBytes>,
        arrival: Arrival,
    ) -> Result<Received, BackendError> {
        let decode = |entries: &[WireBytes]| -> Result<Vec<Entry>, EntryError> {
            entries.iter().map(|entry| Entry::decode(&entry.0)).collect()
        };
        let few = (entries.len() <= FEW).then(|| decode(&entries));
        // Most that come are here: an author gets its entry with the answer, and again as a follower.
        if let Some(Ok(few)) = &few
            && self.logs.holds_all(job, few)
        {
            self.audit(job);
            return Ok(Received::Here { appended: 0 });
        }
        self.blocking(move |shared| {
            let received = match few.unwrap_or_else(|| decode(&entries)) {
                Ok(entries) => shared.logs.receive(job, entries, arrival)?,
                Err(_) => Received::Forged,
            };
            if received == Received::Forged {
                shared.counting.entries_forged.fetch_add(1, Ordering::Relaxed);
            }
            shared.audit(job);
            Ok(received)
        })
        .await?
    }

    /// Counts witnessed actions that the requester has left out for good.
    fn audit(&self, job: JobId) {
        let Some(view) = self.logs.view(job) else { return };
        let mut witnesses = self.witnesses.lock().unwrap_or_else(PoisonError::into_inner);
        let next = |author| self.logs.next_sequence(job, author);
        let over = view.state.is_terminal();
        let censored = witnesses.audit(job, view.closing_height.is_some(), over, next);
        for author in &censored {
            tracing::warn!(%job, requester = %view.requester, %author, "an action was left out of the log");
        }
        let count = u64::try_from(censored.len()).unwrap_or(u64::MAX);
        self.counting.actions_censored.fetch_add(count, Ordering::Relaxed);
    }

    /// Asks the requester of a followed job for what is missing. Says whether anything came.
    pub(super) async fn sync(self: &Arc<Self>, job: JobId) -> Result<bool, BackendError> {
        let mut progressed = false;
        for _page in 0..MAX_PAGES {
            let view = self.logs.view(job).ok_or(BackendError::UnknownLog { job })?;
            let (requester, after_height) = (view.requester, view.height);
            let (height, entries) = self.read(requester, job, after_height).await?;
            let came = !entries.is_empty();
            match self.receive(job, entries, Arrival::Synced(self.now())).await? {
                Received::Here { .. } | Received::Broken => {}
                Received::Gap | Received::Forged => {
                    return Err(unreachable(requester, "it sent entries that this node did not ask for"));
                }
            }
            let held = self.logs.view(job).map_or(0, |view| view.height);
            progressed |= held > after_height;
            if held >= height || !came || held == after_height {
                break;
            }
        }
        Ok(progressed)
    }

    /// Asks a node about a log.
    pub(super) async fn ask(&self, node: NodeId, request: &LogRequest) -> Result<LogResponse, RequestError> {
        let answer = wire::ask(&self.network, node, request).await;
        if answer.is_ok() {
            let (now, mut answered) =
                (Instant::now(), self.answered.lock().unwrap_or_else(PoisonError::into_inner));
            answered.insert(node, now);
            if answered.len() > MOST_ANSWERED {
                answered.retain(|_, at| now.saturating_duration_since(*at) < RECENT);
            }
        }
        answer
    }

    /// When a node last answered something here, if that was lately.
    pub(super) fn answered_at(&self, node: NodeId) -> Option<Instant> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    /// Asks `from` for entries above `after_height`, and how many it has in all.
    pub(super) async fn read(
        &self,
        from: NodeId,
        job: JobId,
        after_height: u64,
    ) -> Result<(u64, Vec<WireBytes>), BackendError> {
        match self.ask(from, &LogRequest::Read { job, after_height }).await {
            Ok(LogResponse::Entries { height, entries }) => Ok((height, entries)),
            Ok(LogResponse::Unknown) => Err(unreachable(from, "it does not know the job")),
            Ok(LogResponse::Busy) => Err(unreachable(from, "it is busy")),
            Ok(_) => Err(unreachable(from, "it answered something else")),
            Err(error) => Err(request_error(from, &error)),
        }
    }

    /// Begins to follow a job from its announced and checked first entry. The logs of its parents are fetched first.
    pub(super) async fn adopt(self: &Arc<Self>, first: Entry, requester: NodeId) -> Result<(), AdoptError> {
        if self.logs.view(first.job()).is_some() {
            let job = first.job();
            self.logs.hear_again(self.now(), job);
            // Known, or another beginning of the same job: then the requester signed two.
            self.receive(job, vec![WireBytes(first.encode())], Arrival::Synced(self.now())).await?;
            self.want(job);
            return Err(AdoptError::Known);
        }
        let is_fresh = self.now() <= first.at.plus(FRESH);
        let mut lineage = vec![first];
        let mut asking = None;
        while let Some(parent) = lineage.last().and_then(|entry| super::job_log::parent_of(entry.event())) {
            if asking.is_none() {
                asking = Some(self.asking_parents.try_acquire().map_err(|_| AdoptError::Busy)?);
            }
            if self.logs.view(parent).is_some() {
                self.sync_parent(parent).await?;
                break;
            }
            if lineage.len() > MAX_PARENTS {
                return Err(AdoptError::TooMany);
            }
            let (_, entries) = self.read(requester, parent, 0).await?;
            let entry = entries.first().and_then(|entry| Entry::decode(&entry.0).ok());
            lineage.push(entry.ok_or_else(|| unreachable(requester, "it sent no first entry"))?);
        }
        while let Some(entry) = lineage.pop() {
            let job = entry.job();
            // The announced one comes last; nothing is known of its parents.
            let signer = lineage.is_empty().then_some(requester);
            match self.blocking(move |shared| shared.logs.adopt(shared.now(), entry, signer)).await? {
                Ok(()) | Err(AdoptError::Known) => {}
                Err(error) => return Err(error),
            }
            if !lineage.is_empty() {
                self.sync_parent(job).await?;
            } else if is_fresh {
                self.heed(job);
            } else {
                self.want(job);
            }
        }
        Ok(())
    }

    async fn sync_parent(self: &Arc<Self>, parent: JobId) -> Result<(), BackendError> {
        let view = self.logs.view(parent);
        if view.is_some_and(|view| !view.own && !view.state.is_terminal()) {
            self.sync(parent).await?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("logs", &self.logs).finish_non_exhaustive()
    }
}

pub(super) fn unreachable(peer: NodeId, reason: &str) -> BackendError {
    BackendError::Unreachable { peer, reason: reason.to_owned() }
}

pub(super) fn request_error(peer: NodeId, error: &RequestError) -> BackendError {
    match error {
        RequestError::Stopped => BackendError::Stopped,
        RequestError::UnknownPeer(_) | RequestError::Failed(_) | RequestError::Busy => {
            BackendError::Unreachable { peer, reason: error.to_string() }
        }
    }
}
