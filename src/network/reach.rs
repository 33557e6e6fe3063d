//! Which addresses this node dials on somebody else's word: those that its operator's network may reach.
//!
//! An announcement or a peer can name any address, including services never meant for strangers. So this node dials
//! the addresses that others name only if they are public, or near by its operator's word: a node that listens only
//! on the loopback address serves one machine, and one in a private network serves that network. Addresses that the
//! operator configures are always dialled.

use std::net::IpAddr;

use ::libp2p::Multiaddr;

use super::places::place_in;
use crate::scope::Scope;

/// What the operator says about this node's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    /// Every address that the operator gave is on this machine.
    is_loopback: bool,
    /// Every private address may be dialled.
    is_private: bool,
    /// Private addresses of this node, or of peers that the operator named.
    near: Vec<IpAddr>,
}

impl Reach {
    /// The reach of a node whose operator gave these addresses: those that it listens on, and those of its peers.
    pub(super) fn new<'a>(given: impl IntoIterator<Item = &'a Multiaddr>, is_private: bool) -> Self {
        let ips: Vec<IpAddr> = given.into_iter().filter_map(ip_in).collect();
        let is_loopback = ips.iter().all(|ip| Scope::of(*ip) == Scope::Loopback);
        let near = ips.into_iter().filter(|ip| Scope::of(*ip) == Scope::Private).collect();
        Self { is_loopback, is_private, near }
    }

    /// This node listens there: what is in the same private network is near.
    pub(super) fn listens(&mut self, address: &Multiaddr) {
        if let Some(ip) = ip_in(address).filter(|ip| Scope::of(*ip) == Scope::Private)
            && !self.near.contains(&ip)
        {
            self.near.push(ip);
        }
    }

    /// Whether this node dials the address on somebody's word. DNS names are not dialled: their owners decide where
    /// they point.
    pub(super) fn may_dial(&self, address: &Multiaddr) -> bool {
        place_in(address).is_some_and(|place| self.may_reach(place.ip()))
    }

    pub(super) fn may_reach(&self, ip: IpAddr) -> bool {
        match Scope::of(ip) {
            Scope::Nobody | Scope::Link => false,
            Scope::Loopback => self.is_loopback,
            Scope::Private => {
                self.is_private || self.is_loopback || self.near.iter().any(|near| is_near(*near, ip))
            }
            Scope::Public => true,
        }
    }
}

fn ip_in(address: &Multiaddr) -> Option<IpAddr> {
    use ::libp2p::multiaddr::Protocol;
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _other => None,
    }
}

/// Whether two private addresses are in one network, as far as that can be told: their first 16 bits, or 48 of IPv6.
fn is_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments()[..3] == other.segments()[..3],
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ips: &[&str]) -> Vec<Multiaddr> {
        ips.iter().map(|ip| Multiaddr::from(ip.parse::<IpAddr>().unwrap())).collect()
    }

    const PUBLIC: [&str; 3] = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"];
    const LOOPBACK: [&str; 8] = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
    ];
    const PRIVATE: [&str; 10] = [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:c0a8:101::1",
    ];
    const NEVER: [&str; 18] = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "fe80::1",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "2001::1",
        "100::1",
        "ff05::1",
    ];

    #[test]
    fn a_node_dials_what_its_operators_network_may_reach() {
        // Given by the operator, --dial private: loopback, private, public.
        let table: [(&[&str], bool, bool, bool); 7] = [
            (&["127.0.0.1"], false, true, true),
            (&["127.0.0.1", "::1"], false, true, true),
            (&[], false, true, true),
            (&["0.0.0.0"], false, false, false),
            (&["0.0.0.0"], true, false, true),
            (&["8.8.8.8"], false, false, false),
            // One address beyond this machine makes it a node of the network.
            (&["127.0.0.1", "8.8.8.8"], false, false, false),
        ];
        for (given, flag, loopback, private) in table {
            let reach = Reach::new(&addresses(given), flag);
            let reaches = |ip: &str| reach.may_reach(ip.parse().unwrap());
            assert!(PUBLIC.into_iter().all(reaches), "{given:?}");
            assert!(!NEVER.into_iter().any(reaches), "{given:?}");
            assert!(LOOPBACK.into_iter().all(|ip| reaches(ip) == loopback), "{given:?}");
            assert!(PRIVATE.into_iter().all(|ip| reaches(ip) == private), "{given:?}");
        }
    }

    #[test]
    fn a_private_network_is_reached_by_those_in_it() {
        let mut reach = Reach::new(&addresses(&["0.0.0.0"]), false);
        reach.listens(&addresses(&["192.168.7.2"])[0]);
        reach.listens(&addresses(&["127.0.0.1"])[0]);
        for (ip, expected) in [
            ("192.168.9.9", true),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("127.0.0.1", false),
            ("fd00::1", false),
        ] {
            assert_eq!(reach.may_reach(ip.parse().unwrap()), expected, "{ip}");
        }
        // A peer that the operator names is as good as an address of one's own.
        let joined = Reach::new(&addresses(&["0.0.0.0", "10.4.0.1", "fd00:1:2::1"]), false);
        for (ip, expected) in
            [("10.4.9.9", true), ("10.5.0.1", false), ("fd00:1:2:9::1", true), ("fd00:1:3::1", false)]
        {
            assert_eq!(joined.may_reach(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn names_and_other_transports_are_not_dialled_on_somebodys_word() {
        let reach = Reach::new(&addresses(&["127.0.0.1"]), true);
        for bad in [
            "/dns4/localhost/tcp/22",
            "/dns/internal.example/tcp/80",
            "/dnsaddr/example.org",
            "/ip4/8.8.8.8/udp/1/quic-v1",
            "/ip4/8.8.8.8/tcp/0",
            "/memory/1",
            "/dns6/localhost/tcp/22",
            "/ip6/::1/tcp/22/ws",
            "/p2p-circuit",
        ] {
            assert!(!reach.may_dial(&bad.parse().unwrap()), "{bad}");
        }
        assert!(reach.may_dial(&"/ip4/8.8.8.8/tcp/4001".parse().unwrap()));
        // Through a relay that this node may dial, to somebody whom it may not.
        let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit", ::libp2p::PeerId::random());
        assert!(!reach.may_dial(&relayed.parse().unwrap()));
    }
}
