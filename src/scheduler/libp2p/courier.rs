//! Delivers entries to followers and evidence to seats in the background, with a few retries.
//!
//! Parcels arrive over a bounded channel. For each job, a node gets one delivery at a time, so a job's entries arrive
//! in order and entries created meanwhile go together. Deliveries of a few jobs run side by side, so that one job
//! need not wait for the round trips of the others. Parcels that cannot be delivered in time are dropped and counted,
//! since followers also ask. Stops with the backend.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{sync::mpsc, time::Instant};

use super::{
    parcel::{Message, Parcel},
    shared::Shared,
    wire::{LogRequest, LogResponse, MAX_PUSHED_BYTES},
};
use crate::{
    domain::{Backoff, JobId, NodeId},
    network::{RequestError, WireBytes},
};

/// Parcels queued for one node; it asks for entries beyond that.
const MAX_WAITING: usize = 256;

/// From this many nodes on, those are forgotten that nothing waits for.
const MANY_POSTS: usize = 256;

/// Deliveries in flight to one node, each of another job.
const MAX_AT_ONCE: usize = 8;

/// Deliveries in flight: to 31 seats, and as many again to unreachable nodes.
const MAX_DELIVERIES: usize = 128;

/// The pauses between attempts.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(300), longest: STALE_AFTER };

/// No attempt begins later than this after a parcel was posted: an entry that comes late would look as if the
/// requester's clock were wrong, and followers ask by themselves within seconds.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// How long nothing is sent to an unreachable node, so that others need not wait for it.
const REST: Duration = Duration::from_secs(10);

/// The state of deliveries to one node.
#[derive(Debug, Default)]
struct Post {
    /// Jobs with a delivery in flight.
    under_way: BTreeSet<JobId>,
    /// Queued parcels.
    waiting: VecDeque<Parcel>,
    /// When a delivery reached it last.
    reached: Option<Instant>,
    /// It was unreachable, and gets nothing until then.
    rests_until: Option<Instant>,
}

/// The parcels of one delivery.
#[derive(Debug)]
struct Delivery {
    to: NodeId,
    job: JobId,
    request: LogRequest,
    posted: Instant,
    began: Instant,
}

pub(super) async fn run(shared: Arc<Shared>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut deliveries = FuturesUnordered::new();
    let mut posts: BTreeMap<NodeId, Post> = BTreeMap::new();
    loop {
        let to = tokio::select! {
            () = shared.stop.cancelled() => break,
            parcel = parcels.recv(), if deliveries.len() < MAX_DELIVERIES => match parcel {
                Some(parcel) => {
                    let to = parcel.to;
                    lose(&shared, posts.entry(to).or_default().take(parcel, Instant::now()));
                    to
                }
                None => break,
            },
            Some((to, job, began, reached)) = deliveries.next() => {
                lose(&shared, posts.entry(to).or_default().end(job, began, reached, Instant::now()));
                to
            }
        };
        let Some(post) = posts.get_mut(&to) else { continue };
        let (ready, stale) = post.next(Instant::now());
        lose(&shared, stale);
        if let Some(delivery) = ready {
            deliveries.push(deliver(Arc::clone(&shared), delivery));
        } else if post.is_idle(Instant::now()) {
            posts.remove(&to);
        }
        if posts.len() > MANY_POSTS {
            // What can wait is not waited for: it may be all that a post holds.
            posts.retain(|_, post| {
                let now = Instant::now();
                lose(&shared, post.drop_stale(now));
                !post.is_idle(now)
            });
        }
    }
}

fn lose(shared: &Shared, count: usize) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    shared.counting.messages_dropped.fetch_add(count, Ordering::Relaxed);
}

impl Post {
    /// Queues a parcel; says how many were lost.
    fn take(&mut self, parcel: Parcel, now: Instant) -> usize {
        if self.rests(now) || self.waiting.len() >= MAX_WAITING {
            return usize::from(!parcel.can_wait);
        }
        self.waiting.push_back(parcel);
        0
    }

    /// The next delivery, if one may start, and how many parcels expired.
    fn next(&mut self, now: Instant) -> (Option<Delivery>, usize) {
        let stale = self.drop_stale(now);
        let is_due = |parcel: &Parcel| !parcel.can_wait && !self.under_way.contains(&parcel.message.job());
        let due = self.waiting.iter().position(is_due).filter(|_| self.under_way.len() < MAX_AT_ONCE);
        // Entries that could wait go before those that follow them.
        let first = due.map(|due| {
            let is_before = |parcel: &Parcel| parcel.message.goes_with(&self.waiting[due].message);
            self.waiting.iter().position(is_before).unwrap_or(due)
        });
        let Some(first) = first.and_then(|index| self.waiting.remove(index)) else { return (None, stale) };
        let delivery = Delivery::of(first, &mut self.waiting, now);
        self.under_way.insert(delivery.job);
        (Some(delivery), stale)
    }

