//! How many connections come from one address, so that no address takes every place, and how many from strangers.
//!
//! Keys cost nothing, addresses do. An IPv6 /64 counts as one address, since its owner has all of it. People often
//! try this out with many nodes on one machine, so the loopback address may have more connections, but never all.
//!
//! Strangers with many addresses may fill all places of strangers. The other places are for nodes that this one has a
//! history with. A connection shows whose it is only at the end of its handshake. Until then its address speaks for it:
//! when strangers hold all places for handshakes, as many again are for addresses of nodes with a history.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

use super::{config::Limits, peer::node_of_peer};
use crate::domain::NodeId;

/// Which part of the places is kept from strangers: one of so many.
const KEPT: usize = 8;

/// Most nodes with a history that are remembered.
const MOST_FRIENDS: usize = 4096;

/// The nodes that this one has a history with, as its owner says; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Friends(Arc<Mutex<BTreeSet<NodeId>>>);

impl Friends {
    pub(super) fn remember(&self, node: NodeId) {
        let mut friends = self.lock();
        if friends.len() < MOST_FRIENDS {
            friends.insert(node);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        // A change is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses connections beyond an address's share, and beyond that of strangers.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    most_near: usize,
    most_strangers: usize,
    most_half_open: usize,
    friends: Friends,
    /// Connections from elsewhere, those that are being set up included.
    from: BTreeMap<ConnectionId, IpAddr>,
    /// Those that are set up, and whose they are.
    of: BTreeMap<ConnectionId, Option<NodeId>>,
    /// Where nodes were connected last: those that are connected, and those with a history.
    homes: BTreeMap<NodeId, IpAddr>,
}

/// The address, or strangers together, have their share of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Crowded {
    #[error("{address} has {most} connections already")]
    Address { address: IpAddr, most: usize },
    #[error("strangers have {most} connections already")]
    Strangers { most: usize },
    #[error("{most} connections are being set up already")]
    HalfOpen { most: usize },
}

impl Crowd {
    pub(super) fn new(limits: &Limits, friends: Friends) -> Self {
        let as_usize = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let incoming = as_usize(limits.max_incoming());
        Self {
            most: as_usize(limits.max_connections_per_address),
            most_near: incoming - incoming / 4,
            most_strangers: incoming - incoming / KEPT,
            most_half_open: as_usize(limits.max_pending),
            friends,
            from: BTreeMap::new(),
            of: BTreeMap::new(),
            homes: BTreeMap::new(),
        }
    }

    /// A connection shows whose it is.
    fn meet(&mut self, connection: ConnectionId, node: Option<NodeId>) -> Result<(), Crowded> {
        let friends = self.friends.lock();
        let is_stranger = |node: Option<NodeId>| !node.is_some_and(|node| friends.contains(&node));
        let strangers = self.of.values().filter(|node| is_stranger(**node)).count();
        if is_stranger(node) && strangers >= self.most_strangers {
            return Err(Crowded::Strangers { most: self.most_strangers });
        }
        drop(friends);
        self.of.insert(connection, node);
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId) {
        self.from.remove(&connection);
        self.of.remove(&connection);
    }

    fn enter(&mut self, connection: ConnectionId, address: IpAddr) -> Result<(), Crowded> {
        let most = if address.is_loopback() { self.most_near } else { self.most };
        if self.from.values().filter(|other| **other == address).count() >= most {
            return Err(Crowded::Address { address, most });
        }
        let half_open = self.from.keys().filter(|id| !self.of.contains_key(id)).count();
        let most = if half_open >= self.most_half_open && self.is_home_of_a_friend(address) {
            2 * self.most_half_open
        } else {
            self.most_half_open
        };
        if half_open >= most {
            return Err(Crowded::HalfOpen { most });
        }
        self.from.insert(connection, address);
        Ok(())
    }

    fn is_home_of_a_friend(&self, address: IpAddr) -> bool {
        let friends = self.friends.lock();
        self.homes.iter().any(|(node, home)| *home == address && friends.contains(node))
    }

    /// Remembers where a node is.
    fn settle(&mut self, node: Option<NodeId>, address: &Multiaddr) {
        if let Some((node, address)) = node.zip(origin(address)) {
            self.homes.insert(node, address);
        }
    }

