//! How often to redial a peer or an address that does not answer: ever less often, whoever asks for it.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::domain::Backoff;

/// The pauses after failed dials.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// Most targets remembered. When there are more, those that may be dialled again are forgotten first.
const MAX_TARGETS: usize = 4096;

/// Targets that failed: how often in a row, and until when they are not dialled.
#[derive(Debug)]
pub(super) struct Pace<K>(BTreeMap<K, (u32, Instant)>);

impl<K: Ord> Pace<K> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How long until this target may be dialled, if it has to wait.
    pub(super) fn pause(&self, target: &K, now: Instant) -> Option<Duration> {
        let (_, until) = self.0.get(target)?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// A dial failed.
    pub(super) fn failed(&mut self, target: K, now: Instant) {
        if self.0.len() >= MAX_TARGETS && !self.0.contains_key(&target) {
            self.0.retain(|_, (_, until)| *until > now);
            if self.0.len() >= MAX_TARGETS {
                return;
            }
        }
        let (failures, until) = self.0.entry(target).or_insert((0, now));
        // Concurrent dials count as one failure.
        if *until > now {
            return;
        }
        *until = now + PAUSES.pause(*failures);
        *failures = failures.saturating_add(1);
    }

    /// Another peer answers at the address: always a short pause, so that false claims about an address do not cut
    /// off the peer that is there.
    pub(super) fn mistaken(&mut self, target: K, now: Instant) {
        self.reached(&target);
        self.failed(target, now);
    }

    /// It is connected.
    pub(super) fn reached(&mut self, target: &K) {
        self.0.remove(target);
    }
}

#[cfg(test)]
mod tests {
    use ::libp2p::PeerId;

    use super::*;

    #[test]
    fn a_peer_that_is_gone_is_dialled_a_few_times_in_its_first_minutes() {
        let (mut pace, peer, start) = (Pace::new(), PeerId::random(), Instant::now());
        let mut dials = 0;
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            if pace.pause(&peer, now).is_none() {
                dials += 1;
                pace.failed(peer, now);
                pace.failed(peer, now);
            }
        }
        assert_eq!(dials, 8);
        pace.reached(&peer);
        assert_eq!(pace.pause(&peer, start), None);
    }

    #[test]
    fn a_place_where_somebody_else_answers_is_left_alone_for_a_second() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            assert_eq!(pace.pause(&"place", now), None);
            pace.mistaken("place", now);
            assert_eq!(pace.pause(&"place", now), Some(PAUSES.first));
        }
    }

    #[test]
    fn the_number_of_targets_is_bounded() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        for _ in 0..2 * MAX_TARGETS {
            pace.failed(PeerId::random(), start);
        }
        assert_eq!(pace.0.len(), MAX_TARGETS);
        pace.failed(PeerId::random(), start + Duration::from_secs(2));
        assert_eq!(pace.0.len(), 1);
    }
}
