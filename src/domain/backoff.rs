//! Exponential back-off with a longest pause.

use core::time::Duration;

/// Pauses between attempts. Each failure in a row doubles the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause, and the cap of the doubling.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after a failure that follows `failures` others in a row.
    pub fn pause(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.min(31)).min(self.longest)
    }

    /// The pause that follows a pause of `last`; the first if `last` is zero.
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
