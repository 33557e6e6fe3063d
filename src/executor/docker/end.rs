//! The end of a container, and whether all of its output arrived.
//!
//! The engine ends a container's output stream in the same way when the container ends and when the connection is cut. Three
//! things tell them apart:
//!
//! - A request that the engine leaves open from before the start until the container is removed ([`broken`]). It fails if
//!   the engine fails, or anything between the engine and this node.
//! - The container's first process is the engine's own init, which keeps stdout and stderr open to its end. A job that
//!   closes its own does not end the stream, so a stream that ends before the container was cut. `run` compares two durations:
//!   the output lasted at least as long as the engine says the container ran.
//! - A frame that is cut in the middle (`streams`).
//!
//! [`broken`]: DockerExecutor::broken

use std::{path::Path, pin::pin, time::Duration};

use bollard::{container::LogOutput, errors::Error, query_parameters::WaitContainerOptionsBuilder};
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::{super::ExecutorError, engine::DockerExecutor, streams::capture};

/// The longest time between the end of a container and the end of its output, in either order. The engine closes the streams
/// with the last process, so only an engine in trouble takes longer. The run then has no result.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

impl DockerExecutor {
    /// Waits until the engine removes the container or its connection breaks. Neither should happen during a run.
    ///
    /// Polled before any other request about the container, so that the connection is older than the container's start.
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

    /// Waits until the container has ended and its output is kept. Returns when the output ended.
    pub(super) async fn end(
        &self,
        id: &str,
        output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
        dir: &Path,
    ) -> Result<Instant, ExecutorError> {
        let mut captured = pin!(async { capture(output, dir).await.map(|()| Instant::now()) });
        // Once started, "not running" can only mean ended, so the end cannot be missed.
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
            // The client library turns an exit code other than zero into an error.
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(self.failed("wait for the container", error)),
            None => Err(ExecutorError::Lost { operation: "wait for the container" }),
        }
    }
}