    /// The last connection with a node has ended.
    fn part(&mut self, node: Option<NodeId>) {
        let Some(node) = node else { return };
        if !self.friends.lock().contains(&node) {
            self.homes.remove(&node);
        }
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
        connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let node = node_of_peer(&peer);
        self.meet(connection, node).map_err(ConnectionDenied::new)?;
        self.settle(node, remote);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.settle(node_of_peer(&peer), address);
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => {
                self.leave(closed.connection_id);
                if closed.remaining_established == 0 {
                    self.part(node_of_peer(&closed.peer_id));
                }
            }
            FromSwarm::ListenFailure(failure) => {
                self.leave(failure.connection_id);
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
        let mut crowd = Crowd::new(&limits, Friends::default());
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
        let mut crowd = Crowd { most_half_open: all, ..Crowd::new(&limits, Friends::default()) };
        let near = entered(&mut crowd, 2 * all, |port| format!("/ip4/127.0.0.1/tcp/{port}"));
        assert!((128..all).contains(&near), "{near} of {all}");
    }

    #[test]
    fn who_leaves_makes_room() {
        let mut crowd = Crowd { most: 1, ..Crowd::new(&Limits::default(), Friends::default()) };
        let address = "/ip4/8.8.8.8/tcp/1".parse().unwrap();
        let mut enter =
            |id| crowd.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &address, &address);
        assert!(enter(1).is_ok() && enter(2).is_err());
        crowd.leave(ConnectionId::new_unchecked(1));
        let id = ConnectionId::new_unchecked(3);
        assert!(crowd.handle_pending_inbound_connection(id, &address, &address).is_ok());
    }

    #[test]
    fn handshakes_of_strangers_leave_places_to_the_addresses_of_nodes_with_a_history() {
        let limits = Limits::default();
        let most = usize::try_from(limits.max_pending).unwrap();
        let friends = Friends::default();
        let mut crowd = Crowd::new(&limits, friends.clone());
        let address = |of: &str| -> Multiaddr { format!("/ip4/{of}/tcp/1").parse().unwrap() };
        let (friend, stranger) = (Some(NodeId::new([1; 20])), Some(NodeId::new([2; 20])));
        crowd.settle(friend, &address("8.8.8.8"));
        crowd.settle(stranger, &address("8.8.4.4"));
        // Known only after it has connected, and still known when it has left.
        friends.remember(friend.unwrap());
        crowd.part(friend);
        crowd.part(stranger);
        assert_eq!(crowd.homes.keys().copied().map(Some).collect::<Vec<_>>(), [friend]);

        let of_a_stranger = |index| format!("/ip4/9.9.{}.{}/tcp/1", index / 256, index % 256);
        assert_eq!(entered(&mut crowd, 2 * most, of_a_stranger), most);
        assert_eq!(entered(&mut crowd, 1, |_| "/ip4/8.8.4.4/tcp/1".to_owned()), 0);
        let share = usize::try_from(limits.max_connections_per_address).unwrap();
        assert_eq!(entered(&mut crowd, 2 * share, |_| "/ip4/8.8.8.8/tcp/1".to_owned()), share);
        // A handshake that is over holds no place.
        crowd.meet(ConnectionId::new_unchecked(0), stranger).unwrap();
        for index in 1..=share {
            crowd.leave(ConnectionId::new_unchecked(index));
        }
        let id = ConnectionId::new_unchecked(10 * most);
        let elsewhere = address("7.7.7.7");
        assert!(crowd.handle_pending_inbound_connection(id, &elsewhere, &elsewhere).is_ok());
    }

    #[test]
    fn strangers_of_many_addresses_leave_places_to_nodes_with_a_history() {
        let limits = Limits::default();
        let all = usize::try_from(limits.max_incoming()).unwrap();
        let friends = Friends::default();
        let mut crowd = Crowd::new(&limits, friends.clone());
        let node = |index: usize| {
            let mut id = [0; 20];
            id[..8].copy_from_slice(&index.to_be_bytes());
            Some(NodeId::new(id))
        };
        let met = (0..2 * all)
            .filter(|index| crowd.meet(ConnectionId::new_unchecked(*index), node(*index)).is_ok())
            .count();
        assert_eq!(met, all - all / KEPT);
        let id = ConnectionId::new_unchecked(2 * all);
        assert_eq!(crowd.meet(id, node(2 * all)), Err(Crowded::Strangers { most: met }));
        friends.remember(node(2 * all).unwrap());
        crowd.meet(id, node(2 * all)).unwrap();
        // One that comes to be known makes room for a stranger.
        friends.remember(node(0).unwrap());
        crowd.meet(ConnectionId::new_unchecked(2 * all + 1), node(2 * all + 1)).unwrap();
    }
}
