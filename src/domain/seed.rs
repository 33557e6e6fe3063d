//! The seed of a job: the same in every seat, so that a random program gives every node the same output.

use std::{fmt, str::FromStr};

use alloy_primitives::hex;
use sha2::{Digest as _, Sha256};

use super::{JobId, ParseIdError, ids::parse_hex, text::json_as_text};

/// The prefix of the variables that a node sets in every container. A job may not set them.
pub const RESERVED_VARIABLES: &str = "ASSAY_";

/// Separates this hash of a job's id from its hashes for other purposes.
const CONTEXT: &[u8] = b"assay seed v1\0";

/// 32 bytes that every node derives from a job's id alone.
///
/// The nonce is part of the id, so the requester can choose the seed and no node can. Follow-ups keep the seed of the first
/// job of their chain: see [`super::JobRecord::first`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seed([u8; 32]);

impl Seed {
    /// SHA-256 of `"assay seed v1\0"` and the 32 bytes of the id.
    pub fn of(first: JobId) -> Self {
        Self(Sha256::new().chain_update(CONTEXT).chain_update(first.as_bytes()).finalize().into())
    }

    /// The first four bytes, big endian, without the top bit: 0 to 2^31 - 1, so that the number fits a signed integer of 32
    /// bits.
    pub const fn small(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1)
    }
}

/// 64 lower-case hex digits, without a prefix.
impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Seed {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        parse_hex(text).map(Self)
    }
}

json_as_text!(Seed);
