//! Running a job's container, and sampling its memory.
//!
//! An [`Executor`] runs one spec within its limits and returns the outcome. It knows nothing of bids, verdicts or money. The
//! compute side of a node calls it, and misbehaving nodes wrap it. [`DockerExecutor`] is the real one, [`NoEngine`] serves a
//! node that only submits jobs, and [`FakeExecutor`] is a scripted one for tests and simulations. `examples/own_executor.rs`
//! shows another.
//!
//! ```
//! use assay::{
//!     domain::Spec,
//!     executor::{Executor, FakeExecutor, Script},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), assay::executor::ExecutorError> {
//! let executor = FakeExecutor::new(|request| Script::printing(request.spec.command.join(" ")));
//! executor.check(&Spec::sample()).await?;
//! assert_eq!(executor.resolve("demo").await?, "demo");
//! # Ok(())
//! # }
//! ```

mod absent;
#[cfg(feature = "docker")]
mod docker;
mod error;
mod fake;
mod room;
mod run;
mod run_dir;

use std::{fmt::Debug, path::Path};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use absent::NoEngine;
#[cfg(feature = "docker")]
pub use docker::{
    CgroupVersion, DEFAULT_SOCKET, DockerExecutor, EngineInfo, MAX_STREAM_BYTES, Registries, ResolvedImage,
};
pub use error::{ExecutorError, OutputPlace};
pub use fake::{FakeExecutor, Script};
pub use room::{RESERVE_BYTES, free_bytes};
pub use run::{InputMount, Reading, RunOutcome, RunRequest, Trace};
pub use run_dir::RunDir;
pub(crate) use run_dir::{clear, mark_left};

use crate::domain::{NodeId, Spec};

/// Runs containers.
pub trait Executor: Debug + Send + Sync + 'static {
    /// The name under which every node finds the image that `image` means now. Asked once for each job, at submission.
    ///
    /// # Errors
    /// [`ExecutorError::ImageMissing`] if the image is not here and cannot be pulled.
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>>;

    /// Removes what ended runs of this node left in `scratch`, after a crash or because the engine was away; returns the
    /// number removed. Called periodically.
    ///
    /// # Errors
    /// When the engine does not answer.
    fn sweep<'a>(&'a self, node: NodeId, scratch: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>>;

    /// Whether a run of this spec could start here. Asked before a node bids.
    ///
    /// # Errors
    /// The reason against it: the engine is down, the image is neither here nor in a registry, or the machine is too small.
    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>>;

    /// Whether runs of this machine can have a scratch directory below `dir`. Asked when a node starts.
    ///
    /// # Errors
    /// The reason against it.
    fn gives_scratch<'a>(&'a self, _dir: &'a Path) -> BoxFuture<'a, Result<(), ExecutorError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The program that a container of this spec starts, if it is a static binary, which loads no library: `--seeded` does
    /// not reach it. `None` if it is none, or if this executor cannot tell. Asked after a seeded job is submitted.
    fn static_program<'a>(&'a self, _spec: &'a Spec) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    /// Runs one container to its end and leaves `stdout`, `stderr`, `exit_code`, `trace.csv` and `outputs/`
    /// in the request's result directory.
    ///
    /// A command that exits non-zero is an outcome, not an error. When `cancel` fires, the executor kills and removes the
    /// container and returns [`ExecutorError::Interrupted`]. Not cancel safe: dropping the future leaves the container to
    /// the next sweep.
    ///
    /// # Errors
    /// Every way in which a run gives no result. The node reports [`ExecutorError::failure_kind`].
    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>>;
}
