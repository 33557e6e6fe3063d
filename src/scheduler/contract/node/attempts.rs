//! Attempts to bring actions into the log: tasks of the backend, whose outcome callers wait for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Answered;
use crate::domain::Digest;

/// Attempts under way. A caller that goes away stops none of them, or the draft of an abandoned submission would stay
/// one.
pub(super) struct Attempts {
    stop: CancellationToken,
    tasks: TaskTracker,
    /// By what they bring, so that a repeated action joins the first.
    outcomes: Mutex<BTreeMap<Digest, watch::Receiver<Option<Answered>>>>,
}

impl Attempts {
    /// All of them end with `stop`.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stop, tasks: TaskTracker::new(), outcomes: Mutex::default() }
    }

    /// Begins an attempt unless the same is under way, and waits for its outcome; `None` if it ends without one, as the
    /// backend stopped.
    pub(super) async fn join(
        &self,
        digest: Digest,
        attempt: impl Future<Output = Answered> + Send + 'static,
    ) -> Option<Answered> {
        let mut outcome = {
            let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.retain(|_, outcome| outcome.borrow().is_none() && outcome.has_changed().is_ok());
            outcomes.entry(digest).or_insert_with(|| self.begin(attempt)).clone()
        };
        outcome.wait_for(Option::is_some).await.ok()?.clone()
    }

    fn begin(
        &self,
        attempt: impl Future<Output = Answered> + Send + 'static,
    ) -> watch::Receiver<Option<Answered>> {
        let (told, outcome) = watch::channel(None);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some(brought) = stop.run_until_cancelled(attempt).await {
                told.send_replace(Some(brought));
            }
        });
        outcome
    }

    /// To wait for the end of them all.
    pub(super) fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;
    use tokio::sync::Notify;

    use super::*;
    use crate::scheduler::Cursor;

    fn attempt(go: &Arc<Notify>) -> impl Future<Output = Answered> + Send + 'static {
        let go = Arc::clone(go);
        async move {
            go.notified().await;
            Ok(Cursor(7))
        }
    }

    #[tokio::test]
    async fn an_attempt_goes_on_without_its_caller_and_a_repeated_action_joins_it() {
        let (attempts, go) = (Attempts::new(CancellationToken::new()), Arc::new(Notify::new()));
        let digest = Digest::new([1; 32]);
        assert!(attempts.join(digest, attempt(&go)).now_or_never().is_none(), "begun, and nobody waits");
        let joined = attempts.join(digest, async { panic!("it is under way") });
        go.notify_one();
        assert_eq!(joined.await, Some(Ok(Cursor(7))));
        assert_eq!(attempts.join(digest, async { Ok(Cursor(8)) }).await, Some(Ok(Cursor(8))), "the next one");
    }

    #[tokio::test]
    async fn attempts_end_with_the_backend_and_a_panic_is_no_outcome() {
        let (stop, go) = (CancellationToken::new(), Arc::new(Notify::new()));
        let attempts = Attempts::new(stop.clone());
        let digest = Digest::new([1; 32]);
        assert_eq!(attempts.join(digest, async { panic!("a bug") }).await, None);
        let waits = attempts.join(digest, attempt(&go));
        stop.cancel();
        assert_eq!(waits.await, None);
        attempts.tasks().close();
        attempts.tasks().wait().await;
    }
}
