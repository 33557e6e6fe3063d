//! Canonical bytes, and the hashes that keys sign.
//!
//! A signed action travels and is stored as one version byte and the ABI encoding of its fields. The event inside is the ABI
//! encoding of its own fields. ABI encoding is fixed-width and big endian, and a contract computes the same hashes from it.
//! Decoding refuses bytes that do not encode back to themselves, so each value has one encoding.

use std::{fmt, sync::LazyLock};

use alloy_primitives::{Address, B256, Bytes, Keccak256, Uint};
use alloy_sol_types::{SolStruct, SolValue, sol};

use super::{
    Acceptance, Action, Amount, Audit, AuditSecret, Canonical, Deal, Digest, Event, EventKind, FailureKind,
    FingerprintWord, JobId, LogDomain, MAX_REMARK_BYTES, MAX_SEATS, MAX_SPEC_BYTES, Method, NodeId, Opening,
    SeatOpening, SeatSet, Signature, SignedAction, Span, SummaryForm, SummaryWord,
};

/// First byte of every encoded action.
pub const ACTION_VERSION: u8 = 2;

/// Longest encoded action, in bytes: the largest spec, the longest allow-list or every opening, plus the envelope.
pub const MAX_ACTION_BYTES: usize = MAX_SPEC_BYTES + 16 * 1024;

mod abi {
    super::sol! {
        #[derive(Debug)]
        struct Terms {
            uint8 concurrency;
            uint8 confidence;
            uint32 toleranceKib;
            uint16 relativePermille;
            uint8 method;
            bool deterministic;
            uint8 acceptance;
            uint96 price;
            uint96 bond;
            uint96 keeperFee;
            uint32 open;
            uint32 timeout;
            uint32 run;
            uint32 reveal;
            bool liveLogs;
            address[] allowList;
            uint96 minPaid;
            uint8 escalationLimit;
            bytes32 parent;
            bool requireWork;
            uint16 cpuPermille;
            uint8 canonical;
            bytes32 summary;
            bytes32 audit;
        }

        #[derive(Debug)]
        struct Revelation {
            bytes32 resultHash;
            bytes32 outputRoot;
            int32 exitCode;
            bytes32 fingerprint;
            bytes32 summary;
            bytes32 salt;
        }

        #[derive(Debug)]
        struct SeatRevelation {
            uint8 seat;
            Revelation opening;
        }

        #[derive(Debug)]
        struct Action {
            bytes32 job;
            bytes32 revision;
            uint64 sequence;
            bytes32 seen;
            uint8 kind;
            bytes payload;
        }
    }
}

/// Why bytes are not an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are longer than [`MAX_ACTION_BYTES`].
    #[error("the action has {actual} bytes, at most {MAX_ACTION_BYTES} are allowed")]
    TooLong {
        /// Their length.
        actual: usize,
    },
    /// The version byte is missing or not [`ACTION_VERSION`].
    #[error("the action has format version {found:?}, this program reads {ACTION_VERSION}")]
    Version {
        /// The byte found; `None` for empty input.
        found: Option<u8>,
    },
    /// The bytes are not the ABI encoding of the expected fields.
    #[error("the action is malformed")]
    Malformed,
    /// The bytes decode, but the decoded action encodes to other bytes.
    #[error("the action is not in canonical form")]
    NotCanonical,
    /// A field's value is outside its range.
    #[error("the action's {field} is out of range")]
    OutOfRange {
        /// The field.
        field: Field,
    },
}

/// A field of an action that can hold encodable values without a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The author's signature.
    Signature,
    /// The kind of its event.
    Kind,
    /// The document of a submission.
    Spec,
    /// Why a run failed.
    FailureKind,
    /// A requester's remark.
    Remark,
    /// The openings of a verdict.
    Openings,
    /// An amount of money.
    Amount,
    /// How runs are compared.
    Method,
    /// How bids become seats.
    Acceptance,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Kind => "kind",
            Self::Spec => "spec",
            Self::FailureKind => "failure kind",
            Self::Remark => "remark",
            Self::Openings => "openings",
            Self::Amount => "amount",
            Self::Method => "method",
            Self::Acceptance => "acceptance",
        })
    }
}

const fn out_of_range(field: Field) -> CodecError {
    CodecError::OutOfRange { field }
}

impl Deal {
    /// The hash of the terms, which every bid names.
    pub fn revision(&self) -> Digest {
        Digest::keccak(encode_deal(self))
    }
}

impl Action {
    /// The EIP-712 digest that the author signs.
    pub fn signing_digest(&self, domain: LogDomain) -> Digest {
        signing_digest(self, domain)
    }
}