    /// Drops parcels that have waited for too long; says how many were lost.
    fn drop_stale(&mut self, now: Instant) -> usize {
        let is_fresh = |parcel: &Parcel| now.saturating_duration_since(parcel.posted) < STALE_AFTER;
        let lost = lost(self.waiting.iter().filter(|parcel| !is_fresh(parcel)));
        self.waiting.retain(is_fresh);
        lost
    }

    /// Ends a delivery; says how many parcels were lost. A node that answered another delivery since this one
    /// began is slow, not gone, and keeps its other parcels.
    fn end(&mut self, job: JobId, began: Instant, reached: bool, now: Instant) -> usize {
        self.under_way.remove(&job);
        if reached {
            (self.reached, self.rests_until) = (Some(now), None);
            return 0;
        }
        if self.reached.is_some_and(|at| at >= began) {
            return 1;
        }
        self.rests_until = Some(now + REST);
        1 + lost(std::mem::take(&mut self.waiting).iter())
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.under_way.is_empty() && self.waiting.is_empty() && !self.rests(now)
    }
}

/// How many of these their recipients do not have.
fn lost<'a>(dropped: impl Iterator<Item = &'a Parcel>) -> usize {
    dropped.filter(|parcel| !parcel.can_wait).count()
}

impl Delivery {
    /// The first parcel, with the entries of the same job that wait behind it.
    fn of(first: Parcel, waiting: &mut VecDeque<Parcel>, now: Instant) -> Self {
        let Parcel { to, message, posted, can_wait: _ } = first;
        let job = message.job();
        let request = match message {
            Message::Evidence { bytes: action, .. } => LogRequest::Witness { action },
            Message::Entries { entries, .. } => LogRequest::Push { entries: together(job, entries, waiting) },
        };
        Self { to, job, request, posted, began: now }
    }
}

/// The queued entries of a job that fit in one message, in order.
fn together(job: JobId, first: Vec<WireBytes>, waiting: &mut VecDeque<Parcel>) -> Vec<WireBytes> {
    let bytes_of = |entries: &[WireBytes]| entries.iter().map(|entry| entry.0.len()).sum::<usize>();
    let mut room = Some(MAX_PUSHED_BYTES.saturating_sub(bytes_of(&first)));
    let mut entries = first;
    waiting.retain(|parcel| {
        let Message::Entries { job: its, entries: more } = &parcel.message else { return true };
        if *its != job {
            return true;
        }
        // After some that do not fit, none are added: they would arrive out of order.
        room = room.and_then(|room| room.checked_sub(bytes_of(more)));
        if room.is_some() {
            entries.extend(more.iter().cloned());
        }
        room.is_none()
    });
    entries
}

