//! The call that submits an event to the contract, built from the job as this node knows it.
//!
//! The contract stores hashes where it can, so a call carries the hashed values: terms, holders, openings.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, Bytes, U256, Uint};
use alloy_sol_types::SolCall;

use super::{
    abi::IJobScheduler as abi,
    convert::{CHECKED, failure_to_abi, opening_to_abi},
    packed::{pack_deal, pack_terms, rostered_head},
    sender::Call,
};
use crate::{
    domain::{
        Action, Amount, AuditSecret, Deal, Event, Job, JobId, JobState, NodeId, Opening, Seat, SeatOpening,
        SeatSet, SeatStatus, SignedAction, Stamped, Timestamp,
    },
    rules::{self, Ledger, Rejection},
};

/// The data of one call for the actions of one author in one job. Several actions are acceptances.
///
/// # Errors
/// Refuses what the rules refuse, before there is a call; `at` is the time now.
pub(super) fn call_data(
    actions: &[Action],
    author: NodeId,
    at: Timestamp,
    ledger: &Ledger,
) -> Result<Option<Bytes>, Rejection> {
    let [action] = actions else { return Ok(acceptances(actions, ledger)) };
    let stamped = stamped(action, author, at);
    let Some(job) = ledger.get(action.job) else {
        let Event::Submitted { deal, spec, nonce } = &action.event else { return Ok(None) };
        let parent = deal.parent.and_then(|parent| ledger.get(parent));
        // The contract cannot read a spec, and makes the id itself.
        rules::open(ledger.domain(), parent, &stamped)?;
        return Ok(Some(submission(deal, spec, *nonce, parent)));
    };
    let data = match &action.event {
        // The contract would compare with the terms given, which are those that this node knows.
        Event::BidPlaced { .. } if action.revision != job.revision => None,
        event => job_call(event, author, at, job),
    };
    match data {
        Some(data) => Ok(Some(data.into())),
        None => match rules::transition(job, &stamped) {
            Err(rejection) => Err(rejection),
            Ok(_) => Ok(None),
        },
    }
}

/// The call that accepts all of these bids; `None` where the job is not known, or one is no acceptance.
fn acceptances(actions: &[Action], ledger: &Ledger) -> Option<Bytes> {
    let known = ledger.get(actions.first()?.job)?;
    let node = |action: &Action| {
        let Event::BidAccepted { node } = &action.event else { return None };
        (action.job == known.id).then_some(*node)
    };
    let nodes: Vec<NodeId> = actions.iter().map(node).collect::<Option<_>>()?;
    Some(accept_call(known, &nodes).into())
}

fn accept_call(known: &Job, nodes: &[NodeId]) -> Vec<u8> {
    let nodes = nodes.iter().map(|node| Address::from(*node)).collect();
    abi::acceptBidsCall { job: known.id.into(), deal: pack_deal(known), nodes }.abi_encode()
}

/// An action as the rules would see it at `at`.
fn stamped(action: &Action, author: NodeId, at: Timestamp) -> Stamped<Event> {
    let (job, revision, event) = (action.job, action.revision, action.event.clone());
    Stamped { job, author, at, revision, facts: CHECKED, event }
}

fn stamped_as(job: &Job, author: NodeId, at: Timestamp, event: Event) -> Stamped<Event> {
    Stamped { job: job.id, author, at, revision: job.revision, facts: CHECKED, event }
}

fn submission(deal: &Deal, spec: &[u8], nonce: u64, parent: Option<&Job>) -> Bytes {
    let (terms, spec) = (pack_terms(deal), Bytes::copy_from_slice(spec));
    match parent {
        None => abi::submitCall { terms, spec, nonce }.abi_encode().into(),
        Some(parent) => {
            abi::submitChildCall { terms, parent: pack_deal(parent), spec, nonce }.abi_encode().into()
        }
    }
}

