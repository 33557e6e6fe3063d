//! Where nodes can be reached, as one of them tells another.

use std::net::{IpAddr, SocketAddr};

use ::libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::{
    peer::node_of_peer,
    wire::{MAX_NAMED_PLACES, PeersResponse, WireBytes},
};

/// Longest address of a node, its name included, in its binary form.
pub(super) const MAX_ADDRESS_BYTES: usize = 128;

/// The address and port, if this is `/ip4|ip6/../tcp/..`, with or without a peer's name behind it.
pub(super) fn place_in_any(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip).to_canonical(),
        _other => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    let ends = matches!(parts.next(), None | Some(Protocol::P2p(_))) && parts.next().is_none();
    ends.then(|| SocketAddr::new(ip, port))
}

/// Where packets can be sent to, if this is `/ip4|ip6/../tcp/..`, with or without a peer's name behind it.
///
/// Link-local addresses are left out: they mean something else on every link, and on rented machines the
/// landlord's own services.
pub(super) fn place_in(address: &Multiaddr) -> Option<SocketAddr> {
    let place = place_in_any(address)?;
    let ip = place.ip();
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let is_place = place.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_link_local;
    is_place.then_some(place)
}

/// How the place is dialled.
pub(super) fn address_of(place: SocketAddr) -> Multiaddr {
    Multiaddr::from(place.ip()).with(Protocol::Tcp(place.port()))
}

/// How the place of a peer is told to others.
pub(super) fn write(peer: PeerId, place: SocketAddr) -> WireBytes {
    WireBytes(address_of(place).with(Protocol::P2p(peer)).to_vec())
}

/// The places that somebody names, except those of kinds that this node cannot dial; `None` if they are too
/// many, or one is too long, no address, or of nobody that could be a node.
pub(super) fn read(answer: &PeersResponse) -> Option<Vec<(PeerId, SocketAddr)>> {
    if answer.0.len() > MAX_NAMED_PLACES {
        return None;
    }
    let mut named = Vec::new();
    for WireBytes(bytes) in &answer.0 {
        if bytes.len() > MAX_ADDRESS_BYTES {
            return None;
        }
        let mut address = Multiaddr::try_from(bytes.clone()).ok()?;
        let Some(Protocol::P2p(peer)) = address.pop() else { return None };
        node_of_peer(&peer)?;
        named.extend(place_in(&address).map(|place| (peer, place)));
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::NodeKey;

    fn peer() -> PeerId {
        NodeKey::from_bytes(&[7; 32]).unwrap().libp2p_keypair().public().to_peer_id()
    }

    fn bytes(address: &str) -> WireBytes {
        WireBytes(address.parse::<Multiaddr>().unwrap().to_vec())
    }

    #[test]
    fn what_is_written_can_be_read() {
        let places =
            ["10.0.0.1:4001", "127.0.0.1:1", "[2001:db8::1]:65535"].map(|place| place.parse().unwrap());
        let answer = PeersResponse(places.iter().map(|place| write(peer(), *place)).collect());
        assert!(answer.0.iter().all(|address| address.0.len() <= MAX_ADDRESS_BYTES));
        assert_eq!(read(&answer), Some(places.map(|place| (peer(), place)).to_vec()));
    }

    #[test]
    fn addresses_that_cannot_be_dialled_name_no_place() {
        for address in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/169.254.169.254/tcp/80",
            "/ip4/224.0.0.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:169.254.169.254/tcp/1",
            "/ip4/10.0.0.1/udp/1/quic-v1",
            "/ip4/10.0.0.1/tcp/1/ws",
            "/dns4/example.org/tcp/1",
            "/memory/1",
        ] {
            assert_eq!(place_in(&address.parse().unwrap()), None, "{address}");
            let named = bytes(&format!("{address}/p2p/{}", peer()));
            assert_eq!(read(&PeersResponse(vec![named])), Some(Vec::new()), "{address}");
        }
    }

    #[test]
    fn an_answer_with_anything_false_in_it_is_refused_whole() {
        let good = write(peer(), "10.0.0.1:1".parse().unwrap());
        let foreign = bytes(&format!("/ip4/10.0.0.2/tcp/1/p2p/{}", PeerId::random()));
        let long = bytes(&format!("/dns4/{}/tcp/1/p2p/{}", "a".repeat(100), peer()));
        for bad in
            [bytes("/ip4/10.0.0.2/tcp/1"), foreign, long, WireBytes(vec![0xff; 9]), WireBytes(Vec::new())]
        {
            assert_eq!(read(&PeersResponse(vec![good.clone(), bad.clone()])), None, "{:?}", bad.0);
        }
        assert!(read(&PeersResponse(vec![good.clone(); MAX_NAMED_PLACES])).is_some());
        assert_eq!(read(&PeersResponse(vec![good; MAX_NAMED_PLACES + 1])), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..MAX_ADDRESS_BYTES + 2)) {
            let _ = read(&PeersResponse(vec![WireBytes(bytes)]));
        }
    }
}
