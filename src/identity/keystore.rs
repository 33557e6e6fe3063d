//! JSON keystores: a key that a passphrase protects, as Ethereum tools keep it (Web3 Secret Storage, version 3).
//!
//! The work and memory that a file asks for are bounded first: its writer chooses them.

use std::{fmt, io::Write as _};

use eth_keystore::{EthKeystore, KdfType, KdfparamsType, KeystoreError};
use k256::elliptic_curve::{rand_core::OsRng, zeroize::Zeroizing};

/// Longest keystore: those that tools write have some 500 bytes.
pub(super) const MAX_KEYSTORE_BYTES: u64 = 16 * 1024;

/// The length of a derived key: half of it encrypts, half of it authenticates.
const DERIVED_BYTES: u8 = 32;

/// Most memory that deriving a key may take: four times as much as geth's keystores do.
const MAX_SCRYPT_BYTES: u64 = 1 << 30;

/// Most work: the product of scrypt's three parameters, and the rounds of the other derivation. Some ten times what
/// tools choose.
const MAX_SCRYPT_WORK: u64 = 1 << 25;
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;

/// What opens a keystore. Never shown; wiped from memory on drop.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it protects from nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Why a keystore cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The passphrase is another one.
    #[error("the passphrase is wrong")]
    Passphrase,
    /// It is not a keystore, or of an unsupported kind.
    #[error("{0}")]
    Malformed(String),
}

/// A keystore that was read and not opened yet.
#[derive(Clone)]
pub struct Keystore {
    text: Vec<u8>,
}