/// The call for an event of an existing job; `None` where the rules alone decide.
fn job_call(event: &Event, author: NodeId, at: Timestamp, known: &Job) -> Option<Vec<u8>> {
    let job = B256::from(known.id);
    let deal = pack_deal(known);
    let node_of = |node: &NodeId| Address::from(*node);
    Some(match event {
        Event::DealUpdated { deal: next } => {
            abi::updateDealCall { job, deal, next: pack_terms(next) }.abi_encode()
        }
        Event::Cancelled => abi::cancelCall { job, deal }.abi_encode(),
        Event::BidPlaced { price } => abi::bidCall { job, deal, price: units(*price) }.abi_encode(),
        Event::BidWithdrawn => abi::withdrawBidCall { job }.abi_encode(),
        Event::BidAccepted { node } => accept_call(known, &[*node]),
        Event::BidRejected { node } => {
            abi::rejectBidsCall { job, deal, nodes: vec![node_of(node)] }.abi_encode()
        }
        Event::FailureReported { kind } => {
            abi::reportFailureCall { job, deal, kind: failure_to_abi(*kind) }.abi_encode()
        }
        Event::Committed { commitment } => {
            abi::commitCall { job, commitment: (*commitment).into() }.abi_encode()
        }
        Event::Stopped => {
            let unfailed = |seat: &Seat| !matches!(seat.status, SeatStatus::Failed(_));
            abi::stopCall { job, deal, holders: holders(known, unfailed) }.abi_encode()
        }
        Event::Revealed { seat, opening } => {
            abi::revealCall { job, given: seat_opening(known, *seat, opening) }.abi_encode()
        }
        Event::VerdictPosted { openings, accepted } => {
            let openings = seat_openings(known, openings);
            abi::postVerdictCall { job, deal, openings, accepted: accepted.bits() }.abi_encode()
        }
        Event::Expired => {
            // While nothing is overdue, the contract refuses any openings.
            let ended = rules::transition(known, &stamped_as(known, author, at, Event::Expired));
            let is_due = |seat: &Seat| ended.as_ref().is_ok_and(|ended| keeps_bond(ended, seat));
            let holders = holders(known, is_due);
            abi::expireCall { job, deal, holders }.abi_encode()
        }
        Event::Remarked { node, remark } => {
            let (node, text) = (node_of(node), remark.clone());
            abi::remarkCall { job, deal, node, text }.abi_encode()
        }
        Event::SecretPublished { secret } => {
            let (secret, holders) = ((*secret).into(), committed_holders(known));
            abi::publishSecretCall { job, deal, secret, holders }.abi_encode()
        }
        // A job is submitted once, and no chain needs ticks.
        Event::Submitted { .. } | Event::Ticked => return None,
    })
}

/// The call that submits a job with signed bids, ascending by node.
pub(super) fn signed_submission(job: &Job, bids: &[(NodeId, SignedAction)]) -> Bytes {
    let bid = |(node, signed): &(NodeId, SignedAction)| {
        let Event::BidPlaced { price } = signed.action.event else { return None };
        Some(abi::SignedBid { node: (*node).into(), price: units(price), signed: signed_to_abi(signed) })
    };
    let (terms, spec) = (pack_terms(&job.deal), job.spec.to_document().into());
    let bids = bids.iter().filter_map(bid).collect();
    abi::submitSignedCall { terms, spec, nonce: job.nonce, bids }.abi_encode().into()
}

/// The call that commits every seat of a job that was submitted with signed bids; `signed` are by seat.
pub(super) fn rostered_commitments(job: &Job, signed: &[SignedAction]) -> Bytes {
    let mut holders = holders(job, |_| true);
    for (holder, signed) in holders.iter_mut().zip(signed) {
        if let Event::Committed { commitment } = signed.action.event {
            holder.commitment = commitment.into();
        }
    }
    let (id, revision, head) = (job.id.into(), job.revision.into(), rostered_head(job));
    let signatures = signed.iter().map(signed_to_abi).collect();
    abi::commitRosteredCall { job: id, revision, head, holders, signatures }.abi_encode().into()
}

/// The call that publishes the secret of the audit of such a job.
pub(super) fn rostered_secret(job: &Job, secret: AuditSecret) -> Bytes {
    let (id, deal, head) = (job.id.into(), pack_deal(job), rostered_head(job));
    let (secret, holders) = (secret.into(), committed_holders(job));
    abi::publishSecretRosteredCall { job: id, deal, head, secret, holders }.abi_encode().into()
}

/// The call that posts the verdict over the openings of every seat of such a job.
pub(super) fn rostered_verdict(job: &Job, openings: &BTreeMap<u8, Opening>, accepted: SeatSet) -> Bytes {
    let openings = openings.iter().map(|(seat, opening)| seat_opening(job, *seat, opening)).collect();
    let (id, deal, head) = (job.id.into(), pack_deal(job), rostered_head(job));
    abi::postVerdictRosteredCall { job: id, deal, head, openings, accepted: accepted.bits() }
        .abi_encode()
        .into()
}

