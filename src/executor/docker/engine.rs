//! The connection to the engine, and what is asked of it outside a run.

use std::collections::HashMap;

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    super::{Executor, ExecutorError, RunOutcome, RunRequest},
    config::NODE_LABEL,
    image::require_pinned,
};
use crate::domain::{NodeId, Spec};

/// Where an engine listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Longest wait for the engine to answer a request, in seconds. Starting takes several on a loaded machine.
const ANSWER_SECS: u64 = 120;

/// Runs containers on a local Docker engine.
#[derive(Debug, Clone)]
pub struct DockerExecutor {
    docker: Docker,
    socket: String,
    cpus: u64,
    memory_bytes: u64,
}

impl DockerExecutor {
    /// Connects to the engine behind a Unix socket.
    ///
    /// # Errors
    /// [`ExecutorError::Unreachable`] when nothing answers there.
    pub async fn connect(socket: &str) -> Result<Self, ExecutorError> {
        let unreachable =
            |error: Error| ExecutorError::Unreachable { address: socket.to_owned(), source: error.into() };
        let docker =
            Docker::connect_with_unix(socket, ANSWER_SECS, API_DEFAULT_VERSION).map_err(unreachable)?;
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        let info = docker.info().await.map_err(unreachable)?;
        let count =
            |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX);
        Ok(Self {
            docker,
            socket: socket.to_owned(),
            cpus: count(info.ncpu),
            memory_bytes: count(info.mem_total),
        })
    }

    /// Removes every container of this node, running or not: at a node's start they are left from a crash.
    /// Returns how many there were.
    ///
    /// # Errors
    /// When the engine does not list or remove them.
    pub async fn remove_leftovers(&self, node: NodeId) -> Result<usize, ExecutorError> {
        let filters = HashMap::from([("label".to_owned(), vec![format!("{NODE_LABEL}={node}")])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list the containers of this node", error))?;
        let ids: Vec<String> = listed.into_iter().filter_map(|container| container.id).collect();
        for id in &ids {
            self.try_remove(id).await.map_err(|error| self.failed("remove a left-over container", error))?;
            info!(container = %id, "left-over container removed");
        }
        Ok(ids.len())
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// An engine's refusal, told apart from its absence.
    pub(super) fn failed(&self, operation: &'static str, error: Error) -> ExecutorError {
        let absent = match &error {
            Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => false,
            other => matches!(
                other,
                Error::SocketNotFoundError(_) | Error::HyperLegacyError { .. } | Error::RequestTimeoutError
            ),
        };
        if absent {
            return ExecutorError::Unreachable { address: self.socket.clone(), source: error.into() };
        }
        ExecutorError::Engine { operation, source: error.into() }
    }

    /// Kills and removes a container with its volumes. What stays nevertheless is found by its label later.
    pub(super) async fn remove(&self, id: &str) {
        if let Err(error) = self.try_remove(id).await {
            warn!(container = %id, %error, "container could not be removed");
        }
    }

    async fn try_remove(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(id, Some(options)).await {
            // Gone already, or going.
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    fn check_size(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let too_small = |unit, wanted, available| ExecutorError::TooSmall { unit, wanted, available };
        let wanted = u64::from(spec.resources.cpu_millis);
        let available = self.cpus.saturating_mul(1000);
        if wanted > available {
            return Err(too_small("thousandths of a CPU", wanted, available));
        }
        if spec.resources.memory_bytes > self.memory_bytes {
            return Err(too_small("bytes of memory", spec.resources.memory_bytes, self.memory_bytes));
        }
        Ok(())
    }
}

impl Executor for DockerExecutor {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        Box::pin(async move { Ok(self.resolve_image(image).await?.pinned) })
    }

    fn remove_leftovers(&self, node: NodeId) -> BoxFuture<'_, Result<usize, ExecutorError>> {
        Box::pin(Self::remove_leftovers(self, node))
    }

    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(async {
            require_pinned(&spec.image)?;
            self.check_size(spec)?;
            self.find_image(&spec.image).await
        })
    }

    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move { self.execute(&request, &cancel).await })
    }
}
