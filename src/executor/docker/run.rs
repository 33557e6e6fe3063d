//! One container from its creation to its removal.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use bollard::{
    container::LogOutput,
    errors::Error,
    models::ContainerState,
    query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptions, StartContainerOptions},
};
use futures::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{
    super::{ExecutorError, InputMount, RunOutcome, RunRequest, Trace},
    cgroup::Cgroup,
    config::{User, container_body},
    engine::DockerExecutor,
    image::require_pinned,
    sampler::{DiskProblem, Observed, Sampler},
    streams::capture,
    times::nanos_between,
};

/// Longest wait for the rest of a container's output after its end. The engine closes the streams when the
/// last process is gone, so that only an engine in trouble takes longer; the run then has no result.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// The exit code of a process that died of SIGKILL.
const KILLED: i64 = 128 + 9;

impl DockerExecutor {
    /// Runs the request; the container is removed whatever happens.
    pub(super) async fn execute(
        &self,
        request: &RunRequest,
        cancel: &CancellationToken,
    ) -> Result<RunOutcome, ExecutorError> {
        require_pinned(&request.spec.image)?;
        let image = cancel.run_until_cancelled(self.image(&request.spec.image)).await;
        let config = image.unwrap_or(Err(ExecutorError::Interrupted))?.config.unwrap_or_default();
        let user = User::of_image(config.user.as_deref().unwrap_or_default());
        let request = absolute(request)?;
        let outputs = request.result_dir.join("outputs");
        let prepared = prepare_outputs(&outputs, &user).await;
        prepared.map_err(|source| ExecutorError::ResultDir { path: outputs.clone(), source })?;

        let body = container_body(&request, &user, &config.volumes.unwrap_or_default(), &outputs);
        let created = self.docker().create_container(None::<CreateContainerOptions>, body).await;
        let id = created.map_err(|error| self.failed("create the container", error))?.id;
        let outcome = self.supervise(&id, &request, &user, cancel).await;
        self.remove(&id).await;
        let outcome = outcome?;
        outcome.save(&request.result_dir).await?;
        // Not how it ended: logs are shipped and shared, and the job is not decided yet.
        info!(job = %request.job, "run ended");
        Ok(outcome)
    }

    async fn supervise(
        &self,
        id: &str,
        request: &RunRequest,
        user: &User,
        cancel: &CancellationToken,
    ) -> Result<RunOutcome, ExecutorError> {
        // Attached before the start, so that no output is lost.
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.docker().attach_container(id, Some(options)).await;
        let attached = attached.map_err(|error| self.failed("attach to the container", error))?;
        let start = self.docker().start_container(id, None::<StartContainerOptions>);
        let start = cancel.run_until_cancelled(start).await.ok_or(ExecutorError::Interrupted)?;
        let started = Instant::now();
        start.map_err(|error| self.failed("start the container", error))?;
        debug!(job = %request.job, container = id, "container started");

        let pid = self.state(id).await?.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        refuse_root(pid, user)?;
        let limits = request.spec.resources;
        let cgroup = pid.and_then(|pid| Cgroup::of_process(Path::new("/"), pid).ok());
        let outputs = request.result_dir.join("outputs");
        let (sampler, disk_problem) = Sampler::start(cgroup, outputs, limits.disk_bytes);
        let limit = Duration::from_secs(request.timeout.as_secs().into());
        let ended = tokio::select! {
            biased;
            ended = self.end(id, attached.output, &request.result_dir) => ended,
            () = cancel.cancelled() => Err(ExecutorError::Interrupted),
            // What it is stands in what the sampler saw, and is judged first.
            Ok(()) = disk_problem => Ok(()),
            () = sleep(limit) => Err(ExecutorError::Timeout { limit: request.timeout }),
        };
        let returned = Instant::now();
        let observed = sampler.finish().await;
        let observed = observed.map_err(|source| ExecutorError::Engine {
            operation: "be watched while it ran the container",
            source: source.into(),
        })?;
        match observed.disk {
            None => ended?,
            Some(DiskProblem::Unreadable(source)) => return Err(ExecutorError::Outputs { source }),
            Some(DiskProblem::Exceeded) => {
                return Err(ExecutorError::Disk { place: "/outputs", limit_bytes: limits.disk_bytes });
            }
        }
        let state = self.state(id).await?;
        judge(&state, &observed, request)?;
        let trace = trace(&state, &observed, started, returned);
        let exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok());
        let exit_code = exit_code.ok_or(ExecutorError::Engine {
            operation: "tell the exit code",
            source: "it gave none".into(),
        })?;
        Ok(RunOutcome { exit_code, trace })
    }

    /// Waits until the container has ended and all of its output is kept.
    async fn end(
        &self,
        id: &str,
        output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
        dir: &Path,
    ) -> Result<(), ExecutorError> {
        let mut captured = pin!(capture(output, dir));
        // Once started, "not running" can only mean ended: there is no moment at which the end could be missed.
        let mut waited = pin!(self.wait(id));
        tokio::select! {
            captured = &mut captured => {
                captured?;
                waited.await
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
            None => Err(ExecutorError::Engine {
                operation: "wait for the container",
                source: "the connection was closed".into(),
            }),
        }
    }

    async fn state(&self, id: &str) -> Result<ContainerState, ExecutorError> {
        let inspected = self.docker().inspect_container(id, None).await;
        let inspected = inspected.map_err(|error| self.failed("describe the container", error))?;
        Ok(inspected.state.unwrap_or_default())
    }
}

