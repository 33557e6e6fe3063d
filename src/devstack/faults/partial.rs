//! An executor that stops the work at 60 % and delivers what there is.

use std::{fs, io, path::Path};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::decorate::RunFault;
use crate::{
    executor::{Executor, ExecutorError, RunOutcome, RunRequest, Trace},
    store::{OUTPUTS, STDOUT, TRACE},
};

/// How much of the work is done.
const PERCENT: u64 = 60;

/// Delivers a part of what a real run left.
#[derive(Debug)]
pub(super) struct Partial;

impl RunFault for Partial {
    fn run<'a>(
        &'a self,
        inner: &'a dyn Executor,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move {
            let dir = request.result_dir.clone();
            let mut outcome = inner.run(request, cancel).await?;
            cut_trace(&mut outcome.trace);
            let cut = fs::write(dir.join(TRACE), outcome.trace.to_csv())
                .and_then(|()| cut_file(&dir.join(STDOUT)))
                .and_then(|()| cut_below(&dir.join(OUTPUTS)));
            cut.map_err(|source| ExecutorError::ResultDir { path: dir, source })?;
            Ok(outcome)
        })
    }
}

fn part(whole: u64) -> u64 {
    whole.saturating_mul(PERCENT) / 100
}

fn cut_trace(trace: &mut Trace) {
    trace.duration_ms = part(trace.duration_ms).max(1);
    trace.readings.retain(|reading| reading.t_ms < trace.duration_ms);
    let last = trace.readings.last();
    (trace.cpu_ms, trace.faults) =
        last.map_or((part(trace.cpu_ms), part(trace.faults)), |reading| (reading.cpu_ms, reading.faults));
}

fn cut_file(path: &Path) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(part(file.metadata()?.len()))
}

fn cut_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            cut_below(&entry.path())?;
        } else if kind.is_file() {
            cut_file(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        devstack::faults::tests::{request, stdout},
        executor::{FakeExecutor, Reading, Script},
    };

    #[tokio::test]
    async fn sixty_percent_are_delivered() {
        let readings =
            (0..10).map(|t| Reading { t_ms: t * 100, rss_kib: 1000, cpu_ms: t * 90, faults: t * 70 });
        let trace = Trace { readings: readings.collect(), duration_ms: 1000, cpu_ms: 900, faults: 700 };
        let real = FakeExecutor::new(move |_| Script {
            outcome: Ok(RunOutcome { exit_code: 0, trace: trace.clone() }),
            stdout: b"0123456789".to_vec(),
            outputs: vec![("deep/er".to_owned(), b"abcde".to_vec())],
        });
        let dir = tempfile::tempdir().unwrap();
        let outcome = Partial.run(&real, request(1, dir.path()), CancellationToken::new()).await.unwrap();
        assert_eq!(stdout(dir.path()), b"012345");
        assert_eq!(fs::read(dir.path().join("outputs/deep/er")).unwrap(), b"abc");
        assert_eq!((outcome.trace.readings.len(), outcome.trace.duration_ms), (6, 600));
        assert_eq!((outcome.trace.cpu_ms, outcome.trace.faults), (450, 350));
    }
}
