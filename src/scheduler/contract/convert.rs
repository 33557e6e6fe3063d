//! From the contract's values to ours and back: terms, openings, logs, reverts.

use alloy_sol_types::{SolInterface, SolValue};

use super::{
    abi::{Errors, Events, IJobScheduler as abi},
    packed::unpack_terms,
};
use crate::{
    domain::{
        Amount, AuditSecret, Deal, Digest, Event, Facts, FailureKind, JobId, JobState, MAX_REMARK_BYTES,
        NodeId, Opening, SeatOpening, SeatSet, Stamped, Timestamp, codec,
    },
    rules::{Ledger, Rejection},
};

/// The facts of every event in the contract's log: the contract has checked them.
pub(super) const CHECKED: Facts =
    Facts { funded: true, paid: Amount::MAX, sat_in_parent: false, bids_bounded: false };

/// An event of the contract, as far as it is about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobEvent {
    pub(super) job: JobId,
    author: Author,
    facts: Facts,
    pub(super) event: Event,
    /// The state that the contract says the job is in now, where an event says so.
    pub(super) state: Option<JobState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    /// The author is the requester: the contract lets nobody else do this and does not name it.
    Requester,
    Named(NodeId),
}

/// What the contract's log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChainEvent {
    /// A step of a job.
    Job(Box<JobEvent>),
    /// Where a node can be reached.
    NodeAnnounced { node: NodeId, addresses: String },
    /// Nothing that concerns the log of a job.
    Other,
}

/// Values that this version of the contract never emits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the contract's log has {what}, which this program does not know")]
pub(super) struct UnknownValue {
    what: &'static str,
}

/// Why the contract refuses a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Revert {
    /// The rules say no.
    Rule(Rejection),
    /// The values given with the event are out of date: the log has moved on.
    Stale(&'static str),
    /// The seats are kept as one hash and must get slots of their own first.
    Rostered,
    /// The seats have slots of their own already.
    NotRostered,
    /// Not an error of the interface, such as a lack of gas.
    Unknown(String),
}

fn deal_of(terms: &[u8]) -> Result<Deal, UnknownValue> {
    unpack_terms(terms).map_err(|_| UnknownValue { what: "terms" })
}

pub(super) fn opening_to_abi(opening: &Opening) -> abi::Opening {
    abi::Opening::abi_decode(&codec::encode_opening(opening)).expect("both encodings are of the same fields")
}

fn opening_of(opening: &abi::Opening) -> Result<Opening, UnknownValue> {
    codec::decode_opening(&opening.abi_encode()).map_err(|_| UnknownValue { what: "an opening" })
}

pub(super) fn failure_to_abi(kind: FailureKind) -> abi::FailureKind {
    abi::FailureKind::try_from(kind.index()).expect("both enums have the same values")
}

fn amount_of(units: alloy_primitives::Uint<96, 2>) -> Result<Amount, UnknownValue> {
    u128::try_from(units).ok().and_then(Amount::new).ok_or(UnknownValue { what: "an amount" })
}

fn failure_of(kind: abi::FailureKind) -> Result<FailureKind, UnknownValue> {
    FailureKind::from_index(kind as u8).ok_or(UnknownValue { what: "a failure kind" })
}

fn state_of(state: abi::JobState) -> Result<JobState, UnknownValue> {
    JobState::ALL.get(usize::from(state as u8)).copied().ok_or(UnknownValue { what: "a state" })
}

/// A remark, cut to the length that the rules allow: replacing invalid UTF-8 makes it longer.
fn remark_of(mut remark: String) -> String {
    let end = (0..=MAX_REMARK_BYTES.min(remark.len())).rev().find(|end| remark.is_char_boundary(*end));
    remark.truncate(end.unwrap_or(0));
    remark
}

