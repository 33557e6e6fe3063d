//! A node that is about to end: it takes nothing on, finishes what it can, and gives up the rest in words.
//!
//! A node that just ends owes its jobs an answer: each waits for its deadlines, and the bond of the seat is lost. One that
//! says so has its seats filled again at once.

use std::time::Duration;

use tokio::time::timeout;
use tracing::info;

use super::Node;
use crate::policy::capacity::{Leaving, Obligations};

/// How long a node waits for its reports to be ordered: a block of a slow chain, and some.
const REPORT_LIMIT: Duration = Duration::from_secs(30);

impl Node {
    /// Takes its bids back, lets runs go on for `grace`, then reports those that still go as interrupted. Returns what
    /// it owes even so; [`super::NodeHandle::stop_token`] then ends it. Takes `grace` and half a minute at most, and
    /// is undone by nothing: cancelled, the node takes nothing on from here either.
    pub async fn leave(&self, grace: Duration) -> Obligations {
        info!(?grace, owed = ?self.owed(), "the node takes on no more work");
        self.workload.with_capacity(|capacity| ((), capacity.leave(Leaving::Draining)));
        if !self.settles(grace, |owed| *owed == Obligations::default()).await {
            self.workload.with_capacity(|capacity| ((), capacity.leave(Leaving::GivingUp)));
            self.settles(REPORT_LIMIT, |owed| owed.bids == 0 && owed.seats == 0).await;
        }
        self.owed()
    }

    fn owed(&self) -> Obligations {
        *self.workload.obligations().borrow()
    }

    /// Whether what is owed becomes so, in time.
    async fn settles(&self, limit: Duration, is_so: impl FnMut(&Obligations) -> bool) -> bool {
        let mut owed = self.workload.obligations();
        // The sender is in `self`, so that only time can run out.
        timeout(limit, owed.wait_for(is_so)).await.is_ok()
    }
}
