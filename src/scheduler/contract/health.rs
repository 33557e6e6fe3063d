//! Tells from what the follower sees what is wrong with chain, endpoint or clock. Pure: nothing here asks or waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::{domain::Timestamp, scheduler::Trouble};

/// How far a block's stamp may be ahead of this machine's clock, and how old a block may be when it arrives.
const SKEW_S: u64 = 30;
const LATE_S: u64 = 60;

/// How long a chain with regular blocks may be without a new one.
const STILL: Duration = Duration::from_secs(300);

/// The chain as it was last seen.
#[derive(Debug)]
pub(super) struct Health {
    /// Whether blocks come regularly; a development chain may wait for transactions.
    has_pace: bool,
    failure: Option<String>,
    head: Option<Head>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    number: u64,
    time: Timestamp,
    came: Instant,
    /// How old it was on arrival, in seconds; unknown for the first.
    age_s: Option<u64>,
}

impl Health {
    pub(super) const fn new(has_pace: bool) -> Self {
        Self { has_pace, failure: None, head: None }
    }

    /// A look at the chain failed, or not.
    pub(super) fn looked(&mut self, failure: Option<String>) {
        self.failure = failure;
    }

    /// The newest block is this one; `clock` and `now` are this machine's.
    pub(super) fn saw(&mut self, number: u64, time: Timestamp, clock: Timestamp, now: Instant) {
        let known = self.head.map(|head| head.number);
        if known.is_some_and(|known| number <= known) {
            return;
        }
        let age_s = known.map(|_| seconds(clock, time));
        self.head = Some(Head { number, time, came: now, age_s });
    }

    /// What is wrong now, seen at `endpoint`.
    pub(super) fn troubles(&self, endpoint: &str, clock: Timestamp, now: Instant) -> Vec<Trouble> {
        let failed = self.failure.clone().map(|reason| Trouble::NotFollowed { reason });
        let of_head = self.head.and_then(|Head { number: block, time, came, age_s }| {
            let ahead = seconds(time, clock);
            let still = now.saturating_duration_since(came);
            if ahead > SKEW_S {
                return Some(Trouble::ClockBehind { seconds: ahead, block });
            }
            if let Some(seconds) = age_s.filter(|age| *age > LATE_S) {
                return Some(Trouble::ClockAhead { seconds, block, endpoint: endpoint.to_owned() });
            }
            let stands_still = self.has_pace && still > STILL;
            let stalled =
                || Trouble::Stalled { seconds: still.as_secs(), block, endpoint: endpoint.to_owned() };
            stands_still.then(stalled)
        });
        failed.into_iter().chain(of_head).collect()
    }
}

/// How many seconds `later` is after `earlier`; 0 when it is not.
fn seconds(later: Timestamp, earlier: Timestamp) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_secs(10_000);

    fn after(seconds: u64) -> Timestamp {
        Timestamp::from_secs(AT.as_secs() + seconds)
    }

    #[test]
    fn a_clock_that_is_off_is_told_with_its_seconds() {
        let now = Instant::now();
        let mut health = Health::new(true);
        health.saw(7, after(300), AT, now);
        let behind = Trouble::ClockBehind { seconds: 300, block: 7 };
        assert_eq!(health.troubles("here", AT, now), [behind]);
        assert!(health.troubles("here", after(290), now).is_empty(), "the clock was set");

        let mut health = Health::new(true);
        health.saw(7, AT, after(300), now);
        assert!(health.troubles("here", after(300), now).is_empty(), "the first block may be an old one");
        health.saw(8, after(12), after(312), now);
        let ahead = Trouble::ClockAhead { seconds: 300, block: 8, endpoint: "here".to_owned() };
        assert_eq!(health.troubles("here", after(312), now), [ahead]);
        health.saw(9, after(24), after(25), now);
        assert!(health.troubles("here", after(25), now).is_empty());
    }

    #[test]
    fn a_chain_that_stands_still_is_told_if_it_has_a_pace() {
        let (now, later) = (Instant::now(), Instant::now() + STILL + Duration::from_secs(1));
        for has_pace in [true, false] {
            let mut health = Health::new(has_pace);
            health.saw(7, AT, AT, now);
            health.saw(7, AT, after(200), later);
            assert!(health.troubles("here", AT, now).is_empty());
            assert_eq!(health.troubles("here", after(301), later).len(), usize::from(has_pace));
        }
    }

    #[test]
    fn a_failure_is_told_until_a_look_succeeds() {
        let now = Instant::now();
        let mut health = Health::new(false);
        health.looked(Some("refused".to_owned()));
        let failed = Trouble::NotFollowed { reason: "refused".to_owned() };
        assert_eq!(health.troubles("here", AT, now), [failed]);
        health.looked(None);
        assert!(health.troubles("here", AT, now).is_empty());
    }
}
