//! One container from its creation to its removal.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use bollard::{
    errors::Error,
    models::{ContainerState, ImageConfig},
    query_parameters::{
        AttachContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder, CreateContainerOptions,
        CreateContainerOptionsBuilder, StartContainerOptions,
    },
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    super::{ExecutorError, InputMount, RunOutcome, RunRequest, Trace},
    cgroup::Cgroup,
    config::{Parts, Seeded, container_body, labels, probe_body, volumes_to_mount},
    engine::{DockerExecutor, unix_now},
    meter::{DiskProblem, Meter},
    registries::require_pinned,
    sampler::{Observed, Sampler},
    scratch::Scratch,
    seeded,
    space::{Bound, Space, give_all_to},
    start::{Start, command_line},
    times::nanos_between,
    user::User,
};

/// Pause between two checks whether an engine that went away is back.
const BACK_PERIOD: Duration = Duration::from_millis(500);

/// How often a run that an answering engine lost starts again. A run that somebody killed starts again once: that tells a
/// stopped engine from a job that ends like this.
const MAX_RETRIES: u32 = 2;

/// How long after a container's time any node's sweep may remove it, in seconds.
const OVERDUE_SECS: u64 = 300;

/// The engine's bit for a directory in a file's mode.
const IS_DIRECTORY: u32 = 1 << 31;

/// The engine's bit for a symbolic link.
const IS_LINK: u32 = 1 << 27;

/// The exit code of a process that died of SIGKILL.
const KILLED: i64 = 128 + 9;

/// How much later than the output's end an engine on a busy machine may stamp the end of a container.
const EXIT_MARGIN: Duration = Duration::from_secs(1);

/// A file that shows whether a container sees what is mounted here.
const MARK: &str = ".assay-mark";

/// A container that is ready to start.
struct Created {
    id: String,
    /// Where its output goes.
    space: Space,
    scratch: Option<Scratch>,
}

impl DockerExecutor {
    /// Runs the request. Its containers are removed whatever happens, by a sweep if the engine is away.
    ///
    /// A run that the engine lost starts again while the request's patience lasts.
    pub(super) async fn execute(
        &self,
        request: &RunRequest,
        cancel: &CancellationToken,
    ) -> Result<RunOutcome, ExecutorError> {
        require_pinned(&request.spec.image)?;
        let request = absolute(request)?;
        let asked = Instant::now();
        let until = asked + Duration::from_secs(request.patience.as_secs().into());
        let begin_by = asked + Duration::from_secs(request.begin_within.as_secs().into());
        let (mut killed, mut retries) = (false, 0);
        loop {
            let ended = self.attempt(&request, begin_by, cancel).await;
            let error = match ended {
                Ok(outcome) => {
                    outcome.save(&request.result_dir).await?;
                    // Without its outcome: logs are shipped and shared, and the job is not decided yet.
                    info!(job = %request.job, "run ended");
                    return Ok(outcome);
                }
                Err(error) => error,
            };
            let again = match &error {
                // However long the engine is away.
                ExecutorError::Unreachable { .. } => true,
                ExecutorError::Killed if killed => false,
                ExecutorError::Killed => {
                    killed = true;
                    true
                }
                ExecutorError::Lost { .. } | ExecutorError::Engine { .. } => {
                    retries += 1;
                    retries <= MAX_RETRIES
                }
                ExecutorError::Randomness { .. }
                | ExecutorError::NodeFull
                | ExecutorError::ResultDir { .. }
                | ExecutorError::Interrupted
                | ExecutorError::ImageMissing { .. }
                | ExecutorError::TooSmall { .. }
                | ExecutorError::ImageName { .. }
                | ExecutorError::RegistryNotAsked { .. }
                | ExecutorError::Unpinned { .. }
                | ExecutorError::ImageUser { .. }
                | ExecutorError::Platform { .. }
                | ExecutorError::NotBuiltFor { .. }
                | ExecutorError::OtherMachine { .. }
                | ExecutorError::NoScratch { .. }
                | ExecutorError::Unseedable { .. }
                | ExecutorError::NoCommand
                | ExecutorError::Unstartable { .. }
                | ExecutorError::WorkingDirectory { .. }
                | ExecutorError::Timeout { .. }
                | ExecutorError::Memory { .. }
                | ExecutorError::Disk { .. }
                | ExecutorError::Files { .. }
                | ExecutorError::Outputs { .. }
                | ExecutorError::Input { .. } => false,
            };
            if !again || !self.back_by(until, cancel).await {
                return Err(error);
            }
            let cause: &dyn std::error::Error = &error;
            warn!(job = %request.job, error = cause, "the engine lost the run, which is begun again");
        }
    }

