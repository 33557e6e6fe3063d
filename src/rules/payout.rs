//! Who gets what when a job ends.

use std::{collections::BTreeMap, num::NonZero};

use crate::domain::{Amount, AuditStage, Job, JobState, NodeId, SeatStatus, Timestamp};

/// What each seat that revealed gets of its price when the verdict is inconclusive: one part in so many, rounded down.
///
/// Half: a run costs its node at most about the price, and the requester has exit codes, traces and something to follow
/// up. All of it would pay liars who can block a verdict as well as honest nodes.
const INCONCLUSIVE_SHARE: NonZero<u8> = NonZero::new(2).unwrap();

/// What a failure that comes too late for another node costs of the bond: one part in so many, rounded down.
///
/// A quarter: less than to say nothing, which costs all of it, and more than a seat gains by failing, which is nothing.
const LATE_FAILURE_SHARE: NonZero<u8> = NonZero::new(4).unwrap();

/// What a terminal job pays out: every unit that it held goes to somebody or is burnt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Payouts {
    /// Credits by party.
    pub credits: BTreeMap<NodeId, Amount>,
    /// Burnt: nobody's from here on.
    pub burnt: Amount,
}

/// Why the money of a job cannot be computed: possible only in a log that names amounts but holds no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// A sum exceeds 96 bits: more than a log that holds money can have.
    #[error("the sum of the money exceeds 96 bits")]
    TooMuch,
    /// A party has less than the log says that it locks or pays.
    #[error("{node} has less than it locks")]
    Overdrawn {
        /// The party.
        node: NodeId,
    },
}

impl Payouts {
    fn credit(&mut self, node: NodeId, amount: Amount) -> Result<(), MoneyError> {
        if amount.is_zero() { Ok(()) } else { add(&mut self.credits, node, amount) }
    }

    fn burn(&mut self, amount: Amount) -> Result<(), MoneyError> {
        self.burnt = self.burnt.checked_add(amount).ok_or(MoneyError::TooMuch)?;
        Ok(())
    }

    /// Everything paid and burnt; `None` when that is no amount.
    pub fn total(&self) -> Option<Amount> {
        self.credits.values().chain([&self.burnt]).sum()
    }
}

fn add(amounts: &mut BTreeMap<NodeId, Amount>, node: NodeId, amount: Amount) -> Result<(), MoneyError> {
    let sum = amounts.entry(node).or_insert(Amount::ZERO);
    *sum = sum.checked_add(amount).ok_or(MoneyError::TooMuch)?;
    Ok(())
}

/// What a job holds, by whom it was locked: nothing once it is terminal.
///
/// # Errors
/// [`MoneyError::TooMuch`].
pub fn held(job: &Job) -> Result<BTreeMap<NodeId, Amount>, MoneyError> {
    if job.state.is_terminal() { Ok(BTreeMap::new()) } else { locked(job) }
}

/// What a job holds, or held until its end, by whom it was locked: the requester's escrow, the bond of every seat that
/// has not failed, and a quarter of it of a seat that failed too late for another node. The rest of the bond of a holder
/// that reports a failure is free at once.
///
/// # Errors
/// [`MoneyError::TooMuch`].
pub fn locked(job: &Job) -> Result<BTreeMap<NodeId, Amount>, MoneyError> {
    let mut locked = BTreeMap::new();
    add(&mut locked, job.requester, job.deal.escrow().ok_or(MoneyError::TooMuch)?)?;
    for (index, seat) in (0_u8..).zip(&job.seats) {
        let bond = match seat.status {
            SeatStatus::Failed(_) if job.late.contains(index) => late_part(job),
            SeatStatus::Failed(_) => continue,
            SeatStatus::Accepted | SeatStatus::Committed(_) | SeatStatus::Revealed(_) => job.deal.bond,
        };
        add(&mut locked, seat.node, bond)?;
    }
    Ok(locked)
}

/// What the end of a job brought a party beyond what it had locked, and what it cost of that; one of them is zero. Nothing of a
/// job that has not ended.
///
/// # Errors
/// [`MoneyError`].
pub fn gain(job: &Job, party: NodeId) -> Result<(Amount, Amount), MoneyError> {
    if !job.state.is_terminal() {
        return Ok((Amount::ZERO, Amount::ZERO));
    }
    let got = payouts(job)?.credits.get(&party).copied().unwrap_or(Amount::ZERO);
    let put = locked(job)?.get(&party).copied().unwrap_or(Amount::ZERO);
    let beyond = |more: Amount, less: Amount| more.checked_sub(less).unwrap_or(Amount::ZERO);
    Ok((beyond(got, put), beyond(put, got)))
}