/// The ABI encoding of the terms, whose keccak256 is the revision.
pub fn encode_deal(deal: &Deal) -> Vec<u8> {
    terms(deal).abi_encode()
}

/// Decodes the ABI encoding of terms. Does not check their bounds.
///
/// # Errors
/// [`CodecError::Malformed`] when the bytes are not terms, [`CodecError::NotCanonical`] when they are and the same terms are
/// encoded otherwise, [`CodecError::OutOfRange`] for an unknown method or acceptance and for an amount above 96 bits.
pub fn decode_deal(bytes: &[u8]) -> Result<Deal, CodecError> {
    let deal = deal_from(&abi::Terms::abi_decode_validate(bytes).map_err(|_| CodecError::Malformed)?)?;
    if encode_deal(&deal) == bytes { Ok(deal) } else { Err(CodecError::NotCanonical) }
}

/// The ABI encoding of an opening, which the contract's interface uses too.
pub fn encode_opening(opening: &Opening) -> Vec<u8> {
    revelation(opening).abi_encode()
}

/// Decodes the ABI encoding of an opening.
///
/// # Errors
/// [`CodecError::Malformed`] when the bytes are not an opening, [`CodecError::NotCanonical`] when they are and the same
/// opening is encoded otherwise.
pub fn decode_opening(bytes: &[u8]) -> Result<Opening, CodecError> {
    let given = abi::Revelation::abi_decode_validate(bytes).map_err(|_| CodecError::Malformed)?;
    let opening = opening_from(&given);
    if encode_opening(&opening) == bytes { Ok(opening) } else { Err(CodecError::NotCanonical) }
}

/// The EIP-712 digest of an action: domain "Assay", version "2", chain id and contract.
pub fn signing_digest(action: &Action, domain: LogDomain) -> Digest {
    static TYPE_HASH: LazyLock<B256> = LazyLock::new(type_hash::<abi::Action>);
    typed_digest(*TYPE_HASH, &envelope(action), domain)
}

/// The type hash in the EIP-712 digests of a type. It is the same for all values, so callers keep it.
pub(crate) fn type_hash<T: SolStruct>() -> B256 {
    Digest::keccak(T::eip712_encode_type().as_bytes()).into()
}

/// The EIP-712 digest of a value whose type has this `type_hash`: domain "Assay", version "2", chain id and contract.
pub(crate) fn typed_digest(type_hash: B256, value: &impl SolStruct, domain: LogDomain) -> Digest {
    /// Where there is no chain, a node computes two digests for every entry it reads.
    static WITHOUT_CHAIN: LazyLock<B256> = LazyLock::new(|| separator(LogDomain::default()));
    let separator = if domain == LogDomain::default() { *WITHOUT_CHAIN } else { separator(domain) };
    let mut value_hash = Keccak256::new();
    value_hash.update(type_hash);
    value_hash.update(value.eip712_encode_data());
    let mut digest = Keccak256::new();
    digest.update(b"\x19\x01");
    digest.update(separator);
    digest.update(value_hash.finalize());
    digest.finalize().into()
}

fn separator(domain: LogDomain) -> B256 {
    domain.eip712().separator()
}

/// The canonical bytes of a signed action.
pub fn encode_action(signed: &SignedAction) -> Vec<u8> {
    let mut bytes = vec![ACTION_VERSION];
    let signature = Bytes::copy_from_slice(signed.signature.as_bytes());
    bytes.extend((envelope(&signed.action), signature).abi_encode_params());
    bytes
}

/// Decodes a stranger's bytes. Does not check the signature.
///
/// # Errors
/// See [`CodecError`]. Never panics, and allocates no more than the input justifies.
pub fn decode_action(bytes: &[u8]) -> Result<SignedAction, CodecError> {
    if bytes.len() > MAX_ACTION_BYTES {
        return Err(CodecError::TooLong { actual: bytes.len() });
    }
    let Some((&ACTION_VERSION, body)) = bytes.split_first() else {
        return Err(CodecError::Version { found: bytes.first().copied() });
    };
    let (envelope, signature) =
        <(abi::Action, Bytes)>::abi_decode_params_validate(body).map_err(|_| CodecError::Malformed)?;
    let signature: [u8; 65] = signature.as_ref().try_into().map_err(|_| out_of_range(Field::Signature))?;
    let kind = EventKind::from_index(envelope.kind).ok_or(out_of_range(Field::Kind))?;
    let signed = SignedAction {
        action: Action {
            job: envelope.job.into(),
            revision: envelope.revision.into(),
            sequence: envelope.sequence,
            seen: envelope.seen.into(),
            event: decode_event(kind, &envelope.payload)?,
        },
        signature: Signature::new(signature),
    };
    if encode_action(&signed) == bytes { Ok(signed) } else { Err(CodecError::NotCanonical) }
}

