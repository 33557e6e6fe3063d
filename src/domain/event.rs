//! What can happen to a job, who said so and when.

use serde::{Deserialize, Serialize};

use super::{
    Amount, AuditSecret, Deal, Digest, FailureKind, JobId, LogDomain, NodeId, SeatOpening, SeatSet,
    Signature, SignatureError, Timestamp, result::Opening,
};

/// The longest remark, in bytes.
pub const MAX_REMARK_BYTES: usize = 256;

/// One step in a job's life, as its author signs it. Each rule has one variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A requester asks for a job.
    Submitted {
        /// The terms.
        deal: Deal,
        /// The canonical spec document.
        #[serde(with = "document")]
        #[cfg_attr(feature = "node", schema(value_type = String))]
        spec: Vec<u8>,
        /// The requester's nonce, which makes the job's id unique.
        nonce: u64,
    },
    /// The requester changes the terms, which voids every earlier bid.
    DealUpdated {
        /// The new terms.
        deal: Deal,
    },
    /// The requester cancels a job that has never had a seat.
    Cancelled,
    /// A node offers to run the job, under the revision that its action names.
    BidPlaced {
        /// The pay that the node asks for its seat.
        price: Amount,
    },
    /// A node takes its bid back.
    BidWithdrawn,
    /// The requester gives the bidder a seat.
    BidAccepted {
        /// The bidder.
        node: NodeId,
    },
    /// The requester declines a bid.
    BidRejected {
        /// The bidder.
        node: NodeId,
    },
    /// An accepted node reports that its run gave no result.
    FailureReported {
        /// Why.
        kind: FailureKind,
    },
    /// An accepted node commits to its result.
    Committed {
        /// The salted hash of the result; see [`Opening::commitment`].
        commitment: Digest,
    },
    /// The requester ends a running job and pays every seat that has not failed.
    Stopped,
    /// Anyone opens the commitment of a seat, once its node has given the salt away.
    Revealed {
        /// The seat.
        seat: u8,
        /// The result and the salt.
        opening: Opening,
    },
    /// Anyone posts the verdict. Readers and contracts recompute it.
    VerdictPosted {
        /// Openings that are not in the log yet, ascending by seat. They may repeat those in the log.
        openings: Vec<SeatOpening>,
        /// Seats whose results agree. Empty claims an inconclusive outcome.
        accepted: SeatSet,
    },
    /// Anyone ends a job after its deadline.
    Expired,
    /// The requester records a node's error. The job's state stays.
    Remarked {
        /// The node.
        node: NodeId,
        /// What the requester noticed; at most [`MAX_REMARK_BYTES`].
        remark: String,
    },
    /// Where there is no chain, the sequencer of the log closes commits after their deadline.
    Ticked,
    /// The requester publishes the secret of its audit, once the first wave has committed.
    SecretPublished {
        /// The secret whose hash is in the deal.
        secret: AuditSecret,
    },
}

/// The kind of an event. The order is part of the wire format: only append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[expect(missing_docs, reason = "each kind is documented at the event of the same name")]
pub enum EventKind {
    Submitted = 0,
    DealUpdated = 1,
    Cancelled = 2,
    BidPlaced = 3,
    BidWithdrawn = 4,
    BidAccepted = 5,
    BidRejected = 6,
    FailureReported = 7,
    Committed = 8,
    Stopped = 9,
    Revealed = 10,
    VerdictPosted = 11,
    Expired = 12,
    Remarked = 13,
    Ticked = 14,
    SecretPublished = 15,
}

impl EventKind {
    /// Every kind, in the order of the wire format.
    pub const ALL: [Self; 16] = [
        Self::Submitted,
        Self::DealUpdated,
        Self::Cancelled,
        Self::BidPlaced,
        Self::BidWithdrawn,
        Self::BidAccepted,
        Self::BidRejected,
        Self::FailureReported,
        Self::Committed,
        Self::Stopped,
        Self::Revealed,
        Self::VerdictPosted,
        Self::Expired,
        Self::Remarked,
        Self::Ticked,
        Self::SecretPublished,
    ];

