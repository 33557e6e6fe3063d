//! One run: inputs in, container, result out. Everything that must survive a crash is on disk before the next step: first
//! that the run began, later the whole opening of the commitment, salt included.

use std::{
    fs::OpenOptions,
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Node, fetch::Until, told::reason_for_requester, work_error::WorkError};
use crate::{
    domain::{
        Backoff, Digest, FailureKind, FingerprintWord, Input, InputKind, Job, JobId, Method, NodeId, Opening,
        Spec,
    },
    executor::{ExecutorError, InputMount, RunDir, RunOutcome, RunRequest, Trace},
    explain::one_line,
    store::{
        BlobError, BlobWriter, Comparison, FILE, LastWords, Limits, Stage, is_of_one_file, pack_result,
        unpack,
    },
};

/// The pauses between attempts to store a result, and the least number of attempts.
const KEEP: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(10) };
const KEEP_AGAIN: u32 = 6;

/// The state of this node's run of a job, as far as it is worth storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Not begun.
    None,
    /// In the executor, or on the way there.
    Running,
    /// The result is on disk.
    Finished(Opening),
    /// Ended without a result.
    Failed(FailureKind),
}

impl From<Stage> for Held {
    fn from(stage: Stage) -> Self {
        match stage {
            // A crash or a restart interrupted it. It runs again while there is time.
            Stage::Started => Self::None,
            Stage::Finished(opening) => Self::Finished(opening),
            Stage::Failed(kind) => Self::Failed(kind),
        }
    }
}

/// Runs a job to its end or until cancelled, and records the outcome.
///
/// A run that is cancelled because the node stops stays recorded as started, and the next start runs it again.
pub(crate) async fn work(node: Arc<Node>, job: Job, cancel: CancellationToken) -> Held {
    let id = job.id;
    match node.run_once(&job, &cancel).await {
        Ok(opening) => {
            info!(job = %id, "run finished");
            Held::Finished(opening)
        }
        Err(WorkError::Executor(ExecutorError::Interrupted)) if node.stop.is_cancelled() => Held::Running,
        Err(error) => {
            let kind = error.kind();
            warn!(job = %id, %kind, error = %one_line(&error), "run failed");
            if let Err(error) = node.records.executions.fail(id, kind) {
                error!(job = %id, error = %one_line(&error), "cannot record the failure of a run");
            }
            Held::Failed(kind)
        }
    }
}

impl Node {
    /// The most that a run takes on the disk besides the store, in bytes: the content of the store is there a second time,
    /// unpacked, and the scratch directory is set aside.
    pub(crate) fn disk_for(&self, spec: &Spec) -> u64 {
        self.space_for(spec).saturating_mul(2).saturating_add(spec.resources.scratch_bytes)
    }

    /// The most that a run's inputs and result take in the store, in bytes.
    pub(crate) fn space_for(&self, spec: &Spec) -> u64 {
        let result = spec.resources.disk_bytes.min(self.config.max_archive_bytes);
        spec.inputs.iter().fold(result, |sum, input| sum.saturating_add(input.bytes))
    }

