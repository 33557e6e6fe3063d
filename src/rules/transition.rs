//! What each event requires and does.
//!
//! # Order of checks
//!
//! The first failed check is the answer. So the order is part of the rules, and the Solidity twin keeps it:
//! the job exists; its state, seen at the event's time, allows the event; the author's role; the time;
//! amounts, bids and seats; hashes. One function an event looks at the head of the job and at the one bid or
//! seat that the event names, never at a list; the verdict is the exception.
//!
//! A party may act while `t <= deadline`; a job may expire when `t > deadline`.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Rejection,
    effect::{Effect, first_stage},
};
use crate::{
    domain::{
        Acceptance, Amount, AuditSecret, AuditStage, Bid, BidStatus, Deal, Digest, Event, Job, JobRecord,
        JobState, LogDomain, MAX_REMARK_BYTES, MAX_SEATS, NodeId, Opening, SeatOpening, SeatSet, SeatStatus,
        Spec, Stamped, Timestamp, Verdict,
    },
    verdict::{self, Decision},
};

/// Most bids that a job keeps where they cost nothing, so that nobody can fill a follower's memory with them.
pub(super) const MAX_BIDS: usize = 1024;

/// Makes a submission a job. `parent` is the job that the deal names, if the log has it.
///
/// # Errors
/// In order: the terms, the parent, the spec, the id, the money.
pub fn open(domain: LogDomain, parent: Option<&Job>, stamped: &Stamped<Event>) -> Result<Job, Rejection> {
    let Event::Submitted { deal, spec: document, nonce } = &stamped.event else {
        return Err(Rejection::NoSuchJob);
    };
    deal.validate().map_err(|_| Rejection::InvalidTerms)?;
    let first = match deal.parent {
        Some(_) => check_parent(parent, stamped.author, deal)?.first,
        None => stamped.job,
    };
    let spec = Spec::from_document(document).map_err(|_| Rejection::InvalidSpec)?;
    let (spec_hash, revision) = (Spec::hash_document(document), deal.revision());
    if stamped.job != domain.job_id(stamped.author, *nonce, spec_hash, revision) {
        return Err(Rejection::WrongJobId);
    }
    if !stamped.facts.funded {
        return Err(Rejection::NotFunded);
    }
    Ok(Job::from_record(JobRecord {
        id: stamped.job,
        first,
        domain,
        requester: stamped.author,
        nonce: *nonce,
        spec_hash,
        spec: Arc::new(spec),
        deal: deal.clone(),
        revision,
        epoch: 0,
        state: JobState::Open,
        submitted_at: stamped.at,
        open_by: stamped.at.plus(deal.open),
        commit_by: Timestamp::ZERO,
        reveal_by: Timestamp::ZERO,
        seats_changed_at: stamped.at,
        ended_at: Timestamp::ZERO,
        bids: BTreeMap::new(),
        seats: Vec::new(),
        failed: SeatSet::EMPTY,
        late: SeatSet::EMPTY,
        committed: SeatSet::EMPTY,
        revealed: SeatSet::EMPTY,
        failures: Default::default(),
        audit: first_stage(deal),
        ended_by: None,
        verdict: None,
    }))
}

fn check_parent<'a>(parent: Option<&'a Job>, author: NodeId, deal: &Deal) -> Result<&'a Job, Rejection> {
    let parent = parent.ok_or(Rejection::BadParent)?;
    let fits = parent.state == JobState::Inconclusive
        && parent.requester == author
        && parent.deal.escalated(parent.id).as_ref() == Some(deal);
    if fits { Ok(parent) } else { Err(Rejection::BadParent) }
}

/// The job after this event. The old job stays as it is.
///
/// # Errors
/// The first check that fails, in the order of the module's documentation.
pub fn transition(job: &Job, stamped: &Stamped<Event>) -> Result<Job, Rejection> {
    let effect = check(job, stamped)?;
    let mut next = job.clone();
    effect.apply(&mut next, stamped.at);
    Ok(next)
}