fn envelope(action: &Action) -> abi::Action {
    abi::Action {
        job: action.job.into(),
        revision: action.revision.into(),
        sequence: action.sequence,
        seen: action.seen.into(),
        kind: action.event.kind().index(),
        payload: encode_event(&action.event).into(),
    }
}

/// The ABI encoding of an event's fields, in declaration order.
pub fn encode_event(event: &Event) -> Vec<u8> {
    match event {
        Event::Submitted { deal, spec, nonce } => {
            (terms(deal), Bytes::copy_from_slice(spec), *nonce).abi_encode_params()
        }
        Event::DealUpdated { deal } => terms(deal).abi_encode(),
        Event::BidPlaced { price } => amount(*price).abi_encode(),
        Event::BidAccepted { node } | Event::BidRejected { node } => Address::from(*node).abi_encode(),
        Event::FailureReported { kind } => u16::from(kind.index()).abi_encode(),
        Event::Committed { commitment } => B256::from(*commitment).abi_encode(),
        Event::SecretPublished { secret } => B256::from(*secret).abi_encode(),
        Event::Revealed { seat, opening } => seat_revelation(*seat, opening).abi_encode(),
        Event::VerdictPosted { openings, accepted } => {
            let openings =
                openings.iter().map(|SeatOpening { seat, opening }| seat_revelation(*seat, opening));
            (openings.collect::<Vec<_>>(), accepted.bits()).abi_encode_params()
        }
        Event::Remarked { node, remark } => (Address::from(*node), remark.clone()).abi_encode_params(),
        Event::Cancelled | Event::BidWithdrawn | Event::Stopped | Event::Expired | Event::Ticked => {
            Vec::new()
        }
    }
}

fn decode_event(kind: EventKind, payload: &[u8]) -> Result<Event, CodecError> {
    let malformed = |_| CodecError::Malformed;
    let empty = |event| if payload.is_empty() { Ok(event) } else { Err(CodecError::NotCanonical) };
    let node = || Address::abi_decode_validate(payload).map(NodeId::from).map_err(malformed);
    match kind {
        EventKind::Submitted => {
            let (deal, spec, nonce) =
                <(abi::Terms, Bytes, u64)>::abi_decode_params_validate(payload).map_err(malformed)?;
            if spec.len() > MAX_SPEC_BYTES {
                return Err(out_of_range(Field::Spec));
            }
            Ok(Event::Submitted { deal: deal_from(&deal)?, spec: spec.to_vec(), nonce })
        }
        EventKind::DealUpdated => {
            let deal = abi::Terms::abi_decode_validate(payload).map_err(malformed)?;
            Ok(Event::DealUpdated { deal: deal_from(&deal)? })
        }
        EventKind::BidPlaced => {
            let price = Uint::<96, 2>::abi_decode_validate(payload).map_err(malformed)?;
            Ok(Event::BidPlaced { price: amount_from(price)? })
        }
        EventKind::BidAccepted => Ok(Event::BidAccepted { node: node()? }),
        EventKind::BidRejected => Ok(Event::BidRejected { node: node()? }),
        EventKind::FailureReported => {
            let index = u16::abi_decode_validate(payload).map_err(malformed)?;
            let index = u8::try_from(index).ok();
            let kind = index.and_then(FailureKind::from_index).ok_or(out_of_range(Field::FailureKind))?;
            Ok(Event::FailureReported { kind })
        }
        EventKind::Committed => {
            let commitment = B256::abi_decode_validate(payload).map_err(malformed)?.into();
            Ok(Event::Committed { commitment })
        }
        EventKind::SecretPublished => {
            let secret = B256::abi_decode_validate(payload).map_err(malformed)?;
            Ok(Event::SecretPublished { secret: AuditSecret::new(secret.0) })
        }
        EventKind::Revealed => {
            let given = abi::SeatRevelation::abi_decode_validate(payload).map_err(malformed)?;
            Ok(Event::Revealed { seat: given.seat, opening: opening_from(&given.opening) })
        }
        EventKind::VerdictPosted => decode_verdict(payload),
        EventKind::Remarked => {
            let (node, remark) =
                <(Address, String)>::abi_decode_params_validate(payload).map_err(malformed)?;
            if remark.len() > MAX_REMARK_BYTES {
                return Err(out_of_range(Field::Remark));
            }
            Ok(Event::Remarked { node: node.into(), remark })
        }
        EventKind::Cancelled => empty(Event::Cancelled),
        EventKind::BidWithdrawn => empty(Event::BidWithdrawn),
        EventKind::Stopped => empty(Event::Stopped),
        EventKind::Expired => empty(Event::Expired),
        EventKind::Ticked => empty(Event::Ticked),
    }
}

