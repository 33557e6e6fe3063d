//! Turns the backend's lasting problems into warnings of the node.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{Node, NodeError, warnings::Obstacle};
use crate::{explain::one_line, scheduler::Trouble};

/// Pause between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Looks regularly until the node stops.
pub(crate) async fn observe(node: Arc<Node>) -> Result<(), NodeError> {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut raised = BTreeSet::new();
    while node.stop.run_until_cancelled(ticks.tick()).await.is_some() {
        node.look(&mut raised);
        node.look_at_disks();
    }
    Ok(())
}

impl Node {
    /// Raises a warning for each present problem, and clears the warnings for those that have passed.
    fn look(&self, raised: &mut BTreeSet<Obstacle>) {
        let troubles = self.ports.scheduler.troubles();
        let mut now = BTreeSet::new();
        for trouble in &troubles {
            let obstacle = obstacle(trouble);
            now.insert(obstacle);
            self.warnings.raise(obstacle, None, self.clock.moment().now, one_line(trouble));
        }
        for over in raised.difference(&now) {
            self.warnings.clear(*over, None);
        }
        *raised = now;
    }
}

fn obstacle(trouble: &Trouble) -> Obstacle {
    match trouble {
        Trouble::NotFollowed { .. } | Trouble::Stalled { .. } => Obstacle::Chain,
        Trouble::ClockBehind { .. }
        | Trouble::ClockAhead { .. }
        | Trouble::ClockOfPeers { .. }
        | Trouble::ClockOfRequester { .. } => Obstacle::WrongClock,
        Trouble::NotAnnounced(error) => Obstacle::of_backend(error).unwrap_or(Obstacle::Chain),
    }
}