impl Keystore {
    /// Reads a keystore; nothing is derived yet.
    ///
    /// # Errors
    /// [`LockError::Malformed`] for what is no keystore, is of an unknown kind, or asks for too much work.
    pub fn parse(text: &[u8]) -> Result<Self, LockError> {
        let malformed = |problem: String| Err(LockError::Malformed(problem));
        let keystore: EthKeystore = match serde_json::from_slice(text) {
            Ok(keystore) => keystore,
            Err(error) => return malformed(format!("it is not a JSON keystore: {error}")),
        };
        let crypto = &keystore.crypto;
        let lengths = [crypto.cipherparams.iv.len(), crypto.ciphertext.len(), crypto.mac.len()];
        if keystore.version != 3 || crypto.cipher != "aes-128-ctr" || lengths != [16, 32, 32] {
            return malformed("it is not a keystore of version 3 with aes-128-ctr".to_owned());
        }
        let (is_known, is_cheap, derived) = match &crypto.kdfparams {
            KdfparamsType::Scrypt { dklen, n, p, r, .. } => {
                let [blocks, parallel, factor] = [n, p, r].map(|&parameter| u64::from(parameter));
                // One table of n blocks, and p blocks beside it; a block has 128 * r bytes.
                let bytes = blocks.saturating_add(parallel).saturating_mul(factor).saturating_mul(128);
                let work = blocks.saturating_mul(parallel).saturating_mul(factor);
                let is_cheap = bytes <= MAX_SCRYPT_BYTES && work <= MAX_SCRYPT_WORK;
                let is_sound = n.is_power_of_two() && *n > 1 && *r > 0 && *p > 0;
                (crypto.kdf == KdfType::Scrypt && is_sound, is_cheap, *dklen)
            }
            KdfparamsType::Pbkdf2 { c, dklen, prf, .. } => {
                let is_known = crypto.kdf == KdfType::Pbkdf2 && prf == "hmac-sha256" && *c > 0;
                (is_known, *c <= MAX_PBKDF2_ROUNDS, *dklen)
            }
        };
        if !is_known || derived != DERIVED_BYTES {
            return malformed("it derives its key in an unsupported way".to_owned());
        }
        if !is_cheap {
            return malformed("its key derivation takes too much memory or time".to_owned());
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The secret in it. Takes a second, and the memory that it asks for.
    pub(super) fn secret(&self, passphrase: &Passphrase) -> Result<Zeroizing<[u8; 32]>, LockError> {
        let malformed = |error: &dyn fmt::Display| LockError::Malformed(error.to_string());
        // The library reads files alone; this one holds what was checked above.
        let mut file = tempfile::NamedTempFile::new().map_err(|error| malformed(&error))?;
        file.write_all(&self.text).map_err(|error| malformed(&error))?;
        let secret = eth_keystore::decrypt_key(file.path(), passphrase.0.as_bytes());
        let secret = Zeroizing::new(secret.map_err(|error| match error {
            KeystoreError::MacMismatch => LockError::Passphrase,
            error => malformed(&error),
        })?);
        let bytes = <[u8; 32]>::try_from(secret.as_slice()).map_err(|error| malformed(&error))?;
        Ok(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Keystore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystore").finish_non_exhaustive()
    }
}

/// The keystore of a key, for a passphrase.
pub(super) fn lock(secret: &[u8; 32], passphrase: &Passphrase) -> std::io::Result<Vec<u8>> {
    // The library writes files alone; the directory is the user's own, and what is written is encrypted.
    let dir = tempfile::tempdir()?;
    let locked =
        eth_keystore::encrypt_key(dir.path(), &mut OsRng, secret, passphrase.0.as_bytes(), Some("key"));
    locked.map_err(std::io::Error::other)?;
    std::fs::read(dir.path().join("key"))
}

/// Whether a file with this text is meant to be a keystore.
pub(super) fn is_keystore(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::NodeKey;

    /// As `cast wallet import` wrote it, of the key of the specification's examples.
    const SCRYPT: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"d14f72ebd84c7367c878f2b79e3425b1"},"ciphertext":"2a50ce41034432e1be0c09b4de5ca6c04dda3121ad7559edb1f98cc8f9c915c3","kdf":"scrypt","kdfparams":{"dklen":32,"n":8192,"p":1,"r":8,"salt":"b16b4b4dd8836cfe131879c62d667b845f7626ee06dcc7482e6cb82843a443af"},"mac":"f3fdf3cb12e33acac3044cbd3711170ed02e535d735f7f96f5e5cd84ebdf4fef"},"id":"bf827a06-6214-4759-9582-3ac6f6c278d1","version":3}"#;
    /// The first example of the specification.
    const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
    const KEY: [u8; 32] =
        alloy_primitives::hex!("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d");

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned())
    }

    #[test]
    fn keystores_of_other_tools_are_opened() {
        let key = NodeKey::from_bytes(&KEY).unwrap();
        for text in [SCRYPT, PBKDF2] {
            let keystore = Keystore::parse(text.as_bytes()).unwrap();
            assert_eq!(keystore.unlock(&passphrase("testpassword")).unwrap().node_id(), key.node_id());
        }
    }

    #[test]
    fn another_passphrase_is_told_from_a_broken_file() {
        let text = lock(&KEY, &passphrase("right")).unwrap();
        let keystore = Keystore::parse(&text).unwrap();
        assert_eq!(keystore.unlock(&passphrase("wrong")).unwrap_err(), LockError::Passphrase);
        assert!(keystore.unlock(&passphrase("right")).is_ok());
        assert!(!format!("{:?} {:?}", keystore, passphrase("right")).contains("right"));
    }

    #[test]
    fn what_would_take_too_long_or_panic_is_refused_unopened() {
        for (part, other) in [
            (r#""n":8192"#, r#""n":1073741824"#),
            (r#""n":8192"#, r#""n":8191"#),
            (r#""p":1"#, r#""p":4000000"#),
            (r#""r":8"#, r#""r":100000"#),
            (r#""r":8"#, r#""r":0"#),
            (r#""n":8192,"p":1,"r":8"#, r#""n":2,"p":16,"r":4194304"#),
            (r#""n":8192,"p":1,"r":8"#, r#""n":2,"p":4294967295,"r":1"#),
            (r#""n":8192,"p":1,"r":8"#, r#""n":2,"p":1,"r":4294967295"#),
            (r#""n":8192,"p":1,"r":8"#, r#""n":1048576,"p":8,"r":8"#),
            (r#""dklen":32"#, r#""dklen":8"#),
            ("d14f72eb", ""),
            ("aes-128-ctr", "aes-128-cbc"),
            (r#""version":3"#, r#""version":1"#),
            (r#""kdf":"scrypt""#, r#""kdf":"pbkdf2""#),
            ("f3fdf3cb", "f3fd"),
        ] {
            let text = SCRYPT.replacen(part, other, 1);
            assert_ne!(text, SCRYPT);
            assert!(matches!(Keystore::parse(text.as_bytes()), Err(LockError::Malformed(_))), "{other}");
        }
        let text = PBKDF2.replacen("262144", "4000000000", 1);
        assert!(Keystore::parse(text.as_bytes()).is_err());
    }

    #[test]
    fn what_geth_writes_is_within_the_bounds() {
        for parameters in [r#""n":262144,"p":1,"r":8"#, r#""n":4096,"p":6,"r":8"#] {
            let text = SCRYPT.replacen(r#""n":8192,"p":1,"r":8"#, parameters, 1);
            assert_ne!(text, SCRYPT);
            assert!(Keystore::parse(text.as_bytes()).is_ok(), "{parameters}");
        }
    }

    proptest! {
        #[test]
        fn hostile_keystores_never_panic(at in 0..SCRYPT.len(), byte: u8) {
            let mut text = SCRYPT.as_bytes().to_vec();
            text[at] = byte;
            let _ = Keystore::parse(&text);
        }
    }
}
