//! The configured peers, and how the connection to each stands.

use ::libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{ConnectionId, dial_opts::DialOpts, dial_opts::PeerCondition},
};
use tokio::time::Instant;

use super::{redial::Redial, status::PeerLink};
use crate::domain::NodeId;

#[derive(Debug)]
struct Link {
    address: Multiaddr,
    redial: Redial,
    attempt: Option<ConnectionId>,
    node: Option<NodeId>,
    last_error: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Links(Vec<Link>);

impl Links {
    pub(super) fn new(addresses: Vec<Multiaddr>, now: Instant) -> Self {
        let link =
            |address| Link { address, redial: Redial::new(now), attempt: None, node: None, last_error: None };
        Self(addresses.into_iter().map(link).collect())
    }

    /// The next link to dial, if one is due; the attempt counts as in flight from here on.
    pub(super) fn start_due(&mut self, now: Instant) -> Option<(usize, DialOpts)> {
        let index = self.0.iter_mut().position(|link| link.redial.start(now))?;
        let link = &mut self.0[index];
        let opts = match peer_in(&link.address) {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![link.address.clone()])
                .build(),
            None => DialOpts::unknown_peer_id().address(link.address.clone()).build(),
        };
        link.attempt = Some(opts.connection_id());
        Some((index, opts))
    }

    /// The peer that a link's address names.
    pub(super) fn peer(&self, link: usize) -> Option<PeerId> {
        peer_in(&self.0.get(link)?.address)
    }

    /// An attempt got through to `node`, or found it connected.
    pub(super) fn connected(&mut self, attempt: ConnectionId, node: NodeId) {
        if let Some(link) = self.index_of(attempt) {
            self.reached(link, node);
        }
    }

    pub(super) fn reached(&mut self, link: usize, node: NodeId) {
        if let Some(link) = self.0.get_mut(link) {
            link.redial.succeeded();
            (link.attempt, link.node, link.last_error) = (None, Some(node), None);
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, attempt: ConnectionId, reason: &str, now: Instant) {
        if let Some(link) = self.index_of(attempt) {
            self.refused(link, reason, now);
        }
    }

    pub(super) fn refused(&mut self, link: usize, reason: &str, now: Instant) {
        if let Some(link) = self.0.get_mut(link) {
            link.redial.failed(now);
            // Logged once, not at every attempt.
            if link.last_error.as_deref() == Some(reason) {
                tracing::debug!(address = %link.address, reason, "cannot connect to a configured peer");
            } else {
                tracing::warn!(address = %link.address, reason, "cannot connect to a configured peer");
            }
            (link.attempt, link.node, link.last_error) = (None, None, Some(reason.to_owned()));
        }
    }

    /// The last connection to `node` closed.
    pub(super) fn disconnected(&mut self, node: NodeId, now: Instant) {
        for link in self.0.iter_mut().filter(|link| link.node == Some(node)) {
            link.redial.failed(now);
            (link.node, link.last_error) = (None, Some("the connection closed".to_owned()));
        }
    }

    /// When the next attempt is due, if one is.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|link| link.redial.due()).min()
    }

    pub(super) fn status(&self) -> Vec<PeerLink> {
        let status = |link: &Link| PeerLink {
            address: link.address.clone(),
            node: link.node,
            attempts: link.redial.failures(),
            last_error: link.last_error.clone(),
        };
        self.0.iter().map(status).collect()
    }

    fn index_of(&self, attempt: ConnectionId) -> Option<usize> {
        self.0.iter().position(|link| link.attempt == Some(attempt))
    }
}

fn peer_in(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| if let Protocol::P2p(peer) = part { Some(peer) } else { None })
}
