//! What an accepted event does to a job. It applies only after every check has passed, so it cannot fail.

use std::collections::BTreeMap;

use crate::domain::{
    AuditStage, Bid, BidStatus, Deal, Digest, FailureKind, Job, JobRecord, JobState, NodeId, Opening, Seat,
    SeatStatus, Timestamp, Verdict,
};

/// The change that an event makes.
#[derive(Debug)]
pub(super) enum Effect {
    /// The log grows, the job stays.
    Nothing,
    /// New terms; bids of the epoch before are void.
    Update { deal: Box<Deal> },
    /// A bid is new or changes its status.
    PutBid { node: NodeId, bid: Bid },
    /// A bid takes a seat, new or failed before.
    FillSeat { node: NodeId, bid: Bid, seat: u8 },
    /// The holder of a seat reported a failure.
    FailSeat { seat: u8, kind: FailureKind },
    /// The holder of a seat committed.
    CommitSeat { seat: u8, commitment: Digest },
    /// The draw of the audit: a second wave of seats is open, or reveals begin.
    Draw { hit: bool },
    /// The holder of a seat revealed.
    Reveal { seat: u8, opening: Opening },
    /// A verdict, with every opening it rests on.
    Conclude { openings: BTreeMap<u8, Opening>, verdict: Box<Verdict>, by: NodeId },
    /// The job ends without a verdict.
    End { state: JobState, by: NodeId },
}

impl Effect {
    /// Makes the change, as of `at`, and writes down what passed deadlines make of the state.
    pub(super) fn apply(self, job: &mut Job, at: Timestamp) {
        write_state(job, at);
        let is_late = at > job.refill_by();
        let record = job.record_mut();
        match self {
            Self::Nothing => {}
            Self::Update { deal } => {
                record.deal = *deal;
                record.revision = record.deal.revision();
                record.epoch += 1;
                record.audit = first_stage(&record.deal);
                record.open_by = record.submitted_at.plus(record.deal.open);
            }
            Self::PutBid { node, bid } => {
                record.bids.insert(node, bid);
            }
            Self::FillSeat { node, bid, seat } => fill_seat(job, node, bid, seat, at),
            Self::FailSeat { seat, kind } => {
                if is_late {
                    record.late = record.late.with(seat);
                }
                set_seat(record, seat, SeatStatus::Failed(kind));
                record.failed = record.failed.with(seat);
                let count = &mut record.failures[usize::from(kind.index())];
                *count = count.saturating_add(1);
                record.seats_changed_at = at;
            }
            Self::CommitSeat { seat, commitment } => {
                set_seat(record, seat, SeatStatus::Committed(commitment));
                record.committed = record.committed.with(seat);
                record.seats_changed_at = at;
            }
            Self::Draw { hit: true } => {
                record.audit = AuditStage::Drawn;
                record.state = JobState::Open;
                record.open_by = at.plus(record.deal.open);
                (record.commit_by, record.reveal_by) = (Timestamp::ZERO, Timestamp::ZERO);
                record.seats_changed_at = at;
            }
            Self::Draw { hit: false } => {
                record.audit = AuditStage::Spared;
                record.reveal_by = at.plus(record.deal.reveal);
                record.seats_changed_at = at;
            }
            Self::Reveal { seat, opening } => {
                set_seat(record, seat, SeatStatus::Revealed(opening));
                record.revealed = record.revealed.with(seat);
            }
            Self::Conclude { openings, verdict, by } => {
                for (seat, opening) in openings {
                    set_seat(record, seat, SeatStatus::Revealed(opening));
                    record.revealed = record.revealed.with(seat);
                }
                let decided = !verdict.accepted.is_empty();
                record.verdict = Some(*verdict);
                end(record, if decided { JobState::Verified } else { JobState::Inconclusive }, by, at);
            }
            Self::End { state, by } => end(record, state, by, at),
        }
        write_state(job, at);
    }
}

/// The audit of a job that has just been opened under this deal.
pub(super) fn first_stage(deal: &Deal) -> AuditStage {
    if deal.audit.is_some() { AuditStage::Undrawn } else { AuditStage::None }
}

fn write_state(job: &mut Job, at: Timestamp) {
    let (state, reveal_by) = job.state_at(at);
    let record = job.record_mut();
    (record.state, record.reveal_by) = (state, reveal_by);
}

fn fill_seat(job: &mut Job, node: NodeId, bid: Bid, seat: u8, at: Timestamp) {
    let record = job.record_mut();
    let filled = Seat { node, price: bid.price, status: SeatStatus::Accepted };
    match record.seats.get_mut(usize::from(seat)) {
        Some(held) => *held = filled,
        None => record.seats.push(filled),
    }
    record.bids.insert(node, Bid { status: BidStatus::Seated(seat), ..bid });
    record.failed = record.failed.without(seat);
    record.seats_changed_at = at;
    if job.state == JobState::Open && job.seats.len() == usize::from(job.asked()) {
        let record = job.record_mut();
        record.state = JobState::Running;
        record.commit_by = at.plus(record.deal.run);
    }
}

fn set_seat(record: &mut JobRecord, seat: u8, status: SeatStatus) {
    if let Some(held) = record.seats.get_mut(usize::from(seat)) {
        held.status = status;
    }
}

fn end(record: &mut JobRecord, state: JobState, by: NodeId, at: Timestamp) {
    record.state = state;
    record.ended_at = at;
    record.ended_by = Some(by);
}