/// What an event does to a job, or why the rules refuse it; changes nothing.
pub(super) fn check(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    match &stamped.event {
        Event::Submitted { .. } => Err(Rejection::JobExists),
        Event::DealUpdated { deal } => deal_updated(job, stamped, deal),
        Event::Cancelled => cancelled(job, stamped),
        Event::BidPlaced { price } => bid_placed(job, stamped, *price),
        Event::BidWithdrawn => bid_withdrawn(job, stamped),
        Event::BidAccepted { node } => bid_accepted(job, stamped, *node),
        Event::BidRejected { node } => bid_rejected(job, stamped, *node),
        Event::FailureReported { kind } => {
            let seat = seat_to_commit(job, stamped)?;
            Ok(Effect::FailSeat { seat, kind: *kind })
        }
        Event::Committed { commitment } => {
            let seat = seat_to_commit(job, stamped)?;
            Ok(Effect::CommitSeat { seat, commitment: *commitment })
        }
        Event::Stopped => stopped(job, stamped),
        Event::Revealed { seat, opening } => revealed(job, stamped.at, *seat, opening),
        Event::VerdictPosted { openings, accepted } => verdict_posted(job, stamped, openings, *accepted),
        Event::Expired => expired(job, stamped),
        Event::Remarked { node, remark } => remarked(job, stamped, *node, remark),
        Event::Ticked => ticked(job, stamped),
        Event::SecretPublished { secret } => secret_published(job, stamped, *secret),
    }
}

fn in_state(job: &Job, at: Timestamp, wanted: JobState) -> Result<(), Rejection> {
    if job.state_at(at).0 == wanted { Ok(()) } else { Err(Rejection::WrongState) }
}

fn by_requester(job: &Job, stamped: &Stamped<Event>) -> Result<(), Rejection> {
    if stamped.author == job.requester { Ok(()) } else { Err(Rejection::NotRequester) }
}

fn until(deadline: Timestamp, at: Timestamp) -> Result<(), Rejection> {
    if at <= deadline { Ok(()) } else { Err(Rejection::DeadlinePassed) }
}

fn funded(stamped: &Stamped<Event>) -> Result<(), Rejection> {
    if stamped.facts.funded { Ok(()) } else { Err(Rejection::NotFunded) }
}

fn deal_updated(job: &Job, stamped: &Stamped<Event>, deal: &Deal) -> Result<Effect, Rejection> {
    in_state(job, stamped.at, JobState::Open)?;
    by_requester(job, stamped)?;
    until(job.open_by, stamped.at)?;
    if !job.seats.is_empty() {
        return Err(Rejection::SeatsTaken);
    }
    if deal.validate().is_err() || deal.parent != job.deal.parent || job.epoch == u32::MAX {
        return Err(Rejection::InvalidTerms);
    }
    funded(stamped)?;
    Ok(Effect::Update { deal: Box::new(deal.clone()) })
}

fn cancelled(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    in_state(job, stamped.at, JobState::Open)?;
    by_requester(job, stamped)?;
    until(job.open_by, stamped.at)?;
    if !job.seats.is_empty() {
        return Err(Rejection::SeatsTaken);
    }
    Ok(Effect::End { state: JobState::Cancelled, by: stamped.author })
}

fn bid_placed(job: &Job, stamped: &Stamped<Event>, price: Amount) -> Result<Effect, Rejection> {
    let first_come = job.deal.acceptance == Acceptance::FirstCome;
    let runs = job.state_at(stamped.at).0 == JobState::Running;
    // A failed seat takes new bids: few jobs begin with more bids than seats.
    if !runs || (!first_come && free_seat(job, stamped.at).is_err()) {
        in_state(job, stamped.at, JobState::Open)?;
        until(job.open_by, stamped.at)?;
    }
    if stamped.revision != job.revision {
        return Err(Rejection::WrongRevision);
    }
    if price > job.deal.price {
        return Err(Rejection::PriceTooHigh);
    }
    if !job.deal.allow_list.is_empty() && job.deal.allow_list.binary_search(&stamped.author).is_err() {
        return Err(Rejection::NotAllowed);
    }
    if stamped.facts.paid < job.deal.min_paid {
        return Err(Rejection::TooLittlePaid);
    }
    if stamped.facts.sat_in_parent {
        return Err(Rejection::SatInParent);
    }
    match job.bids.get(&stamped.author) {
        Some(bid) if bid.epoch == job.epoch && !bid.status.may_bid_again() => {
            return Err(Rejection::AlreadyBid);
        }
        Some(_) => {}
        None if stamped.facts.bids_bounded && job.bids.len() >= MAX_BIDS => {
            return Err(Rejection::TooManyBids);
        }
        None => {}
    }
    let bid = Bid { price, epoch: job.epoch, status: BidStatus::Standing };
    if !first_come {
        return Ok(Effect::PutBid { node: stamped.author, bid });
    }
    let seat = free_seat(job, stamped.at)?;
    funded(stamped)?;
    Ok(Effect::FillSeat { node: stamped.author, bid, seat })
}

