//! The driver's part in dialling: whom, where, and after which pause.

use std::time::Duration;

use ::libp2p::{
    Multiaddr, PeerId,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::time::Instant;

use super::Driver;
use crate::{
    domain::NodeId,
    network::{handle::RequestError, peer::node_of_peer, places::place_in},
};

impl Driver {
    pub(super) fn peer(&self, node: NodeId) -> Result<(PeerId, Vec<Multiaddr>), RequestError> {
        let (peer, mut addresses) = self.book.peer(node).cloned().ok_or(RequestError::UnknownPeer(node))?;
        if self.book.is_connected(node) {
            return Ok((peer, addresses));
        }
        if let Some(pause) = self.leave_alone(&peer, &mut addresses) {
            let seconds = pause.as_secs() + 1;
            return Err(RequestError::Failed(format!("it cannot be dialled; next try in {seconds} s")));
        }
        Ok((peer, addresses))
    }

    /// Leaves out addresses where dials failed lately. If none remains, says for how long the peer is not dialled.
    fn leave_alone(&self, peer: &PeerId, addresses: &mut Vec<Multiaddr>) -> Option<Duration> {
        let now = Instant::now();
        let mut shortest: Option<Duration> = None;
        addresses.retain(|address| {
            let pause = place_in(address).and_then(|place| self.places.pause(&place, now));
            shortest = [shortest, pause].into_iter().flatten().min();
            pause.is_none()
        });
        self.pace.pause(peer, now).or(shortest.filter(|_| addresses.is_empty()))
    }

    pub(super) fn meet(&mut self, node: NodeId) {
        if let Some((peer, mut addresses)) = self.book.peer(node).cloned()
            && !self.book.is_connected(node)
            && self.leave_alone(&peer, &mut addresses).is_none()
        {
            let opts = DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing);
            // A dial that is in flight already serves as well; the caller asks again.
            let _ = self.swarm.dial(opts.addresses(addresses).build());
        }
    }

    /// Remembers the addresses that somebody names for a peer, as far as this node may dial them.
    pub(super) fn learn(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.retain(|address| self.reach.may_dial(address));
        if peer != *self.swarm.local_peer_id() {
            self.book.locate(peer, addresses);
        }
    }

    /// Notes a failed dial, for the peer and for each address that was tried.
    pub(super) fn pace_after(&mut self, peer: Option<PeerId>, error: &DialError, now: Instant) {
        match error {
            DialError::Transport(failed) => {
                failed
                    .iter()
                    .filter_map(|(address, _)| place_in(address))
                    .for_each(|place| self.places.failed(place, now));
            }
            DialError::WrongPeerId { address, .. } => {
                if let Some(place) = place_in(address) {
                    self.places.mistaken(place, now);
                }
            }
            _other => return,
        }
        if let Some(peer) = peer {
            self.pace.failed(peer, now);
        }
    }

    pub(super) fn dial_due(&mut self) {
        let now = Instant::now();
        while let Some((link, opts)) = self.links.start_due(now) {
            match self.swarm.dial(opts) {
                Ok(()) => {}
                Err(error) => {
                    let connected = self.links.peer(link).and_then(|peer| node_of_peer(&peer));
                    match connected.filter(|node| self.book.is_connected(*node)) {
                        Some(node) => self.links.reached(link, node),
                        None => self.links.refused(link, &error.to_string(), now),
                    }
                    self.publish_links();
                }
            }
        }
    }
}