    /// Waits until the engine answers; `false` if it does not in time, or nobody waits any longer.
    async fn back_by(&self, until: Instant, cancel: &CancellationToken) -> bool {
        let back = async {
            loop {
                sleep(BACK_PERIOD).await;
                if self.answers().await {
                    return;
                }
            }
        };
        let back = timeout_at(until, back);
        matches!(cancel.run_until_cancelled(back).await, Some(Ok(())))
    }

    async fn attempt(
        &self,
        request: &RunRequest,
        begin_by: Instant,
        cancel: &CancellationToken,
    ) -> Result<RunOutcome, ExecutorError> {
        let spec = &request.spec;
        let image = cancel.run_until_cancelled(self.image(spec, begin_by)).await;
        let image = image.unwrap_or(Err(ExecutorError::Interrupted))?;
        let architecture = image.architecture.unwrap_or_default();
        let config = image.config.unwrap_or_default();
        require_command(request, &config)?;

        let hold = self.hold()?;
        let until = unix_now() + u64::from(request.timeout.as_secs()) + OVERDUE_SECS;
        let named = config.user.as_deref().unwrap_or_default();
        let user = self.user_of(&spec.image, named, labels(request, &hold.run, until)).await?;
        let created = self.create(request, user, &config, &architecture, &hold.run, until).await?;
        let outcome = self.supervise(&created, request, cancel).await;
        self.remove(&created.id).await;
        outcome
    }

    /// A container that is ready to start, with what it writes to.
    async fn create(
        &self,
        request: &RunRequest,
        user: User,
        config: &ImageConfig,
        architecture: &str,
        run: &str,
        until: u64,
    ) -> Result<Created, ExecutorError> {
        let own_disk = |source| ExecutorError::ResultDir { path: request.result_dir.clone(), source };
        let image_env = config.env.as_deref().unwrap_or_default();
        let seeded = match request.spec.seeded {
            true => Some(Seeded {
                library: seeded::place(&request.result_dir, seeded::library(architecture)?)
                    .map_err(own_disk)?,
                architecture,
                image_env,
            }),
            false => None,
        };
        let words = command_line(&request.spec, config);
        let start =
            Start::place(&request.result_dir, architecture, request.spec.seeded, words).map_err(own_disk)?;
        if request.spec.seeded && start.is_none() {
            // Neither the library nor a fixed process id: its result would be another than everybody's.
            let reason =
                format!("no program runs from {}: it is mounted noexec", request.result_dir.display());
            return Err(ExecutorError::Unseedable { reason });
        }
        loop {
            let limit = request.spec.resources.disk_bytes;
            let space = self.spaces().prepare(&request.result_dir, limit, user).await.map_err(own_disk)?;
            let scratch = match request.spec.resources.scratch_bytes {
                0 => None,
                bytes => Some(self.spaces().set_aside(&request.result_dir, bytes, user).await?),
            };
            let volumes = volumes_to_mount(request, config.volumes.as_deref().unwrap_or_default());
            let volumes = space.place(volumes).map_err(own_disk)?;
            let (start, seeded) = (start.as_ref(), seeded.as_ref());
            let (outputs, scratch_dir) = (&space.outputs, scratch.as_ref().map(|scratch| &*scratch.dir));
            let parts =
                Parts { user, outputs, scratch: scratch_dir, volumes: &volumes, start, seeded, run, until };
            let body = container_body(request, &parts);
            let platform = request.spec.platform.as_deref();
            let options =
                platform.map(|platform| CreateContainerOptionsBuilder::default().platform(platform).build());
            let created = self.docker().create_container(options, body).await;
            let id = match created {
                Ok(created) => created.id,
                Err(error) => return Err(self.not_created(request, run, until, error).await),
            };
            // The engine has put the image's files there, with their owners.
            let given = volumes.iter().try_for_each(|(_, dir)| give_all_to(dir, user));
            match self.sees(&id, &space).await {
                Ok(true) if given.is_ok() => return Ok(Created { id, space, scratch }),
                seen => {
                    self.remove(&id).await;
                    given.map_err(own_disk)?;
                    seen?;
                    self.spaces().unseen_by_engine();
                }
            }
        }
    }