/// The payouts of a terminal job; nothing for any other.
///
/// Verified: accepted seats get price and bond; rejected ones get the bond, or nothing for a wrong hash in a
/// deterministic job: then the highest price of the seat burns with the bond, so that a requester gains nothing by jobs
/// on which honest nodes must differ. Inconclusive: seats that revealed get the bond and half their price. Failed: seats that did their part do. Cancelled
/// by stop: price and bond. Cancelled before any acceptance, expired: bonds back. Not committed without a report while
/// there was time, or not revealed while others did: burnt. Of a failure that came too late for another node, what the job
/// holds of the bond is burnt too, unless several seats reported the same, the job is to blame, and no verdict shows otherwise. Failed because the
/// requester withheld the secret of its audit, or filled no second wave: seats that committed get price and bond.
///
/// The keeper fee goes to the sender of a verdict or an expiry, unless it failed in this job. What is left of the escrow
/// returns to the requester.
///
/// # Errors
/// [`MoneyError`].
pub fn payouts(job: &Job) -> Result<Payouts, MoneyError> {
    let mut payouts = Payouts::default();
    if !job.state.is_terminal() {
        return Ok(payouts);
    }
    let mut escrow = job.deal.escrow().ok_or(MoneyError::TooMuch)?;
    let mut from_escrow = |amount: Amount| {
        escrow = escrow.checked_sub(amount).ok_or(MoneyError::Overdrawn { node: job.requester })?;
        Ok(amount)
    };
    for (index, seat) in (0_u8..).zip(&job.seats) {
        let due = match seat.status {
            SeatStatus::Failed(kind) => {
                if job.late.contains(index) {
                    // Where others gave the result that a verdict accepted, the job was not to blame, however many
                    // say so: two seats may be in one hand.
                    if job.is_shared_failure(kind) && job.state != JobState::Verified {
                        payouts.credit(seat.node, late_part(job))?;
                    } else {
                        payouts.burn(late_part(job))?;
                    }
                }
                continue;
            }
            status => seat_due(job, index, status),
        };
        match due {
            Due::PriceAndBond => {
                payouts.credit(seat.node, from_escrow(seat.price)?)?;
                payouts.credit(seat.node, job.deal.bond)?;
            }
            Due::HalfPriceAndBond => {
                payouts.credit(seat.node, from_escrow(seat.price.divided_by(INCONCLUSIVE_SHARE))?)?;
                payouts.credit(seat.node, job.deal.bond)?;
            }
            Due::Bond => payouts.credit(seat.node, job.deal.bond)?,
            Due::Nothing => payouts.burn(job.deal.bond)?,
            Due::NothingForBoth => {
                payouts.burn(from_escrow(job.deal.price)?)?;
                payouts.burn(job.deal.bond)?;
            }
        }
    }
    let keeper = job.ended_by.filter(|keeper| earns_keeper_fee(job.state) && !job.has_failed(*keeper));
    if let Some(keeper) = keeper {
        payouts.credit(keeper, from_escrow(job.deal.keeper_fee)?)?;
    }
    payouts.credit(job.requester, escrow)?;
    Ok(payouts)
}

/// What a late failure leaves of its bond in the job until the end.
fn late_part(job: &Job) -> Amount {
    job.deal.bond.divided_by(LATE_FAILURE_SHARE)
}

#[derive(Debug, Clone, Copy)]
enum Due {
    PriceAndBond,
    HalfPriceAndBond,
    Bond,
    /// The bond is burnt.
    Nothing,
    /// The bond is burnt, and what the requester locked for the seat.
    NothingForBoth,
}

fn seat_due(job: &Job, seat: u8, status: SeatStatus) -> Due {
    let verdict = job.verdict.as_ref();
    match job.state {
        JobState::Verified if verdict.is_some_and(|verdict| verdict.accepted.contains(seat)) => {
            Due::PriceAndBond
        }
        // Where outputs alone decide, a rejected seat had a wrong hash.
        JobState::Verified
            if job.deal.deterministic && verdict.is_some_and(|v| v.rejected.contains(seat)) =>
        {
            Due::NothingForBoth
        }
        JobState::Inconclusive if matches!(status, SeatStatus::Revealed(_)) => Due::HalfPriceAndBond,
        JobState::Failed if owes_first_wave(job) && matches!(status, SeatStatus::Committed(_)) => {
            Due::PriceAndBond
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
        SeatStatus::Accepted => failed && (job.ended_at <= job.commit_by || job.commit_by == Timestamp::ZERO),
        // Where nobody at all revealed, the log stood still: a chain without blocks, a requester that is gone.
        SeatStatus::Committed(_) => failed && (job.reveal_by == Timestamp::ZERO || job.revealed.is_empty()),
    }
}

/// Whether a failed job owes the seats that committed their price: its requester alone kept it from its verdict, since it
/// withheld the secret of its audit or filled no second wave.
pub fn owes_first_wave(job: &Job) -> bool {
    let withheld = match job.audit {
        AuditStage::None | AuditStage::Spared => false,
        AuditStage::Undrawn => job.reveal_by != Timestamp::ZERO,
        AuditStage::Drawn => job.commit_by == Timestamp::ZERO,
    };
    withheld && job.state == JobState::Failed
}

const fn earns_keeper_fee(state: JobState) -> bool {
    match state {
        JobState::Verified | JobState::Inconclusive | JobState::Failed | JobState::Expired => true,
        JobState::Cancelled | JobState::Open | JobState::Running | JobState::Revealing => false,
    }
}