fn bid_withdrawn(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    in_state(job, stamped.at, JobState::Open)?;
    until(job.open_by, stamped.at)?;
    let bid = standing_bid(job, stamped.author)?;
    Ok(Effect::PutBid { node: stamped.author, bid: Bid { status: BidStatus::Withdrawn, ..bid } })
}

fn standing_bid(job: &Job, node: NodeId) -> Result<Bid, Rejection> {
    let bid = job.bids.get(&node).copied().ok_or(Rejection::NoSuchBid)?;
    let stands = bid.status == BidStatus::Standing && bid.epoch == job.epoch;
    if stands { Ok(bid) } else { Err(Rejection::BidNotStanding) }
}

/// The next seat to fill: a new one while the job is open, the lowest failed one while it runs and there is
/// time left for a whole run.
fn free_seat(job: &Job, at: Timestamp) -> Result<u8, Rejection> {
    let next = u8::try_from(job.seats.len()).unwrap_or(MAX_SEATS);
    if next < job.asked() {
        return Ok(next);
    }
    job.refillable().first().filter(|_| at <= job.refill_by()).ok_or(Rejection::NoSeatFree)
}

fn acceptance_time(job: &Job, stamped: &Stamped<Event>) -> Result<(), Rejection> {
    match job.state_at(stamped.at).0 {
        JobState::Open => by_requester(job, stamped).and_then(|()| until(job.open_by, stamped.at)),
        JobState::Running => by_requester(job, stamped).and_then(|()| until(job.refill_by(), stamped.at)),
        JobState::Revealing
        | JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => Err(Rejection::WrongState),
    }
}

fn bid_accepted(job: &Job, stamped: &Stamped<Event>, node: NodeId) -> Result<Effect, Rejection> {
    acceptance_time(job, stamped)?;
    if job.deal.acceptance == Acceptance::FirstCome {
        return Err(Rejection::FirstComeDeal);
    }
    let seat = free_seat(job, stamped.at)?;
    let bid = job.bids.get(&node).copied().ok_or(Rejection::NoSuchBid)?;
    let void = bid.epoch != job.epoch;
    match bid.status {
        BidStatus::Standing if !void && stamped.facts.funded => Ok(Effect::FillSeat { node, bid, seat }),
        BidStatus::Standing | BidStatus::Withdrawn => {
            Ok(Effect::PutBid { node, bid: Bid { status: BidStatus::Skipped, ..bid } })
        }
        BidStatus::Rejected | BidStatus::Skipped | BidStatus::Seated(_) => Err(Rejection::BidNotStanding),
    }
}

fn bid_rejected(job: &Job, stamped: &Stamped<Event>, node: NodeId) -> Result<Effect, Rejection> {
    acceptance_time(job, stamped)?;
    let bid = standing_bid(job, node)?;
    Ok(Effect::PutBid { node, bid: Bid { status: BidStatus::Rejected, ..bid } })
}

/// The author's seat, if it has neither committed nor failed and may still do either.
fn seat_to_commit(job: &Job, stamped: &Stamped<Event>) -> Result<u8, Rejection> {
    in_state(job, stamped.at, JobState::Running)?;
    let seat = job.seat_of(stamped.author).ok_or(Rejection::NotSeatHolder)?;
    until(job.commit_by, stamped.at)?;
    match job.seats[usize::from(seat)].status {
        SeatStatus::Accepted => Ok(seat),
        SeatStatus::Failed(_) => Err(Rejection::SeatFailed),
        SeatStatus::Committed(_) | SeatStatus::Revealed(_) => Err(Rejection::AlreadyCommitted),
    }
}

