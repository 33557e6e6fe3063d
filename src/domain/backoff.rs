//! How long to wait between attempts: ever longer, up to a bound.

use core::time::Duration;

/// Pauses between attempts: the first, doubled with each failure in a row, and the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after a failure that came after so many others in a row.
    pub fn pause(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.min(31)).min(self.longest)
    }

    /// The pause after the one that was made last; after none, the first.
    pub fn after(self, last: Duration) -> Duration {
        last.saturating_mul(2).max(self.first).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECONDS: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

    #[test]
    fn pauses_double_from_the_first_to_the_longest() {
        let pauses: Vec<u64> = (0..7).map(|failures| SECONDS.pause(failures).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(SECONDS.pause(u32::MAX), SECONDS.longest);
    }

    #[test]
    fn each_pause_follows_from_the_one_before() {
        let mut last = Duration::ZERO;
        for failures in 0..40 {
            last = SECONDS.after(last);
            assert_eq!(last, SECONDS.pause(failures));
        }
        assert_eq!(SECONDS.after(Duration::from_millis(1)), SECONDS.first, "of other pauses");
        assert_eq!(SECONDS.after(Duration::MAX), SECONDS.longest);
    }
}
