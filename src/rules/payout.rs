//! Who gets what when a job ends.

use std::collections::BTreeMap;

use crate::domain::{Amount, Job, JobState, NodeId, SeatStatus, Timestamp};

/// What a terminal job pays out: every unit that it held goes to somebody or is burnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payouts {
    /// Credits by party.
    pub credits: BTreeMap<NodeId, Amount>,
    /// Nobody's from here on.
    pub burnt: Amount,
}

impl Payouts {
    fn credit(&mut self, node: NodeId, amount: Amount) {
        if !amount.is_zero() {
            let sum = self.credits.entry(node).or_default();
            *sum = sum.checked_add(amount).expect("a part of what a job holds is an amount");
        }
    }

    fn burn(&mut self, amount: Amount) {
        self.burnt = self.burnt.checked_add(amount).expect("a part of what a job holds is an amount");
    }

    /// Everything paid and burnt; `None` when that is no amount, which no valid deal allows.
    pub fn total(&self) -> Option<Amount> {
        self.credits.values().chain([&self.burnt]).sum()
    }
}

/// What a job holds, by whom it was locked: nothing once it is terminal.
pub fn held(job: &Job) -> BTreeMap<NodeId, Amount> {
    if job.state.is_terminal() { BTreeMap::new() } else { locked(job) }
}

/// What a job holds, or held until its end, by whom it was locked: the requester's escrow and the bond of every
/// seat that has not failed. A holder that reports a failure has its bond back at once.
pub fn locked(job: &Job) -> BTreeMap<NodeId, Amount> {
    let mut locked = BTreeMap::new();
    let mut add = |node: NodeId, amount: Amount| {
        let sum: &mut Amount = locked.entry(node).or_default();
        *sum = sum.checked_add(amount).expect("what a party locks is within what it had");
    };
    add(job.requester, job.deal.escrow().expect("a valid deal has an escrow"));
    for seat in job.seats.iter().filter(|seat| !matches!(seat.status, SeatStatus::Failed(_))) {
        add(seat.node, job.deal.bond);
    }
    locked
}

/// The payouts of a terminal job; nothing for any other.
///
/// Verified: accepted seats get price and bond; rejected ones the bond, or nothing for a wrong hash on a
/// deterministic job. Inconclusive: who revealed gets the bond. Failed: who did its part does. Cancelled by
/// stop: price and bond. Cancelled before any acceptance, expired: bonds back. Not committed without a report
/// while there was time, or not revealed: burnt. The keeper fee goes to the sender of a verdict or an expiry.
/// What is left of the escrow returns to the requester.
pub fn payouts(job: &Job) -> Payouts {
    let mut payouts = Payouts::default();
    if !job.state.is_terminal() {
        return payouts;
    }
    let mut escrow = job.deal.escrow().expect("a valid deal has an escrow");
    for (index, seat) in (0_u8..).zip(&job.seats) {
        let due = match seat.status {
            SeatStatus::Failed(_) => continue,
            status => seat_due(job, index, status),
        };
        match due {
            Due::PriceAndBond => {
                escrow = escrow.checked_sub(seat.price).expect("an accepted price is at most the deal's");
                payouts.credit(seat.node, seat.price);
                payouts.credit(seat.node, job.deal.bond);
            }
            Due::Bond => payouts.credit(seat.node, job.deal.bond),
            Due::Nothing => payouts.burn(job.deal.bond),
        }
    }
    if let (true, Some(keeper)) = (earns_keeper_fee(job.state), job.ended_by) {
        escrow = escrow.checked_sub(job.deal.keeper_fee).expect("the escrow holds the keeper fee");
        payouts.credit(keeper, job.deal.keeper_fee);
    }
    payouts.credit(job.requester, escrow);
    payouts
}

#[derive(Debug, Clone, Copy)]
enum Due {
    PriceAndBond,
    Bond,
    Nothing,
}

fn seat_due(job: &Job, seat: u8, status: SeatStatus) -> Due {
    let verdict = job.verdict.as_ref();
    match job.state {
        JobState::Verified if verdict.is_some_and(|verdict| verdict.accepted.contains(seat)) => {
            Due::PriceAndBond
        }
        // Where outputs alone decide, whoever was rejected had a wrong hash.
        JobState::Verified
            if job.deal.deterministic && verdict.is_some_and(|v| v.rejected.contains(seat)) =>
        {
            Due::Nothing
        }
        JobState::Verified | JobState::Inconclusive | JobState::Failed => {
            if did_its_part(job, status) {
                Due::Bond
            } else {
                Due::Nothing
            }
        }
        JobState::Cancelled => Due::PriceAndBond,
        JobState::Expired => Due::Bond,
        JobState::Open | JobState::Running | JobState::Revealing => Due::Nothing,
    }
}

/// Whether a seat of an ended job went as far as there was time for, or said why it could not.
pub fn did_its_part(job: &Job, status: SeatStatus) -> bool {
    let failed = job.state == JobState::Failed;
    match status {
        SeatStatus::Failed(_) | SeatStatus::Revealed(_) => true,
        SeatStatus::Accepted => failed && job.ended_at <= job.commit_by,
        SeatStatus::Committed(_) => failed && job.reveal_by == Timestamp::ZERO,
    }
}

const fn earns_keeper_fee(state: JobState) -> bool {
    match state {
        JobState::Verified | JobState::Inconclusive | JobState::Failed | JobState::Expired => true,
        JobState::Cancelled | JobState::Open | JobState::Running | JobState::Revealing => false,
    }
}
