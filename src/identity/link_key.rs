//! A node's Ed25519 key, for tools that know no other signatures.
//!
//! It follows from the node's key, so there is no second file to keep or to lose. The node's key signs which one it is.

use k256::elliptic_curve::zeroize::Zeroizing;
use libp2p::identity::ed25519;

use super::NodeKey;
use crate::domain::{Digest, NodeId, Signature};

/// What the node's secret is hashed behind: no other use of it begins so.
const PURPOSE: &[u8] = b"assay Ed25519 key of in-toto links v1\0";

/// What the node's key signs before the 32 bytes of the public key.
const VOUCHER: &[u8] = b"assay node vouches for Ed25519 key v1\0";

/// The Ed25519 key of a node. `Debug` shows the public key; the memory is wiped on drop.
#[derive(Debug, Clone)]
pub struct LinkKey {
    pair: ed25519::Keypair,
    voucher: Signature,
}

impl NodeKey {
    /// The Ed25519 key that follows from this key.
    pub fn link_key(&self) -> LinkKey {
        let secret = Zeroizing::new(<[u8; 32]>::from(self.secret.to_bytes()));
        let mut seed =
            Zeroizing::new(*Digest::sha256(Zeroizing::new([PURPOSE, &*secret].concat())).as_bytes());
        let secret = ed25519::SecretKey::try_from_bytes(seed.as_mut_slice());
        let pair = ed25519::Keypair::from(secret.expect("any 32 bytes are a seed of Ed25519"));
        let voucher = self.sign(vouched(&pair.public().to_bytes()));
        LinkKey { pair, voucher }
    }
}

impl LinkKey {
    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        self.pair.public().to_bytes()
    }

    /// Signs a message, which it hashes itself.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message)
    }

    /// The node's signature that says that the key is its own; [`voucher_of`] checks it.
    pub const fn voucher(&self) -> Signature {
        self.voucher
    }
}

/// Who says with this signature that an Ed25519 key is its own; `None` if it is no signature.
pub fn voucher_of(public: &[u8; 32], voucher: Signature) -> Option<NodeId> {
    voucher.recover(vouched(public)).ok()
}

/// SHA-256 of the words of a voucher and the public key.
fn vouched(public: &[u8; 32]) -> Digest {
    Digest::sha256([VOUCHER, public].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_from_the_nodes_and_the_node_vouches_for_it() {
        let (one, other) = (NodeKey::from_bytes(&[1; 32]).unwrap(), NodeKey::from_bytes(&[2; 32]).unwrap());
        let key = one.link_key();
        assert_eq!(key.public(), one.link_key().public(), "after a restart it is the same");
        assert_ne!(key.public(), other.link_key().public());
        assert_eq!(voucher_of(&key.public(), key.voucher()), Some(one.node_id()));
        assert_ne!(voucher_of(&other.link_key().public(), key.voucher()), Some(one.node_id()));
    }

    #[test]
    fn the_key_of_a_node_never_changes() {
        let key = NodeKey::from_bytes(&[1; 32]).unwrap().link_key();
        let public = alloy_primitives::hex::encode(key.public());
        assert_eq!(public, "718075c583b5978b980fcd29eb69af4dc47e59f49ded974c08c8e053ed0094d4");
    }
}
