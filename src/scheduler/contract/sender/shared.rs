//! Steps of several jobs that share a transaction, which takes less gas and fewer nonces than one for each.
//!
//! Steps gather while a transaction of this key is on its way into a block. They go as soon as it is there, and after
//! [`HOLD`] at the latest: a transaction that is sent early in the time of a block is in no earlier block than one that
//! is sent late. While nothing is on its way, nothing waits. A node's steps by itself, which it takes when a deadline comes
//! near, never wait.
//!
//! Each step is estimated before, so one that would revert fails at once. One that comes too late in spite of that leaves no log in the
//! receipt: it is sent once more, alone, and tells its own reason.

use std::time::Duration;

use alloy::{
    primitives::{Bytes, U256},
    rpc::types::TransactionReceipt,
};
use alloy_sol_types::SolCall as _;
use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    super::{abi::IJobScheduler as abi, decode::jobs_in},
    Call, Callers, MAX_GAS, MAX_PENDING, Outcome, Placed, Reply, SendError, Sender,
};
use crate::domain::JobId;

/// The longest that a step waits for others.
const HOLD: Duration = Duration::from_secs(1);

/// Most steps of one transaction, and most bytes of their calls: nodes refuse a transaction of 128 KiB.
const MOST_STEPS: usize = 50;
const MOST_BYTES: usize = 96 * 1024;

/// Most steps that wait; further ones wait in the queue.
const MOST_WAITING: usize = 256;

/// Steps that are estimated at a time.
const ESTIMATED_AT_A_TIME: usize = 8;

/// Gas for the code around a step, and around all of them.
const AROUND_A_STEP: u64 = 5_000;
const AROUND_ALL: u64 = 30_000;

/// Most gas of a byte of calldata that is no zero, in the transaction and in the argument of a call.
const A_BYTE: u64 = 40;

/// A step that may share a transaction, and who waits for it.
pub(super) struct Step {
    call: Call,
    job: JobId,
    reply: Reply,
}

impl Step {
    /// Answers its caller, if that still waits.
    pub(super) fn answer(self, outcome: &Outcome) {
        drop(self.reply.send(outcome.clone()));
    }
}

/// Steps that wait for a transaction.
#[derive(Default)]
pub(super) struct Gathering {
    steps: Vec<Step>,
    since: Option<Instant>,
}

impl Gathering {
    pub(super) fn add(&mut self, call: Call, job: JobId, reply: Reply) {
        self.since.get_or_insert_with(Instant::now);
        self.steps.push(Step { call, job, reply });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.steps.len() >= MOST_WAITING
    }

    /// When they go, whatever is on its way; `None` if there are none.
    pub(super) fn release_at(&self) -> Option<Instant> {
        self.since.map(|since| since + HOLD)
    }

    fn take(&mut self) -> Vec<Step> {
        self.since = None;
        std::mem::take(&mut self.steps)
    }
}

impl Sender {
    /// Whether the steps that were gathered are to be sent now.
    pub(super) fn are_steps_due(&self) -> bool {
        let is_any_under_way = self.pending.iter().any(|pending| !pending.in_block);
        self.pending.len() < MAX_PENDING
            && self
                .gathering
                .release_at()
                .is_some_and(|release| !is_any_under_way || release <= Instant::now())
    }

    /// Sends the steps that were gathered.
    pub(super) async fn send_gathered(&mut self) {
        let steps = self.gathering.take();
        if steps.len() == 1 {
            return self.place_alone(steps).await;
        }
        let mut estimates = Vec::with_capacity(steps.len());
        for step in &steps {
            estimates.push(self.estimate(&step.call));
        }
        let limits = stream::iter(estimates).buffered(ESTIMATED_AT_A_TIME).collect::<Vec<_>>().await;
        let mut ready = Vec::new();
        for (step, limit) in steps.into_iter().zip(limits) {
            match limit {
                Ok(limit) => ready.push((step, limit)),
                Err(error) => step.answer(&Err(error)),
            }
        }
        for batch in batches(ready) {
            self.place_together(batch).await;
        }
    }

    async fn place_together(&mut self, batch: Vec<(Step, u64)>) {
        let to = batch.first().and_then(|(step, _)| step.call.to);
        let data = multicall(&batch);
        let gas = batch.iter().map(|(step, limit)| gas_of(step, *limit)).sum::<u64>() + AROUND_ALL;
        let mut steps: Vec<Step> = batch.into_iter().map(|(step, _)| step).collect();
        if steps.len() > 1 {
            let call = Call { to, data, value: Default::default(), gas_limit: None, shares: None };
            let mut callers = Callers::Several(steps);
            match self.try_place(&call, Some(gas), &mut callers).await {
                Ok(Placed::InFlight | Placed::NonceUsed) => return,
                Err(error) => return callers.answer(&Err(error)),
                Ok(Placed::Refused(error)) => {
                    tracing::info!(?error, "the chain does not take several steps at once");
                    let Callers::Several(refused) = callers else { return };
                    steps = refused;
                }
            }
        }
        self.place_alone(steps).await;
    }

    /// Sends steps one by one. What keeps one from being sent at all is told to those after it too.
    async fn place_alone(&mut self, steps: Vec<Step>) {
        let mut steps = steps.into_iter();
        while let Some(Step { call, reply, .. }) = steps.next() {
            let mut callers = Callers::One(reply);
            match self.try_place(&call, None, &mut callers).await {
                Ok(Placed::InFlight | Placed::NonceUsed) => {}
                Err(error @ SendError::Reverted(_)) => callers.answer(&Err(error)),
                Ok(Placed::Refused(error)) | Err(error @ SendError::Failed(_)) => {
                    callers.answer(&Err(error.clone()));
                    return Callers::Several(steps.collect()).answer(&Err(error));
                }
            }
        }
    }

