//! An executor that runs nothing and makes up what it left.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Fault, decorate::RunFault};
use crate::executor::{
    Executor, ExecutorError, FakeExecutor, Reading, RunOutcome, RunRequest, Script, Trace,
};

/// How long a pretended run takes: long enough to look real, short enough to pay off.
const PRETENCE: Duration = Duration::from_millis(500);

/// How often a made-up trace was read, as the real sampler does.
const PERIOD_MS: u64 = 50;

/// Makes results up.
#[derive(Debug)]
pub(super) struct Inventor {
    invention: FakeExecutor,
}

impl Inventor {
    pub(super) fn new(fault: Fault) -> Self {
        Self { invention: FakeExecutor::new(move |request| script(fault, request)) }
    }
}

/// What a node of this kind claims.
fn script(fault: Fault, request: &RunRequest) -> Script {
    let claim = |stdout: String, rss_kib, cpu_ms| Script {
        outcome: Ok(RunOutcome { exit_code: 0, trace: flat(rss_kib, cpu_ms) }),
        stdout: stdout.into_bytes(),
        outputs: Vec::new(),
    };
    match fault {
        // What a sleeping process needs.
        Fault::Idle => claim(String::new(), 256, 1),
        // All of them say the same, down to the trace.
        Fault::Collude => claim(format!("agreed beforehand on {}\n", request.job), 64 << 10, 900),
        // Everybody guesses for themselves, or two of them would agree by their traces.
        Fault::Faker | Fault::Copycat | Fault::Partial | Fault::Silent | Fault::Crash => {
            let guess = u16::from_be_bytes([request.node.as_bytes()[0], request.node.as_bytes()[1]]);
            let stdout = format!("made up by {}\n", request.node);
            claim(stdout, 4096 + 32 * u32::from(guess), 100 + u64::from(guess) / 8)
        }
    }
}

fn flat(rss_kib: u32, cpu_ms: u64) -> Trace {
    let duration_ms = u64::try_from(PRETENCE.as_millis()).unwrap_or(u64::MAX);
    // A page of 4 KiB each was touched for the first time.
    let faults = u64::from(rss_kib / 4);
    let readings = (0..duration_ms / PERIOD_MS).map(|step| {
        let t_ms = step * PERIOD_MS;
        Reading { t_ms, rss_kib, cpu_ms: cpu_ms * t_ms / duration_ms, faults }
    });
    Trace { readings: readings.collect(), duration_ms, cpu_ms, faults }
}

impl RunFault for Inventor {
    fn run<'a>(
        &'a self,
        _: &'a dyn Executor,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move {
            // Not waiting for anything: passing time is all that this run does.
            let slept = cancel.run_until_cancelled(tokio::time::sleep(PRETENCE)).await;
            slept.ok_or(ExecutorError::Interrupted)?;
            self.invention.run(request, cancel.clone()).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        devstack::faults::tests::{request, stdout},
        executor::Script,
    };

    async fn claimed(fault: Fault, node: u8) -> (Vec<u8>, RunOutcome) {
        let never = FakeExecutor::new(|_| Script::printing("the real output"));
        let inventor = Inventor::new(fault);
        let dir = tempfile::tempdir().unwrap();
        let outcome =
            inventor.run(&never, request(node, dir.path()), CancellationToken::new()).await.unwrap();
        (stdout(dir.path()), outcome)
    }

    #[tokio::test]
    async fn colluders_claim_the_same_and_fakers_do_not() {
        assert_eq!(claimed(Fault::Collude, 1).await, claimed(Fault::Collude, 2).await);
        assert_ne!(claimed(Fault::Faker, 1).await, claimed(Fault::Faker, 2).await);
    }

    #[tokio::test]
    async fn idlers_claim_an_empty_success_with_a_small_flat_trace() {
        let (stdout, outcome) = claimed(Fault::Idle, 1).await;
        assert_eq!((stdout.as_slice(), outcome.exit_code), (&b""[..], 0));
        assert!(outcome.trace.readings.iter().all(|reading| reading.rss_kib == 256));
    }
}
