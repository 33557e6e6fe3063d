//! One secp256k1 key a node: its address, its signatures and its peer id.
//!
//! What a signature is, and who made it, is a matter of the pure core: [`crate::domain::Signature`].

mod keys;
mod keystore;

pub use keys::{KeyError, KeyFile, NodeKey};
pub use keystore::{Keystore, LockError, Passphrase};
