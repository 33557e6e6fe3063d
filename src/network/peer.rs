//! Peer ids and node ids: two names of one key.

use std::sync::{Mutex, PoisonError};

use ::libp2p::PeerId;

use crate::domain::{NodeId, node_of_key};

/// How libp2p's encoding of a compressed secp256k1 key begins: the kind of key, and its 33 bytes.
const SECP256K1: [u8; 4] = [0x08, 2, 0x12, 33];

/// A compressed secp256k1 key.
type Key = [u8; 33];

/// How many keys are remembered: a power of two.
const REMEMBERED: usize = 1024;

/// The nodes of keys, each at a place by the end of its key. To find a node takes a square root, and every message asks
/// for one.
static NODES: Mutex<Vec<Option<(Key, NodeId)>>> = Mutex::new(Vec::new());

/// The node that a peer id names; `None` for keys that are not secp256k1.
pub fn node_of_peer(peer: &PeerId) -> Option<NodeId> {
    let multihash: &::libp2p::multihash::Multihash<64> = peer.as_ref();
    // Keys of up to 42 bytes are in the peer id as they are, under the identity hash.
    if multihash.code() != 0 {
        return None;
    }
    let key: Key = multihash.digest().strip_prefix(&SECP256K1)?.try_into().ok()?;
    let place = usize::from(u16::from_be_bytes([key[31], key[32]])) % REMEMBERED;
    // Each change is one assignment.
    let known = || NODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Some((of, node))) = known().get(place)
        && *of == key
    {
        return Some(*node);
    }
    let node = node_of_key(&key)?;
    let mut known = known();
    known.resize(REMEMBERED, None);
    known[place] = Some((key, node));
    Some(node)
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
    fn keys_that_are_remembered_at_one_place_are_told_apart() {
        let mut places = std::collections::BTreeMap::new();
        let keys =
            (1..=254_u8).flat_map(|byte| [[byte; 32], [[byte; 16], [1; 16]].concat().try_into().unwrap()]);
        for key in keys.map(|bytes| NodeKey::from_bytes(&bytes).unwrap()) {
            let peer = key.libp2p_keypair().public().to_peer_id();
            let end = *peer.to_bytes().last_chunk::<2>().unwrap();
            let at_its_place = places.entry(usize::from(u16::from_be_bytes(end)) % REMEMBERED);
            at_its_place.or_insert_with(Vec::new).push((peer, key.node_id()));
        }
        assert!(places.values().any(|peers| peers.len() > 1), "some share a place");
        for (peer, node) in places.values().flatten().chain(places.values().rev().flatten()) {
            assert_eq!(node_of_peer(peer), Some(*node));
        }
    }

    #[test]
    fn other_peer_ids_name_nobody() {
        assert_eq!(node_of_peer(&PeerId::random()), None);
        assert_eq!(peer_of_key(&[0; 33]), None);
    }
}
