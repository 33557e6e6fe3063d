//! The key of a node and the file it lives in. The secret is never shown, logged or passed in a flag.

use std::{
    fmt,
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use alloy_primitives::{Address, hex};
use k256::{ecdsa::SigningKey, elliptic_curve::zeroize::Zeroizing};

use super::keystore::{Keystore, LockError, MAX_KEYSTORE_BYTES, Passphrase, is_keystore, lock};
use crate::domain::{Digest, NodeId, Signature};

/// A key in hex takes 66 characters and a line end; more than this is another file.
const MAX_HEX_BYTES: usize = 128;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system refused.
    #[error("cannot access the node key {path}", path = path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "the node key {path} has mode {mode:04o}, so other users of this machine may have read it; make a new \
         key if they are not trusted, else run: chmod 600 {path}",
        path = path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error("{path} holds no secp256k1 key: expected 64 hex digits below the order of the curve", path = path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
    },
    /// The file is a keystore, and is not opened here.
    #[error("{path} is a keystore, which needs a passphrase", path = path.display())]
    Locked {
        /// The key file.
        path: PathBuf,
    },
    /// The file is a keystore that cannot be opened.
    #[error("cannot open the keystore {path}", path = path.display())]
    Keystore {
        /// The key file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: LockError,
    },
    /// The operating system gave no randomness.
    #[error("cannot make a key without randomness from the operating system")]
    Randomness(#[source] getrandom::Error),
}

/// What a key file holds.
#[derive(Debug, Clone)]
pub enum KeyFile {
    /// A key, for everybody who can read the file.
    Plain(NodeKey),
    /// A key, for those who know its passphrase.
    Locked(Keystore),
}

/// The secret key of a node. `Debug` shows the address; the memory is wiped on drop.
#[derive(Clone)]
pub struct NodeKey {
    pub(super) secret: SigningKey,
    node: NodeId,
}

impl NodeKey {
    /// Makes a key from the randomness of the operating system.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(bytes.as_mut_slice()).map_err(KeyError::Randomness)?;
            // Fails for 2^-128 of all values: zero and those beyond the order of the curve.
            if let Some(key) = Self::from_bytes(&bytes) {
                return Ok(key);
            }
        }
    }

    /// The key with these 32 bytes, big endian; `None` for zero and what is beyond the order of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let secret = SigningKey::from_slice(bytes).ok()?;
        let node = Address::from_private_key(&secret).into();
        Some(Self { secret, node })
    }

    /// Reads the key from `path`, or makes one there when there is no file.
    ///
    /// # Errors
    /// As [`Self::load`] and [`Self::create`].
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(path)
            }
            other => other,
        }
    }

    /// Reads the key in hex from `path`.
    ///
    /// # Errors
    /// As [`KeyFile::read`], and [`KeyError::Locked`] if it is a keystore.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        match KeyFile::read(path)? {
            KeyFile::Plain(key) => Ok(key),
            KeyFile::Locked(_) => Err(KeyError::Locked { path: path.to_owned() }),
        }
    }

    /// Makes a key and writes it to `path` in hex.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        key.save(path, None)?;
        Ok(key)
    }

    /// Writes the key to `path`, in hex or as a keystore, readable by the owner alone. The file appears whole or not
    /// at all.
    ///
    /// # Errors
    /// [`KeyError::Io`], also if there is a file at `path`: a key is never overwritten.
    pub fn save(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), KeyError> {
        let bytes = Zeroizing::new(<[u8; 32]>::from(self.secret.to_bytes()));
        let written = match passphrase {
            Some(passphrase) => lock(&bytes, passphrase).and_then(|text| write_new(path, &text)),
            None => {
                let mut text = Zeroizing::new([0; 64]);
                hex::encode_to_slice(bytes.as_slice(), text.as_mut_slice()).expect("two digits a byte");
                write_new(path, text.as_slice())
            }
        };
        written.map_err(|source| KeyError::Io { path: path.to_owned(), source })
    }

    /// Reads a key in hex, with or without `0x` and white space around it; `None` for anything else.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let digits = text.strip_prefix(b"0x").unwrap_or(text);
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
        Self::from_bytes(&bytes)
    }

    /// The node this is the key of: the Ethereum address of the public key.
    pub const fn node_id(&self) -> NodeId {
        self.node
    }

    /// Signs 32 bytes that are a hash already. The same digest always gives the same signature (RFC 6979).
    pub fn sign(&self, digest: Digest) -> Signature {
        let (signature, recovery) = self
            .secret
            .sign_prehash_recoverable(digest.as_bytes())
            .expect("a 32-byte digest is long enough, and no one knows a digest whose nonce is zero");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + u8::from(recovery.is_y_odd());
        Signature::new(bytes)
    }

    /// The same key for libp2p, so that the peer id derives from it.
    #[cfg(feature = "libp2p")]
    pub fn libp2p_keypair(&self) -> libp2p::identity::Keypair {
        let mut bytes = Zeroizing::new(<[u8; 32]>::from(self.secret.to_bytes()));
        let secret = libp2p::identity::secp256k1::SecretKey::try_from_bytes(bytes.as_mut_slice())
            .expect("the bytes of a valid secp256k1 key");
        libp2p::identity::secp256k1::Keypair::from(secret).into()
    }

    /// The same key as a signer of transactions, so that a party has one address everywhere.
    #[cfg(feature = "contract")]
    pub fn transaction_signer(&self) -> alloy::signers::local::PrivateKeySigner {
        let bytes = Zeroizing::new(<[u8; 32]>::from(self.secret.to_bytes()));
        alloy::signers::local::PrivateKeySigner::from_slice(bytes.as_slice())
            .expect("the bytes of a valid secp256k1 key")
    }
}