/// Delivers parcels to a node; says whether it was reached.
async fn deliver(shared: Arc<Shared>, delivery: Delivery) -> (NodeId, JobId, Instant, bool) {
    let Delivery { to, job, request, posted, began } = delivery;
    let mut pause = Duration::ZERO;
    while posted.elapsed() < STALE_AFTER {
        match shared.ask(to, &request).await {
            Ok(LogResponse::Busy) => {}
            Ok(_) | Err(RequestError::Stopped) => return (to, job, began, true),
            Err(error @ RequestError::UnknownPeer(_)) => {
                tracing::debug!(%to, %error, "a message cannot be delivered");
                return (to, job, began, false);
            }
            Err(error @ (RequestError::Failed(_) | RequestError::Busy)) => {
                tracing::debug!(%to, %error, "a message was not delivered");
            }
        }
        pause = PAUSES.after(pause);
        tokio::time::sleep(pause).await;
    }
    (to, job, began, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId::new([1; 20]);

    fn entry(job: u8, bytes: usize) -> Parcel {
        let message = Message::Entries { job: id(job), entries: vec![WireBytes(vec![job; bytes])] };
        Parcel { to: NODE, message, posted: Instant::now(), can_wait: false }
    }

    fn evidence(job: u8) -> Parcel {
        Parcel { message: Message::Evidence { job: id(job), bytes: WireBytes(vec![1]) }, ..entry(1, 9) }
    }

    fn id(job: u8) -> JobId {
        JobId::new([job; 32])
    }

    /// A post where these wait.
    fn post(parcels: impl IntoIterator<Item = Parcel>) -> Post {
        let mut post = Post::default();
        for parcel in parcels {
            assert_eq!(post.take(parcel, Instant::now()), 0);
        }
        post
    }

    /// How many entries go first, and how many parcels are left.
    fn first_of(parcels: impl IntoIterator<Item = Parcel>) -> (usize, usize) {
        let mut post = post(parcels);
        let request = post.next(Instant::now()).0.unwrap().request;
        let entries = if let LogRequest::Push { entries } = request { entries.len() } else { 0 };
        (entries, post.waiting.len())
    }

    #[test]
    fn entries_of_one_job_go_together_in_their_order_as_far_as_they_fit() {
        assert_eq!(first_of([entry(1, 9), entry(1, 9), entry(1, 9)]), (3, 0));
        assert_eq!(first_of([entry(1, 9), entry(2, 9), entry(1, 9)]), (2, 1));
        assert_eq!(first_of([entry(1, 9), evidence(1), entry(1, 9)]), (2, 1));
        assert_eq!(first_of([evidence(1), entry(1, 9)]), (0, 1));
        assert_eq!(first_of([entry(1, 1), entry(1, MAX_PUSHED_BYTES - 1), entry(1, 1)]), (2, 1));
        assert_eq!(first_of([entry(1, 1), entry(1, MAX_PUSHED_BYTES), entry(1, 1)]), (1, 2));
        assert_eq!(first_of([entry(1, MAX_PUSHED_BYTES + 1), entry(1, 1)]), (1, 1));
    }

    #[test]
    fn what_its_recipient_has_goes_before_what_follows_and_not_by_itself() {
        let known = |job| Parcel { can_wait: true, ..entry(job, 9) };
        let mut waits = post([known(1), known(2)]);
        assert!(waits.next(Instant::now()).0.is_none());
        assert_eq!(waits.take(entry(2, 9), Instant::now()), 0);
        let delivery = waits.next(Instant::now()).0.unwrap();
        let LogRequest::Push { entries } = delivery.request else { panic!("entries") };
        assert_eq!((delivery.job, entries.len(), waits.waiting.len()), (id(2), 2, 1));
        // Losing it loses nothing.
        assert_eq!(waits.end(id(2), Instant::now(), false, Instant::now()), 1);
        let mut stale = post([known(1), entry(1, 9)]);
        assert_eq!(stale.drop_stale(Instant::now() + STALE_AFTER), 1);
    }

    #[test]
    fn a_few_jobs_go_side_by_side_and_one_job_never_twice() {
        let now = Instant::now();
        let mut post = post([1, 2, 1, 3, 4, 5, 6, 7, 8, 9].map(|job| entry(job, 9)));
        let going: Vec<JobId> =
            std::iter::from_fn(|| post.next(now).0).map(|delivery| delivery.job).collect();
        assert_eq!(going, (1..=8).map(id).collect::<Vec<_>>());
        assert_eq!(post.take(entry(3, 9), now), 0);
        assert_eq!(post.end(id(2), now, true, now), 0);
        assert_eq!(post.next(now).0.unwrap().job, id(9), "what job 3 has waits for the delivery before it");
    }

    #[test]
    fn parcels_that_waited_for_too_long_are_lost_and_the_node_is_not_given_up() {
        let mut post = post([entry(1, 9), entry(2, 9)]);
        let late = post.waiting[1].posted + STALE_AFTER;
        assert!(matches!(post.next(late), (None, 2)));
        assert_eq!(post.take(Parcel { posted: late, ..entry(3, 9) }, late), 0);
        assert!(post.next(late).0.is_some());
    }

    #[test]
    fn a_node_that_answers_nothing_is_left_alone_and_a_slow_one_is_not() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut post = post([1, 2, 3].map(|job| entry(job, 9)));
        for _ in 0..2 {
            assert!(post.next(now).0.is_some());
        }
        assert_eq!(post.end(id(1), now, true, later(1)), 0);
        assert_eq!(post.end(id(2), now, false, later(2)), 1, "it answered job 1 meanwhile");
        assert_eq!(post.next(later(2)).0.unwrap().job, id(3));
        assert_eq!(post.take(Parcel { posted: later(2), ..entry(4, 9) }, later(2)), 0);
        assert_eq!(post.end(id(3), later(2), false, later(3)), 2, "that of job 4 is lost too");
        assert_eq!(post.take(entry(5, 9), later(3)), 1);
        assert_eq!(post.take(entry(5, 9), later(3) + REST), 0);
    }
}
