//! An executor of your own: it runs commands as plain processes of this machine instead of in containers.
//!
//! It isolates nothing, so it is for trusted jobs alone. What an executor must do is in `assay::executor`.
//!
//! ```sh
//! cargo run --example own_executor
//! ```

use std::{error::Error, path::Path, process::Stdio, sync::Arc, time::Duration};

use assay::{
    domain::{Deal, Job, LogDomain, Method, NodeId, Spec, Timestamp},
    executor::{Executor, ExecutorError, RunOutcome, RunRequest, Trace},
    identity::NodeKey,
    scheduler::local::LocalLog,
};
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

#[path = "town/mod.rs"]
mod town;

/// Runs the command of a spec; its image is not used.
#[derive(Debug)]
pub(crate) struct Processes;

impl Executor for Processes {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        Box::pin(async move { Ok(image.to_owned()) })
    }

    // `kill_on_drop` ends a process with its run, so nothing is ever left behind.
    fn sweep<'a>(&'a self, _: NodeId, _: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        Box::pin(async { Ok(0) })
    }

    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(async { if spec.command.is_empty() { Err(ExecutorError::NoCommand) } else { Ok(()) } })
    }

    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move {
            let run = cancel.run_until_cancelled(run(&request));
            let limit = Duration::from_secs(request.timeout.as_secs().into());
            match tokio::time::timeout(limit, run).await {
                Ok(Some(outcome)) => outcome,
                Ok(None) => Err(ExecutorError::Interrupted),
                Err(_) => Err(ExecutorError::Timeout { limit: request.timeout }),
            }
        })
    }
}

async fn run(request: &RunRequest) -> Result<RunOutcome, ExecutorError> {
    let failed = |source: std::io::Error| ExecutorError::Engine {
        operation: "run the process",
        source: Box::new(source),
    };
    let outputs = request.result_dir.join("outputs");
    std::fs::create_dir_all(&outputs).map_err(failed)?;
    let file = |name: &str| std::fs::File::create(request.result_dir.join(name)).map_err(failed);
    let (program, arguments) = request.spec.command.split_first().ok_or(ExecutorError::NoCommand)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env_clear().envs(&request.spec.environment).current_dir(&outputs);
    command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?).kill_on_drop(true);
    let status = command.spawn().map_err(failed)?.wait().await.map_err(failed)?;
    // Without memory samples the run has no fingerprint: such jobs are decided by their outputs.
    let outcome = RunOutcome { exit_code: status.code().unwrap_or(-1), trace: Trace::default() };
    outcome.save(&request.result_dir).await?;
    Ok(outcome)
}

/// Runs a job of one real process on each of three nodes.
pub(crate) async fn job() -> Result<Job, Box<dyn Error>> {
    // A node runs only what is named by its content; processes look at no image.
    let image = format!("sha256:{}", "0".repeat(64));
    let spec = Spec::builder(image).command(["/bin/sh", "-c", "echo $((6 * 7)) > answer"]).build()?;
    let deal = Deal { concurrency: 3, confidence: 3, method: Method::Hash, ..Deal::default() };
    let processes = || -> Arc<dyn Executor> { Arc::new(Processes) };
    let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(1_700_000_000));
    let join = |key: &NodeKey| log.join(key.node_id());
    town::run(join, spec, deal, vec![processes(), processes(), processes()]).await
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = job().await?;
    println!("job {} is {:?}", job.id, job.state);
    Ok(())
}
