//! The money of the `local` backend: the same ledger that the contract keeps.

use std::collections::BTreeMap;

use super::payout::{MoneyError, held, payouts};
use crate::domain::{Amount, Job, JobState, NodeId, SeatStatus};

/// Free balances, burnt money, and how much each node was paid.
///
/// Locked money is not recorded here: the jobs hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    free: BTreeMap<NodeId, Amount>,
    burnt: Amount,
    /// Everything ever deposited. No sum of parts of it exceeds it, so each fits an amount.
    deposited: Amount,
    paid: BTreeMap<NodeId, Amount>,
}

/// The new state of the accounts that a step of a job touches, computed whole before any of it is booked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Movement {
    free: BTreeMap<NodeId, Amount>,
    burnt: Amount,
    paid: BTreeMap<NodeId, Amount>,
}

impl Accounts {
    /// No money anywhere.
    pub const fn new() -> Self {
        Self { free: BTreeMap::new(), burnt: Amount::ZERO, deposited: Amount::ZERO, paid: BTreeMap::new() }
    }

    /// Whether there is any money to follow.
    pub fn is_used(&self) -> bool {
        !self.free.is_empty()
    }

    /// Adds to a free balance.
    ///
    /// # Errors
    /// [`MoneyError::TooMuch`] when all deposits together would exceed 96 bits, as in the contract; then nothing
    /// has changed.
    pub fn deposit(&mut self, node: NodeId, amount: Amount) -> Result<(), MoneyError> {
        let deposited = self.deposited.checked_add(amount).ok_or(MoneyError::TooMuch)?;
        let free = self.free(node).checked_add(amount).ok_or(MoneyError::TooMuch)?;
        self.deposited = deposited;
        self.free.insert(node, free);
        Ok(())
    }

    /// What `node` may lock or withdraw.
    pub fn free(&self, node: NodeId) -> Amount {
        self.free.get(&node).copied().unwrap_or(Amount::ZERO)
    }

    /// Burnt money.
    pub const fn burnt(&self) -> Amount {
        self.burnt
    }

    /// What verdicts paid `node`, except for a seat that was compared with no other.
    pub fn paid(&self, node: NodeId) -> Amount {
        self.paid.get(&node).copied().unwrap_or(Amount::ZERO)
    }

    /// The sum of all free balances.
    pub fn total_free(&self) -> Option<Amount> {
        self.free.values().sum()
    }

    /// What a job's step moves: what the job held before and does not hold now becomes free, what it holds newly
    /// was free, and a job that ends pays out.
    ///
    /// # Errors
    /// [`MoneyError`] when a party has less than the step locks, or a sum is no amount.
    pub(super) fn movement(&self, before: Option<&Job>, after: &Job) -> Result<Movement, MoneyError> {
        let mut movement = Movement { free: BTreeMap::new(), burnt: self.burnt, paid: BTreeMap::new() };
        let was = before.map_or(Ok(BTreeMap::new()), held)?;
        if after.state.is_terminal() && before.is_some_and(|job| !job.state.is_terminal()) {
            self.settle(after, &mut movement)?;
            return Ok(movement);
        }
        for (node, amount) in was {
            self.credit(&mut movement, node, amount)?;
        }
        for (node, amount) in held(after)? {
            let free = movement.free.entry(node).or_insert_with(|| self.free(node));
            *free = free.checked_sub(amount).ok_or(MoneyError::Overdrawn { node })?;
        }
        Ok(movement)
    }

    /// Books what [`Self::movement`] computed from these very accounts.
    pub(super) fn book(&mut self, movement: Movement) {
        self.free.extend(movement.free);
        self.burnt = movement.burnt;
        self.paid.extend(movement.paid);
    }

    fn credit(&self, movement: &mut Movement, node: NodeId, amount: Amount) -> Result<(), MoneyError> {
        let free = movement.free.entry(node).or_insert_with(|| self.free(node));
        *free = free.checked_add(amount).ok_or(MoneyError::TooMuch)?;
        Ok(())
    }

    fn settle(&self, job: &Job, movement: &mut Movement) -> Result<(), MoneyError> {
        let payouts = payouts(job)?;
        for (node, amount) in payouts.credits {
            self.credit(movement, node, amount)?;
        }
        movement.burnt = movement.burnt.checked_add(payouts.burnt).ok_or(MoneyError::TooMuch)?;
        let counts = job.state == JobState::Verified && job.asked() > 1;
        let accepted = job.verdict.iter().flat_map(|verdict| verdict.accepted.iter());
        for seat in accepted.filter_map(|seat| job.seat(seat)).filter(|_| counts) {
            if matches!(seat.status, SeatStatus::Revealed(_)) && !seat.price.is_zero() {
                let paid = movement.paid.entry(seat.node).or_insert_with(|| self.paid(seat.node));
                // Stops at its largest, as in the contract.
                *paid = paid.checked_add(seat.price).unwrap_or(Amount::MAX);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: NodeId = NodeId::new([1; 20]);
    const BOB: NodeId = NodeId::new([2; 20]);

    #[test]
    fn all_deposits_together_fit_96_bits_or_are_refused_whole() {
        let one = Amount::new(1).unwrap();
        let mut accounts = Accounts::new();
        accounts.deposit(ALICE, Amount::MAX).unwrap();
        let before = accounts.clone();
        assert_eq!(accounts.deposit(BOB, one), Err(MoneyError::TooMuch));
        assert_eq!(accounts.deposit(ALICE, one), Err(MoneyError::TooMuch));
        assert_eq!(accounts, before);
        accounts.deposit(BOB, Amount::ZERO).unwrap();
    }
}