    /// The index on the wire.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The kind with this index on the wire.
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

impl Event {
    /// The kind of this event.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Submitted { .. } => EventKind::Submitted,
            Self::DealUpdated { .. } => EventKind::DealUpdated,
            Self::Cancelled => EventKind::Cancelled,
            Self::BidPlaced { .. } => EventKind::BidPlaced,
            Self::BidWithdrawn => EventKind::BidWithdrawn,
            Self::BidAccepted { .. } => EventKind::BidAccepted,
            Self::BidRejected { .. } => EventKind::BidRejected,
            Self::FailureReported { .. } => EventKind::FailureReported,
            Self::Committed { .. } => EventKind::Committed,
            Self::Stopped => EventKind::Stopped,
            Self::Revealed { .. } => EventKind::Revealed,
            Self::VerdictPosted { .. } => EventKind::VerdictPosted,
            Self::Expired => EventKind::Expired,
            Self::Remarked { .. } => EventKind::Remarked,
            Self::Ticked => EventKind::Ticked,
            Self::SecretPublished { .. } => EventKind::SecretPublished,
        }
    }
}

/// An event, tied to one place in one job's log. The author signs all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The job.
    pub job: JobId,
    /// The revision of the deal that the author knows.
    pub revision: Digest,
    /// The author's count of its own actions in this job, from 0. Two actions with the same count are one action, so
    /// resending is idempotent.
    pub sequence: u64,
    /// The hash of the newest entry of this job that the author holds; zero if it holds none.
    pub seen: Digest,
    /// What happens.
    pub event: Event,
}

/// An action and its author's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAction {
    /// What was signed.
    pub action: Action,
    /// Over [`Action::signing_digest`].
    pub signature: Signature,
}

impl SignedAction {
    /// Who signed.
    ///
    /// # Errors
    /// When the signature is malformed or no key made it.
    pub fn author(&self, domain: LogDomain) -> Result<NodeId, SignatureError> {
        self.signature.recover(self.action.signing_digest(domain))
    }
}

/// What the rules need to know about an event's author: accounts on a chain and in the local backend, constants where there
/// is no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Whether the author has the money that the event locks: the requester's escrow, or the bidder's bond.
    pub funded: bool,
    /// How much verdicts paid the bidder before. A seat that was compared with no other does not count.
    pub paid: Amount,
    /// Whether the bidder had a seat in this job's parent.
    pub sat_in_parent: bool,
    /// Whether the log limits the number of bids. A chain does not: each bidder pays for storing its bid.
    pub bids_bounded: bool,
}

impl Facts {
    /// The facts where there is no money: nothing to lock, and nobody was paid.
    pub const MONEYLESS: Self =
        Self { funded: true, paid: Amount::ZERO, sat_in_parent: false, bids_bounded: true };
}

/// What a party has in a log that holds money, beside what jobs have locked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Funds {
    /// What jobs may lock.
    pub free: Amount,
    /// How much verdicts paid it before, as in [`Facts::paid`].
    pub paid: Amount,
}

/// An event as the rules see it: who, when, and the facts that the backend adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stamped<E> {
    /// The job.
    pub job: JobId,
    /// The signer, or the sender of the transaction.
    pub author: NodeId,
    /// The time of the sequencer or of the block.
    pub at: Timestamp,
    /// The revision that the author named.
    pub revision: Digest,
    /// What the backend knows.
    pub facts: Facts,
    /// What happens.
    pub event: E,
}

/// A spec document appears as text in JSON, since it is JSON itself.
mod document {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(deserializer).map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_of_kinds_are_inverse() {
        for (index, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.index()), index);
            assert_eq!(EventKind::from_index(kind.index()), Some(kind));
        }
        assert_eq!(EventKind::from_index(16), None);
    }
}
