//! Steps of several jobs that share a transaction, which takes less gas and fewer nonces than one for each.
//!
//! Steps gather while a transaction of this key is on its way into a block. They go as soon as it is there, and after
//! [`HOLD`] at the latest: a transaction that is sent early in the time of a block is in no earlier block than one that
//! is sent late. While nothing is on its way, nothing waits. A node's steps by itself, which it takes when a deadline comes
//! near, never wait.
//!
//! Each step is estimated before, so one that would revert fails at once. One that comes too late in spite of that leaves no log in the
//! receipt: it is sent once more, alone, and tells its own reason.
//!
//! A step is told of its own failure alone. What keeps every step from being sent, such as an outage, is told to all at once.

use std::{collections::VecDeque, time::Duration};

use alloy::{
    primitives::{Bytes, U256},
    rpc::types::TransactionReceipt,
};
use alloy_sol_types::SolCall as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::{
    super::{abi::IJobScheduler as abi, decode::jobs_in},
    Call, Callers, MAX_GAS, MAX_PENDING, Outcome, Reply, SendError, Sender, Unplaced,
};
use crate::{domain::JobId, scheduler::BackendError};

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
    /// Whether a transaction passed over it: it shares no other.
    is_alone: bool,
}

/// Steps that go by one transaction, each with its gas limit.
type Batch = Vec<(Step, u64)>;

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
        self.put_back([Step { call, job, reply, is_alone: false }]);
    }

    /// Has steps wait, be they more than usually may.
    fn put_back(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
        if !self.steps.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.steps.len() >= MOST_WAITING
    }

    fn take(&mut self) -> Vec<Step> {
        self.since = None;
        std::mem::take(&mut self.steps)
    }
}

impl Sender {
    /// When the steps that were gathered go, whatever is on its way; `None` if there are none, or no room for them.
    pub(super) fn release_at(&self) -> Option<Instant> {
        let since = self.gathering.since.filter(|_| self.pending.len() < MAX_PENDING);
        since.map(|since| since + HOLD)
    }

    /// Whether the steps that were gathered are to be sent now.
    pub(super) fn are_steps_due(&self) -> bool {
        let is_any_under_way = self.pending.iter().any(|pending| !pending.in_block);
        self.release_at().is_some_and(|release| !is_any_under_way || release <= Instant::now())
    }

    /// Sends the steps that were gathered.
    pub(super) async fn send_gathered(&mut self) {
        let steps = self.gathering.take();
        if steps.len() == 1 {
            // Its estimate is made as it is sent.
            return self.place_batches(steps.into_iter().map(|step| vec![(step, 0)]).collect()).await;
        }
        let limits = match self.limits(&steps).await {
            Ok(limits) => limits,
            Err(error) => return Callers::Several(steps).answer(&Err(error)),
        };
        let mut ready = Vec::new();
        for (step, limit) in steps.into_iter().zip(limits) {
            match limit {
                Ok(limit) => ready.push((step, limit)),
                Err(error) => step.answer(&Err(error)),
            }
        }
        self.place_batches(batches(ready)).await;
    }

    /// The gas limit of each step, or why it cannot be sent.
    ///
    /// # Errors
    /// What keeps all of them from being sent. Fees and nonce are asked first: they tell an outage before many estimates do.
    async fn limits(&self, steps: &[Step]) -> Result<Vec<Result<u64, SendError>>, SendError> {
        tokio::try_join!(self.fees(), self.next_nonce())?;
        let mut estimates = Vec::with_capacity(steps.len());
        for step in steps {
            estimates.push(self.estimate(&step.call));
        }
        let estimates = stream::iter(estimates).buffered(ESTIMATED_AT_A_TIME);
        let limits = estimates.map(|limit| match limit {
            Ok(limit) => Ok(Ok(limit)),
            Err(Unplaced::Unfit(error)) => Ok(Err(error)),
            Err(Unplaced::Refused(error) | Unplaced::Blocked(error)) => Err(error),
        });
        limits.try_collect().await
    }

    /// Sends batches in their order. Steps without room wait again. What keeps one from being sent at all is told to
    /// those after it too.
    async fn place_batches(&mut self, batches: Vec<Batch>) {
        let mut rest = VecDeque::from(batches);
        while self.pending.len() < MAX_PENDING {
            let Some(mut batch) = rest.pop_front() else { return };
            let parts = if batch.len() > 1 {
                self.place_together(batch).await
            } else if let Some((step, _)) = batch.pop() {
                self.place_alone(step).await.map(|()| Vec::new())
            } else {
                continue;
            };
            match parts {
                Ok(parts) => parts.into_iter().rev().for_each(|part| rest.push_front(part)),
                Err(error) => {
                    let rest = rest.into_iter().flatten().map(|(step, _)| step).collect();
                    return Callers::Several(rest).answer(&Err(error));
                }
            }
        }
        self.gathering.put_back(rest.into_iter().flatten().map(|(step, _)| step));
    }