fn decode_verdict(payload: &[u8]) -> Result<Event, CodecError> {
    let (openings, accepted) = <(Vec<abi::SeatRevelation>, u32)>::abi_decode_params_validate(payload)
        .map_err(|_| CodecError::Malformed)?;
    if openings.len() > usize::from(MAX_SEATS) {
        return Err(out_of_range(Field::Openings));
    }
    let openings =
        openings.iter().map(|given| SeatOpening { seat: given.seat, opening: opening_from(&given.opening) });
    Ok(Event::VerdictPosted { openings: openings.collect(), accepted: SeatSet::from_bits(accepted) })
}

fn amount(amount: Amount) -> Uint<96, 2> {
    Uint::from(amount.units())
}

fn amount_from(word: Uint<96, 2>) -> Result<Amount, CodecError> {
    u128::try_from(word).ok().and_then(Amount::new).ok_or(out_of_range(Field::Amount))
}

fn terms(deal: &Deal) -> abi::Terms {
    abi::Terms {
        concurrency: deal.concurrency,
        confidence: deal.confidence,
        toleranceKib: deal.tolerance_kib,
        relativePermille: deal.relative_permille,
        method: deal.method.into(),
        deterministic: deal.deterministic,
        acceptance: deal.acceptance as u8,
        price: amount(deal.price),
        bond: amount(deal.bond),
        keeperFee: amount(deal.keeper_fee),
        open: deal.open.as_secs(),
        timeout: deal.timeout.as_secs(),
        run: deal.run.as_secs(),
        reveal: deal.reveal.as_secs(),
        liveLogs: deal.live_logs,
        allowList: deal.allow_list.iter().copied().map(Address::from).collect(),
        minPaid: amount(deal.min_paid),
        escalationLimit: deal.escalation_limit,
        parent: deal.parent.unwrap_or(JobId::ZERO).into(),
        requireWork: deal.require_work,
        cpuPermille: deal.cpu_permille,
        canonical: deal.canonical.bits(),
        summary: deal.summary.map_or([0; 32], |form| form.0).into(),
        audit: deal.audit.map_or([0; 32], |audit| audit.to_word()).into(),
    }
}

fn deal_from(terms: &abi::Terms) -> Result<Deal, CodecError> {
    let parent = JobId::from(terms.parent);
    Ok(Deal {
        concurrency: terms.concurrency,
        confidence: terms.confidence,
        tolerance_kib: terms.toleranceKib,
        relative_permille: terms.relativePermille,
        method: Method::try_from(terms.method).map_err(|_| out_of_range(Field::Method))?,
        deterministic: terms.deterministic,
        acceptance: Acceptance::from_index(terms.acceptance).ok_or(out_of_range(Field::Acceptance))?,
        price: amount_from(terms.price)?,
        bond: amount_from(terms.bond)?,
        keeper_fee: amount_from(terms.keeperFee)?,
        open: Span::from_secs(terms.open),
        timeout: Span::from_secs(terms.timeout),
        run: Span::from_secs(terms.run),
        reveal: Span::from_secs(terms.reveal),
        live_logs: terms.liveLogs,
        allow_list: terms.allowList.iter().copied().map(NodeId::from).collect(),
        min_paid: amount_from(terms.minPaid)?,
        escalation_limit: terms.escalationLimit,
        parent: (!parent.is_zero()).then_some(parent),
        require_work: terms.requireWork,
        cpu_permille: terms.cpuPermille,
        canonical: Canonical::from_bits(terms.canonical),
        summary: (!terms.summary.is_zero()).then_some(SummaryForm(terms.summary.0)),
        audit: (!terms.audit.is_zero()).then(|| Audit::from_word(terms.audit.0)),
    })
}

fn revelation(opening: &Opening) -> abi::Revelation {
    abi::Revelation {
        resultHash: opening.result_hash.into(),
        outputRoot: opening.output_root.into(),
        exitCode: opening.exit_code,
        fingerprint: opening.fingerprint.0.into(),
        summary: opening.summary.0.into(),
        salt: opening.salt.into(),
    }
}

fn seat_revelation(seat: u8, opening: &Opening) -> abi::SeatRevelation {
    abi::SeatRevelation { seat, opening: revelation(opening) }
}

fn opening_from(opening: &abi::Revelation) -> Opening {
    Opening {
        result_hash: opening.resultHash.into(),
        output_root: opening.outputRoot.into(),
        exit_code: opening.exitCode,
        fingerprint: FingerprintWord(opening.fingerprint.0),
        summary: SummaryWord(opening.summary.0),
        salt: opening.salt.into(),
    }
}

#[cfg(test)]
mod tests;
