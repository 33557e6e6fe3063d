//! Has jobs that ended leave memory, once nothing on this node needs them there.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, warn};

use super::{Node, NodeError};
use crate::{explain::one_line, scheduler::BackendError};

/// Between two looks: jobs that end together share a write.
const PERIOD: Duration = Duration::from_secs(1);

/// Lets go of ended jobs until the node stops.
pub(crate) async fn retire(node: Arc<Node>) -> Result<(), NodeError> {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let Some(done) = node.stop.run_until_cancelled(node.retire_ended()).await else { return Ok(()) };
        if let Err(error) = done {
            warn!(error = %one_line(&error), "ended jobs stay in memory; the next look retries");
        }
    }
}

impl Node {
    /// Moves the jobs that are over out of memory.
    async fn retire_ended(&self) -> Result<(), BackendError> {
        let over = self.board.take_over();
        let idle = {
            let driven = self.workload.driven();
            // Its driver lets go of it again.
            over.iter().filter(|job| !driven.contains_key(*job)).copied().collect::<Vec<_>>()
        };
        let ended: Vec<_> = idle.iter().filter_map(|job| self.board.row_of(*job, self.me.id)).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let used = ended.iter().filter_map(|row| self.board.content_of(row.job)).collect();
        let content = self.shelf.content().clone();
        let noted = spawn_blocking(move || content.note_uses(used)).await.expect("noting returns its errors");
        let retired = match noted {
            Ok(()) => self.ports.scheduler.retire(ended.clone()).await,
            Err(error) => Err(BackendError::Store { reason: one_line(&error) }),
        };
        match retired {
            Ok(retired) => {
                debug!(jobs = retired.len(), "ended jobs left memory");
                for row in ended.iter().filter(|row| retired.contains(&row.job)) {
                    self.board.retire(row.job, row.height);
                }
                Ok(())
            }
            Err(error) => {
                idle.into_iter().for_each(|job| self.board.let_go(job));
                Err(error)
            }
        }
    }
}
