//! The pace of a transfer: the size of the next piece, and how long the transfer may go on.
//!
//! After a piece that comes quickly, the next is twice as long. After one that comes slowly or not at all, the next is
//! shorter, so that even a slow link makes progress within one request. A transfer ends when nothing came for too long, when
//! it falls behind [`LEAST_BYTES_PER_SECOND`], or at its own limit.

use std::time::Duration;

use crate::store::MAX_RANGE_BYTES;

/// The least rate, averaged over the whole transfer after a first [`GRACE`]: 128 kbit/s.
pub(crate) const LEAST_BYTES_PER_SECOND: u64 = 16 * 1024;

/// How far a transfer may fall behind the least rate.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// The first piece, then the shortest and the longest, in bytes.
const FIRST_PIECE: u64 = 64 * 1024;
const SHORTEST_PIECE: u64 = 8 * 1024;

/// A piece that took less than this makes the next longer. One that took more than twice this makes it shorter.
const BRISK: Duration = Duration::from_secs(1);

/// One transfer. All times count from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    piece: u64,
    received: u64,
    progressed: Duration,
    patience: Duration,
    limit: Duration,
}

impl Pace {
    /// A transfer that begins now. It may take `limit` in all, and `patience` without progress.
    pub(crate) const fn new(patience: Duration, limit: Duration) -> Self {
        Self { piece: FIRST_PIECE, received: 0, progressed: Duration::ZERO, patience, limit }
    }

    /// The length of the next piece, in bytes.
    pub(crate) const fn piece(&self) -> u64 {
        self.piece
    }

    /// Records a piece that came.
    pub(crate) fn came(&mut self, bytes: u64, took: Duration, now: Duration) {
        self.received = self.received.saturating_add(bytes);
        self.progressed = now;
        if took < BRISK {
            self.piece = (self.piece * 2).min(MAX_RANGE_BYTES);
        } else if took > 2 * BRISK {
            self.shorten();
        }
    }

    /// Records an attempt without a piece.
    pub(crate) fn failed(&mut self) {
        self.shorten();
    }

    /// Whether another attempt at `now` makes sense after a failure.
    pub(crate) fn may_go_on(&self, now: Duration) -> bool {
        now < self.progressed.saturating_add(self.patience) && now < self.ends()
    }

    /// When the transfer ends if nothing more comes.
    pub(crate) fn ends(&self) -> Duration {
        let earned = Duration::from_secs(self.received / LEAST_BYTES_PER_SECOND);
        GRACE.saturating_add(earned).min(self.limit)
    }

    fn shorten(&mut self) {
        self.piece = (self.piece / 2).max(SHORTEST_PIECE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// How long a transfer of `total` bytes takes over a link of this rate, where a request may take ten seconds; `None` if
    /// the transfer is given up.
    fn transfer(total: u64, bytes_per_second: u64, limit: Duration) -> Option<Duration> {
        let mut pace = Pace::new(PATIENCE, limit);
        let (mut now, mut left) = (Duration::ZERO, total);
        while left > 0 {
            let bytes = pace.piece().min(left);
            let took = Duration::from_millis(bytes * 1000 / bytes_per_second);
            if took > Duration::from_secs(10) {
                now += Duration::from_secs(10);
                pace.failed();
            } else {
                now += took;
                left -= bytes;
                pace.came(bytes, took, now);
            }
            if now > pace.ends() || !pace.may_go_on(now) {
                return None;
            }
        }
        Some(now)
    }

    #[test]
    fn four_megabytes_come_over_a_third_of_two_megabits() {
        let took = transfer(4 << 20, 250_000 / 3, MONTH).unwrap();
        assert!(took < Duration::from_secs(60), "{took:?}");
    }

    #[test]
    fn whatever_keeps_the_least_rate_is_taken_whole() {
        assert!(transfer(64 << 20, LEAST_BYTES_PER_SECOND, MONTH).is_some());
    }

    #[test]
    fn a_crawl_ends_soon_however_long_the_job_may_run() {
        assert_eq!(transfer(2 << 30, LEAST_BYTES_PER_SECOND / 2, MONTH), None);
        let mut pace = Pace::new(PATIENCE, MONTH);
        // The slowest that one request may be, and never without progress.
        let mut now = Duration::ZERO;
        while pace.may_go_on(now) {
            now += Duration::from_secs(9);
            pace.came(SHORTEST_PIECE, Duration::from_secs(9), now);
        }
        assert!(now < 2 * GRACE, "{now:?}");
    }

    #[test]
    fn a_transfer_ends_at_its_limit_at_any_rate() {
        assert_eq!(transfer(2 << 30, 1 << 20, Duration::from_secs(100)), None);
    }

    #[test]
    fn a_fast_link_is_asked_for_long_pieces() {
        let mut pace = Pace::new(PATIENCE, MONTH);
        for _ in 0..4 {
            pace.came(pace.piece(), Duration::from_millis(5), Duration::ZERO);
        }
        assert_eq!(pace.piece(), MAX_RANGE_BYTES);
    }

    #[test]
    fn a_link_that_is_cut_is_waited_for_from_the_last_piece_on() {
        let mut pace = Pace::new(PATIENCE, MONTH);
        let cut = Duration::from_secs(40);
        pace.came(8 << 20, Duration::from_secs(1), cut);
        pace.failed();
        assert!(pace.may_go_on(cut + PATIENCE / 2) && !pace.may_go_on(cut + PATIENCE));
    }
}
