//! A node that is about to end: it takes nothing on, finishes what it can, and reports the rest.
//!
//! If a node just ends, its jobs wait for their deadlines and the bonds of its seats are lost. If it reports instead, other
//! nodes fill its seats at once.

use std::time::Duration;

use tokio::time::timeout;
use tracing::info;

use super::Node;
use crate::policy::capacity::{Leaving, Obligations};

/// How long a node waits until its reports are ordered: a block of a slow chain, with a margin.
const REPORT_LIMIT: Duration = Duration::from_secs(30);

impl Node {
    /// Withdraws the node's bids, lets runs go on for `grace`, and reports the rest as interrupted. Returns what the node
    /// still owes; [`super::NodeHandle::stop_token`] then ends it. Takes at most `grace` and half a minute. There is no way
    /// back: after a cancelled call the node still takes nothing on.
    pub async fn leave(&self, grace: Duration) -> Obligations {
        info!(?grace, owed = ?self.owed(), "the node takes on no more work");
        self.workload.with_capacity(|capacity| ((), capacity.leave(Leaving::Draining)));
        if !self.settles(grace, |owed| *owed == Obligations::default()).await {
            self.workload.with_capacity(|capacity| ((), capacity.leave(Leaving::GivingUp)));
            self.settles(REPORT_LIMIT, |owed| owed.bids == 0 && owed.seats == 0).await;
        }
        self.owed()
    }

    /// What the node still owes, as far as it has asked about its jobs.
    pub(crate) fn owed(&self) -> Obligations {
        *self.workload.obligations().borrow()
    }

    /// Whether what the node owes satisfies `is_so` in time.
    pub(super) async fn settles(&self, limit: Duration, is_so: impl FnMut(&Obligations) -> bool) -> bool {
        let mut owed = self.workload.obligations();
        // The sender is in `self`, so only time can run out.
        timeout(limit, owed.wait_for(is_so)).await.is_ok()
    }
}
