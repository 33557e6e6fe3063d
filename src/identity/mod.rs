//! One secp256k1 key a node: its address, its signatures and its peer id.
//!
//! What a signature is, and who made it, is a matter of the pure core: [`crate::domain::Signature`].
//!
//! ```
//! use assay::{domain::Digest, identity::NodeKey};
//!
//! let key = NodeKey::generate()?;
//! let digest = Digest::sha256("an action");
//! assert_eq!(key.sign(digest).recover(digest), Ok(key.node_id()));
//! # Ok::<(), assay::identity::KeyError>(())
//! ```

mod keys;
mod keystore;
#[cfg(feature = "libp2p")]
mod link_key;

pub use keys::{KeyError, KeyFile, NodeKey};
pub use keystore::{Keystore, LockError, Passphrase};
#[cfg(feature = "libp2p")]
pub use link_key::{LinkKey, voucher_of};
