//! When to retry a failed attempt.

use core::time::Duration;

use crate::domain::Backoff;

/// The pauses before an action is sent again.
pub const RESEND: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(10) };

/// The pauses before a node looks again whether a job can run here. The look asks servers that the job names, and all nodes
/// look: a job must not make them ask one again and again.
pub(super) const LOOK_AGAIN: Backoff =
    Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(10 * 60) };

/// When the next attempt is due after failed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempts {
    failures: u32,
    until_ms: u64,
}

impl Attempts {
    /// No failure yet.
    pub(super) const NONE: Self = Self { failures: 0, until_ms: 0 };

    /// Records one more failure, at `now_ms`.
    pub(super) fn fail(&mut self, now_ms: u64, pauses: Backoff) {
        self.until_ms = later(now_ms, pauses.pause(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    /// Has the next attempt wait for this long after `now_ms`, without counting a failure.
    pub(super) fn pause(&mut self, now_ms: u64, pause: Duration) {
        self.until_ms = later(now_ms, pause);
    }

    /// At `now_ms`: another attempt is useless until something is heard.
    pub(super) fn give_up(now_ms: u64) -> Self {
        Self { failures: u32::MAX, until_ms: later(now_ms, RESEND.longest) }
    }

    /// When the next attempt is due.
    pub(super) const fn until_ms(self) -> u64 {
        self.until_ms
    }
}

fn later(now_ms: u64, pause: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut attempts = Attempts::NONE;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            attempts.fail(1000, RESEND);
            pauses.push(attempts.until_ms() - 1000);
        }
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!(pauses[39], 10_000);
        assert_eq!(Attempts::give_up(1000).until_ms(), 11_000);
    }
}
