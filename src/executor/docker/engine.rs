//! The connection to the engine, and the requests outside a run.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    super::{Executor, ExecutorError, RunOutcome, RunRequest},
    config::{NODE_LABEL, RUN_LABEL, SCRATCH_LABEL, UNTIL_LABEL},
    connection::{TooLong, connect},
    registries::{Registries, require_pinned},
    seeded,
    space::Spaces,
};
use crate::domain::{NodeId, Spec, runs_on};

/// The engine's default socket.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The longest wait for an answer of the engine, to its last byte. Starting takes seconds on a loaded machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// The engine's message when the disk with its containers is full.
const NO_SPACE: &str = "no space left on device";

/// How long a container made by a sweep may take, in seconds.
const SWEEP_SECS: u64 = 300;

/// Runs containers on a local Docker engine.
#[derive(Debug, Clone)]
pub struct DockerExecutor {
    docker: Docker,
    socket: String,
    version: Option<String>,
    cpus: u64,
    memory_bytes: u64,
    /// The engine's platform, operating system and architecture, if it names one.
    platform: (Option<String>, Option<String>),
    registries: Registries,
    shared: Arc<Shared>,
}

/// What an engine says of itself and its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its version, if it names one.
    pub version: Option<String>,
    /// Operating system and architecture, such as `linux/amd64`, if it names them.
    pub platform: Option<String>,
    /// The CPUs of the machine; the largest number if it does not say.
    pub cpus: u64,
    /// The memory of the machine, in bytes; the largest number if it does not say.
    pub memory_bytes: u64,
}

/// What all runs of this process share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) spaces: Spaces,
    /// The runs that hold containers now.
    held: Mutex<BTreeSet<String>>,
}

/// A run that holds its containers. After its drop, a sweep removes what is left of them.
#[derive(Debug)]
pub(super) struct Hold {
    shared: Arc<Shared>,
    pub(super) run: String,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Each change to the set is a single insertion or removal.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.held().remove(&self.run);
    }
}

