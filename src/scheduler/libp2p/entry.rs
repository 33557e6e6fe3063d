//! One entry of a job's log: an author's signed action, given its place by the requester's signature.
//!
//! An entry is named by its hash, the EIP-712 digest of `Entry(bytes32 job, uint64 height, bytes32 prev, uint64 at,
//! bytes32 action)`, where `action` is the keccak256 of the action's canonical bytes, so that the author's signature
//! is covered too. The requester signs that hash. Entries travel and are stored as one version byte and the ABI
//! encoding of height, prev, at, the action's bytes and the signature; what does not encode back to the same
//! bytes is refused.

use std::sync::LazyLock;

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolValue, sol};

use crate::{
    domain::{
        Digest, Event, Facts, JobId, LogDomain, NodeId, Signature, SignatureError, SignedAction, Stamped,
        Timestamp,
        codec::{self, CodecError, MAX_ACTION_BYTES},
    },
    identity::NodeKey,
};

/// First byte of every encoded entry.
pub const ENTRY_VERSION: u8 = 1;

/// Longest encoded entry: the longest action and a dozen words around it.
pub const MAX_ENTRY_BYTES: usize = MAX_ACTION_BYTES + 512;

mod abi {
    super::sol! {
        struct Entry {
            bytes32 job;
            uint64 height;
            bytes32 prev;
            uint64 at;
            bytes32 action;
        }
    }
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// More than [`MAX_ENTRY_BYTES`].
    #[error("the entry has {actual} bytes, at most {MAX_ENTRY_BYTES} are allowed")]
    TooLong {
        /// Its length.
        actual: usize,
    },
    /// The version byte is missing or not [`ENTRY_VERSION`].
    #[error("the entry has format version {found:?}, this program reads {ENTRY_VERSION}")]
    Version {
        /// The byte found.
        found: Option<u8>,
    },
    /// The bytes are no ABI encoding of the expected fields.
    #[error("the entry is malformed")]
    Malformed,
    /// The bytes decode, but are not what the decoded entry encodes to.
    #[error("the entry is not in canonical form")]
    NotCanonical,
    /// The action inside is invalid.
    #[error("the entry holds no action")]
    Action(#[source] CodecError),
}

/// An action in its place. [`super::sequence`] checks the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the job's log: 1 for the submission, one more for each that follows.
    pub height: u64,
    /// The hash of the entry before; zero for the first.
    pub prev: Digest,
    /// When the requester ordered it, by the requester's clock.
    pub at: Timestamp,
    /// What its author signed.
    pub action: SignedAction,
    /// The requester's, over [`Self::hash`].
    pub signature: Signature,
}

impl Entry {
    /// Puts an action in its place, signed with the requester's key.
    pub fn sign(
        key: &NodeKey,
        domain: LogDomain,
        (height, prev): (u64, Digest),
        at: Timestamp,
        action: SignedAction,
    ) -> Self {
        let unsigned = Self { height, prev, at, action, signature: Signature::new([0; 65]) };
        let signature = key.sign(unsigned.hash(domain));
        Self { signature, ..unsigned }
    }

    /// The job that the action names.
    pub const fn job(&self) -> JobId {
        self.action.action.job
    }

    /// What happened.
    pub const fn event(&self) -> &Event {
        &self.action.action.event
    }

    /// The hash that names this entry, which the requester signed.
    pub fn hash(&self, domain: LogDomain) -> Digest {
        static TYPE_HASH: LazyLock<B256> = LazyLock::new(codec::type_hash::<abi::Entry>);
        let fields = abi::Entry {
            job: self.job().into(),
            height: self.height,
            prev: self.prev.into(),
            at: self.at.as_secs(),
            action: Digest::keccak(codec::encode_action(&self.action)).into(),
        };
        codec::typed_digest(*TYPE_HASH, &fields, domain)
    }

    /// Who signed the entry.
    ///
    /// # Errors
    /// When the signature is malformed or recovers to nobody.
    pub fn signer(&self, domain: LogDomain) -> Result<NodeId, SignatureError> {
        self.signature.recover(self.hash(domain))
    }

    /// The event as the rules see it.
    ///
    /// # Errors
    /// When the author's signature is malformed or recovers to nobody.
    pub fn stamped(&self, domain: LogDomain) -> Result<Stamped<Event>, SignatureError> {
        Ok(self.stamped_by(self.action.author(domain)?))
    }

    /// The event as the rules see it, given who signed the action. No rule asks for more facts of an entry that is in
    /// a log: a bidder with a seat in the parent is refused before.
    pub(super) fn stamped_by(&self, author: NodeId) -> Stamped<Event> {
        let action = &self.action.action;
        Stamped {
            job: action.job,
            author,
            at: self.at,
            revision: action.revision,
            facts: Facts::MONEYLESS,
            event: action.event.clone(),
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_around(codec::encode_action(&self.action).into())
    }

    /// The canonical bytes, given those of the action.
    fn encode_around(&self, action: Bytes) -> Vec<u8> {
        let mut bytes = vec![ENTRY_VERSION];
        let signature = Bytes::copy_from_slice(self.signature.as_bytes());
        let fields = (self.height, B256::from(self.prev), self.at.as_secs(), action, signature);
        bytes.extend(fields.abi_encode_params());
        bytes
    }

    /// Decodes a stranger's canonical bytes; no signature is checked here.
    ///
    /// # Errors
    /// See [`EntryError`]; never panics, and allocates no more than the bytes given warrant.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLong { actual: bytes.len() });
        }
        let Some((&ENTRY_VERSION, body)) = bytes.split_first() else {
            return Err(EntryError::Version { found: bytes.first().copied() });
        };
        let (height, prev, at, action, signature) =
            <(u64, B256, u64, Bytes, Bytes)>::abi_decode_params_validate(body)
                .map_err(|_| EntryError::Malformed)?;
        let signature: [u8; 65] = signature.as_ref().try_into().map_err(|_| EntryError::Malformed)?;
        let entry = Self {
            height,
            prev: prev.into(),
            at: Timestamp::from_secs(at),
            action: codec::decode_action(&action).map_err(EntryError::Action)?,
            signature: Signature::new(signature),
        };
        // The bytes of the action are canonical, or it would not have been decoded.
        if entry.encode_around(action) == bytes { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }
}

/// An entry with its hash and its length, whose computation needs an encoding.
#[derive(Debug, Clone)]
pub(super) struct Hashed {
    pub(super) entry: Entry,
    /// See [`Entry::hash`].
    pub(super) hash: Digest,
    /// Of the canonical bytes.
    pub(super) length: usize,
}

impl Hashed {
    /// Computes both.
    pub(super) fn new(entry: Entry, domain: LogDomain) -> Self {
        Self { hash: entry.hash(domain), length: entry.encode().len(), entry }
    }
}
