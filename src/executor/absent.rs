//! A node without an engine: it submits jobs and runs none.

use std::path::Path;

use futures::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use super::{Executor, ExecutorError, RunOutcome, RunRequest};
use crate::domain::{NodeId, Spec, is_pinned};

/// Runs nothing. It accepts only images named by their content, since it cannot look up other names.
#[derive(Debug, Clone, Copy)]
pub struct NoEngine;

impl NoEngine {
    fn absent(operation: &'static str) -> ExecutorError {
        ExecutorError::Engine { operation, source: "this node was started without an engine".into() }
    }
}

impl Executor for NoEngine {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        let resolved = if is_pinned(image) {
            Ok(image.to_owned())
        } else {
            Err(ExecutorError::Unpinned { image: image.to_owned() })
        };
        async move { resolved }.boxed()
    }

    fn sweep<'a>(&'a self, _: NodeId, _: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        async { Ok(0) }.boxed()
    }

    fn check<'a>(&'a self, _: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        async { Err(Self::absent("check the image")) }.boxed()
    }

    fn run(&self, _: RunRequest, _: CancellationToken) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        async { Err(Self::absent("start a container")) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn images_named_by_their_content_alone_can_be_asked_for() {
        let id = format!("sha256:{}", "a".repeat(64));
        for pinned in [id.clone(), format!("registry.example/image@{id}")] {
            assert_eq!(NoEngine.resolve(&pinned).await.unwrap(), pinned);
        }
        for name in ["busybox", "busybox:1", "busybox@sha256:ab", ""] {
            assert!(matches!(NoEngine.resolve(name).await, Err(ExecutorError::Unpinned { .. })), "{name}");
        }
    }
}