    async fn run_once(self: &Arc<Self>, job: &Job, cancel: &CancellationToken) -> Result<Opening, WorkError> {
        // Before anything is recorded, since there may be no room for that either.
        self.wait_for_disk(job, cancel).await;
        if !self.records.executions.start(job.id, self.clock.moment().now)? {
            warn!(job = %job.id, "not starting the run again: it has ended, or was interrupted too often");
            return Err(WorkError::Executor(ExecutorError::Interrupted));
        }
        info!(job = %job.id, image = job.spec.image, "run started");
        let scratch = self.scratch();
        let dir =
            RunDir::new_in(&scratch).map_err(|source| BlobError::Io { path: scratch.clone(), source })?;
        let result_dir = dir.path().join("result");
        let inputs = cancel
            .run_until_cancelled(self.inputs(job, &dir, cancel))
            .await
            .unwrap_or(Err(WorkError::Executor(ExecutorError::Interrupted)));
        let inputs = match inputs {
            Ok(inputs) => inputs,
            Err(error) => {
                self.keep_last_words(job.id, &error, result_dir).await;
                return Err(error);
            }
        };
        let request = RunRequest {
            job: job.id,
            node: self.me.id,
            seed: job.seed(),
            spec: (*job.spec).clone(),
            timeout: job.deal.timeout,
            inputs,
            result_dir: result_dir.clone(),
            scratch,
            begin_within: self.time_to_begin(job),
            patience: job.refill_by().since(self.clock.moment().now),
        };
        let outcome =
            match self.ports.executor.run(request, cancel.clone()).await.map_err(WorkError::Executor) {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.keep_last_words(job.id, &error, result_dir).await;
                    return Err(error);
                }
            };
        let run = Arc::new((dir, outcome, result_dir));
        let mut failures = 0;
        let may_try = |failures| failures < KEEP_AGAIN || self.clock.moment().now < job.refill_by();
        loop {
            let (node, method, kept) = (Arc::clone(self), job.deal.method, Arc::clone(&run));
            let (comparison, stop) = (Comparison::of(job.id, &job.deal, &job.spec), cancel.clone());
            let kept = spawn_blocking(move || {
                // Held, so that the directory outlives the last read.
                let (_dir, outcome, result_dir) = &*kept;
                node.keep((&comparison, method), outcome, result_dir, &stop)
            });
            match kept.await.expect("keeping a result returns its errors") {
                Err(error) if error.may_pass() && may_try(failures) && !cancel.is_cancelled() => {
                    if failures == 0 {
                        warn!(job = %job.id, error = %one_line(&error), "a result cannot be stored: is the disk full? trying again while another node could take the seat");
                    }
                    let pause = tokio::time::sleep(KEEP.pause(failures));
                    let _cancelled = cancel.run_until_cancelled(pause).await;
                    failures += 1;
                }
                kept => {
                    if let Err(error) = &kept {
                        self.keep_last_words(job.id, error, run.2.clone()).await;
                    }
                    // Dropping this removes the directory, which blocks.
                    let removed = spawn_blocking(move || drop(run)).await;
                    removed.expect("removing a directory does not panic");
                    return kept;
                }
            }
        }
    }

    /// Keeps why a run failed, as far as its requester may know, and what it printed if the job was at fault. The requester
    /// may ask for both once the job has ended. Losing them loses nothing else.
    async fn keep_last_words(&self, job: JobId, error: &WorkError, result_dir: PathBuf) {
        if !is_of_job(error.kind()) {
            return;
        }
        let (store, reason) = (self.shelf.content().last_words(), reason_for_requester(error));
        let kept = spawn_blocking(move || store.keep(job, &LastWords::of_run(&reason, &result_dir))).await;
        if let Err(error) = kept.expect("keeping last words returns its errors") {
            warn!(%job, error = %one_line(&error), "cannot keep the output of a failed run");
        }
    }

    /// Fetches and unpacks every input. The executor mounts them read-only.
    pub(super) async fn inputs(
        &self,
        job: &Job,
        dir: &RunDir,
        cancel: &CancellationToken,
    ) -> Result<Vec<InputMount>, WorkError> {
        let mut mounts = Vec::new();
        // One deadline for all of them, or each would begin its own wait.
        let until = Instant::now() + Duration::from_secs(self.time_to_begin(job).as_secs().into());
        for (index, input) in job.spec.inputs.iter().enumerate() {
            let from = job.requester;
            let within = until.saturating_duration_since(Instant::now());
            let source = dir.path().join(format!("input-{index}"));
            if let Some(url) = &input.url {
                let failed = |source| WorkError::Url { url: url.clone(), source: Box::new(source) };
                self.fetch_from_url(job, input, url, within).await.map_err(failed)?;
                self.copy_file(input, from, &source, cancel).await?;
                mounts.push(InputMount { source, target: input.target.clone() });
                continue;
            }
            self.fetch_input(job, input, within).await.map_err(WorkError::Input)?;
            let (content, target, digest) = (self.shelf.content().clone(), source.clone(), input.digest);
            let limits = Limits::with_bytes(input.bytes);
            let stop = cancel.clone();
            let unpacked = spawn_blocking(move || {
                let archive = Until { reader: content.open(digest, from)?, stop };
                unpack(archive, &target, digest, &limits).map_err(WorkError::Unpack)
            });
            unpacked.await.expect("unpacking returns its errors")?;
            let source = match input.kind {
                InputKind::Directory => source,
                InputKind::File if self.is_of_its_kind(input, from)? => source.join(FILE),
                InputKind::File => return Err(WorkError::NotOneFile { target: input.target.clone() }),
            };
            mounts.push(InputMount { source, target: input.target.clone() });
        }
        Ok(mounts)
    }

    /// Copies the file that came from an input's URL to where the executor mounts it, and no more of it than the job says.
    async fn copy_file(
        &self,
        input: &Input,
        requester: NodeId,
        to: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), WorkError> {
        let (content, digest, holder) = (self.shelf.content().clone(), input.digest, input.holder(requester));
        let (to, stop, bytes) = (to.to_owned(), cancel.clone(), input.bytes);
        let copied = spawn_blocking(move || {
            let mut from = Until { reader: content.open(digest, holder)?, stop }.take(bytes);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&to)
                .map_err(WorkError::Copy)?;
            std::io::copy(&mut from, &mut file).map_err(WorkError::Copy)?;
            Ok(())
        });
        copied.await.expect("copying returns its errors")
    }

    /// Whether content can be mounted as what the job says it is.
    pub(crate) fn is_of_its_kind(&self, input: &Input, holder: NodeId) -> Result<bool, BlobError> {
        let content = self.shelf.content();
        Ok(match input.kind {
            InputKind::Directory => true,
            InputKind::File => {
                is_of_one_file(&content.read_range(input.digest, holder, 0, 512)?, input.bytes)
            }
        })
    }

    /// Begins storing content of a job: for this node's own user if the job is theirs.
    pub(crate) fn writer_for(&self, job: JobId, limit: u64) -> Result<BlobWriter, BlobError> {
        let content = self.shelf.content();
        let is_own = self.board.read(job, |job| job.requester) == Some(self.me.id);
        if is_own { content.writer(limit) } else { content.writer_for_others(limit) }
    }

    /// Packs the result into the store, and records the opening of its commitment. Blocks.
    fn keep(
        &self,
        (comparison, method): (&Comparison, Method),
        outcome: &RunOutcome,
        result_dir: &Path,
        stop: &CancellationToken,
    ) -> Result<Opening, WorkError> {
        let limits = Limits::with_bytes(self.config.max_archive_bytes);
        let job = comparison.job;
        let mut writer = self.writer_for(job, limits.bytes)?;
        let packed = pack_result(result_dir, &mut writer, &limits, stop)?;
        let compared = comparison.look(result_dir, &limits, stop)?;
        if let Err(fault) = &compared.summary {
            warn!(%job, %fault, "the run has no summary: its output agrees with equal ones only");
        }
        let opening = Opening {
            result_hash: compared.result_hash,
            output_root: packed.digest,
            exit_code: outcome.exit_code,
            fingerprint: fingerprint(&outcome.trace, method),
            summary: compared.summary_word(),
            salt: salt()?,
        };
        writer.commit_as(packed.digest)?;
        self.records.executions.finish(job, &opening, self.me.id)?;
        Ok(opening)
    }
}

/// Whether the job was at fault for its run's failure, so that its output may help its requester.
pub(crate) const fn is_of_job(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Timeout
        | FailureKind::Memory
        | FailureKind::Disk
        | FailureKind::Output
        | FailureKind::Command
        | FailureKind::WorkingDirectory
        | FailureKind::Input
        | FailureKind::Killed => true,
        FailureKind::Engine | FailureKind::Image | FailureKind::Interrupted | FailureKind::Platform => false,
    }
}

/// The word of a trace; void if the run was too short to be sampled.
fn fingerprint(trace: &Trace, method: Method) -> FingerprintWord {
    let fingerprint = trace.fingerprint();
    fingerprint.map_or(FingerprintWord::VOID, |fingerprint| FingerprintWord::pack(&fingerprint, method))
}

fn salt() -> Result<Digest, WorkError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(WorkError::Randomness)?;
    Ok(Digest::new(bytes))
}
