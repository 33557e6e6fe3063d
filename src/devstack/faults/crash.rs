//! An executor whose node dies when its run starts.

use std::{path::Path, sync::Arc};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{NodeId, Spec},
    executor::{Executor, ExecutorError, RunOutcome, RunRequest},
};

/// Ends its node instead of running anything.
#[derive(Debug)]
pub(super) struct Crash {
    inner: Arc<dyn Executor>,
    die: CancellationToken,
}

impl Crash {
    pub(super) const fn new(inner: Arc<dyn Executor>, die: CancellationToken) -> Self {
        Self { inner, die }
    }
}

impl Executor for Crash {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        self.inner.resolve(image)
    }

    fn sweep<'a>(&'a self, node: NodeId, scratch: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        self.inner.sweep(node, scratch)
    }

    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        self.inner.check(spec)
    }

    fn run(
        &self,
        _request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
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
        let crash = Crash::new(Arc::new(FakeExecutor::new(|_| Script::printing(""))), die.clone());
        let dir = tempfile::tempdir().unwrap();
        let mut run = crash.run(request(1, dir.path()), cancel.clone());
        assert!((&mut run).now_or_never().is_none());
        assert!(die.is_cancelled());
        cancel.cancel();
        assert!(matches!(run.await, Err(ExecutorError::Interrupted)));
    }
}