/// The call that makes a bid void that its sender signed for a job to come.
pub(super) fn revocation(job: JobId) -> Bytes {
    abi::revokeSignedBidCall { job: job.into() }.abi_encode().into()
}

/// The compact form of EIP-2098: the parity of y is the top bit of s.
fn signed_to_abi(signed: &SignedAction) -> abi::Signed {
    let [r @ .., _] = signed.signature.as_bytes();
    let (r, s) = r.split_at(32);
    let mut vs = B256::from_slice(s);
    vs.0[0] |= u8::from(signed.signature.as_bytes()[64] == 28) << 7;
    let Action { sequence, seen, .. } = signed.action;
    abi::Signed { sequence, seen: seen.into(), r: B256::from_slice(r), vs }
}

/// The call that gives each seat of a job that was submitted with signed bids a slot of its own.
pub(super) fn unpack_call(known: &Job) -> Bytes {
    let (job, revision, head) = (known.id.into(), known.revision.into(), rostered_head(known));
    abi::unpackCall { job, revision, head, roster: holders(known, |_| true) }.abi_encode().into()
}

fn units(amount: Amount) -> Uint<96, 2> {
    Uint::from(amount.units())
}

/// Whether the bond of a seat returns when the job ends this way. The bond of a failed seat has returned already.
fn keeps_bond(ended: &Job, seat: &Seat) -> bool {
    let has_failed = matches!(seat.status, SeatStatus::Failed(_));
    !has_failed && (ended.state == JobState::Expired || rules::did_its_part(ended, seat.status))
}

fn committed_holders(job: &Job) -> Vec<abi::SeatHolder> {
    holders(job, |seat| matches!(seat.status, SeatStatus::Committed(_)))
}

fn holders(job: &Job, wanted: impl Fn(&Seat) -> bool) -> Vec<abi::SeatHolder> {
    let seats = (0_u8..).zip(&job.seats).filter(|(_, seat)| wanted(seat));
    let holder = |(index, seat): (u8, &Seat)| abi::SeatHolder {
        seat: index,
        node: seat.node.into(),
        price: units(seat.price),
        commitment: commitment_of(job, index, seat),
    };
    seats.map(holder).collect()
}

fn commitment_of(job: &Job, index: u8, seat: &Seat) -> B256 {
    match seat.status {
        SeatStatus::Accepted | SeatStatus::Failed(_) => B256::ZERO,
        SeatStatus::Committed(commitment) => commitment.into(),
        SeatStatus::Revealed(opening) => opening.commitment(job.domain, job.id, index, seat.node).into(),
    }
}

/// The given openings, and those already in the log, which the contract does not store. Openings out of order stay
/// so, and the contract refuses them.
fn seat_openings(job: &Job, given: &[SeatOpening]) -> Vec<abi::SeatOpening> {
    let named: SeatSet = given.iter().map(|given| given.seat).collect();
    let mut all: Vec<SeatOpening> = given.to_vec();
    if given.is_sorted_by(|a, b| a.seat < b.seat) {
        all.extend((0_u8..).zip(&job.seats).filter_map(|(seat, held)| match held.status {
            SeatStatus::Revealed(opening) if !named.contains(seat) => Some(SeatOpening { seat, opening }),
            SeatStatus::Revealed(_)
            | SeatStatus::Accepted
            | SeatStatus::Failed(_)
            | SeatStatus::Committed(_) => None,
        }));
        all.sort_by_key(|given| given.seat);
    }
    all.iter().map(|SeatOpening { seat, opening }| seat_opening(job, *seat, opening)).collect()
}

pub(super) fn seat_opening(job: &Job, seat: u8, opening: &Opening) -> abi::SeatOpening {
    let held = job.seat(seat);
    abi::SeatOpening {
        seat,
        node: held.map(|held| held.node).unwrap_or_default().into(),
        price: held.map_or(Uint::ZERO, |held| units(held.price)),
        opening: opening_to_abi(opening),
    }
}

/// A call without money.
pub(super) fn to_contract(contract: Address, data: Bytes) -> Call {
    Call { to: Some(contract), data, value: U256::ZERO, gas_limit: None, shares: None }
}

/// A call of the signed path, which the contract takes together with those of other jobs.
pub(super) fn shareable(contract: Address, job: JobId, data: Bytes) -> Call {
    Call { shares: Some(job), ..to_contract(contract, data) }
}
