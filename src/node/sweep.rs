//! Removes what runs left behind: at the start after a crash, and while the node runs if the engine was away when a run
//! ended.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};

use super::{Node, NodeError};
use crate::{
    executor::{ExecutorError, clear, mark_left},
    explain::one_line,
};

/// Pause between two sweeps.
const PERIOD: Duration = Duration::from_secs(20);

/// Sweeps regularly until the node stops.
pub(crate) async fn sweep(node: Arc<Node>) -> Result<(), NodeError> {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    // The first tick comes at once, and the start has just swept.
    ticks.tick().await;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let Some(failed) = node.stop.run_until_cancelled(node.sweep_once()).await else { return Ok(()) };
        // Logged once for every time that the engine goes away.
        if let Err(error) = &failed
            && !failing
        {
            warn!(error = %one_line(error), "cannot remove what runs left; the next sweep retries");
        }
        failing = failed.is_err();
    }
}

impl Node {
    /// Removes what no run of this node uses any more.
    pub(crate) async fn sweep_once(&self) -> Result<(), ExecutorError> {
        let removed = self.ports.executor.sweep(self.me.id, &self.scratch()).await?;
        if removed > 0 {
            info!(removed, "left-overs removed");
        }
        Ok(())
    }

    /// Empties the directory that runs work in, including what a crash left mounted there.
    pub(crate) async fn clear_scratch(&self) -> Result<(), NodeError> {
        let path = self.scratch();
        let cleared = spawn_blocking(move || match clear(&path) {
            // A container's user owns its own directories, and only root may remove those. The sweeps have the engine remove
            // them.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => mark_left(&path),
            cleared => cleared,
        });
        let cleared = cleared.await.map_err(NodeError::panicked("sweep"))?;
        cleared.map_err(|source| NodeError::Scratch { path: self.scratch(), source })
    }
}
