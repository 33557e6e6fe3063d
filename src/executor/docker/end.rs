//! The end of a container, and whether all of its output came.
//!
//! The engine ends the stream of a container's output in the same way when the container is over and when the connection
//! is cut. Three things tell them apart:
//!
//! - A request that the engine leaves open from before the start until the container is removed ([`broken`]). It fails
//!   with the engine, or with whatever is between the engine and us.
//! - The container's first process is the engine's own init, which keeps stdout and stderr open to its end. A job that
//!   closes its own does not end the stream, so that a stream that ends before the container was cut. `run` compares the
//!   two times: what was heard of the container is no shorter than the engine says that it ran.
//! - A frame that is cut in the middle (`streams`).
//!
//! [`broken`]: DockerExecutor::broken

use std::{path::Path, pin::pin, time::Duration};

use bollard::{container::LogOutput, errors::Error, query_parameters::WaitContainerOptionsBuilder};
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::{super::ExecutorError, engine::DockerExecutor, streams::capture};

/// Longest time between the end of a container and the end of its output, in either order. The engine closes the
/// streams when the last process is gone, so that only an engine in trouble takes longer; the run then has no result.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

impl DockerExecutor {
    /// Waits until the engine removes the container or its connection breaks. Neither is meant to happen during a run.
    ///
    /// Polled before anything else is asked of a container, so that the connection is older than the container's start.
    pub(super) async fn broken(&self, id: &str) -> ExecutorError {
        let options = WaitContainerOptionsBuilder::default().condition("removed").build();
        let mut removed = pin!(self.docker().wait_container(id, Some(options)));
        match removed.next().await {
            Some(Err(error)) if !matches!(error, Error::DockerContainerWaitError { .. }) => {
                self.failed("watch over the container", error)
            }
            Some(_) | None => ExecutorError::Lost { operation: "watch over the container" },
        }
    }

    /// Waits until the container has ended and its output is kept; says when that ended.
    pub(super) async fn end(
        &self,
        id: &str,
        output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
        dir: &Path,
    ) -> Result<Instant, ExecutorError> {
        let mut captured = pin!(async { capture(output, dir).await.map(|()| Instant::now()) });
        // Once started, "not running" can only mean ended: there is no moment at which the end could be missed.
        let mut waited = pin!(self.wait(id));
        tokio::select! {
            captured = &mut captured => {
                let silent = captured?;
                let lost = ExecutorError::Lost { operation: "pass on the container's output to its end" };
                timeout(DRAIN_LIMIT, waited).await.unwrap_or(Err(lost))?;
                Ok(silent)
            }
            waited = &mut waited => {
                waited?;
                timeout(DRAIN_LIMIT, captured).await.unwrap_or_else(|late| Err(ExecutorError::Engine {
                    operation: "pass on all of the container's output",
                    source: late.into(),
                }))
            }
        }
    }

    async fn wait(&self, id: &str) -> Result<(), ExecutorError> {
        let mut ends = pin!(self.docker().wait_container(id, None));
        match ends.next().await {
            // The client library makes an error of an exit code that is not zero.
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(self.failed("wait for the container", error)),
            None => Err(ExecutorError::Lost { operation: "wait for the container" }),
        }
    }
}