    /// Sends several steps by one transaction. If no endpoint takes it, gives smaller batches of the same steps: halves,
    /// if the account cannot pay for all of it at once, and otherwise single steps.
    ///
    /// # Errors
    /// What keeps any step from being sent; these are told.
    async fn place_together(&mut self, batch: Batch) -> Result<Vec<Batch>, SendError> {
        let to = batch.first().and_then(|(step, _)| step.call.to);
        let data = multicall(&batch);
        let gas = batch.iter().map(|(step, limit)| gas_of(step, *limit)).sum::<u64>() + AROUND_ALL;
        let (steps, limits): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let call = Call { to, data, value: Default::default(), gas_limit: None, shares: None };
        let mut callers = Callers::Several(steps);
        let error = match self.try_place(&call, Some(gas), &mut callers).await {
            Ok(()) => return Ok(Vec::new()),
            Err(Unplaced::Blocked(error)) => {
                callers.answer(&Err(error.clone()));
                return Err(error);
            }
            Err(Unplaced::Unfit(error) | Unplaced::Refused(error)) => error,
        };
        let is_too_dear = matches!(error, SendError::Failed(BackendError::NoEther { .. }));
        let count = limits.len();
        let most = if is_too_dear { count.div_ceil(2) } else { 1 };
        tracing::info!(count, gas, most, ?error, "steps cannot share a transaction; sending fewer at once");
        let Callers::Several(steps) = callers else { return Ok(Vec::new()) };
        let mut steps = steps.into_iter().zip(limits).peekable();
        let mut parts = Vec::new();
        while steps.peek().is_some() {
            parts.push(steps.by_ref().take(most).collect());
        }
        Ok(parts)
    }

    /// Sends a step by its own transaction.
    ///
    /// # Errors
    /// What keeps any step from being sent; this one is told.
    async fn place_alone(&mut self, Step { call, reply, .. }: Step) -> Result<(), SendError> {
        let mut callers = Callers::One(reply);
        match self.try_place(&call, None, &mut callers).await {
            Ok(()) => Ok(()),
            Err(Unplaced::Unfit(error)) => {
                callers.answer(&Err(error));
                Ok(())
            }
            Err(Unplaced::Refused(error) | Unplaced::Blocked(error)) => {
                callers.answer(&Err(error.clone()));
                Err(error)
            }
        }
    }

    /// Tells those who wait for a transaction what became of it. Steps that it passed over are sent once more, alone.
    pub(super) fn settle(&mut self, callers: Callers, outcome: &Outcome) {
        let Callers::Several(steps) = callers else { return callers.answer(outcome) };
        let passed_over = match outcome {
            Ok(receipt) => {
                let (taken, passed_over) = taken_in(receipt, steps);
                Callers::Several(taken).answer(outcome);
                passed_over
            }
            Err(SendError::Reverted(..)) => steps,
            Err(SendError::Failed(_)) => return Callers::Several(steps).answer(outcome),
        };
        self.gathering.put_back(passed_over.into_iter().map(|step| Step { is_alone: true, ..step }));
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
fn batches(steps: Vec<(Step, u64)>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut gas, mut bytes) = (0, 0);
    for (step, limit) in steps {
        let (own_gas, own_bytes) = (gas_of(&step, limit), step.call.data.len());
        (gas, bytes) = (gas + own_gas, bytes + own_bytes);
        let is_within = gas <= MAX_GAS - AROUND_ALL && bytes <= MOST_BYTES;
        match batches.last_mut() {
            Some(last) if is_within && last.len() < MOST_STEPS && may_join(&step, last) => {
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

/// Whether neither the step nor one of those is to be alone.
fn may_join(step: &Step, batch: &[(Step, u64)]) -> bool {
    !step.is_alone && batch.iter().all(|(other, _)| !other.is_alone)
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
        (Step { call, job, reply: oneshot::channel().0, is_alone: false }, limit)
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
    fn a_step_that_was_passed_over_shares_no_other_transaction() {
        let alone = |index| index == 2 || index == 3;
        let steps = (0..6).map(|index| {
            let (step, limit) = step(1400, 160_000);
            (Step { is_alone: alone(index), ..step }, limit)
        });
        assert_eq!(sizes(steps), [2, 1, 1, 2]);
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
