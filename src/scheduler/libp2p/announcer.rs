//! Announces this node's jobs, and repeats that, so that late joiners hear of them too.
//!
//! A new job is announced as soon as somebody listens; unfinished ones in turn, the open ones more often. One
//! announcement a step bounds what the network carries for this node. Stops with the backend.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    announce::{Announcement, MAX_ADDRESSES},
    shared::Shared,
};
use crate::{
    domain::{JobId, JobState},
    network::PublishError,
};

/// At most one repetition a step.
const STEP: Duration = Duration::from_millis(500);

/// A job that takes bids is repeated this often, unless there are too many.
const REPEAT_OPEN: Duration = Duration::from_secs(5);

/// A job that runs is repeated this often: its nodes may have restarted and look for its requester.
const REPEAT_RUNNING: Duration = Duration::from_secs(20);

pub(super) async fn run(shared: Arc<Shared>) {
    let mut announced: BTreeMap<JobId, Instant> = BTreeMap::new();
    let mut status = shared.network.status();
    loop {
        let wait = announce(&shared, &mut announced).await;
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.wake_announcer.notified() => {}
            () = tokio::time::sleep(STEP) => {}
            // Somebody may listen now to what nobody has heard.
            changed = status.changed(), if wait => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Announces what is new and repeats one job that is due. Says whether something waits for a listener.
async fn announce(shared: &Shared, announced: &mut BTreeMap<JobId, Instant>) -> bool {
    let jobs = shared.logs.own_unfinished();
    announced.retain(|job, _| jobs.iter().any(|(known, _)| known == job));
    let addresses = shared.network.status().borrow().listening.clone();
    let now = Instant::now();
    let is_due = |job: JobId, at: Instant| {
        let open = shared.logs.view(job).is_some_and(|view| view.state == JobState::Open);
        now >= at + if open { REPEAT_OPEN } else { REPEAT_RUNNING }
    };
    let oldest = announced.iter().filter(|(job, at)| is_due(**job, **at)).min_by_key(|(_, at)| **at);
    let oldest = oldest.map(|(job, _)| *job);
    let mut waits = false;
    for (job, entry) in jobs {
        if announced.contains_key(&job) && oldest != Some(job) {
            continue;
        }
        let addresses = addresses.iter().take(MAX_ADDRESSES).cloned().collect();
        let announcement = Announcement { entry, addresses };
        match shared.network.publish(announcement.encode()).await {
            Ok(()) => {
                announced.insert(job, now);
            }
            Err(PublishError::NobodyListens) => waits = true,
            Err(error @ (PublishError::TooLarge | PublishError::NotSent)) => {
                tracing::warn!(%job, %error, "a job was not announced");
            }
            Err(PublishError::Stopped) => return false,
        }
    }
    waits
}