    /// Whether the container would see the space of its run. An engine in another mount namespace does not.
    async fn sees(&self, id: &str, space: &Space) -> Result<bool, ExecutorError> {
        if matches!(space.bound, Bound::Measured) || self.spaces().is_seen() {
            return Ok(true);
        }
        let mark = space.outputs.join(MARK);
        let own_disk = |source| ExecutorError::ResultDir { path: mark.clone(), source };
        fs::write(&mark, "").map_err(own_disk)?;
        let path = format!("{}/{MARK}", crate::domain::OUTPUTS_DIR);
        let options = ContainerArchiveInfoOptionsBuilder::default().path(&path).build();
        let seen = match self.docker().get_container_archive_info(id, Some(options)).await {
            Ok(_) => true,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => false,
            Err(error) => return Err(self.failed("look into the container", error)),
        };
        fs::remove_file(&mark).map_err(own_disk)?;
        if seen {
            self.spaces().seen_by_engine();
        }
        Ok(seen)
    }

    /// Runs the container. Fails if a connection to the engine breaks on the way, because nobody could then tell whether all
    /// output arrived.
    async fn supervise(
        &self,
        created: &Created,
        request: &RunRequest,
        cancel: &CancellationToken,
    ) -> Result<RunOutcome, ExecutorError> {
        tokio::select! {
            // The break comes first: it makes an outcome of the same moment doubtful.
            biased;
            broken = self.broken(&created.id) => Err(broken),
            outcome = self.watched(created, request) => outcome,
            // A request to the engine at that moment may never get an answer.
            () = cancel.cancelled() => Err(ExecutorError::Interrupted),
        }
    }

    async fn watched(&self, created: &Created, request: &RunRequest) -> Result<RunOutcome, ExecutorError> {
        let Created { id, space, scratch } = created;
        // Attached before the start, so that no output is lost.
        let options = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.docker().attach_container(id, Some(options)).await;
        let attached = attached.map_err(|error| self.failed("attach to the container", error))?;
        let asked = Instant::now();
        let start = self.docker().start_container(id, None::<StartContainerOptions>).await;
        let started = Instant::now();
        if let Err(error) = start {
            return Err(self.not_started(id, request, error).await);
        }
        debug!(job = %request.job, container = id, "container started");

        let pid = self.state(id).await?.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
        let limits = request.spec.resources;
        let cgroup = pid.map(|pid| Cgroup::of_process(Path::new("/"), pid)).transpose();
        let (cgroup, unread) = cgroup.map_or_else(|error| (None, Some(error)), |cgroup| (cgroup, None));
        let own_disk = |source| ExecutorError::ResultDir { path: space.outputs.clone(), source };
        let meter = Meter::new(space, scratch.as_ref(), limits.disk_bytes).map_err(own_disk)?;
        let (sampler, disk_problem) = Sampler::start(cgroup, meter);
        let limit = Duration::from_secs(request.timeout.as_secs().into());
        let ended = tokio::select! {
            biased;
            ended = self.end(id, attached.output, &request.result_dir) => ended,
            // The sampler's observation says what it is, and is judged first.
            Ok(()) = disk_problem => Ok(Instant::now()),
            () = sleep(limit) => Err(ExecutorError::Timeout { limit: request.timeout }),
        };
        let returned = Instant::now();
        let observed = sampler.finish().await;
        let observed = observed.map_err(|source| ExecutorError::Engine {
            operation: "be watched while it ran the container",
            source: source.into(),
        })?;
        if observed.saw_nothing_of(returned - started) {
            tell_once(unread.as_ref());
        }
        let silent = match observed.disk {
            None => ended?,
            Some(DiskProblem::Unreadable(source)) => return Err(ExecutorError::Outputs { source }),
            Some(DiskProblem::Files { place, limit }) => return Err(ExecutorError::Files { place, limit }),
            Some(DiskProblem::NodeFull) => return Err(ExecutorError::NodeFull),
            Some(DiskProblem::Broken(source)) => return Err(own_disk(source)),
            Some(DiskProblem::Bytes { place, limit }) => {
                return Err(ExecutorError::Disk { place, limit_bytes: limit });
            }
        };
        // Asked after the output has ended, so that `broken` has its turn before this is an outcome.
        let state = self.state(id).await?;
        judge(&state, &observed, request)?;
        require_whole_output(&state, silent - asked)?;
        let trace = trace(&state, &observed, started, returned);
        let exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok());
        let exit_code = exit_code.ok_or(ExecutorError::Engine {
            operation: "tell the exit code",
            source: "it gave none".into(),
        })?;
        Ok(RunOutcome { exit_code, trace })
    }

    /// Why the engine made no container: the working directory is not a directory, or something else.
    async fn not_created(&self, request: &RunRequest, run: &str, until: u64, error: Error) -> ExecutorError {
        let error = self.refused("create the container", error);
        let Some(dir) = request.spec.working_directory.as_deref() else { return error };
        if !matches!(error, ExecutorError::Unstartable { .. } | ExecutorError::Engine { .. }) {
            return error;
        }
        let body = probe_body(&request.spec.image, labels(request, run, until));
        let created = self.docker().create_container(None::<CreateContainerOptions>, body).await;
        let Ok(id) = created.map(|created| created.id) else { return error };
        let mut is_none = false;
        // A file above it has the same effect.
        for (end, _) in dir.match_indices('/').skip(1).chain([(dir.len(), "")]) {
            let options = ContainerArchiveInfoOptionsBuilder::default().path(&dir[..end]).build();
            let Ok(found) = self.docker().get_container_archive_info(&id, Some(options)).await else { break };
            is_none |= found.file_mode & (IS_DIRECTORY | IS_LINK) == 0;
        }
        self.remove(&id).await;
        if is_none { ExecutorError::WorkingDirectory { path: dir.to_owned() } } else { error }
    }

    /// Why a container did not start: the job asks for something impossible, or the engine failed.
    async fn not_started(&self, id: &str, request: &RunRequest, error: Error) -> ExecutorError {
        let error = self.refused("start the container", error);
        let Some(dir) = request.spec.working_directory.as_deref() else { return error };
        let ExecutorError::Unstartable { .. } = &error else { return error };
        let options = ContainerArchiveInfoOptionsBuilder::default().path(dir).build();
        match self.docker().get_container_archive_info(id, Some(options)).await {
            Ok(found) if found.file_mode & (IS_DIRECTORY | IS_LINK) != 0 => error,
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {
                ExecutorError::WorkingDirectory { path: dir.to_owned() }
            }
            Err(_) => error,
        }
    }

    async fn state(&self, id: &str) -> Result<ContainerState, ExecutorError> {
        let inspected = self.docker().inspect_container(id, None).await;
        let inspected = inspected.map_err(|error| self.failed("describe the container", error))?;
        Ok(inspected.state.unwrap_or_default())
    }
}

