//! Answers in flight: how many bytes, for one peer and in all.
//!
//! A peer that asks and does not read makes this node hold the answers. Each peer may have a few in flight. When all
//! together take too much, only peers with none in flight are answered, so no peer can keep others out.

use std::collections::BTreeMap;

use ::libp2p::request_response::InboundRequestId;

use crate::domain::NodeId;

/// Bytes in flight to one peer: some pages of a log, or pieces of content.
const MAX_OF_ONE: usize = 4 << 20;

/// Bytes in flight in all beyond which only peers with no answer in flight are answered, and beyond which nobody is.
const MAX_SHARED: usize = 32 << 20;
const MAX_ALL: usize = 64 << 20;

/// The protocol of a request: each counts its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    /// The carried protocol.
    Carried,
    /// Content.
    Blob,
}

/// Names a request of a peer.
pub(super) type Asked = (Protocol, InboundRequestId);

/// The answers in flight.
#[derive(Debug)]
pub(super) struct Unsent<K = Asked> {
    answers: BTreeMap<K, (NodeId, usize)>,
    /// Peers with answers in flight.
    peers: BTreeMap<NodeId, usize>,
    total: usize,
}

impl<K: Ord> Unsent<K> {
    pub(super) const fn new() -> Self {
        Self { answers: BTreeMap::new(), peers: BTreeMap::new(), total: 0 }
    }

    /// Whether an answer of so many bytes may be sent; if so it counts as in flight from here on.
    pub(super) fn begin(&mut self, request: K, to: NodeId, bytes: usize) -> bool {
        let held = self.peers.get(&to).copied().unwrap_or_default();
        let most = if held == 0 { MAX_ALL } else { MAX_SHARED };
        if held + bytes > MAX_OF_ONE || self.total + bytes > most {
            return false;
        }
        self.end(&request);
        *self.peers.entry(to).or_default() += bytes;
        self.total += bytes;
        self.answers.insert(request, (to, bytes));
        true
    }

    /// The answer was sent or given up.
    pub(super) fn end(&mut self, request: &K) {
        let Some((to, bytes)) = self.answers.remove(request) else { return };
        self.total = self.total.saturating_sub(bytes);
        if let Some(held) = self.peers.get_mut(&to) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                self.peers.remove(&to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 448 << 10;

    fn node(byte: u8) -> NodeId {
        NodeId::new([byte; 20])
    }

    #[test]
    fn one_peer_has_a_few_answers_on_their_way() {
        let mut unsent = Unsent::new();
        let taken = (0..32).filter(|request| unsent.begin(*request, node(1), PAGE)).count();
        assert_eq!(taken, MAX_OF_ONE / PAGE);
        assert!(unsent.begin(100, node(2), PAGE), "another peer has its own");
        unsent.end(&0);
        unsent.end(&0);
        assert!(unsent.begin(101, node(1), PAGE) && !unsent.begin(102, node(1), PAGE));
    }

    #[test]
    fn a_crowd_that_does_not_read_keeps_nobody_out() {
        let mut unsent = Unsent::new();
        let requests = (0..32u32).flat_map(|peer| (0..32u32).map(move |request| (peer, request)));
        for (peer, request) in requests {
            unsent.begin(peer * 100 + request, node(u8::try_from(peer).unwrap()), PAGE);
        }
        assert!(unsent.total <= MAX_SHARED + 32 * PAGE, "{}", unsent.total);
        assert!(unsent.begin(9999, node(99), PAGE));
    }

    #[test]
    fn nothing_is_left_of_what_was_sent() {
        let mut unsent = Unsent::new();
        assert!(unsent.begin(1, node(1), 10) && unsent.begin(1, node(1), 20) && unsent.begin(2, node(2), 0));
        assert_eq!(unsent.total, 20);
        unsent.end(&1);
        unsent.end(&2);
        assert_eq!((unsent.total, unsent.answers.len(), unsent.peers.len()), (0, 0, 0));
    }
}