fn stopped(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    in_state(job, stamped.at, JobState::Running)?;
    by_requester(job, stamped)?;
    until(job.commit_by, stamped.at)?;
    Ok(Effect::End { state: JobState::Cancelled, by: stamped.author })
}

fn secret_published(job: &Job, stamped: &Stamped<Event>, secret: AuditSecret) -> Result<Effect, Rejection> {
    in_state(job, stamped.at, JobState::Revealing)?;
    let undrawn = job.deal.audit.filter(|_| job.audit == AuditStage::Undrawn);
    let audit = undrawn.ok_or(Rejection::NoDrawDue)?;
    by_requester(job, stamped)?;
    until(job.state_at(stamped.at).1, stamped.at)?;
    if secret.hash() != audit.secret_hash {
        return Err(Rejection::WrongSecret);
    }
    let commitments = job.seats.iter().filter_map(|seat| match seat.status {
        SeatStatus::Committed(commitment) => Some(commitment),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Revealed(_) => None,
    });
    Ok(Effect::Draw { hit: audit.draws(secret, commitments) })
}

/// Reveals and the verdict come after the draw: an opening before it would tell the second wave what to say.
fn revealing(job: &Job, at: Timestamp) -> Result<(), Rejection> {
    in_state(job, at, JobState::Revealing)?;
    if job.audit == AuditStage::Undrawn { Err(Rejection::AwaitsSecret) } else { Ok(()) }
}

/// By anyone: the salt of an opening tells that its node gave it away.
fn revealed(job: &Job, at: Timestamp, seat: u8, opening: &Opening) -> Result<Effect, Rejection> {
    revealing(job, at)?;
    until(job.state_at(at).1, at)?;
    if job.revealed.contains(seat) {
        return Err(Rejection::AlreadyRevealed);
    }
    check_opening(job, seat, opening)?;
    Ok(Effect::Reveal { seat, opening: *opening })
}

/// Checks that `opening` opens the commitment of `seat`, which may have been opened before.
fn check_opening(job: &Job, seat: u8, opening: &Opening) -> Result<(), Rejection> {
    let held = job.seat(seat).ok_or(Rejection::NotCommitted)?;
    let commitment = match held.status {
        SeatStatus::Accepted | SeatStatus::Failed(_) => return Err(Rejection::NotCommitted),
        SeatStatus::Committed(commitment) => commitment,
        SeatStatus::Revealed(known) if known == *opening => return Ok(()),
        SeatStatus::Revealed(_) => return Err(Rejection::BadOpening),
    };
    if opening.commitment(job.domain, job.id, seat, held.node) != commitment {
        return Err(Rejection::BadOpening);
    }
    if opening.fingerprint.unpack().is_err() {
        return Err(Rejection::BadFingerprint);
    }
    if opening.summary.is_well_formed() { Ok(()) } else { Err(Rejection::BadSummary) }
}

fn verdict_posted(
    job: &Job,
    stamped: &Stamped<Event>,
    given: &[SeatOpening],
    accepted: SeatSet,
) -> Result<Effect, Rejection> {
    revealing(job, stamped.at)?;
    if !given.is_sorted_by(|a, b| a.seat < b.seat) {
        return Err(Rejection::OpeningsOutOfOrder);
    }
    let late = stamped.at > job.state_at(stamped.at).1;
    let mut openings = openings_of(job);
    for SeatOpening { seat, opening } in given {
        if late && job.committed.contains(*seat) && !job.revealed.contains(*seat) {
            return Err(Rejection::OpeningTooLate);
        }
        check_opening(job, *seat, opening)?;
        openings.insert(*seat, *opening);
    }
    let revealed: SeatSet = openings.keys().copied().collect();
    if !late && revealed != job.committed {
        return Err(Rejection::OpeningsMissing);
    }
    if revealed.len() < job.quorum() {
        return Err(Rejection::QuorumNotRevealed);
    }
    let verdict = verdict_of(job, &openings);
    if verdict.accepted != accepted {
        return Err(Rejection::VerdictMismatch);
    }
    Ok(Effect::Conclude { openings, verdict: Box::new(verdict), by: stamped.author })
}

