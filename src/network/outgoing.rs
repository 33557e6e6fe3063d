//! Requests to peers: a few to each are in flight, the others wait for their turn.
//!
//! A connection carries a bounded number of requests of both sides together; more fail. So this node leaves room on
//! each connection for the peer's own requests.

use std::collections::{BTreeMap, VecDeque};

use ::libp2p::request_response::OutboundRequestId;
use tokio::sync::oneshot;

use super::{behaviour::MAX_STREAMS, handle::RequestError};
use crate::domain::NodeId;

/// Requests to one peer in flight. With as many of the peer's own, a quarter stays free for requests that have ended
/// on one side only.
const IN_FLIGHT: usize = 12;

const _: () = assert!(2 * IN_FLIGHT + MAX_STREAMS / 4 <= MAX_STREAMS);

/// Requests to one peer, and in all, waiting or in flight: beyond this, callers are told that this node is busy.
const MAX_OF_ONE: usize = 512;
const MAX_ALL: usize = 1024;

/// Where the answer goes.
pub(super) type Reply<A> = oneshot::Sender<Result<A, RequestError>>;

/// All requests of one protocol.
#[derive(Debug)]
pub(super) struct Outgoing<Q, A, K = OutboundRequestId> {
    in_flight: BTreeMap<K, (NodeId, Reply<A>)>,
    peers: BTreeMap<NodeId, Peer<Q, A>>,
    waiting: usize,
}

#[derive(Debug)]
struct Peer<Q, A> {
    in_flight: usize,
    waiting: VecDeque<(Q, Reply<A>)>,
}

impl<Q, A, K: Ord> Outgoing<Q, A, K> {
    pub(super) const fn new() -> Self {
        Self { in_flight: BTreeMap::new(), peers: BTreeMap::new(), waiting: 0 }
    }

    /// Queues a request. Without room for it, its caller gets an error.
    pub(super) fn push(&mut self, node: NodeId, request: Q, reply: Reply<A>) {
        if !self.has_room(node) {
            self.forget_abandoned();
        }
        if !self.has_room(node) {
            // The caller may have stopped waiting.
            let _ = reply.send(Err(RequestError::Busy));
            return;
        }
        let peer = self.peers.entry(node).or_insert(Peer { in_flight: 0, waiting: VecDeque::new() });
        peer.waiting.push_back((request, reply));
        self.waiting += 1;
    }

    fn has_room(&self, node: NodeId) -> bool {
        let of_one = self.peers.get(&node).map_or(0, |peer| peer.in_flight + peer.waiting.len());
        of_one < MAX_OF_ONE && self.in_flight.len() + self.waiting < MAX_ALL
    }

    /// The next request to a peer, if another may be in flight.
    pub(super) fn next(&mut self, node: NodeId) -> Option<(Q, Reply<A>)> {
        let peer = self.peers.get_mut(&node)?;
        while peer.in_flight < IN_FLIGHT {
            let Some((request, reply)) = peer.waiting.pop_front() else { break };
            self.waiting -= 1;
            if !reply.is_closed() {
                return Some((request, reply));
            }
        }
        if peer.in_flight == 0 && peer.waiting.is_empty() {
            self.peers.remove(&node);
        }
        None
    }

    /// A request is in flight from here on.
    pub(super) fn sent(&mut self, id: K, node: NodeId, reply: Reply<A>) {
        self.peers.entry(node).or_insert(Peer { in_flight: 0, waiting: VecDeque::new() }).in_flight += 1;
        self.in_flight.insert(id, (node, reply));
    }

    /// Ends a request: returns its peer and where its answer goes.
    pub(super) fn end(&mut self, id: &K) -> Option<(NodeId, Reply<A>)> {
        let (node, reply) = self.in_flight.remove(id)?;
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.in_flight = peer.in_flight.saturating_sub(1);
        }
        Some((node, reply))
    }

    /// Drops requests whose callers have stopped waiting.
    fn forget_abandoned(&mut self) {
        for peer in self.peers.values_mut() {
            peer.waiting.retain(|(_, reply)| !reply.is_closed());
        }
        self.waiting = self.peers.values().map(|peer| peer.waiting.len()).sum();
        self.peers.retain(|_, peer| peer.in_flight > 0 || !peer.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answered = oneshot::Receiver<Result<(), RequestError>>;

    fn node(byte: u8) -> NodeId {
        NodeId::new([byte; 20])
    }

    fn push(outgoing: &mut Outgoing<usize, (), usize>, to: u8, request: usize) -> Answered {
        let (reply, answer) = oneshot::channel();
        outgoing.push(node(to), request, reply);
        answer
    }

    /// Sends what may be sent to a peer.
    fn send(outgoing: &mut Outgoing<usize, (), usize>, to: u8) -> Vec<usize> {
        let mut sent = Vec::new();
        while let Some((request, reply)) = outgoing.next(node(to)) {
            outgoing.sent(request, node(to), reply);
            sent.push(request);
        }
        sent
    }

    #[test]
    fn a_few_requests_to_each_peer_are_in_flight_and_the_others_follow_in_their_order() {
        let mut outgoing = Outgoing::new();
        let _answers: Vec<_> = (0..40).map(|request| push(&mut outgoing, 1, request)).collect();
        let _other = push(&mut outgoing, 2, 100);
        assert_eq!(send(&mut outgoing, 1), (0..IN_FLIGHT).collect::<Vec<_>>());
        assert_eq!(send(&mut outgoing, 2), [100], "another peer does not wait for it");
        assert_eq!(outgoing.end(&3).unwrap().0, node(1));
        assert!(outgoing.end(&3).is_none());
        assert_eq!(send(&mut outgoing, 1), [IN_FLIGHT]);
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_sent() {
        let mut outgoing = Outgoing::new();
        drop(push(&mut outgoing, 1, 0));
        let _answer = push(&mut outgoing, 1, 1);
        assert_eq!(send(&mut outgoing, 1), [1]);
    }

    #[test]
    fn one_peer_does_not_take_every_place() {
        let mut outgoing = Outgoing::new();
        let mut answers: Vec<_> = (0..=MAX_OF_ONE).map(|request| push(&mut outgoing, 1, request)).collect();
        assert_eq!(answers.pop().unwrap().try_recv(), Ok(Err(RequestError::Busy)));
        assert!(answers.iter_mut().all(|answer| answer.try_recv().is_err()));
        assert!(push(&mut outgoing, 2, 0).try_recv().is_err(), "another peer has places");
        drop(answers);
        assert!(push(&mut outgoing, 1, 0).try_recv().is_err(), "what nobody waits for makes room");
    }

    #[test]
    fn the_number_of_requests_is_bounded_and_nothing_is_left_of_those_that_ended() {
        let mut outgoing = Outgoing::new();
        let mut answers: Vec<_> = (0..=MAX_ALL)
            .map(|request| push(&mut outgoing, u8::try_from(request % 8).unwrap(), request))
            .collect();
        assert_eq!(answers.pop().unwrap().try_recv(), Ok(Err(RequestError::Busy)));
        for peer in 0..8 {
            while let Some(request) = send(&mut outgoing, peer).first().copied() {
                for sent in request..=MAX_ALL {
                    outgoing.end(&sent);
                }
            }
        }
        assert_eq!((outgoing.waiting, outgoing.in_flight.len(), outgoing.peers.len()), (0, 0, 0));
    }
}
