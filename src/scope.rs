//! How far an IP address reaches, whoever named it.
//!
//! ```
//! use assay::scope::Scope;
//!
//! assert_eq!(Scope::of("10.0.0.1".parse()?), Scope::Private);
//! // An address in another form reaches what it means.
//! assert_eq!(Scope::of("::ffff:169.254.169.254".parse()?), Scope::Link);
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// No single host: unspecified, multicast, reserved.
    Nobody,
    /// This machine.
    Loopback,
    /// This link: it means something else on every link, and on rented machines the landlord's services.
    Link,
    /// A private network.
    Private,
    /// The internet.
    Public,
}

impl Scope {
    /// How far this address reaches. An IPv6 address with an IPv4 address in it reaches what that one does.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => of_v4(ip),
            IpAddr::V6(ip) => of_v6(ip),
        }
    }
}

fn of_v4(ip: Ipv4Addr) -> Scope {
    match ip.octets() {
        // "This network", multicast, and what is reserved.
        [0 | 224..=255, ..] => Scope::Nobody,
        [127, ..] => Scope::Loopback,
        [169, 254, ..] => Scope::Link,
        // RFC 1918, carriers' shared addresses, protocol assignments, benchmarks.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Scope::Private,
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Scope::Private,
        _ => Scope::Public,
    }
}

fn of_v6(ip: Ipv6Addr) -> Scope {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Scope::Nobody,
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [0xff00..=0xffff, ..] => Scope::Nobody,
        [0xfe80..=0xfebf, ..] => Scope::Link,
        // Unique local, and what was site-local.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Scope::Private,
        // Embedded IPv4 addresses reach what those reach: compatible, translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_v4(v4(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => of_v4(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => Scope::Private,
        // The discard prefix, and Teredo, which hides an IPv4 address.
        [0x100, 0, 0, 0, ..] | [0x2001, 0, ..] => Scope::Nobody,
        [0x2002, high, low, ..] => of_v4(v4(high, low)),
        _ => Scope::Public,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}
