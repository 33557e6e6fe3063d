//! How often a peer that does not answer is dialled again: ever less often, whoever wants it.

use std::{collections::BTreeMap, time::Duration};

use ::libp2p::PeerId;
use tokio::time::Instant;

/// The first pause after a dial that came to nothing; doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Most peers remembered. When there are more, those that may be dialled again are forgotten first.
const MAX_PEERS: usize = 4096;

/// Peers that could not be dialled: how often in a row, and until when they are left alone.
#[derive(Debug, Default)]
pub(super) struct Pace(BTreeMap<PeerId, (u32, Instant)>);

impl Pace {
    /// How long this peer is still left alone, if it is.
    pub(super) fn pause(&self, peer: &PeerId, now: Instant) -> Option<Duration> {
        let (_, until) = self.0.get(peer)?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// A dial came to nothing.
    pub(super) fn failed(&mut self, peer: PeerId, now: Instant) {
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            self.0.retain(|_, (_, until)| *until > now);
            if self.0.len() >= MAX_PEERS {
                return;
            }
        }
        let (failures, until) = self.0.entry(peer).or_insert((0, now));
        // Several dials at once fail once.
        if *until > now {
            return;
        }
        *until = now + FIRST_PAUSE.saturating_mul(1 << (*failures).min(16)).min(LONGEST_PAUSE);
        *failures = failures.saturating_add(1);
    }

    /// It is connected.
    pub(super) fn reached(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_is_gone_is_dialled_a_few_times_in_its_first_minutes() {
        let (mut pace, peer, start) = (Pace::default(), PeerId::random(), Instant::now());
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
    fn the_number_of_peers_is_bounded() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for _ in 0..2 * MAX_PEERS {
            pace.failed(PeerId::random(), start);
        }
        assert_eq!(pace.0.len(), MAX_PEERS);
        pace.failed(PeerId::random(), start + Duration::from_secs(2));
        assert_eq!(pace.0.len(), 1);
    }
}
