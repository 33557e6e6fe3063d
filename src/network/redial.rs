//! When to redial the configured peers: ever less often, without end, and at once after a connection that had held.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Backoff;

/// The pauses before the next attempt.
const PAUSES: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(30) };

/// One configured peer's next attempt.
#[derive(Debug, Clone, Copy)]
pub(super) enum Redial {
    /// Connected, or an attempt is in flight.
    Waiting {
        /// Failures in a row.
        failures: u32,
    },
    /// The next attempt is due then.
    Due {
        /// Failures in a row.
        failures: u32,
        /// When.
        at: Instant,
    },
}

impl Redial {
    pub(super) const fn new(now: Instant) -> Self {
        Self::Due { failures: 0, at: now }
    }

    /// Whether to dial now; if so, the attempt counts as in flight from here on.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        match *self {
            Self::Due { failures, at } if at <= now => {
                *self = Self::Waiting { failures };
                true
            }
            Self::Due { .. } | Self::Waiting { .. } => false,
        }
    }

    pub(super) const fn succeeded(&mut self) {
        *self = Self::Waiting { failures: 0 };
    }

    /// The attempt failed, or the link broke.
    pub(super) fn failed(&mut self, now: Instant) {
        let (Self::Waiting { failures } | Self::Due { failures, .. }) = *self;
        *self = Self::Due { failures: failures.saturating_add(1), at: now + PAUSES.pause(failures) };
    }

    /// When the next attempt is due, if none is in flight.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self {
            Self::Due { at, .. } => Some(*at),
            Self::Waiting { .. } => None,
        }
    }

    pub(super) const fn failures(&self) -> u32 {
        let (Self::Waiting { failures } | Self::Due { failures, .. }) = *self;
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_begin_again_after_success() {
        let now = Instant::now();
        let mut redial = Redial::new(now);
        assert!(redial.start(now) && !redial.start(now));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            redial.failed(now);
            pauses.push(redial.due().unwrap() - now);
        }
        assert_eq!(pauses[..3], [PAUSES.first, PAUSES.first * 2, PAUSES.first * 4]);
        assert!(pauses.is_sorted() && *pauses.last().unwrap() == PAUSES.longest);
        redial.succeeded();
        redial.failed(now);
        assert_eq!(redial.due(), Some(now + PAUSES.first));
    }
}
