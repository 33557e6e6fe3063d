//! Decorators that change one thing and pass everything else on.

use std::{fmt::Debug, path::Path, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Asset, Event, Funds, JobId, LogDomain, NodeId, Pace, SignedAction, Spec, Timestamp},
    executor::{Executor, ExecutorError, RunOutcome, RunRequest},
    scheduler::{
        Anchor, BackendError, Cursor, EventStream, Evidence, LogItem, LogOrder, Scheduler, SubmitError,
        Trouble, submit_in_turn,
    },
    store::EndedJob,
};

/// What a node does with its actions and with what it reads, other than it should.
pub(super) trait SchedulerFault: Debug + Send + Sync + 'static {
    /// Whether it does something else than to submit this.
    fn replaces(&self, event: &Event) -> bool;

    /// What it does instead.
    fn submit<'a>(
        &'a self,
        inner: &'a dyn Scheduler,
        action: SignedAction,
    ) -> BoxFuture<'a, Result<Cursor, SubmitError>>;

    /// What the node is told.
    fn events(&self, inner: &Arc<dyn Scheduler>, after: Cursor) -> EventStream {
        inner.events(after)
    }
}

/// A scheduler with a fault.
#[derive(Debug)]
pub(super) struct FaultyScheduler<F> {
    inner: Arc<dyn Scheduler>,
    fault: F,
}

impl<F: SchedulerFault> FaultyScheduler<F> {
    pub(super) fn wrap(inner: Arc<dyn Scheduler>, fault: F) -> Arc<dyn Scheduler> {
        Arc::new(Self { inner, fault })
    }
}

impl<F: SchedulerFault> Scheduler for FaultyScheduler<F> {
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        if self.fault.replaces(&action.action.event) {
            self.fault.submit(&*self.inner, action)
        } else {
            self.inner.submit(action)
        }
    }

    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        if actions.iter().any(|signed| self.fault.replaces(&signed.action.event)) {
            submit_in_turn(self, actions).boxed()
        } else {
            self.inner.submit_all(actions)
        }
    }

    fn events(&self, after: Cursor) -> EventStream {
        self.fault.events(&self.inner, after)
    }

    fn now(&self) -> BoxFuture<'_, Result<Timestamp, BackendError>> {
        self.inner.now()
    }

    fn members(&self) -> Vec<NodeId> {
        self.inner.members()
    }

    fn domain(&self) -> LogDomain {
        self.inner.domain()
    }

    fn order(&self, job: JobId) -> LogOrder {
        self.inner.order(job)
    }

    fn asset(&self) -> Asset {
        self.inner.asset()
    }

    fn holds_money(&self) -> bool {
        self.inner.holds_money()
    }

    fn funds(&self, node: NodeId) -> Option<Funds> {
        self.inner.funds(node)
    }

    fn watch_funds(&self) -> Option<watch::Receiver<u64>> {
        self.inner.watch_funds()
    }

    fn pace(&self) -> Pace {
        self.inner.pace()
    }

    fn anchors(&self, job: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        self.inner.anchors(job)
    }

    fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.inner.evidence(job)
    }

    fn retire(&self, ended: Vec<EndedJob>) -> BoxFuture<'_, Result<Vec<JobId>, BackendError>> {
        self.inner.retire(ended)
    }

    fn log_of(&self, job: JobId) -> Vec<Result<LogItem, BackendError>> {
        self.inner.log_of(job)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles()
    }
}

/// What a node does instead of running a job.
pub(super) trait RunFault: Debug + Send + Sync + 'static {
    /// Pretends to run the job, or runs it in part.
    fn run<'a>(
        &'a self,
        inner: &'a dyn Executor,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunOutcome, ExecutorError>>;
}

/// An executor with a fault. It is honest about everything but runs, so its node bids like any other.
#[derive(Debug)]
pub(super) struct FaultyExecutor<F> {
    inner: Arc<dyn Executor>,
    fault: F,
}

impl<F: RunFault> FaultyExecutor<F> {
    pub(super) fn wrap(inner: Arc<dyn Executor>, fault: F) -> Arc<dyn Executor> {
        Arc::new(Self { inner, fault })
    }
}

impl<F: RunFault> Executor for FaultyExecutor<F> {
    fn resolve<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String, ExecutorError>> {
        self.inner.resolve(image)
    }

    fn sweep<'a>(&'a self, node: NodeId, scratch: &'a Path) -> BoxFuture<'a, Result<usize, ExecutorError>> {
        self.inner.sweep(node, scratch)
    }

    fn check<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Result<(), ExecutorError>> {
        self.inner.check(spec)
    }

    fn gives_scratch<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, Result<(), ExecutorError>> {
        self.inner.gives_scratch(dir)
    }

    fn static_program<'a>(&'a self, spec: &'a Spec) -> BoxFuture<'a, Option<String>> {
        self.inner.static_program(spec)
    }

    fn run(
        &self,
        request: RunRequest,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<RunOutcome, ExecutorError>> {
        self.fault.run(&*self.inner, request, cancel)
    }
}
