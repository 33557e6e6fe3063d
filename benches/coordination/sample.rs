//! What watching a container costs, against what the container itself uses.

use assay::{
    domain::{JobId, NodeId, Seed, Span, Spec},
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor as _, RunDir, RunRequest},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{Outcome, own, say};

/// Runs a container that keeps one processor busy for some seconds. All that this process does meanwhile is to watch
/// it, so its whole CPU time is counted, requests to the engine included.
pub(crate) async fn run(seconds: u32) -> Outcome<()> {
    let executor = DockerExecutor::connect(DEFAULT_SOCKET).await?;
    let image = executor.resolve("assay/demo:1").await?;
    let scratch = RunDir::new_in(&std::env::temp_dir())?;
    let busy = format!("timeout {seconds} sh -c 'while :; do :; done'; true");
    let spec = Spec::builder(image).image_name("assay/demo:1").command(["sh", "-c", &busy]).build()?;
    let request = RunRequest {
        job: JobId::ZERO,
        node: NodeId::ZERO,
        seed: Seed::of(JobId::ZERO),
        spec,
        timeout: Span::from_secs(10 * 60),
        inputs: vec![],
        result_dir: scratch.path().join("result"),
        scratch: scratch.path().to_owned(),
        begin_within: Span::from_secs(0),
        patience: Span::from_secs(0),
    };
    let before = own::cpu_ms()?;
    let outcome = executor.run(request, CancellationToken::new()).await?;
    let cpu_ms = own::cpu_ms()? - before;
    let trace = outcome.trace;
    let readings = trace.readings.len();
    say(&json!({
        "own_cpu_ms": cpu_ms,
        "container_cpu_ms": trace.cpu_ms,
        "duration_ms": trace.duration_ms,
        "readings": readings,
    }));
    Ok(())
}