/// The openings in the log so far, by seat.
pub fn openings_of(job: &Job) -> BTreeMap<u8, Opening> {
    let seats = (0..MAX_SEATS).zip(&job.seats);
    seats
        .filter_map(|(seat, held)| match held.status {
            SeatStatus::Revealed(opening) => Some((seat, opening)),
            SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
        })
        .collect()
}

/// The seats in the order in which a verdict indexes its runs: ascending keccak256(R, node), R being the
/// keccak256 of all revealed salts in seat order. Nobody knows it before the last reveal.
pub fn run_order(job: &Job, openings: &BTreeMap<u8, Opening>) -> Vec<u8> {
    let salts: Vec<u8> = openings.values().flat_map(|opening| *opening.salt.as_bytes()).collect();
    let beacon = Digest::keccak(salts);
    let mut seats: Vec<(Digest, u8)> = (0..MAX_SEATS)
        .zip(&job.seats)
        .map(|(seat, held)| {
            (Digest::keccak([beacon.as_bytes().as_slice(), held.node.as_bytes()].concat()), seat)
        })
        .collect();
    seats.sort_unstable();
    seats.into_iter().map(|(_, seat)| seat).collect()
}

/// The verdict of the rules over these openings.
pub fn verdict_of(job: &Job, openings: &BTreeMap<u8, Opening>) -> Verdict {
    let order = run_order(job, openings);
    let runs = runs_of(&order, openings);
    let outcome = verdict::decide(&verdict::Terms::of(&job.deal), &runs);
    let seats = |indices: &[usize]| indices.iter().filter_map(|index| order.get(*index).copied()).collect();
    debug_assert!(outcome.decision == Decision::Verdict || outcome.accepted.is_empty());
    Verdict {
        accepted: seats(&outcome.accepted),
        rejected: seats(&outcome.rejected),
        absent: seats(&outcome.absent),
        note: outcome.note,
        scores: outcome
            .scores
            .iter()
            .filter_map(|(index, score)| order.get(*index).map(|seat| (*seat, *score)))
            .collect(),
    }
}

/// What the verdict compares, in this order of the seats.
pub(super) fn runs_of(order: &[u8], openings: &BTreeMap<u8, Opening>) -> Vec<verdict::Run> {
    let run = |seat| {
        openings.get(seat).map_or(verdict::Run::ABSENT, |opening| verdict::Run {
            output: Some(*opening.result_hash.as_bytes()),
            exit_code: opening.exit_code,
            profile: opening.fingerprint.unpack().ok().flatten(),
            summary: opening.summary,
        })
    };
    order.iter().map(run).collect()
}

fn expired(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    let (state, reveal_by) = job.state_at(stamped.at);
    if state.is_terminal() {
        return Err(Rejection::WrongState);
    }
    if !job.is_overdue(stamped.at) {
        let verdict_due = state == JobState::Revealing && stamped.at > reveal_by;
        return Err(if verdict_due { Rejection::VerdictDue } else { Rejection::DeadlineNotReached });
    }
    // A second wave that was never filled leaves work of the first.
    let no_work = state == JobState::Open && job.audit != AuditStage::Drawn;
    let state = if no_work { JobState::Expired } else { JobState::Failed };
    Ok(Effect::End { state, by: stamped.author })
}

fn remarked(job: &Job, stamped: &Stamped<Event>, node: NodeId, remark: &str) -> Result<Effect, Rejection> {
    by_requester(job, stamped)?;
    if !job.bids.contains_key(&node) {
        return Err(Rejection::NoSuchBid);
    }
    if remark.len() > MAX_REMARK_BYTES {
        return Err(Rejection::RemarkTooLong);
    }
    Ok(Effect::Nothing)
}

fn ticked(job: &Job, stamped: &Stamped<Event>) -> Result<Effect, Rejection> {
    if job.state.is_terminal() {
        return Err(Rejection::WrongState);
    }
    by_requester(job, stamped)?;
    if job.state_at(stamped.at).0 == job.state {
        return Err(Rejection::NothingDue);
    }
    Ok(Effect::Nothing)
}

#[cfg(test)]
mod tests;
