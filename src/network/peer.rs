//! Peer ids and node ids: two names of one key.

use ::libp2p::PeerId;

use crate::domain::{NodeId, node_of_key};

/// How libp2p's encoding of a compressed secp256k1 key begins: the kind of key, and its 33 bytes.
const SECP256K1: [u8; 4] = [0x08, 2, 0x12, 33];

/// The node that a peer id names; `None` for keys that are not secp256k1.
pub fn node_of_peer(peer: &PeerId) -> Option<NodeId> {
    let multihash: &::libp2p::multihash::Multihash<64> = peer.as_ref();
    // Keys of up to 42 bytes are in the peer id as they are, under the identity hash.
    if multihash.code() != 0 {
        return None;
    }
    node_of_key(multihash.digest().strip_prefix(&SECP256K1)?.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use ::libp2p::identity::{PublicKey, secp256k1};

    use super::*;
    use crate::{domain::Digest, identity::NodeKey};

    /// The peer with this compressed secp256k1 key, such as a signature gives; `None` if it is no key.
    fn peer_of_key(compressed: &[u8; 33]) -> Option<PeerId> {
        let key = secp256k1::PublicKey::try_from_bytes(compressed).ok()?;
        Some(PublicKey::from(key).to_peer_id())
    }

    #[test]
    fn a_peer_id_names_the_address_of_its_key() {
        for byte in 1..20 {
            let key = NodeKey::from_bytes(&[byte; 32]).unwrap();
            let peer = key.libp2p_keypair().public().to_peer_id();
            assert_eq!(node_of_peer(&peer), Some(key.node_id()));
            let digest = Digest::keccak([byte]);
            let compressed = key.sign(digest).recover_public_key(digest).unwrap();
            assert_eq!(peer_of_key(&compressed), Some(peer));
        }
    }

    #[test]
    fn other_peer_ids_name_nobody() {
        assert_eq!(node_of_peer(&PeerId::random()), None);
        assert_eq!(peer_of_key(&[0; 33]), None);
    }
}