/// Says once that this node cannot watch its runs, whose fingerprints then prove nothing.
fn tell_once(unread: Option<&std::io::Error>) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let error = unread.map(tracing::field::display);
        warn!(
            error,
            "cannot read the cgroup of a container while it runs, so its fingerprint proves nothing: see that this user can \
             read /proc/PID/cgroup of other users and the mount of the cgroups (no ProtectProc, no hidepid)"
        );
    });
}

/// Fails a run whose output ended before its container, and so was cut. `heard_for` runs from before the start to the end of
/// the output. Both durations are differences on one clock each.
fn require_whole_output(state: &ContainerState, heard_for: Duration) -> Result<(), ExecutorError> {
    if duration(state).is_some_and(|ran_for| ran_for > heard_for + EXIT_MARGIN) {
        return Err(ExecutorError::Lost { operation: "pass on the container's output to its end" });
    }
    Ok(())
}

/// How long the container ran, on the engine's clock.
fn duration(state: &ContainerState) -> Option<Duration> {
    let (started, finished) = state.started_at.as_deref().zip(state.finished_at.as_deref())?;
    nanos_between(started, finished).map(Duration::from_nanos)
}

/// Fails a run that was killed, whatever its exit code: a shell may outlive its killed child and exit 0.
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
/// The engine's stamps give the duration, and this process's clock the times of the readings. The engine's answers, to start
/// and to wait, come some time after the fact. So the start was at the earlier of two times: the first answer, and the
/// second answer less the duration. No wall clock of this machine is involved.
fn trace(state: &ContainerState, observed: &Observed, answered: Instant, returned: Instant) -> Trace {
    let duration = duration(state).unwrap_or(returned - answered);
    let started = returned.checked_sub(duration).map_or(answered, |started| started.min(answered));
    observed.trace(started, duration)
}

/// Refuses a run for which neither the job nor the image has a command.
fn require_command(request: &RunRequest, image: &ImageConfig) -> Result<(), ExecutorError> {
    let spec = &request.spec;
    let none = |words: Option<&Vec<String>>| words.is_none_or(Vec::is_empty);
    // The job's entrypoint replaces both of the image's.
    let image_has_none =
        !spec.entrypoint.is_empty() || none(image.entrypoint.as_ref()) && none(image.cmd.as_ref());
    if spec.entrypoint.is_empty() && spec.command.is_empty() && image_has_none {
        return Err(ExecutorError::NoCommand);
    }
    Ok(())
}

/// The request with paths that mean the same to the engine, and inputs that exist.
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
