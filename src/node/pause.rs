//! What an operator tells a node about taking on work, and how long until it owes nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};
use tracing::info;

use super::{Node, NodeError};
use crate::{
    domain::{Job, Span, Timestamp},
    policy::{admission::Declined, capacity::Obligations},
    store::DbError,
};

/// Takes on work in the hours of the node alone, until the node stops.
pub(super) async fn keep_hours(node: Arc<Node>) -> Result<(), NodeError> {
    loop {
        let now = node.now();
        node.set_open(node.config.admission.is_open(now));
        let change = node.config.admission.next_change(now);
        // The clock tells when a time has passed, and the change holds from its first second on.
        let last = change.map(|change| change.minus(Span::from_secs(1)));
        if node.stop.run_until_cancelled(node.clock.after(last)).await.is_none() {
            return Ok(());
        }
    }
}

impl Node {
    /// Has the node take on no work until [`Self::resume_work`]. It withdraws its bids, and finishes what it has a seat for.
    /// Blocks until the pause is durable. A node that is paused already keeps the time of its pause.
    ///
    /// # Errors
    /// [`DbError`]; the node goes on then.
    pub fn pause_work(&self) -> Result<Timestamp, DbError> {
        let mut state = self.intake.lock();
        if let Some(since) = state.since {
            return Ok(since);
        }
        // A clock at 0 must not read as no pause.
        let now = self.now().max(Timestamp::from_secs(1));
        self.intake.store(Some(now))?;
        state.since = Some(now);
        self.workload.pause(!state.takes_on());
        info!("the operator paused the node: it takes on no work");
        Ok(now)
    }

    /// Ends a pause. Blocks until that is durable.
    ///
    /// # Errors
    /// [`DbError`]; the node stays paused then.
    pub fn resume_work(&self) -> Result<(), DbError> {
        let mut state = self.intake.lock();
        if state.since.is_some() {
            self.intake.store(None)?;
            state.since = None;
            self.workload.pause(!state.takes_on());
            info!("the operator resumed the node: it takes on work again");
        }
        Ok(())
    }

    /// Since when the node is paused.
    pub fn paused_since(&self) -> Option<Timestamp> {
        self.intake.state().since
    }

    /// Whether the node bids: it is in its hours, and not paused.
    pub(crate) fn takes_work(&self) -> bool {
        self.intake.state().takes_on()
    }

    /// Why the operator keeps the node from bidding on a job now.
    pub(crate) fn declines(&self, job: &Job) -> Vec<Declined> {
        let state = self.intake.state();
        let paused = state.since.is_some().then_some(Declined::Paused);
        let hours = (!state.is_open).then_some(Declined::Hours);
        paused.into_iter().chain(hours).chain(self.config.admission.declines(job)).collect()
    }

    fn set_open(&self, is_open: bool) {
        let mut state = self.intake.lock();
        if state.is_open != is_open {
            state.is_open = is_open;
            self.workload.pause(!state.takes_on());
            info!(is_open, "the hours in which the node takes on work have changed");
        }
    }

    /// Waits until the node owes nothing, for `limit` at most. Returns what it owes then; `None` while it still reads its
    /// log or has yet to ask about a job, because it does not know yet.
    pub async fn settled(&self, limit: Duration) -> Option<Obligations> {
        let began = Instant::now();
        timeout(limit, self.caught_up()).await.ok()?;
        self.workload.settled(limit.saturating_sub(began.elapsed())).await
    }
}
