//! When to retry a failed attempt.

/// The first pause before an action is sent again, in milliseconds; doubled up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 200;
const LONGEST_PAUSE_MS: u64 = 10_000;

/// When the next attempt is due, after attempts that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until_ms: u64,
}

impl Backoff {
    /// No failure yet.
    pub const NONE: Self = Self { failures: 0, until_ms: 0 };

    /// One more failure, at `now_ms`.
    pub fn fail(&mut self, now_ms: u64) {
        self.until_ms = now_ms.saturating_add(self.pause_ms());
        self.failures = self.failures.saturating_add(1);
    }

    /// At `now_ms`, another attempt is of no use for as long as nothing is heard.
    pub const fn give_up(now_ms: u64) -> Self {
        Self { failures: u32::MAX, until_ms: now_ms.saturating_add(LONGEST_PAUSE_MS) }
    }

    /// When the next attempt is due.
    pub const fn until_ms(self) -> u64 {
        self.until_ms
    }

    /// How long the pause after another failure is.
    pub fn pause_ms(self) -> u64 {
        FIRST_PAUSE_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut backoff = Backoff::NONE;
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.fail(1000);
            pauses.push(backoff.until_ms() - 1000);
        }
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!(pauses[39], LONGEST_PAUSE_MS);
        assert_eq!(Backoff::give_up(1000).until_ms(), 1000 + LONGEST_PAUSE_MS);
    }
}
