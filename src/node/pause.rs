//! What an operator tells a node about taking on work, and how long until it owes nothing.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::info;

use super::Node;
use crate::{domain::Timestamp, policy::capacity::Obligations, store::DbError};

impl Node {
    /// Has the node take on no work until [`Self::resume_work`]. It withdraws its bids, and finishes what it has a seat for.
    /// Blocks until the pause is durable. A node that is paused already keeps the time of its pause.
    ///
    /// # Errors
    /// [`DbError`]; the node goes on then.
    pub fn pause_work(&self) -> Result<Timestamp, DbError> {
        let mut since = self.intake.lock();
        if let Some(since) = *since {
            return Ok(since);
        }
        // A clock at 0 must not read as no pause.
        let now = self.now().max(Timestamp::from_secs(1));
        self.intake.store(Some(now))?;
        *since = Some(now);
        self.workload.pause(true);
        info!("the operator paused the node: it takes on no work");
        Ok(now)
    }

    /// Ends a pause. Blocks until that is durable.
    ///
    /// # Errors
    /// [`DbError`]; the node stays paused then.
    pub fn resume_work(&self) -> Result<(), DbError> {
        let mut since = self.intake.lock();
        if since.is_some() {
            self.intake.store(None)?;
            *since = None;
            self.workload.pause(false);
            info!("the operator resumed the node: it takes on work again");
        }
        Ok(())
    }

    /// Since when the node is paused.
    pub fn paused_since(&self) -> Option<Timestamp> {
        self.intake.since()
    }

    /// Waits until the node owes nothing, for `limit` at most. Returns what it owes then; `None` while it still reads its
    /// log or has yet to ask about a job, because it does not know yet.
    pub async fn settled(&self, limit: Duration) -> Option<Obligations> {
        let began = Instant::now();
        timeout(limit, self.caught_up()).await.ok()?;
        self.workload.settled(limit.saturating_sub(began.elapsed())).await
    }
}
