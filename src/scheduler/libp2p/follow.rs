//! Asks the requesters of followed jobs for new entries, so that lost messages and restarts heal.
//!
//! Entries are pushed to whoever takes part, so asking is the second way: often in a job that this node takes
//! part in, seldom in others, ever less often while nothing is new, and at once when a gap was seen. Stops with
//! the backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use super::shared::Shared;
use crate::domain::{JobId, Span};

/// Jobs asked for at a time.
const MAX_ASKING: usize = 16;

/// Pauses in a job that this node takes part in: entries are pushed to it, and lost ones must not cost a deadline.
const PAUSES_OF_PARTY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// Pauses in other jobs: what comes of them is news and no more.
const PAUSES_OF_READER: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(60));

/// How long after its last possible deadline a job without an end is given up: its requester is gone.
const GIVE_UP_AFTER: Span = Span::from_secs(3600);

struct Poll {
    due: Instant,
    pause: Duration,
}

pub(super) async fn run(shared: Arc<Shared>) {
    let mut polls: BTreeMap<JobId, Poll> = BTreeMap::new();
    let mut asking: JoinSet<(JobId, bool)> = JoinSet::new();
    let mut in_flight: BTreeSet<JobId> = BTreeSet::new();
    for job in shared.logs.followed_unfinished() {
        shared.want(job);
    }
    loop {
        let wanted = std::mem::take(&mut *shared.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        let now = Instant::now();
        for job in wanted {
            polls.insert(job, Poll { due: now, pause: Duration::ZERO });
        }
        for job in std::mem::take(&mut *shared.heard.lock().unwrap_or_else(PoisonError::into_inner)) {
            let pause = PAUSES_OF_READER.0;
            polls.entry(job).or_insert(Poll { due: now + pause, pause });
        }
        let due: Vec<JobId> = polls
            .iter()
            .filter(|(job, poll)| poll.due <= now && !in_flight.contains(*job))
            .map(|(job, _)| *job)
            .take(MAX_ASKING.saturating_sub(asking.len()))
            .collect();
        for job in due {
            in_flight.insert(job);
            asking.spawn(ask(Arc::clone(&shared), job));
        }
        let idle = polls.iter().filter(|(job, _)| !in_flight.contains(*job));
        let next = idle.map(|(_, poll)| poll.due).min().filter(|_| asking.len() < MAX_ASKING);
        tokio::select! {
            () = shared.stop.cancelled() => break,
            () = shared.wake_follower.notified() => {}
            () = sleep_until(next) => {}
            Some(asked) = asking.join_next() => match asked {
                Ok((job, progressed)) => {
                    in_flight.remove(&job);
                    reschedule(&shared, &mut polls, job, progressed);
                }
                // The job it was about stays in flight, and is asked for no more: worse would be to spin.
                Err(error) => tracing::error!(%error, "asking for a log panicked"),
            },
        }
    }
    asking.shutdown().await;
}

async fn sleep_until(next: Option<Instant>) {
    match next {
        Some(next) => tokio::time::sleep_until(next).await,
        None => std::future::pending().await,
    }
}

async fn ask(shared: Arc<Shared>, job: JobId) -> (JobId, bool) {
    let progressed = match shared.sync(job).await {
        Ok(progressed) => progressed,
        Err(error) => {
            tracing::debug!(%job, %error, "the log could not be asked for");
            false
        }
    };
    if let Err(error) = shared.settle(job).await {
        tracing::debug!(%job, %error, "the log could not be compared with another node's");
    }
    (job, progressed)
}

/// When to ask again; a job that has ended, broke or was given up is forgotten.
fn reschedule(shared: &Shared, polls: &mut BTreeMap<JobId, Poll>, job: JobId, progressed: bool) {
    let Some(view) = shared.logs.view(job) else {
        polls.remove(&job);
        return;
    };
    let broken = view.may_act.is_err() && view.clock_agrees;
    if view.own || view.state.is_terminal() || broken || shared.now() > view.over_by.plus(GIVE_UP_AFTER) {
        polls.remove(&job);
        return;
    }
    let (shortest, longest) = if view.takes_part { PAUSES_OF_PARTY } else { PAUSES_OF_READER };
    let poll = polls.entry(job).or_insert(Poll { due: Instant::now(), pause: shortest });
    poll.pause = if progressed { shortest } else { (poll.pause * 2).clamp(shortest, longest) };
    poll.due = Instant::now() + poll.pause;
}
