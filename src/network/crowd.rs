//! How many connections come from one address, so that no address takes every place.
//!
//! Keys cost nothing, addresses do. An IPv6 /64 counts as one address, since its owner has all of it. People often
//! try this out with many nodes on one machine, so the loopback address may have more connections, but never all.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    task::{Context, Poll},
};

use ::libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::config::Limits;

/// Refuses connections beyond an address's share.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    most_near: usize,
    /// Connections from elsewhere, those that are being set up included.
    from: BTreeMap<ConnectionId, IpAddr>,
}

/// The address has its share of connections.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{address} has {most} connections already")]
pub(super) struct Crowded {
    address: IpAddr,
    most: usize,
}

impl Crowd {
    pub(super) fn new(limits: &Limits) -> Self {
        let as_usize = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let incoming = as_usize(limits.max_incoming());
        Self {
            most: as_usize(limits.max_connections_per_address),
            most_near: incoming - incoming / 4,
            from: BTreeMap::new(),
        }
    }

    fn enter(&mut self, connection: ConnectionId, address: IpAddr) -> Result<(), Crowded> {
        let most = if address.is_loopback() { self.most_near } else { self.most };
        if self.from.values().filter(|other| **other == address).count() >= most {
            return Err(Crowded { address, most });
        }
        self.from.insert(connection, address);
        Ok(())
    }
}

/// What counts as one address.
fn origin(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(match IpAddr::V6(ip).to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            ip => ip,
        }),
        _other => None,
    }
}

impl NetworkBehaviour for Crowd {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        match origin(remote) {
            Some(address) => self.enter(connection, address).map_err(ConnectionDenied::new),
            None => Ok(()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.from.remove(&closed.connection_id);
            }
            FromSwarm::ListenFailure(failure) => {
                self.from.remove(&failure.connection_id);
            }
            _other => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(crowd: &mut Crowd, count: usize, address: impl Fn(usize) -> String) -> usize {
        let first = crowd.from.len();
        let enters = |index: &usize| {
            let address = origin(&address(*index).parse().unwrap()).unwrap();
            crowd.enter(ConnectionId::new_unchecked(first + index), address).is_ok()
        };
        (0..count).filter(enters).count()
    }

    #[test]
    fn one_address_does_not_take_every_place() {
        let limits = Limits::default();
        let most = usize::try_from(limits.max_connections_per_address).unwrap();
        let mut crowd = Crowd::new(&limits);
        assert_eq!(entered(&mut crowd, 200, |port| format!("/ip4/8.8.8.8/tcp/{port}")), most);
        assert_eq!(entered(&mut crowd, 200, |port| format!("/ip6/::ffff:8.8.8.8/tcp/{port}")), 0);
        assert_eq!(entered(&mut crowd, 3, |port| format!("/ip4/8.8.4.4/tcp/{port}")), 3);
        // All hosts of one IPv6 network count as one.
        let in_one_network = |host| format!("/ip6/2001:db8::{host:x}/tcp/1");
        assert_eq!(entered(&mut crowd, 200, in_one_network), most);
        assert_eq!(entered(&mut crowd, 2, |network| format!("/ip6/2001:db8:0:{}::1/tcp/1", network + 1)), 2);
    }

    #[test]
    fn many_nodes_of_this_machine_are_welcome_and_leave_places_for_others() {
        let limits = Limits::default();
        let all = usize::try_from(limits.max_incoming()).unwrap();
        let mut crowd = Crowd::new(&limits);
        let near = entered(&mut crowd, 2 * all, |port| format!("/ip4/127.0.0.1/tcp/{port}"));
        assert!((128..all).contains(&near), "{near} of {all}");
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut crowd = Crowd { most: 1, most_near: 1, from: BTreeMap::new() };
        let address = "/ip4/8.8.8.8/tcp/1".parse().unwrap();
        let mut enter =
            |id| crowd.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &address, &address);
        assert!(enter(1).is_ok() && enter(2).is_err());
        crowd.from.remove(&ConnectionId::new_unchecked(1));
        let id = ConnectionId::new_unchecked(3);
        assert!(crowd.handle_pending_inbound_connection(id, &address, &address).is_ok());
    }
}