/// Fails a run that was killed, whatever its exit code: a shell may survive its killed child and exit 0.
fn judge(state: &ContainerState, observed: &Observed, request: &RunRequest) -> Result<(), ExecutorError> {
    if state.oom_killed == Some(true) || observed.oom_killed() {
        return Err(ExecutorError::Memory { limit_bytes: request.spec.resources.memory_bytes });
    }
    if state.exit_code == Some(KILLED) {
        return Err(ExecutorError::Killed);
    }
    Ok(())
}

/// The readings on the clock of the run.
///
/// The engine's stamps give the duration, our own clock the times of the readings. Both answers of the
/// engine, to start and to wait, come some time after what they tell of, so that the start was at the earlier
/// of the first answer and the second less the duration. No wall clock of ours is involved.
fn trace(state: &ContainerState, observed: &Observed, answered: Instant, returned: Instant) -> Trace {
    let stamps = state.started_at.as_deref().zip(state.finished_at.as_deref());
    let nanos = stamps.and_then(|(started, finished)| nanos_between(started, finished));
    let duration = nanos.map_or(returned - answered, Duration::from_nanos);
    let started = returned.checked_sub(duration).map_or(answered, |started| started.min(answered));
    observed.trace(started, duration)
}

/// Refuses an image whose user has a name of its own and the number of root.
fn refuse_root(pid: Option<u32>, user: &User) -> Result<(), ExecutorError> {
    if user.uid.is_some() {
        return Ok(());
    }
    let status =
        pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok()).unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next());
    if uid == Some("0") {
        return Err(ExecutorError::RootUser { user: user.name.clone() });
    }
    Ok(())
}

/// Makes `outputs/` an empty directory that the container's user may write to and change.
///
/// What is there already is of an attempt that a crash cut short: it is no part of this run.
async fn prepare_outputs(outputs: &Path, user: &User) -> io::Result<()> {
    match tokio::fs::remove_dir_all(outputs).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(outputs)?;
    if let Some(uid) = user.uid {
        match chown(outputs, Some(uid), None) {
            // Without the right to give it away the mode has to do.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::set_permissions(outputs, Permissions::from_mode(0o777))
}

/// The request with paths that mean the same to the engine, and inputs that are there.
fn absolute(request: &RunRequest) -> Result<RunRequest, ExecutorError> {
    let resolved = |path: &PathBuf| std::path::absolute(path);
    let result_dir = resolved(&request.result_dir)
        .map_err(|source| ExecutorError::ResultDir { path: request.result_dir.clone(), source })?;
    let input = |InputMount { source: path, target }: &InputMount| {
        let found = path.canonicalize();
        let source = found.map_err(|source| ExecutorError::Input { path: path.clone(), source })?;
        Ok(InputMount { source, target: target.clone() })
    };
    let inputs = request.inputs.iter().map(input).collect::<Result<_, ExecutorError>>()?;
    Ok(RunRequest { result_dir, inputs, ..request.clone() })
}