/// Reads one event of the contract.
///
/// # Errors
/// [`UnknownValue`]; the contract of this interface emits none.
pub(super) fn chain_event(event: Events) -> Result<ChainEvent, UnknownValue> {
    let by_requester = |job: alloy_primitives::B256, event| job_event(job, Author::Requester, event);
    let by = |job: alloy_primitives::B256, author: alloy_primitives::Address, event| {
        job_event(job, Author::Named(author.into()), event)
    };
    let log = match event {
        Events::Submitted(log) => {
            let deal = deal_of(&log.terms)?;
            by(log.job, log.requester, Event::Submitted { deal, spec: log.spec.to_vec(), nonce: log.nonce })
        }
        Events::DealUpdated(log) => by_requester(log.job, Event::DealUpdated { deal: deal_of(&log.terms)? }),
        Events::Cancelled(log) => by_requester(log.job, Event::Cancelled),
        Events::BidPlaced(log) => by(log.job, log.node, Event::BidPlaced { price: amount_of(log.price)? }),
        Events::BidWithdrawn(log) => by(log.job, log.node, Event::BidWithdrawn),
        Events::BidAccepted(log) => by_requester(log.job, Event::BidAccepted { node: log.node.into() }),
        Events::BidSkipped(log) => {
            let accepted = by_requester(log.job, Event::BidAccepted { node: log.node.into() });
            JobEvent { facts: Facts { funded: false, ..CHECKED }, ..accepted }
        }
        Events::BidRejected(log) => by_requester(log.job, Event::BidRejected { node: log.node.into() }),
        Events::FailureReported(log) => {
            by(log.job, log.node, Event::FailureReported { kind: failure_of(log.kind)? })
        }
        Events::Committed(log) => {
            by(log.job, log.node, Event::Committed { commitment: log.commitment.into() })
        }
        Events::Stopped(log) => by_requester(log.job, Event::Stopped),
        Events::SecretPublished(log) => {
            by_requester(log.job, Event::SecretPublished { secret: AuditSecret::new(log.secret.0) })
        }
        Events::Revealed(log) => {
            let (seat, opening) = (log.seat, opening_of(&log.opening)?);
            by(log.job, log.sender, Event::Revealed { seat, opening })
        }
        Events::VerdictPosted(log) => {
            let openings = log.openings.iter();
            let openings = openings
                .map(|given| Ok(SeatOpening { seat: given.seat, opening: opening_of(&given.opening)? }))
                .collect::<Result<_, UnknownValue>>()?;
            let accepted = SeatSet::from_bits(log.accepted);
            by(log.job, log.keeper, Event::VerdictPosted { openings, accepted })
        }
        Events::Expired(log) => {
            let state = Some(state_of(log.state)?);
            JobEvent { state, ..by(log.job, log.keeper, Event::Expired) }
        }
        Events::Remarked(log) => {
            let remark = remark_of(log.remark);
            by_requester(log.job, Event::Remarked { node: log.node.into(), remark })
        }
        Events::Announced(log) => {
            return Ok(ChainEvent::NodeAnnounced { node: log.node.into(), addresses: log.addresses });
        }
        // `SeatTaken` follows from the bid before it, `Settled` from how the job ended; the others change no job.
        Events::SeatTaken(_)
        | Events::Settled(_)
        | Events::Unpacked(_)
        | Events::SignedBidRevoked(_)
        | Events::Deposited(_)
        | Events::Withdrawn(_) => return Ok(ChainEvent::Other),
    };
    Ok(ChainEvent::Job(Box::new(log)))
}

fn job_event(job: alloy_primitives::B256, author: Author, event: Event) -> JobEvent {
    JobEvent { job: job.into(), author, facts: CHECKED, event, state: None }
}

impl JobEvent {
    /// The event as the rules see it; `None` for a job that this log does not have.
    ///
    /// The contract checked the revision that a call named, so it is the one that the job has.
    pub(super) fn stamped(&self, at: Timestamp, ledger: &Ledger) -> Option<Stamped<Event>> {
        let known = ledger.get(self.job);
        let revision =
            if let Event::Submitted { deal, .. } = &self.event { deal.revision() } else { known?.revision };
        let author = match self.author {
            Author::Named(node) => node,
            Author::Requester => known?.requester,
        };
        let event = self.event.clone();
        Some(Stamped { job: self.job, author, at, revision, facts: self.facts, event })
    }
}

/// The hash that names an entry: of its place on the chain.
pub(super) fn entry_hash(block: Digest, index: u64) -> Digest {
    Digest::keccak([block.as_bytes().as_slice(), &index.to_be_bytes()].concat())
}

