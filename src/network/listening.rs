//! Taking the addresses to listen on for this node alone.
//!
//! The transport lets several sockets of one user listen on one port, so that it can dial from that port too. A second
//! node would then share the port of the first, and each would get half of the connections.

use std::net::TcpListener;

use ::libp2p::Multiaddr;

use super::{config::NetworkError, places::place_in_any};

/// Refuses an address on which something listens already, such as another node.
pub(super) fn check_free(address: &Multiaddr) -> Result<(), NetworkError> {
    let Some(place) = place_in_any(address) else { return Ok(()) };
    // A socket that shares its port with nobody; closed before the transport opens its own.
    match TcpListener::bind(place) {
        Ok(_free) => Ok(()),
        Err(error) => Err(NetworkError::Listen { address: address.clone(), reason: error.to_string() }),
    }
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
            let Err(NetworkError::Listen { address: named, .. }) = check_free(&address) else { panic!() };
            assert_eq!(named, address);
        }
        drop(taken);
        assert!(check_free(&format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()).is_ok());
        assert!(check_free(&"/ip4/127.0.0.1/tcp/0".parse().unwrap()).is_ok());
    }
}