impl DockerExecutor {
    /// Connects to the engine behind a Unix socket.
    ///
    /// # Errors
    /// [`ExecutorError::Unreachable`] when nothing answers there.
    pub async fn connect(socket: &str) -> Result<Self, ExecutorError> {
        let unreachable =
            |error: Error| ExecutorError::Unreachable { address: socket.to_owned(), source: error.into() };
        let docker = connect(socket, ANSWER_LIMIT).map_err(unreachable)?;
        let docker = docker.negotiate_version().await.map_err(unreachable)?;
        let info = docker.info().await.map_err(unreachable)?;
        let version = docker.version().await.map_err(unreachable)?;
        let count =
            |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok()).unwrap_or(u64::MAX);
        Ok(Self {
            docker,
            socket: socket.to_owned(),
            version: version.version,
            cpus: count(info.ncpu),
            memory_bytes: count(info.mem_total),
            platform: (version.os, version.arch),
            registries: Registries::default(),
            shared: Arc::default(),
        })
    }

    /// What the engine said of itself when it was connected.
    pub fn info(&self) -> EngineInfo {
        EngineInfo {
            version: self.version.clone(),
            platform: self.here(),
            cpus: self.cpus,
            memory_bytes: self.memory_bytes,
        }
    }

    /// Restricts the images of other people's jobs to these registries.
    #[must_use]
    pub fn with_registries(self, registries: Registries) -> Self {
        Self { registries, ..self }
    }

    pub(super) const fn registries(&self) -> &Registries {
        &self.registries
    }

    /// The engine's platform, if it names one.
    fn here(&self) -> Option<String> {
        let (os, arch) = self.platform.0.as_ref().zip(self.platform.1.as_ref())?;
        Some(format!("{os}/{arch}"))
    }

    /// Refuses a job that needs another machine.
    fn require_machine(&self, spec: &Spec) -> Result<(), ExecutorError> {
        match (&spec.platform, self.here()) {
            (Some(needed), Some(here)) if !runs_on(&here, needed) => {
                Err(ExecutorError::OtherMachine { needed: needed.clone(), here })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// Refuses an image made only for other machines, or not for the platform that the job needs. Tries an image without a
    /// platform.
    pub(super) fn require_platform<'a>(
        &self,
        spec: &Spec,
        made_for: impl IntoIterator<Item = (Option<&'a str>, Option<&'a str>)>,
    ) -> Result<(), ExecutorError> {
        let (Some(os), Some(arch), Some(here)) = (&self.platform.0, &self.platform.1, self.here()) else {
            return Ok(());
        };
        let mut others = BTreeSet::new();
        for (made_os, made_arch) in made_for {
            let named = |text: Option<&'a str>| text.filter(|text| !text.is_empty());
            let (made_os, made_arch) = (named(made_os).unwrap_or(os), named(made_arch).unwrap_or(arch));
            let made = format!("{made_os}/{made_arch}");
            let fits = match &spec.platform {
                Some(needed) => made == *needed,
                None => runs_on(&here, &made),
            };
            if fits {
                return Ok(());
            }
            others.insert(made);
        }
        if others.is_empty() {
            return Ok(());
        }
        let made_for = others.into_iter().collect::<Vec<_>>().join(", ");
        let image = spec.image.clone();
        Err(match spec.platform.clone() {
            Some(needed) => ExecutorError::NotBuiltFor { image, made_for, needed },
            None => ExecutorError::Platform { image, made_for, here },
        })
    }

    /// Removes what runs of this node in `scratch` left behind: containers that no run of this process holds, containers of
    /// any node that are past their time, and directories that only the engine may remove. Returns the number removed.
    ///
    /// # Errors
    /// When the engine does not list or remove them.
    pub async fn sweep(&self, node: NodeId, scratch: &Path) -> Result<usize, ExecutorError> {
        let now = unix_now();
        let own = |labels: &HashMap<String, String>| {
            labels.get(NODE_LABEL).is_some_and(|owner| *owner == node.to_string())
                && labels.get(SCRATCH_LABEL).is_none_or(|dir| Path::new(dir) == scratch)
                && labels.get(RUN_LABEL).is_none_or(|run| !self.shared.held().contains(run))
        };
        let overdue = |labels: &HashMap<String, String>| {
            labels.get(UNTIL_LABEL).and_then(|until| until.parse().ok()).is_some_and(|until: u64| until < now)
        };
        let filters = HashMap::from([("label".to_owned(), vec![NODE_LABEL.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.failed("list the containers of this node", error))?;
        let mut removed = 0;
        for container in listed {
            let (Some(id), labels) = (container.id, container.labels.unwrap_or_default()) else { continue };
            if own(&labels) || overdue(&labels) {
                let gone = self.try_remove(&id).await;
                gone.map_err(|error| self.failed("remove a left-over container", error))?;
                info!(container = %id, "left-over container removed");
                removed += 1;
            }
        }
        let until = now.saturating_add(SWEEP_SECS);
        let labels = [
            (NODE_LABEL, node.to_string()),
            (SCRATCH_LABEL, scratch.to_string_lossy().into_owned()),
            (UNTIL_LABEL, until.to_string()),
        ];
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(removed + self.remove_remains(scratch, labels).await?)
    }

    /// Marks the containers of a new run as held.
    pub(super) fn hold(&self) -> Result<Hold, ExecutorError> {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|source| ExecutorError::Randomness { source })?;
        let run = format!("{:016x}", u64::from_be_bytes(bytes));
        self.shared.held().insert(run.clone());
        Ok(Hold { shared: Arc::clone(&self.shared), run })
    }

    pub(super) fn spaces(&self) -> &Spaces {
        &self.shared.spaces
    }

    /// Whether the engine answers now.
    pub(super) async fn answers(&self) -> bool {
        self.docker.ping().await.is_ok()
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Tells an engine's refusal from its absence.
    pub(super) fn failed(&self, operation: &'static str, error: Error) -> ExecutorError {
        match error {
            Error::DockerResponseServerError { status_code: 404, .. }
            // The answer ended in the middle.
            | Error::JsonDataError { .. }
            | Error::JsonSerdeError { .. } => ExecutorError::Lost { operation },
            Error::DockerResponseServerError { message, .. } if message.contains(NO_SPACE) => {
                ExecutorError::NodeFull
            }
            Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => {
                ExecutorError::Engine { operation, source: error.into() }
            }
            error if TooLong::is_behind(&error) => ExecutorError::Engine { operation, source: error.into() },
            // Everything else comes from the connection.
            error => ExecutorError::Unreachable { address: self.socket.clone(), source: error.into() },
        }
    }

    /// The refusal to make or start a container. An engine answers 400 if the request is at fault.
    pub(super) fn refused(&self, operation: &'static str, error: Error) -> ExecutorError {
        match error {
            Error::DockerResponseServerError { status_code: 400, message } => {
                ExecutorError::Unstartable { reason: message }
            }
            error => self.failed(operation, error),
        }
    }

    /// Kills and removes a container with its volumes. A later sweep finds what stays by its label.
    pub(super) async fn remove(&self, id: &str) {
        if let Err(error) = self.try_remove(id).await {
            warn!(container = %id, %error, "container could not be removed");
        }
    }

    async fn try_remove(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(id, Some(options)).await {
            // It is gone already, or about to go.
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

/// Now, in Unix seconds: containers outlive the process and its monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a label is compared by later processes, and decides nothing about a job"
)]
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Executor for DockerExecutor {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        Box::pin(async move { Ok(self.resolve_image(image).await?.pinned) })
    }

    fn sweep<'a>(&'a self, node: NodeId, scratch: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        Box::pin(Self::sweep(self, node, scratch))
    }

    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(async {
            require_pinned(&spec.image)?;
            self.check_size(spec)?;
            self.require_machine(spec)?;
            if spec.resources.scratch_bytes > 0 {
                let bounded = self.spaces().may_mount();
                bounded.map_err(|reason| ExecutorError::NoScratch { reason })?;
            }
            if let (true, Some(architecture)) = (spec.seeded, &self.platform.1) {
                seeded::library(architecture)?;
            }
            self.find_image(spec).await
        })
    }

    fn gives_scratch<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(self.spaces().try_scratch(dir))
    }

    fn static_program<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Option<String>> {
        Box::pin(self.static_program_of(spec))
    }

    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move { self.execute(&request, &cancel).await })
    }
}
