//! A scheduler that keeps its node's openings to itself.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};

use crate::{
    domain::{Event, JobId, LogDomain, NodeId, SignedAction, Timestamp},
    scheduler::{
        Anchor, BackendError, Cursor, EventStream, Evidence, LogOrder, Scheduler, SubmitError, Trouble,
        submit_in_turn,
    },
};

/// Passes everything on but reveals.
#[derive(Debug)]
pub(super) struct Silent {
    inner: Arc<dyn Scheduler>,
}

impl Silent {
    pub(super) const fn new(inner: Arc<dyn Scheduler>) -> Self {
        Self { inner }
    }
}

impl Scheduler for Silent {
    fn submit(&self, action: SignedAction) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        if matches!(action.action.event, Event::Revealed { .. }) {
            // The node believes that nobody hears it, and tries again until it is too late.
            return Box::pin(async { Err(SubmitError::NotOrdered(withheld())) });
        }
        self.inner.submit(action)
    }

    fn submit_all(&self, actions: Vec<SignedAction>) -> BoxFuture<'_, Result<Cursor, SubmitError>> {
        match actions.iter().any(|signed| matches!(signed.action.event, Event::Revealed { .. })) {
            true => submit_in_turn(self, actions).boxed(),
            false => self.inner.submit_all(actions),
        }
    }

    fn events(&self, after: Cursor) -> EventStream {
        self.inner.events(after)
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

    fn holds_money(&self) -> bool {
        self.inner.holds_money()
    }

    fn anchors(&self, job: JobId) -> BoxFuture<'_, Result<Vec<Anchor>, BackendError>> {
        self.inner.anchors(job)
    }

    fn evidence(&self, job: JobId) -> Option<Evidence> {
        self.inner.evidence(job)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles()
    }
}

fn withheld() -> BackendError {
    BackendError::Unreachable { peer: NodeId::ZERO, reason: "withheld by a silent node".to_owned() }
}
