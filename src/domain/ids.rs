//! Identifiers: fixed-width byte strings with one text form, `0x` and lower-case hex.

use alloy_primitives::{Address, B256, Uint, hex, keccak256};
use alloy_sol_types::{Eip712Domain, SolValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::text::hex_text;

/// The text is not an identifier of the expected width.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 0x and {expected} hex digits, got {found:?}")]
pub struct ParseIdError {
    expected: usize,
    found: String,
}

/// How much foreign text an error repeats, in characters.
const QUOTED_CHARS: usize = 80;

pub(super) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let mut bytes = [0; N];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // The decoder would accept a second prefix.
    match hex::decode_to_slice(digits, &mut bytes) {
        Ok(()) if !digits.starts_with("0x") => Ok(bytes),
        Ok(()) | Err(_) => {
            Err(ParseIdError { expected: 2 * N, found: text.chars().take(QUOTED_CHARS).collect() })
        }
    }
}

/// Parses a word of 32 bytes. It needs its prefix, since digits alone may be a number.
pub(super) fn parse_word(text: &str) -> Option<[u8; 32]> {
    text.starts_with("0x").then(|| parse_hex(text).ok()).flatten()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $width:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; $width]);

        impl $name {
            /// All bytes zero. It means "none" where a fixed-width field may be empty.
            pub const ZERO: Self = Self([0; $width]);

            /// Wraps the bytes of an identifier.
            pub const fn new(bytes: [u8; $width]) -> Self {
                Self(bytes)
            }

            /// The bytes, big endian.
            pub const fn as_bytes(&self) -> &[u8; $width] {
                &self.0
            }

            /// Whether this is [`Self::ZERO`].
            pub fn is_zero(&self) -> bool {
                self.0 == [0; $width]
            }

            /// The first eight hex digits, for tables and logs.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        hex_text!($name, parse_hex, ParseIdError);
    };
}

identifier!(
    /// A party: the Ethereum address of its secp256k1 key, on every backend.
    NodeId, 20
);
identifier!(
    /// A job: keccak256 over domain, requester, the requester's nonce, spec hash and revision.
    JobId, 32
);
identifier!(
    /// A 32-byte hash: keccak256 if a contract also computes it, SHA-256 for content.
    Digest, 32
);

identifier!(
    /// The secret behind the draw of an audit. Only the requester knows it until it publishes it.
    AuditSecret, 32
);
identifier!(
    /// The first 30 bytes of the keccak256 of an [`AuditSecret`].
    SecretHash, 30
);

impl Digest {
    /// keccak256 of `bytes`.
    pub fn keccak(bytes: impl AsRef<[u8]>) -> Self {
        Self(keccak256(bytes).0)
    }

    /// SHA-256 of `bytes`.
    pub fn sha256(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl From<NodeId> for Address {
    fn from(id: NodeId) -> Self {
        Self::from(id.0)
    }
}

impl From<Address> for NodeId {
    fn from(address: Address) -> Self {
        Self(address.into_array())
    }
}

impl From<Digest> for B256 {
    fn from(digest: Digest) -> Self {
        Self::from(digest.0)
    }
}

impl From<B256> for Digest {
    fn from(word: B256) -> Self {
        Self(word.0)
    }
}

impl From<AuditSecret> for B256 {
    fn from(secret: AuditSecret) -> Self {
        Self::from(secret.0)
    }
}

impl JobId {
    /// The place of a node in the order in which nodes bid for this job.
    pub fn lot(self, node: NodeId) -> Digest {
        Digest::keccak([self.0.as_slice(), &node.0].concat())
    }
}

impl From<JobId> for B256 {
    fn from(id: JobId) -> Self {
        Self::from(id.0)
    }
}

impl From<B256> for JobId {
    fn from(word: B256) -> Self {
        Self(word.0)
    }
}

/// Separates one log from every other: chain id and contract address, 0 and 0 without a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LogDomain {
    /// The EVM chain id; 0 without a chain.
    pub chain_id: u64,
    /// The scheduler contract; zero without a chain.
    pub contract: NodeId,
}

impl LogDomain {
    /// The version that signatures include.
    pub const SIGNING_VERSION: &str = "2";

    /// Earlier versions.
    pub const OLDER_SIGNING_VERSIONS: [&str; 1] = ["1"];

    /// The EIP-712 domain of signatures in this log.
    pub fn eip712(self) -> Eip712Domain {
        self.eip712_of(Self::SIGNING_VERSION)
    }

    /// The EIP-712 domain of this log in another version.
    pub fn eip712_of(self, version: &'static str) -> Eip712Domain {
        Eip712Domain::new(
            Some("Assay".into()),
            Some(version.into()),
            Some(Uint::from(self.chain_id)),
            Some(Address::from(self.contract)),
            None,
        )
    }

    /// The id of the job that `requester` submits with this nonce, spec and revision.
    pub fn job_id(&self, requester: NodeId, nonce: u64, spec_hash: Digest, revision: Digest) -> JobId {
        let fields = (
            self.chain_id,
            Address::from(self.contract),
            Address::from(requester),
            nonce,
            B256::from(spec_hash),
            B256::from(revision),
        );
        JobId(keccak256(fields.abi_encode()).0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(bytes: [u8; 32], short: [u8; 20]) {
            prop_assert_eq!(Digest::new(bytes).to_string().parse(), Ok(Digest::new(bytes)));
            prop_assert_eq!(NodeId::new(short).to_string().parse(), Ok(NodeId::new(short)));
        }

        #[test]
        fn hostile_text_never_panics(text: String) {
            let parsed = text.parse::<JobId>();
            prop_assert_eq!(parsed.is_ok(), text.parse::<Digest>().is_ok());
        }
    }

    #[test]
    fn one_prefix_is_enough() {
        let digits = "ab".repeat(32);
        assert_eq!(format!("0x{digits}").parse(), Ok(Digest::new([0xab; 32])));
        assert!(format!("0x0x{digits}").parse::<Digest>().is_err());
    }

    #[test]
    fn a_job_id_depends_on_every_part_of_its_origin() {
        let domain = LogDomain::default();
        let other = LogDomain { chain_id: 31337, ..domain };
        let (alice, bob) = (NodeId::new([1; 20]), NodeId::new([2; 20]));
        let (a, b) = (Digest::new([3; 32]), Digest::new([4; 32]));
        let ids = [
            domain.job_id(alice, 1, a, b),
            other.job_id(alice, 1, a, b),
            domain.job_id(bob, 1, a, b),
            domain.job_id(alice, 2, a, b),
            domain.job_id(alice, 1, b, b),
            domain.job_id(alice, 1, a, a),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
