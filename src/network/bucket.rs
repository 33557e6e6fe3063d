//! How much one party may send: a token bucket each, for a bounded number of parties.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Most parties remembered at once. When there are more, parties with a full bucket are forgotten, which changes
/// nothing. If no bucket is full, newcomers are refused.
const MAX_PARTIES: usize = 4096;

/// One bucket a party, filled at a steady rate.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    burst: u32,
    every: Duration,
    levels: BTreeMap<K, (u32, Instant)>,
}

impl<K: Ord + Copy> Buckets<K> {
    /// Buckets of `burst` tokens that gain one `every` so often.
    pub(crate) const fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, levels: BTreeMap::new() }
    }

    /// Takes a token of `party`, if there is one.
    pub(crate) fn take(&mut self, party: K, now: Instant) -> bool {
        if self.levels.len() >= MAX_PARTIES && !self.levels.contains_key(&party) {
            let (burst, every) = (self.burst, self.every);
            self.levels.retain(|_, level| refilled(*level, burst, every, now).0 < burst);
            if self.levels.len() >= MAX_PARTIES {
                return false;
            }
        }
        let level = self.levels.entry(party).or_insert((self.burst, now));
        *level = refilled(*level, self.burst, self.every, now);
        match level.0.checked_sub(1) {
            Some(left) => {
                level.0 = left;
                true
            }
            None => false,
        }
    }
}

/// The level now, and the moment up to which it is counted.
fn refilled((tokens, since): (u32, Instant), burst: u32, every: Duration, now: Instant) -> (u32, Instant) {
    let gained = now.saturating_duration_since(since).as_nanos() / every.as_nanos().max(1);
    let gained = u32::try_from(gained).unwrap_or(u32::MAX);
    if gained >= burst - tokens { (burst, now) } else { (tokens + gained, since + every * gained) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let (mut buckets, start) = (Buckets::new(3, Duration::from_secs(1)), Instant::now());
        let taken = (0..5).filter(|_| buckets.take(1, start)).count();
        assert_eq!(taken, 3);
        assert!(buckets.take(2, start), "another party has its own");
        assert!(!buckets.take(1, start + Duration::from_millis(999)));
        assert!(buckets.take(1, start + Duration::from_millis(1000)));
        assert!(!buckets.take(1, start + Duration::from_millis(1000)));
        let later = start + Duration::from_secs(100);
        assert_eq!((0..5).filter(|_| buckets.take(1, later)).count(), 3);
    }

    #[test]
    fn the_number_of_parties_is_bounded() {
        let (mut buckets, start) = (Buckets::new(2, Duration::from_secs(1)), Instant::now());
        let taken = (0..2 * MAX_PARTIES).filter(|party| buckets.take(*party, start)).count();
        assert_eq!(taken, MAX_PARTIES);
        assert!(buckets.take(usize::MAX, start + Duration::from_secs(2)));
        assert_eq!(buckets.levels.len(), 1);
    }
}
