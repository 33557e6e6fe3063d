//! Peer ids and node ids: two names of one key.

use ::libp2p::{
    PeerId,
    identity::{PublicKey, secp256k1},
};
use alloy_primitives::Address;

use crate::domain::NodeId;

/// The node whose compressed public key this is; `None` if it is no point of the curve.
pub fn node_of_key(key: &secp256k1::PublicKey) -> NodeId {
    let uncompressed = key.to_bytes_uncompressed();
    Address::from_raw_public_key(&uncompressed[1..]).into()
}

/// The node that a peer id names; `None` for keys that are not secp256k1.
pub fn node_of_peer(peer: &PeerId) -> Option<NodeId> {
    let multihash: &::libp2p::multihash::Multihash<64> = peer.as_ref();
    // Keys of up to 42 bytes are in the peer id as they are, under the identity hash.
    if multihash.code() != 0 {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    Some(node_of_key(&key.try_into_secp256k1().ok()?))
}

/// The peer with this compressed secp256k1 key, such as a signature gives; `None` if it is no key.
pub fn peer_of_key(compressed: &[u8; 33]) -> Option<PeerId> {
    let key = secp256k1::PublicKey::try_from_bytes(compressed).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Digest, identity::NodeKey};

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
