//! A scheduler that keeps its node's openings to itself.

use futures::future::BoxFuture;

use super::decorate::SchedulerFault;
use crate::{
    domain::{Event, NodeId, SignedAction},
    scheduler::{BackendError, Cursor, Scheduler, SubmitError},
};

/// Submits everything but reveals.
#[derive(Debug)]
pub(super) struct Silent;

impl SchedulerFault for Silent {
    fn replaces(&self, event: &Event) -> bool {
        matches!(event, Event::Revealed { .. })
    }

    /// The node believes that nobody hears it, and tries again until it is too late.
    fn submit<'a>(
        &'a self,
        _: &'a dyn Scheduler,
        _: SignedAction,
    ) -> BoxFuture<'a, Result<Cursor, SubmitError>> {
        let reason = "withheld by a silent node".to_owned();
        let withheld = BackendError::Unreachable { peer: NodeId::ZERO, reason };
        Box::pin(std::future::ready(Err(SubmitError::NotOrdered(withheld))))
    }
}
