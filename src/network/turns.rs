//! Unread messages of peers: one queue a peer, read in turn.
//!
//! A peer that sends a lot delays only itself. Under any flood, an honest peer's message waits for at most one
//! message of each other peer.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use crate::domain::NodeId;

/// What a waiting message costs beyond its bytes.
const OVERHEAD: usize = 512;

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Messages of one peer.
    pub(super) of_one: usize,
    /// Bytes of all.
    pub(super) bytes: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
}

/// The queues of all peers.
#[derive(Debug)]
pub(super) struct Turns<T> {
    room: Room,
    queues: BTreeMap<NodeId, Queue<T>>,
    bytes: usize,
    /// Whose turn it was.
    last: Option<NodeId>,
}

impl<T> Turns<T> {
    pub(super) const fn new(room: Room) -> Self {
        Self { room, queues: BTreeMap::new(), bytes: 0, last: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Queues a message of `bytes` bytes. Returns the messages dropped for want of room, perhaps this one: the newest
    /// of the peer with the most queued.
    pub(super) fn push(&mut self, from: NodeId, bytes: usize, message: T) -> Vec<T> {
        let cost = bytes.saturating_add(OVERHEAD);
        let queue = self.queues.entry(from).or_insert(Queue { waiting: VecDeque::new(), bytes: 0 });
        queue.waiting.push_back((cost, message));
        queue.bytes += cost;
        self.bytes += cost;
        let mut gone = Vec::new();
        if queue.waiting.len() > self.room.of_one {
            gone.extend(self.take(from, VecDeque::pop_back));
        }
        while self.bytes > self.room.bytes {
            let greediest = self.queues.iter().max_by_key(|(_, queue)| queue.bytes).map(|(peer, _)| *peer);
            let Some(dropped) = greediest.and_then(|peer| self.take(peer, VecDeque::pop_back)) else { break };
            gone.push(dropped);
        }
        gone
    }

    /// The next message: the oldest of the peer whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.queues.range((after, Bound::Unbounded)).chain(&self.queues).next();
        let peer = *next?.0;
        self.last = Some(peer);
        self.take(peer, VecDeque::pop_front)
    }

    /// The peer has disconnected: its queue is dropped, else one that returns under new keys would have many queues.
    pub(super) fn forget(&mut self, peer: NodeId) {
        if let Some(queue) = self.queues.remove(&peer) {
            self.bytes -= queue.bytes;
        }
    }

    fn take(
        &mut self,
        peer: NodeId,
        end: impl FnOnce(&mut VecDeque<(usize, T)>) -> Option<(usize, T)>,
    ) -> Option<T> {
        let queue = self.queues.get_mut(&peer)?;
        let (cost, message) = end(&mut queue.waiting)?;
        queue.bytes -= cost;
        self.bytes -= cost;
        if queue.waiting.is_empty() {
            self.queues.remove(&peer);
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { of_one: 4, bytes: 20 * (OVERHEAD + 100) };

    fn node(byte: u8) -> NodeId {
        NodeId::new([byte; 20])
    }

    #[test]
    fn an_honest_message_waits_for_one_of_each_flooder_and_no_more() {
        let mut turns = Turns::new(ROOM);
        for message in 0..100 {
            for flooder in 1..=4 {
                turns.push(node(flooder), 100, (flooder, message));
            }
        }
        assert!(turns.push(node(9), 100, (9, 0)).is_empty());
        let read: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        let place = read.iter().position(|message| *message == (9, 0));
        assert!(place.is_some_and(|place| place <= 4), "{read:?}");
        assert_eq!(read.len(), 4 * ROOM.of_one + 1, "what has no room is dropped");
        assert!(read.iter().filter(|(peer, _)| *peer == 1).is_sorted(), "each peer's stay in their order");
    }

    #[test]
    fn who_has_most_waiting_makes_room_for_others() {
        let mut turns = Turns::new(Room { of_one: 100, bytes: 10 * (OVERHEAD + 100) });
        let dropped: usize = (0..30).map(|message| turns.push(node(1), 100, (1, message)).len()).sum();
        assert_eq!(dropped, 20);
        for peer in 2..=5 {
            let gone = turns.push(node(peer), 100, (peer, 0));
            assert!(matches!(gone.as_slice(), [(1, _)]), "{gone:?}");
        }
    }

    #[test]
    fn a_peer_that_goes_takes_its_messages_along() {
        let mut turns = Turns::new(ROOM);
        turns.push(node(1), 100, 1);
        turns.push(node(2), 100, 2);
        turns.forget(node(1));
        assert_eq!((turns.pop(), turns.pop(), turns.is_empty()), (Some(2), None, true));
    }

    proptest! {
        #[test]
        fn room_is_kept_and_counted(steps in proptest::collection::vec((0u8..6, 0usize..400, 0u8..4), 0..200)) {
            let mut turns = Turns::new(ROOM);
            let (mut pushed, mut left) = (0, 0);
            for (peer, bytes, step) in steps {
                match step {
                    0 => left += usize::from(turns.pop().is_some()),
                    1..=3 => {
                        pushed += 1;
                        left += turns.push(node(peer), bytes, ()).len();
                    }
                    _ => {}
                }
                prop_assert!(turns.bytes <= ROOM.bytes);
                let counted: usize = turns.queues.values().map(|queue| queue.bytes).sum();
                prop_assert_eq!(counted, turns.bytes);
                prop_assert!(turns.queues.values().all(|queue| queue.waiting.len() <= ROOM.of_one));
            }
            prop_assert_eq!(std::iter::from_fn(|| turns.pop()).count(), pushed - left);
            prop_assert_eq!(turns.bytes, 0);
        }
    }
}
