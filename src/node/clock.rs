//! The clocks of a node: the only place that reads the wall clock.
//!
//! The backend's clock ([`Clock`]) decides on deadlines. Delays are measured on tokio's clock, which tests pause.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    domain::Timestamp,
    policy::Moment,
    scheduler::{BackendError, Scheduler},
};

/// How often the node reads the backend's clock. It counts seconds, so a deadline is noticed at most this late.
const TICK: Duration = Duration::from_millis(250);

/// The time of this machine's wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall_clock() -> Timestamp {
    // A clock before 1970 is broken. The safe reading is that every deadline is in the future.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(since.as_secs())
}

/// The backend's time as last read, and the time since the node started.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    now: watch::Sender<Timestamp>,
    started: Instant,
}

impl Clock {
    /// Reads the backend's clock for the first time.
    pub(crate) async fn start(scheduler: &dyn Scheduler) -> Result<Self, BackendError> {
        Ok(Self { now: watch::Sender::new(scheduler.now().await?), started: Instant::now() })
    }

    /// Follows the backend's clock until stopped. The time never goes back.
    pub(crate) async fn follow(self, scheduler: Arc<dyn Scheduler>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_read = true;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match scheduler.now().await {
                Ok(now) => {
                    is_read = true;
                    self.now.send_if_modified(|known| {
                        let later = now > *known;
                        *known = now.max(*known);
                        later
                    });
                }
                // Warns once, not at every tick.
                Err(error) if is_read => {
                    is_read = false;
                    warn!(%error, "cannot read the backend's clock");
                }
                Err(_) => {}
            }
        }
    }

    /// The time on both clocks.
    pub(crate) fn moment(&self) -> Moment {
        let elapsed = Instant::now().duration_since(self.started).as_millis();
        Moment { now: *self.now.borrow(), elapsed_ms: u64::try_from(elapsed).unwrap_or(u64::MAX) }
    }

    /// Waits until the backend's time is after `deadline`. Waits for ever without one.
    pub(crate) async fn after(&self, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        // The sender is in `self`, so the wait cannot fail.
        let _ = self.now.subscribe().wait_for(|now| *now > deadline).await;
    }

    /// Waits until this many milliseconds have passed since the node started. Waits for ever for `None`.
    pub(crate) async fn elapsed(&self, elapsed_ms: Option<u64>) {
        match elapsed_ms {
            Some(ms) => tokio::time::sleep_until(self.started + Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::{
        domain::{LogDomain, NodeId},
        scheduler::local::LocalLog,
    };

    #[tokio::test]
    async fn a_deadline_passes_when_the_backends_clock_is_after_it() {
        let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(100));
        let scheduler: Arc<dyn Scheduler> = Arc::new(log.join(NodeId::ZERO));
        let clock = Clock::start(&*scheduler).await.unwrap();
        let (stop, reader) = (CancellationToken::new(), clock.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(reader.follow(scheduler, stop.clone()));
        log.set_now(Timestamp::from_secs(101));
        clock.after(Some(Timestamp::from_secs(100))).await;
        assert_eq!(clock.after(Some(Timestamp::from_secs(101))).now_or_never(), None);
        assert_eq!(clock.moment().now, Timestamp::from_secs(101));
        stop.cancel();
        tasks.join_all().await;
    }
}
