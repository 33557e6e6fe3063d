//! The driver's part in finding further peers: it carries questions and answers, and dials.

use std::net::SocketAddr;

use ::libp2p::request_response::{Event as RequestEvent, Message};
use tokio::time::Instant;

use super::{Driver, trace_failure};
use crate::network::wire::{PeersRequest, PeersResponse};

impl Driver {
    pub(super) fn on_peers(&mut self, event: RequestEvent<PeersRequest, PeersResponse>) {
        match event {
            RequestEvent::Message { peer, message: Message::Request { channel, .. }, .. } => {
                if let Some(answer) = self.exchange.answer(peer, Instant::now()) {
                    let _ = self.swarm.behaviour_mut().peers.send_response(channel, answer);
                }
            }
            RequestEvent::Message { peer, message: Message::Response { response, .. }, .. } => {
                if !self.exchange.heard(peer, &response) {
                    self.status.send_modify(|status| status.counters.peer_lists_rejected += 1);
                }
            }
            RequestEvent::OutboundFailure { peer, .. } => self.exchange.unanswered(peer),
            RequestEvent::InboundFailure { peer, request_id, error, .. } => {
                trace_failure(&peer, request_id, &error);
            }
            RequestEvent::ResponseSent { .. } => {}
        }
    }

    /// Asks peers for others and dials those that were named, where due.
    pub(super) fn look_around(&mut self) {
        let now = Instant::now();
        for peer in self.exchange.ask_due(now) {
            self.swarm.behaviour_mut().peers.send_request(&peer, PeersRequest);
        }
        let may_dial =
            |place: SocketAddr| self.reach.may_reach(place.ip()) && self.places.pause(&place, now).is_none();
        while let Some(opts) = self.exchange.next_dial(now, may_dial) {
            let attempt = opts.connection_id();
            // An error means that the peer is connected by now, or that a limit is reached.
            if self.swarm.dial(opts).is_err() {
                self.exchange.failed(attempt);
            }
        }
    }
}
