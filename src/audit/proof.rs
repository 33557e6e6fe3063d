//! The proof of an entry in a document: its canonical bytes, in hex.

use alloy_primitives::hex;

use super::AuditError;
use crate::scheduler::libp2p::entry::{Entry, EntryError, MAX_ENTRY_BYTES};

/// Why hex is no entry.
pub(super) enum HexError {
    NotHex,
    Entry(EntryError),
}

impl HexError {
    pub(super) fn at(self, height: u64) -> AuditError {
        match self {
            Self::NotHex => AuditError::NotHex { height },
            Self::Entry(source) => AuditError::Proof { height, source },
        }
    }
}

/// The entry, if it is one.
pub(super) fn decode(proof: &str) -> Result<Entry, HexError> {
    if proof.len() > 2 * MAX_ENTRY_BYTES {
        return Err(HexError::Entry(EntryError::TooLong { actual: proof.len() / 2 }));
    }
    let bytes = hex::decode(proof).map_err(|_| HexError::NotHex)?;
    Entry::decode(&bytes).map_err(HexError::Entry)
}
