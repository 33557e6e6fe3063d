//! Taking the addresses to listen on for this node alone.
//!
//! The transport lets several sockets of one user listen on one port, so that it can dial from that port too. A second
//! node would then share the port of the first, and each would get half of the connections.

use std::{
    io,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use ::libp2p::Multiaddr;

use super::{config::NetworkError, places::place_in_any};

/// Holds a port for this node, from before the check that it is free until this node listens on it.
///
/// It is an abstract socket name. It lives in the network namespace of the port and goes with its process.
#[derive(Debug)]
pub(super) struct Claim {
    _name: Option<UnixListener>,
}

/// Refuses an address on which a process listens or is about to. Hold the claim until this node listens.
pub(super) fn claim(address: &Multiaddr) -> Result<Claim, NetworkError> {
    let Some(place) = place_in_any(address) else { return Ok(Claim { _name: None }) };
    let refused = |reason: String| NetworkError::Listen { address: address.clone(), reason };
    let name = match place.port() {
        // The system picks a free port for one socket alone.
        0 => None,
        port => Some(name(port).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => refused("another node is about to listen on this port".to_owned()),
            _ => refused(error.to_string()),
        })?),
    };
    // An exclusive socket; closed before the transport opens its own.
    match TcpListener::bind(place) {
        Ok(_free) => Ok(Claim { _name: name }),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn name(port: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("assay-listens-{port}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_taken_is_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        for address in [format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/0.0.0.0/tcp/{port}")] {
            let address: Multiaddr = address.parse().unwrap();
            let Err(NetworkError::Listen { address: named, .. }) = claim(&address) else { panic!() };
            assert_eq!(named, address);
        }
        drop(taken);
        assert!(claim(&format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()).is_ok());
        assert!(claim(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_port_that_another_node_is_about_to_listen_on_is_refused() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let first = claim(&address).unwrap();
        let refused = claim(&address).unwrap_err().to_string();
        assert!(refused.contains("another node"), "{refused}");
        drop(first);
        claim(&address).unwrap();
    }
}
