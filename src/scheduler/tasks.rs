//! The tasks of a running backend, which end together.

use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Tasks with one owner, who joins them.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Whose they are, for the node's own log.
    of: &'static str,
    stop: CancellationToken,
    joined: Mutex<JoinSet<()>>,
}

impl Tasks {
    /// No tasks yet. Any that ends, even by a panic, cancels `stop`: half a backend would only look alive.
    pub(super) fn new(of: &'static str, stop: &CancellationToken) -> Self {
        Self { of, stop: stop.clone(), joined: Mutex::default() }
    }

    /// Starts a task, which must watch for its own end.
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let ended = self.stop.clone().drop_guard();
        self.joined.get_mut().spawn(async move {
            task.await;
            drop(ended);
        });
    }

    /// Returns when all tasks have ended. Once more is no error.
    pub(super) async fn join(&self) {
        let mut tasks = self.joined.lock().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of {} panicked", self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_stops_the_others() {
        for panics in [false, true] {
            let stop = CancellationToken::new();
            let mut tasks = Tasks::new("a test", &stop);
            tasks.spawn(stop.clone().cancelled_owned());
            tasks.spawn(async move { assert!(!panics, "a bug") });
            tasks.join().await;
            assert!(stop.is_cancelled());
            tasks.join().await;
        }
    }
}
