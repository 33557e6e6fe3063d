//! Delivers entries to followers and evidence to seats, a few times over, without anybody waiting for it.
//!
//! Whoever posts a parcel sends it over a bounded channel. One delivery to a node is under way at a time, so that
//! entries come in their order, and those that were made meanwhile go together. What cannot be delivered is dropped
//! and counted, since followers also ask. Stops with the backend.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use super::shared::Shared;
use crate::{
    domain::{JobId, NodeId},
    network::{LogRequest, LogResponse, MAX_PUSHED_BYTES, RequestError, WireBytes},
};

/// Parcels that wait for one node; it asks for what is beyond.
const MAX_WAITING: usize = 128;

/// Deliveries under way: a job of 31 seats, twice.
const MAX_DELIVERIES: usize = 64;

/// The pause after the first attempt, which doubles.
const PAUSE: Duration = Duration::from_millis(300);

/// No attempt begins later than this after a parcel was posted: an entry that comes late would look as if the
/// requester's clock were wrong, and followers ask by themselves within seconds.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// How long nothing is sent to a node that could not be reached, so that the living need not wait for the dead.
const REST: Duration = Duration::from_secs(10);

/// A message and who gets it.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) to: NodeId,
    pub(super) message: Message,
    pub(super) posted: Instant,
}

/// What is delivered.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// A new entry of a job.
    Entry { job: JobId, bytes: WireBytes },
    /// An action that its requester may leave out.
    Evidence(WireBytes),
}

/// How it stands with one node.
enum Post {
    /// A delivery is under way; these wait for its end.
    Busy(VecDeque<Parcel>),
    /// It could not be reached, and is left alone until then.
    Resting(Instant),
}

pub(super) async fn run(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut deliveries = FuturesUnordered::new();
    let mut posts: BTreeMap<NodeId, Post> = BTreeMap::new();
    let lose = |count: usize| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        shared.counting.messages_dropped.fetch_add(count, Ordering::Relaxed);
    };
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            parcel = parcels.recv(), if deliveries.len() < MAX_DELIVERIES => match parcel {
                Some(parcel) => match posts.get_mut(&parcel.to) {
                    Some(Post::Busy(waiting)) if waiting.len() < MAX_WAITING => waiting.push_back(parcel),
                    Some(Post::Busy(_)) => lose(1),
                    Some(Post::Resting(until)) if Instant::now() < *until => lose(1),
                    Some(Post::Resting(_)) | None => {
                        posts.insert(parcel.to, Post::Busy(VecDeque::new()));
                        deliveries.push(deliver(Arc::clone(&shared), Delivery::of(parcel, &mut VecDeque::new())));
                    }
                },
                None => break,
            },
            Some((to, reached)) = deliveries.next() => {
                let Some(Post::Busy(mut waiting)) = posts.remove(&to) else { continue };
                if !reached {
                    lose(1 + waiting.len());
                    let now = Instant::now();
                    posts.retain(|_, post| !matches!(post, Post::Resting(until) if *until <= now));
                    posts.insert(to, Post::Resting(now + REST));
                } else if let Some(parcel) = waiting.pop_front() {
                    deliveries.push(deliver(Arc::clone(&shared), Delivery::of(parcel, &mut waiting)));
                    posts.insert(to, Post::Busy(waiting));
                }
            }
        }
    }
}

/// What goes to one node together.
struct Delivery {
    to: NodeId,
    request: LogRequest,
    posted: Instant,
}

impl Delivery {
    /// The first parcel, with the entries of the same job that wait right behind it.
    fn of(first: Parcel, waiting: &mut VecDeque<Parcel>) -> Self {
        let Parcel { to, message, posted } = first;
        let (job, bytes) = match message {
            Message::Evidence(action) => return Self { to, request: LogRequest::Witness { action }, posted },
            Message::Entry { job, bytes } => (job, bytes),
        };
        let mut room = MAX_PUSHED_BYTES.saturating_sub(bytes.0.len());
        let mut entries = vec![bytes];
        loop {
            let fits = |parcel: &mut Parcel| match &parcel.message {
                Message::Entry { job: its, bytes } => *its == job && bytes.0.len() <= room,
                Message::Evidence(_) => false,
            };
            let next = waiting.pop_front_if(fits).map(|parcel| parcel.message);
            let Some(Message::Entry { bytes, .. }) = next else { break };
            room -= bytes.0.len();
            entries.push(bytes);
        }
        Self { to, request: LogRequest::Push { entries }, posted }
    }
}

/// Delivers what goes to a node; says whether it was reached.
async fn deliver(shared: Arc<Shared>, Delivery { to, request, posted }: Delivery) -> (NodeId, bool) {
    let mut pause = PAUSE;
    while posted.elapsed() < STALE_AFTER {
        match shared.network.request(to, request.clone()).await {
            Ok(LogResponse::Busy) => {}
            Ok(_) | Err(RequestError::Stopped) => return (to, true),
            Err(error @ RequestError::UnknownPeer(_)) => {
                tracing::debug!(%to, %error, "a message cannot be delivered");
                return (to, false);
            }
            Err(error @ (RequestError::Failed(_) | RequestError::Busy)) => {
                tracing::debug!(%to, %error, "a message was not delivered");
            }
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    (to, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId::new([1; 20]);

    fn entry(job: u8, bytes: usize) -> Parcel {
        let message = Message::Entry { job: JobId::new([job; 32]), bytes: WireBytes(vec![job; bytes]) };
        Parcel { to: NODE, message, posted: Instant::now() }
    }

    /// How many entries go with the first of these, and how many parcels are left.
    fn together(parcels: impl IntoIterator<Item = Parcel>) -> (usize, usize) {
        let mut waiting: VecDeque<Parcel> = parcels.into_iter().collect();
        let first = waiting.pop_front().unwrap();
        let request = Delivery::of(first, &mut waiting).request;
        let entries = if let LogRequest::Push { entries } = request { entries.len() } else { 0 };
        (entries, waiting.len())
    }

    #[test]
    fn entries_of_one_job_that_follow_each_other_go_together_as_far_as_they_fit() {
        assert_eq!(together([entry(1, 9), entry(1, 9), entry(1, 9)]), (3, 0));
        assert_eq!(together([entry(1, 9), entry(2, 9), entry(1, 9)]), (1, 2));
        let evidence = Parcel { message: Message::Evidence(WireBytes(vec![1])), ..entry(1, 9) };
        assert_eq!(together([entry(1, 9), evidence.clone(), entry(1, 9)]), (1, 2));
        assert_eq!(together([evidence, entry(1, 9)]), (0, 1));
        assert_eq!(together([entry(1, 1), entry(1, MAX_PUSHED_BYTES - 1), entry(1, 1)]), (2, 1));
        assert_eq!(together([entry(1, MAX_PUSHED_BYTES + 1), entry(1, 1)]), (1, 1));
    }
}
