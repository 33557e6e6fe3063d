//! A scripted executor, for tests and simulations of everything around it.

use std::{
    fmt,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{Executor, ExecutorError, RunOutcome, RunRequest, Trace, run::write};
use crate::domain::{NodeId, Spec};

/// The script of one run.
#[derive(Debug)]
pub struct Script {
    /// The outcome of the run.
    pub outcome: Result<RunOutcome, ExecutorError>,
    /// The content of `stdout`; `stderr` stays empty.
    pub stdout: Vec<u8>,
    /// Files under `outputs/`: relative path and content.
    pub outputs: Vec<(String, Vec<u8>)>,
}

impl Script {
    /// A run that prints `stdout` and exits 0, too short to be sampled.
    pub fn printing(stdout: impl Into<Vec<u8>>) -> Self {
        let outcome = RunOutcome { exit_code: 0, trace: Trace::default() };
        Self { outcome: Ok(outcome), stdout: stdout.into(), outputs: vec![] }
    }

    /// A run without a result.
    pub fn failing(error: ExecutorError) -> Self {
        Self { outcome: Err(error), stdout: vec![], outputs: vec![] }
    }
}

/// An executor without containers.
///
/// After [`Self::new`] every run ends at once. After [`Self::hold`] runs wait until they are [released](Self::release).
pub struct FakeExecutor {
    script: Box<dyn Fn(&RunRequest) -> Script + Send + Sync>,
    gate: Option<Semaphore>,
    started: watch::Sender<usize>,
}

impl FakeExecutor {
    /// Runs what `script` returns for each request.
    pub fn new(script: impl Fn(&RunRequest) -> Script + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), gate: None, started: watch::Sender::new(0) }
    }

    /// Makes every run wait for a [release](Self::release).
    #[must_use]
    pub fn hold(self) -> Self {
        Self { gate: Some(Semaphore::new(0)), ..self }
    }

    /// Lets `runs` more runs end.
    pub fn release(&self, runs: usize) {
        if let Some(gate) = &self.gate {
            gate.add_permits(runs);
        }
    }

    /// The number of runs begun so far. Wakes on each.
    pub fn started(&self) -> watch::Receiver<usize> {
        self.started.subscribe()
    }

    async fn play(&self, request: RunRequest) -> Result<RunOutcome, ExecutorError> {
        self.started.send_modify(|started| *started += 1);
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("the gate is never closed").forget();
        }
        let Script { outcome, stdout, outputs } = (self.script)(&request);
        let dir = &request.result_dir;
        create_dir(dir.join("outputs"))?;
        write(dir.join("stdout"), &stdout).await?;
        write(dir.join("stderr"), b"").await?;
        for (path, content) in outputs {
            let path = dir.join("outputs").join(path);
            create_dir(path.parent().unwrap_or(dir).to_owned())?;
            write(path, &content).await?;
        }
        let outcome = outcome?;
        outcome.save(dir).await?;
        Ok(outcome)
    }
}

fn create_dir(path: PathBuf) -> Result<(), ExecutorError> {
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    created.map_err(|source| ExecutorError::ResultDir { path, source })
}

impl fmt::Debug for FakeExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeExecutor").field("started", &*self.started.borrow()).finish_non_exhaustive()
    }
}

impl Executor for FakeExecutor {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        Box::pin(async move { Ok(image.to_owned()) })
    }

    fn sweep<'a>(&'a self, _node: NodeId, _scratch: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        Box::pin(async { Ok(0) })
    }

    fn check<'a>(&'a self, _spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(async { Ok(()) })
    }

    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move {
            cancel.run_until_cancelled(self.play(request)).await.unwrap_or(Err(ExecutorError::Interrupted))
        })
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{JobId, NodeId, Seed, Span};

    fn request(result_dir: &Path) -> RunRequest {
        let spec = Spec::sample();
        RunRequest {
            job: JobId::ZERO,
            node: NodeId::ZERO,
            seed: Seed::of(JobId::ZERO),
            spec,
            timeout: Span::from_secs(1),
            inputs: vec![],
            result_dir: result_dir.to_owned(),
            scratch: result_dir.to_owned(),
            begin_within: Span::from_secs(0),
            patience: Span::from_secs(0),
        }
    }

    #[tokio::test]
    async fn a_held_run_ends_when_it_is_released_and_leaves_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = || vec![("a/b".to_owned(), b"data".to_vec())];
        let fake =
            FakeExecutor::new(move |_| Script { outputs: outputs(), ..Script::printing("hello") }).hold();
        let mut started = fake.started();
        let run = fake.run(request(dir.path()), CancellationToken::new());
        let release = async {
            started.wait_for(|started| *started == 1).await.unwrap();
            assert!(!dir.path().join("stdout").exists());
            fake.release(1);
        };
        let (outcome, ()) = tokio::join!(run, release);
        assert_eq!(outcome.unwrap().exit_code, 0);
        let content = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            [content("stdout"), content("exit_code"), content("outputs/a/b")],
            ["hello", "0\n", "data"]
        );
    }

    #[tokio::test]
    async fn a_held_run_can_be_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let fake = FakeExecutor::new(|_| Script::printing("hello")).hold();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let ended = fake.run(request(dir.path()), cancel).await;
        assert!(matches!(ended, Err(ExecutorError::Interrupted)), "{ended:?}");
    }

    #[tokio::test]
    async fn a_failing_run_leaves_no_result() {
        let dir = tempfile::tempdir().unwrap();
        let fake = FakeExecutor::new(|_| Script::failing(ExecutorError::Killed));
        let ended = fake.run(request(dir.path()), CancellationToken::new()).await;
        assert!(matches!(ended, Err(ExecutorError::Killed)), "{ended:?}");
        assert!(!dir.path().join("exit_code").exists());
    }
}
