//! How far this node's clock is from those of its peers.
//!
//! A wrong clock silences its owner: peers do not follow a job from their future, and act in no log whose stamps are
//! off. Only followers would notice, and they cannot tell a requester that they do not follow. So a node asks its
//! peers for their time. If its clock differs from most of theirs, its operator is told by how much. Each peer whose
//! clock differs is named once. Peers may lie: an answer causes words, and no decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::sequence::MAX_SKEW;
use crate::{
    domain::{NodeId, Timestamp},
    scheduler::Trouble,
};

/// Other nodes whose clock differs and that are named in the log.
const MAX_NAMED: usize = 64;

/// The clocks of others, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Clocks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By how many seconds this machine's clock is ahead, for each peer that was asked.
    ahead: BTreeMap<NodeId, i64>,
    /// Nodes whose clock differs, and that were named.
    named: BTreeSet<NodeId>,
}

/// By how many seconds this machine's clock is ahead of one that said `theirs` between `asked` and `answered`; never
/// more than is certain.
pub(super) fn ahead_of(theirs: Timestamp, asked: Timestamp, answered: Timestamp) -> i64 {
    let nearest = theirs.clamp(asked, answered.max(asked));
    let signed = |at: Timestamp| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    signed(nearest).saturating_sub(signed(theirs))
}

fn differs(ahead: i64) -> bool {
    ahead.unsigned_abs() > u64::from(MAX_SKEW.as_secs())
}

impl Clocks {
    /// Notes what a peer answered.
    pub(super) fn note(&self, peer: NodeId, ahead: i64) {
        self.lock().ahead.insert(peer, ahead);
        self.name(peer, ahead);
    }

    /// Names a node whose clock differs, once until it agrees again.
    pub(super) fn name(&self, node: NodeId, ahead: i64) {
        let mut known = self.lock();
        if !differs(ahead) {
            known.named.remove(&node);
            return;
        }
        if known.named.len() >= MAX_NAMED || !known.named.insert(node) {
            return;
        }
        drop(known);
        let side = if ahead < 0 { "ahead of" } else { "behind" };
        tracing::warn!(
            %node,
            hint = "set the clock that is wrong (ntp)",
            "the clock of a node is {} s {side} this machine's: neither takes part in the other's jobs",
            ahead.unsigned_abs(),
        );
    }

    /// Forgets the clocks of peers that are gone.
    pub(super) fn keep(&self, asked: &BTreeSet<NodeId>) {
        self.lock().ahead.retain(|peer, _| asked.contains(peer));
    }

    /// By how much this machine's clock differs from those of most peers, if it does.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let known = self.lock();
        let of = known.ahead.len();
        let off = |is_ahead: bool| {
            let mut off: Vec<i64> = known
                .ahead
                .values()
                .copied()
                .filter(|ahead| differs(*ahead) && (*ahead > 0) == is_ahead)
                .collect();
            off.sort_unstable();
            off
        };
        let most = [off(true), off(false)].into_iter().find(|off| 2 * off.len() > of)?;
        let seconds = most[(most.len() - 1) / 2];
        Some(Trouble::ClockOfPeers { seconds, peers: most.len(), of })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change is a single insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> NodeId {
        NodeId::new([byte; 20])
    }

    fn trouble(ahead: &[i64]) -> Option<(i64, usize, usize)> {
        let clocks = Clocks::default();
        for (byte, ahead) in (0..).zip(ahead) {
            clocks.note(peer(byte), *ahead);
        }
        clocks.trouble().map(|trouble| match trouble {
            Trouble::ClockOfPeers { seconds, peers, of } => (seconds, peers, of),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn a_clock_is_wrong_that_differs_from_most_others_to_the_same_side() {
        assert_eq!(trouble(&[]), None);
        assert_eq!(trouble(&[30, -30, 0]), None);
        assert_eq!(trouble(&[300]), Some((300, 1, 1)));
        assert_eq!(trouble(&[-300, 0]), None);
        assert_eq!(trouble(&[-300, -290, 0]), Some((-300, 2, 3)));
        assert_eq!(
            trouble(&[300, -300, 300, -300]),
            None,
            "they agree with each other no more than with this one"
        );
        assert_eq!(trouble(&[31, 4000, 298, 299, 3]), Some((298, 4, 5)), "one liar moves the figure little");
    }

    #[test]
    fn the_way_of_an_answer_is_no_difference_of_clocks() {
        let at = Timestamp::from_secs;
        assert_eq!(ahead_of(at(100), at(100), at(145)), 0);
        assert_eq!(ahead_of(at(145), at(100), at(145)), 0);
        assert_eq!(ahead_of(at(60), at(100), at(145)), 40);
        assert_eq!(ahead_of(at(445), at(100), at(145)), -300);
        assert_eq!(ahead_of(at(445), at(145), at(100)), -300, "this clock was set meanwhile");
        assert_eq!(ahead_of(at(u64::MAX), at(100), at(145)), 145 - i64::MAX);
    }

    #[test]
    fn peers_that_leave_count_no_more() {
        let clocks = Clocks::default();
        clocks.note(peer(1), 300);
        clocks.note(peer(2), 0);
        assert_eq!(clocks.trouble(), None);
        clocks.keep(&[peer(1)].into());
        assert!(clocks.trouble().is_some());
        clocks.note(peer(1), 0);
        assert_eq!(clocks.trouble(), None);
    }

    #[test]
    fn strangers_cannot_fill_memory_or_log_with_their_clocks() {
        let clocks = Clocks::default();
        for byte in 0..=255 {
            clocks.name(peer(byte), -300);
        }
        assert_eq!(clocks.lock().named.len(), MAX_NAMED);
        clocks.name(peer(0), 0);
        assert_eq!(clocks.lock().named.len(), MAX_NAMED - 1);
        assert_eq!(clocks.trouble(), None, "who was not asked has no say");
    }
}
