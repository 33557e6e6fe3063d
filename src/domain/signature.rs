//! Recoverable secp256k1 signatures, with one encoding each, so that an altered signature is invalid.
//!
//! Signing needs a key and happens in `identity::keys`.

use alloy_primitives::{Address, Keccak256, U256, uint};
use secp256k1::{
    Message, PublicKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::{
    ids::{Digest, NodeId, ParseIdError, parse_hex},
    text::hex_text,
};

/// Half the order of the secp256k1 group: the largest `s` of the one accepted form of a signature.
const HALF_ORDER: U256 =
    uint!(0x7FFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_5D576E73_57A4501D_DFE92F46_681B20A0_U256);

/// Why bytes are not a signature in canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The last byte is neither 27 nor 28.
    #[error("signature has recovery byte {0}, not 27 or 28")]
    RecoveryByte(u8),
    /// `s` is in the upper half of the group. Only the mirrored signature is valid.
    #[error("signature is not in its low-s form")]
    HighS,
    /// `r` or `s` is zero or beyond the group, or no point of the curve belongs to `r`.
    #[error("signature belongs to no public key")]
    NoPublicKey,
}

/// A signature in Ethereum's form: `r`, `s`, then 27 or 28; 65 bytes. Only [`Self::recover`] checks them. The text form is
/// `0x` and 130 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature([u8; 65]);

impl Signature {
    /// Wraps 65 bytes, whatever they are.
    pub const fn new(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    /// `r`, `s`, 27 or 28.
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// The node whose key signed `digest`.
    ///
    /// A well-formed signature always names some node. The caller compares it with the author it expects.
    ///
    /// # Errors
    /// Every form but the canonical one (low `s`, 27 or 28), and bytes that no key made.
    pub fn recover(&self, digest: Digest) -> Result<NodeId, SignatureError> {
        self.public_key(digest).map(|key| node_of(&key))
    }

    /// The compressed public key that signed `digest`. A libp2p peer id is made from it.
    ///
    /// # Errors
    /// As [`Self::recover`].
    pub fn recover_public_key(&self, digest: Digest) -> Result<[u8; 33], SignatureError> {
        Ok(self.public_key(digest)?.serialize())
    }

    fn public_key(&self, digest: Digest) -> Result<PublicKey, SignatureError> {
        #[cfg(test)]
        RECOVERIES.set(RECOVERIES.get() + 1);
        let parity = match self.0[64] {
            27 => RecoveryId::Zero,
            28 => RecoveryId::One,
            other => return Err(SignatureError::RecoveryByte(other)),
        };
        if U256::from_be_slice(&self.0[32..64]) > HALF_ORDER {
            return Err(SignatureError::HighS);
        }
        RecoverableSignature::from_compact(&self.0[..64], parity)
            .and_then(|signature| signature.recover(Message::from_digest(*digest.as_bytes())))
            .map_err(|_| SignatureError::NoPublicKey)
    }
}

/// The node with this compressed public key; `None` if it is not a point of the curve.
pub fn node_of_key(compressed: &[u8; 33]) -> Option<NodeId> {
    PublicKey::from_byte_array_compressed(*compressed).ok().map(|key| node_of(&key))
}

/// The Ethereum address of a key: the last 20 bytes of the hash of both coordinates.
fn node_of(key: &PublicKey) -> NodeId {
    let mut hash = Keccak256::new();
    // Skips the byte that names the encoding.
    hash.update(&key.serialize_uncompressed()[1..]);
    Address::from_word(hash.finalize()).into()
}

hex_text!(Signature, parse_hex, ParseIdError);

#[cfg(test)]
thread_local! {
    static RECOVERIES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many signatures this thread has recovered.
#[cfg(all(test, feature = "libp2p"))]
pub(crate) fn recoveries() -> u64 {
    RECOVERIES.get()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// "Some data" signed as an Ethereum message: the example in web3.js's documentation of `accounts.sign`.
    const SIGNED: &str = "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd\
                          6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c";

    fn signed() -> (Signature, Digest) {
        (SIGNED.parse().unwrap(), Digest::keccak(b"\x19Ethereum Signed Message:\n9Some data"))
    }

    fn altered(change: impl FnOnce(&mut [u8; 65])) -> Signature {
        let mut bytes = *signed().0.as_bytes();
        change(&mut bytes);
        Signature::new(bytes)
    }

    #[test]
    fn a_known_signature_names_its_signer() {
        let (signature, digest) = signed();
        let signer = signature.recover(digest).unwrap();
        assert_eq!(signer.to_string(), "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23");
        let key = signature.recover_public_key(digest).unwrap();
        assert!(matches!(key[0], 2 | 3));
    }

    #[test]
    fn another_digest_names_another_signer() {
        let (signature, digest) = signed();
        assert_ne!(signature.recover(Digest::keccak(b"other")), signature.recover(digest));
    }

    #[test]
    fn the_mirrored_signature_is_refused() {
        let (signature, digest) = signed();
        let order = (HALF_ORDER << 1) + U256::from(1);
        let mirrored = altered(|bytes| {
            let s: U256 = order - U256::from_be_slice(&signature.as_bytes()[32..64]);
            bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
            bytes[64] = 27;
        });
        assert_eq!(mirrored.recover(digest), Err(SignatureError::HighS));
        assert_eq!(mirrored.recover_public_key(digest), Err(SignatureError::HighS));
    }

    #[test]
    fn only_27_and_28_end_a_signature() {
        let (_, digest) = signed();
        for byte in (0..=u8::MAX).filter(|byte| !matches!(byte, 27 | 28)) {
            let result = altered(|bytes| bytes[64] = byte).recover(digest);
            assert_eq!(result, Err(SignatureError::RecoveryByte(byte)));
        }
    }

    #[test]
    fn scalars_outside_the_group_are_refused() {
        let (_, digest) = signed();
        let zero_r = altered(|bytes| bytes[..32].fill(0));
        let large_r = altered(|bytes| bytes[..32].fill(0xff));
        let zero_s = altered(|bytes| bytes[32..64].fill(0));
        for signature in [zero_r, large_r, zero_s] {
            assert_eq!(signature.recover(digest), Err(SignatureError::NoPublicKey));
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic_and_both_recoveries_agree(
            r: [u8; 32], s: [u8; 32], v in prop_oneof![Just(27_u8), Just(28), any::<u8>()], digest: [u8; 32],
        ) {
            let mut bytes = [0; 65];
            bytes[..32].copy_from_slice(&r);
            bytes[32..64].copy_from_slice(&s);
            bytes[64] = v;
            let (signature, digest) = (Signature::new(bytes), Digest::new(digest));
            prop_assert_eq!(signature.recover(digest).err(), signature.recover_public_key(digest).err());
            prop_assert_eq!(signature.to_string().parse(), Ok(signature));
        }

        #[test]
        fn another_implementation_recovers_the_same(r: [u8; 32], s: [u8; 32], odd: bool, digest: [u8; 32]) {
            let other = alloy_primitives::Signature::from_scalars_and_parity(r.into(), s.into(), odd);
            let mut bytes = [0; 65];
            bytes[..32].copy_from_slice(&r);
            bytes[32..64].copy_from_slice(&s);
            bytes[64] = if odd { 28 } else { 27 };
            match Signature::new(bytes).recover(Digest::new(digest)) {
                Err(SignatureError::HighS) => prop_assert!(other.s() > HALF_ORDER),
                found => {
                    let expected = other.recover_address_from_prehash(&digest.into()).map(NodeId::from);
                    prop_assert_eq!(found.ok(), expected.ok());
                }
            }
        }
    }
}