/// Whether an entry of the log results from this action. A verdict in the log carries every opening.
pub(super) fn is_effect_of(logged: &Event, acted: &Event) -> bool {
    match (logged, acted) {
        (Event::VerdictPosted { accepted: logged, .. }, Event::VerdictPosted { accepted: acted, .. }) => {
            logged == acted
        }
        (logged, acted) => logged == acted,
    }
}

/// Reads the data of a revert.
pub(super) fn revert_of(data: &[u8], message: &str) -> Revert {
    macro_rules! read {
        (rules: $($rule:ident)*; stale: $($stale:ident)*; other: $($other:ident)*;) => {
            match Errors::abi_decode(data) {
                $(Ok(Errors::$rule(_)) => Revert::Rule(Rejection::$rule),)*
                $(Ok(Errors::$stale(_)) => Revert::Stale(stringify!($stale)),)*
                $(Ok(Errors::$other(error)) => Revert::Unknown(format!("{error:?}")),)*
                Ok(Errors::Rostered(_)) => Revert::Rostered,
                Ok(Errors::NotRostered(_)) => Revert::NotRostered,
                Err(_) => Revert::Unknown(message.to_owned()),
            }
        };
    }
    read! {
        rules: NoSuchJob JobExists WrongState NotRequester NotSeatHolder DeadlinePassed DeadlineNotReached
            SeatsTaken InvalidTerms InvalidSpec BadParent NotFunded WrongRevision PriceTooHigh NotAllowed
            TooLittlePaid SatInParent AlreadyBid NoSuchBid BidNotStanding NoSeatFree FirstComeDeal
            SeatFailed AlreadyCommitted NotCommitted AlreadyRevealed BadOpening BadFingerprint BadSummary
            OpeningsOutOfOrder OpeningsMissing OpeningTooLate QuorumNotRevealed VerdictMismatch VerdictDue
            RemarkTooLong AwaitsSecret NoDrawDue WrongSecret;
        stale: WrongDeal WrongSeats WrongHolder WrongRoster;
        other: NodesOutOfOrder BadSignature SignaturesMissing TooMuchMoney TransferFailed AnnouncementTooLong
            NotShareable TooLittleGas WrongAsset InexactTransfer;
    }
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolError;

    use super::*;

    #[test]
    fn openings_survive_the_way_through_the_contract() {
        let byte = |byte| Digest::new([byte; 32]);
        let (result_hash, output_root, salt) = (byte(1), byte(2), byte(4));
        let fingerprint = crate::domain::FingerprintWord([3; 32]);
        let summary = crate::domain::SummaryWord([5; 32]);
        let opening = Opening { result_hash, output_root, exit_code: -1, fingerprint, summary, salt };
        let there = opening_to_abi(&opening);
        assert_eq!((there.exitCode, there.salt), (-1, [4; 32].into()), "fields have their names");
        assert_eq!(opening_of(&there), Ok(opening));
    }

    #[test]
    fn a_typed_revert_is_the_rejection_of_the_same_name() {
        let revert = |data: Vec<u8>| revert_of(&data, "execution reverted");
        assert_eq!(revert(abi::NoSeatFree {}.abi_encode()), Revert::Rule(Rejection::NoSeatFree));
        let job = alloy_primitives::B256::ZERO;
        assert_eq!(revert(abi::WrongDeal { job }.abi_encode()), Revert::Stale("WrongDeal"));
        assert_eq!(revert(abi::Rostered { job }.abi_encode()), Revert::Rostered);
        assert_eq!(revert(abi::NotRostered { job }.abi_encode()), Revert::NotRostered);
        assert_eq!(revert(vec![1, 2, 3]), Revert::Unknown("execution reverted".to_owned()));
    }

    #[test]
    fn a_remark_that_grew_in_reading_is_cut() {
        let hostile = String::from_utf8_lossy(&[0xff; MAX_REMARK_BYTES]).into_owned();
        assert!(hostile.len() > MAX_REMARK_BYTES);
        assert!(remark_of(hostile).len() <= MAX_REMARK_BYTES);
        assert_eq!(remark_of("slow".to_owned()), "slow");
    }
}