    /// Tells those who wait for a transaction what became of it. Steps that it passed over are sent once more, alone.
    pub(super) async fn settle(&mut self, callers: Callers, outcome: Outcome) {
        let Callers::Several(steps) = callers else { return callers.answer(&outcome) };
        let passed_over = match &outcome {
            Ok(receipt) => {
                let (taken, passed_over) = taken_in(receipt, steps);
                Callers::Several(taken).answer(&outcome);
                passed_over
            }
            Err(SendError::Reverted(_)) => steps,
            Err(SendError::Failed(_)) => return Callers::Several(steps).answer(&outcome),
        };
        self.place_alone(passed_over).await;
    }
}

/// The call that takes several steps, each with its gas limit.
fn multicall(batch: &[(Step, u64)]) -> Bytes {
    let step = |(step, limit): &(Step, u64)| abi::Step {
        gasLimit: U256::from(*limit),
        data: step.call.data.clone(),
    };
    abi::multicallCall { steps: batch.iter().map(step).collect() }.abi_encode().into()
}

/// The steps that this transaction took, and those that it passed over.
fn taken_in(receipt: &TransactionReceipt, steps: Vec<Step>) -> (Vec<Step>, Vec<Step>) {
    let jobs = receipt.to.map(|contract| jobs_in(receipt, contract)).unwrap_or_default();
    steps.into_iter().partition(|step| jobs.contains(&step.job))
}

/// The gas of a step in a transaction with others, given its limit: the contract passes on 63 of 64 parts of what it has, twice,
/// and the limit is part of that.
fn gas_of(step: &Step, limit: u64) -> u64 {
    let bytes = u64::try_from(step.call.data.len()).unwrap_or(u64::MAX);
    limit
        .saturating_add(limit / 16)
        .saturating_add(AROUND_A_STEP)
        .saturating_add(bytes.saturating_mul(A_BYTE))
}

/// Steps in the order in which they came, so many together as one transaction may take.
fn batches(steps: Vec<(Step, u64)>) -> Vec<Vec<(Step, u64)>> {
    let mut batches: Vec<Vec<(Step, u64)>> = Vec::new();
    let (mut gas, mut bytes) = (0, 0);
    for (step, limit) in steps {
        let (own_gas, own_bytes) = (gas_of(&step, limit), step.call.data.len());
        (gas, bytes) = (gas + own_gas, bytes + own_bytes);
        match batches.last_mut() {
            Some(last) if last.len() < MOST_STEPS && gas <= MAX_GAS - AROUND_ALL && bytes <= MOST_BYTES => {
                last.push((step, limit));
            }
            Some(_) | None => {
                (gas, bytes) = (own_gas, own_bytes);
                batches.push(vec![(step, limit)]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use tokio::sync::oneshot;

    use super::*;

    fn step(bytes: usize, limit: u64) -> (Step, u64) {
        let (job, data) = (JobId::ZERO, Bytes::from(vec![1; bytes]));
        let call =
            Call { to: Some(Address::ZERO), data, value: U256::ZERO, gas_limit: None, shares: Some(job) };
        (Step { call, job, reply: oneshot::channel().0 }, limit)
    }

    fn sizes(steps: impl Iterator<Item = (Step, u64)>) -> Vec<usize> {
        batches(steps.collect()).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_hundred_jobs_of_three_nodes_take_two_transactions_a_step() {
        for count in [1, 10] {
            assert_eq!(sizes((0..count).map(|_| step(1400, 160_000))), [count]);
        }
        assert_eq!(sizes((0..100).map(|_| step(1400, 160_000))), [50, 50]);
    }

    #[test]
    fn a_transaction_is_bounded_in_gas_and_in_bytes() {
        for batch in batches((0..100).map(|_| step(1000, 1_500_000)).collect()) {
            let gas = batch.iter().map(|(step, limit)| gas_of(step, *limit)).sum::<u64>() + AROUND_ALL;
            assert!(batch.len() > 1 && gas <= MAX_GAS, "{} steps take {gas}", batch.len());
        }
        for batch in batches((0..20).map(|_| step(10_000, 200_000)).collect()) {
            assert!(batch.iter().map(|(step, _)| step.call.data.len()).sum::<usize>() <= MOST_BYTES);
        }
        // What one alone takes is its own transaction's affair.
        assert_eq!(sizes([step(1, MAX_GAS), step(MOST_BYTES + 1, 1), step(1, 1)].into_iter()), [1, 1, 1]);
    }

    #[test]
    fn every_step_gets_the_gas_that_it_is_given() {
        // As the contract counts: 63 of 64 parts go into the code of its rare steps, and of the rest into a step.
        let steps: Vec<_> = (0..50).map(|_| step(1400, 160_000)).collect();
        let mut left = steps.iter().map(|(step, limit)| gas_of(step, *limit)).sum::<u64>() + AROUND_ALL;
        left -= 21_000 + 50 * (1400 * 16 + 40 * 32);
        left -= left / 64;
        for (_, limit) in steps {
            left -= 1_000;
            assert!((left - 2_000) / 64 * 63 >= limit, "{left}");
            left -= limit;
        }
    }
}
