//! An executor whose node dies when its run starts.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::decorate::RunFault;
use crate::executor::{Executor, ExecutorError, RunOutcome, RunRequest};

/// Ends its node instead of running anything.
#[derive(Debug)]
pub(super) struct Crash {
    die: CancellationToken,
}

impl Crash {
    pub(super) const fn new(die: CancellationToken) -> Self {
        Self { die }
    }
}

impl RunFault for Crash {
    fn run<'a>(
        &'a self,
        _: &'a dyn Executor,
        _: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunOutcome, ExecutorError>> {
        Box::pin(async move {
            self.die.cancel();
            // A dead node reports nothing: the run ends with the node, not before.
            cancel.cancelled().await;
            Err(ExecutorError::Interrupted)
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::{
        devstack::faults::tests::request,
        executor::{FakeExecutor, Script},
    };

    #[tokio::test]
    async fn the_run_kills_the_node_and_says_nothing() {
        let (die, cancel) = (CancellationToken::new(), CancellationToken::new());
        let (crash, inner) = (Crash::new(die.clone()), FakeExecutor::new(|_| Script::printing("")));
        let dir = tempfile::tempdir().unwrap();
        let mut run = crash.run(&inner, request(1, dir.path()), cancel.clone());
        assert!((&mut run).now_or_never().is_none());
        assert!(die.is_cancelled());
        cancel.cancel();
        assert!(matches!(run.await, Err(ExecutorError::Interrupted)));
    }
}
