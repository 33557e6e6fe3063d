//! Announces this node's jobs repeatedly, so late joiners hear of them too.
//!
//! A new job is announced as soon as a peer listens. Unfinished jobs are repeated in turn, open ones more often, at
//! most one per step. Stops with the backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    announce::{Announcement, MAX_ADDRESSES},
    shared::Shared,
};
use crate::{
    domain::{JobId, JobState, NodeId},
    network::{Buckets, PublishError},
};

/// At most one repetition a step.
const STEP: Duration = Duration::from_millis(500);

/// A job that takes bids is repeated this often, unless there are too many.
const REPEAT_OPEN: Duration = Duration::from_secs(5);

/// A job that runs is repeated this often: its nodes may have restarted and look for its requester.
const REPEAT_RUNNING: Duration = Duration::from_secs(20);

/// When a new peer listens, jobs announced longer ago than this are repeated.
const REPEAT_FOR_NEWCOMERS: Duration = Duration::from_secs(1);

/// Announcements at once, and one more every so often: well below what peers take from one signer.
const BURST: (u32, Duration) = (256, Duration::from_millis(5));

/// Which jobs were announced when, and to whom.
struct SentAnnouncements {
    at: BTreeMap<JobId, Instant>,
    listeners: BTreeSet<NodeId>,
    /// When each listener was first seen.
    newcomer_at: Instant,
    allowance: Buckets<()>,
}

pub(super) async fn run(shared: Arc<Shared>) {
    let mut sent = SentAnnouncements {
        at: BTreeMap::new(),
        listeners: BTreeSet::new(),
        newcomer_at: Instant::now(),
        allowance: Buckets::new(BURST.0, BURST.1),
    };
    let mut status = shared.network.status();
    loop {
        sent.look_around(&status.borrow_and_update().subscribed);
        sent.step(&shared).await;
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.wake_announcer.notified() => {}
            () = tokio::time::sleep(STEP) => {}
        }
    }
}

impl SentAnnouncements {
    fn look_around(&mut self, listeners: &BTreeSet<NodeId>) {
        if !listeners.is_subset(&self.listeners) {
            self.newcomer_at = Instant::now();
        }
        self.listeners.clone_from(listeners);
    }

    /// Announces what is new and repeats one job that is due.
    async fn step(&mut self, shared: &Shared) {
        let jobs = shared.logs.own_unfinished();
        self.at.retain(|job, _| jobs.iter().any(|(known, _)| known == job));
        let addresses = shared.network.status().borrow().listening.clone();
        let now = Instant::now();
        let due = self.at.iter().filter(|(job, at)| now >= self.repeat_at(shared, **job, **at));
        let oldest = due.min_by_key(|(_, at)| **at).map(|(job, _)| *job);
        for (job, entry) in jobs {
            let wanted = !self.at.contains_key(&job) || oldest == Some(job);
            if !wanted || self.listeners.is_empty() || !self.allowance.take((), now) {
                continue;
            }
            let addresses = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
            let announcement = Announcement { entry, addresses };
            match shared.network.publish(announcement.encode()).await {
                Ok(()) => {
                    self.at.insert(job, now);
                }
                Err(PublishError::NobodyListens | PublishError::Stopped) => return,
                Err(error @ (PublishError::TooLarge | PublishError::NotSent)) => {
                    tracing::warn!(%job, %error, "a job was not announced");
                }
            }
        }
    }

    fn repeat_at(&self, shared: &Shared, job: JobId, at: Instant) -> Instant {
        let open = shared.logs.view(job).is_some_and(|view| view.state == JobState::Open);
        let regular = at + if open { REPEAT_OPEN } else { REPEAT_RUNNING };
        if at <= self.newcomer_at { regular.min(at + REPEAT_FOR_NEWCOMERS) } else { regular }
    }
}
