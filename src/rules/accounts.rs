//! The money of the `local` backend: the same ledger that the contract keeps.

use std::collections::BTreeMap;

use super::payout::{held, payouts};
use crate::domain::{Amount, Job, JobState, NodeId, SeatStatus};

/// Free balances, what was burnt, and who was paid how often.
///
/// What is locked is not written down: it is what the jobs hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    free: BTreeMap<NodeId, Amount>,
    burnt: Amount,
    paid_jobs: BTreeMap<NodeId, u32>,
}

impl Accounts {
    /// No money anywhere.
    pub const fn new() -> Self {
        Self { free: BTreeMap::new(), burnt: Amount::ZERO, paid_jobs: BTreeMap::new() }
    }

    /// Whether there is any money to follow.
    pub fn is_used(&self) -> bool {
        !self.free.is_empty()
    }

    /// Adds to a free balance; `false`, and nothing happens, when the sum is no amount.
    #[must_use]
    pub fn deposit(&mut self, node: NodeId, amount: Amount) -> bool {
        let free = self.free.entry(node).or_default();
        match free.checked_add(amount) {
            Some(sum) => *free = sum,
            None => return false,
        }
        true
    }

    /// What `node` may lock or withdraw.
    pub fn free(&self, node: NodeId) -> Amount {
        self.free.get(&node).copied().unwrap_or_default()
    }

    /// What is nobody's.
    pub const fn burnt(&self) -> Amount {
        self.burnt
    }

    /// How many seats `node` was paid for, counting no job of one seat and none without a price.
    pub fn paid_jobs(&self, node: NodeId) -> u32 {
        self.paid_jobs.get(&node).copied().unwrap_or_default()
    }

    /// The sum of all free balances.
    pub fn total_free(&self) -> Option<Amount> {
        self.free.values().sum()
    }

    /// Moves the money that a job's step moves: what it held before and does not hold now becomes free, what
    /// it holds newly was free, and a job that ends pays out.
    pub(super) fn follow(&mut self, before: Option<&Job>, after: &Job) {
        let (was, is) = (before.map(held).unwrap_or_default(), held(after));
        if after.state.is_terminal() && before.is_some_and(|job| !job.state.is_terminal()) {
            return self.settle(after);
        }
        for (node, amount) in was {
            let credited = self.deposit(node, amount);
            debug_assert!(credited, "money that was deposited once fits once");
        }
        for (node, amount) in is {
            let free = self.free.entry(node).or_default();
            *free = free.checked_sub(amount).unwrap_or_default();
        }
    }

    fn settle(&mut self, job: &Job) {
        let payouts = payouts(job);
        for (node, amount) in payouts.credits {
            let credited = self.deposit(node, amount);
            debug_assert!(credited, "money that was deposited once fits once");
        }
        self.burnt = self.burnt.checked_add(payouts.burnt).unwrap_or(Amount::MAX);
        let counts = job.state == JobState::Verified && job.deal.concurrency > 1;
        let accepted = job.verdict.iter().flat_map(|verdict| verdict.accepted.iter());
        for seat in accepted.filter_map(|seat| job.seat(seat)).filter(|_| counts) {
            if matches!(seat.status, SeatStatus::Revealed(_)) && !seat.price.is_zero() {
                let paid = self.paid_jobs.entry(seat.node).or_default();
                *paid = paid.saturating_add(1);
            }
        }
    }
}