impl Keystore {
    /// Opens it. Takes a second, and the memory that it asks for.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<NodeKey, LockError> {
        let secret = self.secret(passphrase)?;
        NodeKey::from_bytes(&secret)
            .ok_or_else(|| LockError::Malformed("it holds no secp256k1 key".to_owned()))
    }
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] if group or world have any right to a file with a plain key, [`KeyError::Malformed`] if
    /// it holds anything but hex digits of a key and white space, [`KeyError::Keystore`] if it is a keystore that
    /// cannot be opened whatever the passphrase.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let io_error = |source| KeyError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o7777;
        let mut text = Zeroizing::new(Vec::new());
        file.take(MAX_KEYSTORE_BYTES).read_to_end(&mut text).map_err(io_error)?;
        // Its passphrase protects a keystore; other tools leave theirs readable.
        if is_keystore(&text) {
            let parsed = Keystore::parse(&text);
            return parsed
                .map(Self::Locked)
                .map_err(|source| KeyError::Keystore { path: path.to_owned(), source });
        }
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let key = if text.len() > MAX_HEX_BYTES { None } else { NodeKey::from_hex(&text) };
        key.map(Self::Plain).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
    }
}

/// Writes one line to a file that must not exist.
fn write_new(path: &Path, line: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(dir)?;
    file.write_all(line)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|err| err.error)?;
    File::open(dir)?.sync_all()
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// The first account of a fresh Anvil: key and address are in its documentation.
    const ANVIL_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const ANVIL_ADDRESS: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

    fn anvil() -> NodeKey {
        NodeKey::from_hex(ANVIL_KEY.as_bytes()).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_node_is_the_ethereum_address_of_its_key() {
        assert_eq!(anvil().node_id().to_string(), ANVIL_ADDRESS);
    }

    #[test]
    fn a_signature_names_its_signer_and_is_deterministic() {
        let (key, digest) = (anvil(), Digest::keccak(b"job"));
        assert_eq!(key.sign(digest).recover(digest), Ok(key.node_id()));
        assert_eq!(key.sign(digest), key.sign(digest));
    }

    proptest! {
        #[test]
        fn every_signature_is_in_the_form_that_recovery_takes(secret: [u8; 32], digest: [u8; 32]) {
            prop_assume!(NodeKey::from_bytes(&secret).is_some());
            let (key, digest) = (NodeKey::from_bytes(&secret).unwrap(), Digest::new(digest));
            prop_assert_eq!(key.sign(digest).recover(digest), Ok(key.node_id()));
        }

        #[test]
        fn hostile_key_files_never_panic(text: Vec<u8>) {
            let key = NodeKey::from_hex(&text);
            prop_assert!(key.is_none() || text.len() >= 64);
        }
    }

    #[test]
    fn zero_and_the_order_of_the_curve_are_no_keys() {
        let order = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
        assert!(NodeKey::from_bytes(&[0; 32]).is_none());
        assert!(NodeKey::from_bytes(&order).is_none());
    }

    #[test]
    fn debug_shows_the_address_and_not_the_secret() {
        let text = format!("{:?}", anvil());
        assert!(text.contains(ANVIL_ADDRESS), "{text}");
        assert!(!text.to_lowercase().contains("ac0974be"), "{text}");
    }

    #[test]
    fn a_created_key_is_private_and_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let key = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(NodeKey::load_or_create(&path).unwrap().node_id(), key.node_id());
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        NodeKey::create(&path).unwrap();
        let before = fs::read(&path).unwrap();
        assert!(matches!(NodeKey::create(&path), Err(KeyError::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        NodeKey::create(&path).unwrap();
        for bits in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
            let err = NodeKey::load_or_create(&path).unwrap_err();
            assert!(matches!(err, KeyError::Exposed { mode, .. } if mode == bits));
            assert!(err.to_string().contains("chmod 600"), "{err}");
        }
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_without_repeating_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        fs::write(&path, format!("{ANVIL_KEY}{ANVIL_KEY}")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let err = NodeKey::load(&path).unwrap_err();
        assert!(matches!(err, KeyError::Malformed { .. }));
        assert!(!err.to_string().contains("ac0974be"), "{err}");
    }

    #[test]
    fn a_keystore_is_told_from_a_key_and_is_private_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.json");
        let passphrase = Passphrase::new("open sesame".to_owned());
        anvil().save(&path, Some(&passphrase)).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(NodeKey::load_or_create(&path), Err(KeyError::Locked { .. })));
        // As other tools leave theirs.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let KeyFile::Locked(keystore) = KeyFile::read(&path).unwrap() else { panic!("it is a keystore") };
        assert_eq!(keystore.unlock(&passphrase).unwrap().node_id(), anvil().node_id());
        assert!(matches!(anvil().save(&path, Some(&passphrase)), Err(KeyError::Io { .. })));
    }

    #[cfg(feature = "libp2p")]
    #[test]
    fn the_peer_id_follows_from_any_signature() {
        let (key, digest) = (anvil(), Digest::keccak(b"job"));
        let public = key.sign(digest).recover_public_key(digest).unwrap();
        let public = libp2p::identity::secp256k1::PublicKey::try_from_bytes(&public).unwrap();
        let peer = libp2p::identity::PublicKey::from(public).to_peer_id();
        assert_eq!(peer, key.libp2p_keypair().public().to_peer_id());
    }
}
