//! One task per key sends all its transactions, so nonces have no gaps and no duplicates.
//!
//! A call is estimated before it gets a nonce: a call that would revert fails at once, with the contract's own error,
//! and leaves no gap. The hash of a transaction is told and stored before the transaction is sent, so after a lost
//! answer the chain can be asked about it. A transaction is done when it is deep enough in the chain. Until then it
//! is sent again with a rising fee, so full blocks only delay it.
//!
//! A reorganisation may drop a transaction that was done. So transactions are kept for some time ([`super::outbox`]).
//! When the chain counts fewer of this key's transactions than before, the same bytes are sent again.
//!
//! Steps of different jobs may share a transaction ([`shared`]).
//!
//! Another program with the same key may use a nonce first. A transaction refused for that reason, with no answer
//! lost, was never taken; its call gets the next nonce.

mod again;
mod fees;
mod pending;
mod placing;
mod shared;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::{BlockId, BlockNumberOrTag, Encodable2718},
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, TxKind, U256},
    providers::{DynProvider, Provider},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::{SignerSync, local::PrivateKeySigner},
    transports::TransportError,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub(super) use self::fees::Fees;
use self::{
    fees::{OverCap, is_passed_over},
    pending::{Callers, Pending},
    placing::Unplaced,
    shared::Gathering,
};
use super::{
    convert::{Revert, revert_of},
    outbox::Outbox,
    rpc::{AskError, Endpoints, Pace},
    words::Refusal,
};
use crate::{
    domain::{Digest, JobId},
    scheduler::BackendError,
};

/// Calls that wait to be sent.
const QUEUE: usize = 64;

/// Transactions in flight: beyond this, nodes drop those of one account.
const MAX_PENDING: usize = 48;

/// Most gas of one transaction. The dearest verdict takes 4 million, a deployment 6.
const MAX_GAS: u64 = 12_000_000;

/// How long a transaction may wait for a block before it is sent again with a higher fee.
const STUCK: Duration = Duration::from_secs(20);

/// How long a used nonce may be without a receipt of ours before another program counts as its user.
const FOREIGN: Duration = Duration::from_secs(30);

/// How long a transaction is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How long all endpoints may be silent before the caller is told that the outcome of a transaction is unknown.
const SILENCE: Duration = Duration::from_secs(30);

/// The pause before a transaction whose first answer was lost, or that was too cheap, is sent once more.
const UNSURE: Duration = Duration::from_secs(2);

/// Called with the hash of each transaction before it is sent.
pub type Notice = Arc<dyn Fn(Digest) + Send + Sync>;

/// What goes wrong with a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendError {
    /// The contract refuses: an estimate, so that nothing was sent, or a transaction, which used this gas.
    Reverted(Revert, Option<u64>),
    /// It was not sent, or not taken; [`BackendError::Unconfirmed`] when nobody knows.
    Failed(BackendError),
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The contract; none to make one.
    pub(super) to: Option<Address>,
    pub(super) data: Bytes,
    pub(super) value: U256,
    /// Its gas limit, if the caller checked what it costs; otherwise it follows from an estimate.
    pub(super) gas_limit: Option<u64>,
    /// The job that it is a step of, if it may share a transaction with steps of others.
    pub(super) shares: Option<JobId>,
}

/// The gas limit of a call with this estimate, a fifth more: others' transactions may come in between.
pub(super) const fn limit_of(estimate: u64) -> u64 {
    estimate.saturating_add(estimate / 5)
}

/// Settings of a sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) chain_id: u64,
    /// How many blocks must follow the one of a transaction.
    pub(super) confirmations: u64,
    /// Most that is paid for a unit of gas, in wei, if the owner set a bound.
    pub(super) max_fee_per_gas: Option<u128>,
    /// Whether the contract is known to take several steps at once.
    pub(super) shares: bool,
}

/// The receipt of a transaction that is deep enough in the chain, or why there is none.
type Outcome = Result<TransactionReceipt, SendError>;

type Reply = oneshot::Sender<Outcome>;

/// A way to the sender; clones share it.
#[derive(Debug, Clone)]
pub(super) struct SenderHandle {
    queue: mpsc::Sender<(Call, Reply)>,
    lost: Arc<Notify>,
}

impl SenderHandle {
    /// To be notified when the chain dropped blocks.
    pub(super) fn lost(&self) -> Arc<Notify> {
        Arc::clone(&self.lost)
    }

    /// Sends a call and waits until it is deep enough in the chain. Dropping the future withdraws nothing.
    pub(super) async fn send(&self, call: Call) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let stopped = SendError::Failed(BackendError::Stopped);
        self.queue.send((call, reply)).await.map_err(|_| stopped.clone())?;
        answer.await.unwrap_or(Err(stopped))
    }
}

/// The task behind [`SenderHandle`].
pub(super) struct Sender {
    endpoints: Arc<Endpoints>,
    signer: PrivateKeySigner,
    policy: Policy,
    queue: mpsc::Receiver<(Call, Reply)>,
    pending: Vec<Pending>,
    gathering: Gathering,
    outbox: Outbox,
    notice: Notice,
    lost: Arc<Notify>,
    /// Since when no endpoint answers.
    silent_since: Option<Instant>,
}

/// The outcome of sending.
enum Sent {
    /// An endpoint has it.
    Taken,
    /// An answer was lost or is unclear: the chain will tell.
    Unsure(String),
    /// The chain became dearer since it was priced: it was never taken, and a dearer one may be.
    TooCheap,
    /// The nonce is another transaction's: this one was never taken.
    NonceUsed,
    /// It was never taken.
    Refused(SendError),
}

impl Sender {
    pub(super) fn new(
        endpoints: Arc<Endpoints>,
        signer: PrivateKeySigner,
        policy: Policy,
        outbox: Outbox,
        notice: Notice,
    ) -> (Self, SenderHandle) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::new(Notify::new());
        let handle = SenderHandle { queue: sender, lost: Arc::clone(&lost) };
        let sender = Self {
            endpoints,
            signer,
            policy,
            queue,
            pending: Vec::new(),
            gathering: Gathering::default(),
            outbox,
            notice,
            lost,
            silent_since: None,
        };
        (sender, handle)
    }

    /// Sends until stopped, or until every handle is gone and nothing is in flight. It may be stopped anywhere:
    /// transactions are stored before they are sent.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(mut self) {
        let mut pace = Pace::new(self.endpoints.poll_interval());
        let mut due = Instant::now();
        let mut is_complete = self.outbox.is_empty();
        let lost = Arc::clone(&self.lost);
        loop {
            if !is_complete {
                is_complete = self.recover().await;
                due = Instant::now() + pace.pause();
            }
            if self.are_steps_due() {
                self.send_gathered().await;
                pace.hurry();
                due = due.min(Instant::now() + pace.pause());
            }
            let idle = self.pending.is_empty() && self.gathering.is_empty() && is_complete;
            let release = self.release_at();
            tokio::select! {
                next = self.queue.recv(), if self.has_room() => match next {
                    Some((call, reply)) => {
                        self.take(call, reply).await;
                        pace.hurry();
                        due = due.min(Instant::now() + pace.pause());
                        continue;
                    }
                    None if idle => break,
                    // Closed: goes on until nothing is in flight.
                    None => sleep_until(due).await,
                },
                () = lost.notified() => {
                    is_complete = false;
                    pace.hurry();
                    continue;
                }
                () = sleep_until(release.unwrap_or(due)), if release.is_some_and(|at| at < due) => continue,
                () = sleep_until(due), if !idle => {}
            }
            if self.check().await {
                pace.hurry();
            }
            due = Instant::now() + pace.pause();
        }
    }

    /// Whether one more call can be taken.
    fn has_room(&self) -> bool {
        self.pending.len() < MAX_PENDING && !self.gathering.is_full()
    }

    /// Gathers a call and those behind it that may share a transaction, up to the first that may not: that one is sent.
    async fn take(&mut self, call: Call, reply: Reply) {
        let mut next = Some((call, reply));
        while let Some((call, reply)) = next {
            let Some(job) = call.shares.filter(|_| self.policy.shares) else {
                // The rest waits in the queue: steps that were gathered may be due by now.
                return self.place(call, reply).await;
            };
            self.gathering.add(call, job, reply);
            next = if self.has_room() { self.queue.try_recv().ok() } else { None };
        }
    }

    /// The gas limit of a call that does not revert now.
    async fn estimate(&self, call: &Call) -> Result<u64, Unplaced> {
        let mut request = request(self.signer.address(), call.to, &call.data, call.value);
        if let Some(limit) = call.gas_limit {
            request.set_gas_limit(limit);
            request = self.fees().await.map_err(Unplaced::Blocked)?.on(request);
        }
        let estimated = self.endpoints.ask(|provider| {
            let request = request.clone();
            async move { provider.estimate_gas(request).block(BlockId::pending()).await }
        });
        let gas = estimated.await.map_err(|error| {
            let why = match &error {
                AskError::Reverted(_) | AskError::Answer(_) => Unplaced::Unfit,
                AskError::Declined(_) | AskError::Unreachable(_) => Unplaced::Blocked,
            };
            why(explain(error, self.signer.address()))
        })?;
        let limit = call.gas_limit.unwrap_or(limit_of(gas));
        if limit > MAX_GAS {
            let reason =
                format!("the transaction takes {gas} gas, but this program pays for at most {MAX_GAS}");
            return Err(Unplaced::Unfit(SendError::Failed(BackendError::Chain { reason })));
        }
        Ok(limit)
    }

    async fn fees(&self) -> Result<Fees, SendError> {
        let fees = self.endpoints.ask(|provider| async move { provider.estimate_eip1559_fees().await });
        let fees = fees.await.map_err(|error| explain(error, self.signer.address()))?;
        let over = |OverCap { asked, cap }| SendError::Failed(BackendError::FeeCap { asked, cap });
        Fees::of(fees, self.policy.max_fee_per_gas).map_err(over)
    }

    /// The nonce after those that the chain, or this task, knows of. Asked anew each time: nothing is left over
    /// from a transaction that failed.
    async fn next_nonce(&self) -> Result<u64, SendError> {
        let address = self.signer.address();
        let known = self.endpoints.ask(|provider| async move {
            provider.get_transaction_count(address).block_id(BlockId::pending()).await
        });
        let known = known.await.map_err(|error| explain(error, address))?;
        let own = self.pending.iter().map(|pending| pending.transaction.nonce + 1).max().unwrap_or(0);
        Ok(known.max(own))
    }

    fn sign(&self, transaction: &TxEip1559) -> Result<(Bytes, B256), SendError> {
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash()).map_err(|error| {
            SendError::Failed(BackendError::Chain { reason: format!("the key cannot sign: {error}") })
        })?;
        let envelope: TxEnvelope = transaction.clone().into_signed(signature).into();
        Ok((envelope.encoded_2718().into(), *envelope.tx_hash()))
    }

    /// Checks the transactions in flight: answers those that are done, resends those that are stuck. Says whether any
    /// is done.
    async fn check(&mut self) -> bool {
        let Ok((mined, head)) = self.mined().await else {
            let since = *self.silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= SILENCE {
                self.give_up(|_| true, "no endpoint answers");
            }
            return false;
        };
        self.silent_since = None;
        let before = self.pending.len();
        let mut index = 0;
        while index < self.pending.len() {
            let pending = &mut self.pending[index];
            let outcome = if pending.transaction.nonce < mined {
                self.outcome(index, head).await
            } else {
                pending.missing_since = None;
                let lost_its_block = std::mem::take(&mut pending.in_block);
                if pending.is_too_cheap && pending.sent_at.elapsed() >= UNSURE {
                    self.send_dearer(index).await;
                } else if lost_its_block || (!pending.is_taken && pending.sent_at.elapsed() >= UNSURE) {
                    self.send_same_again(index).await;
                } else if is_passed_over(*pending.sent_in.get_or_insert(head), head)
                    && pending.sent_at.elapsed() >= STUCK
                {
                    self.send_dearer(index).await;
                }
                None
            };
            match outcome {
                Some(outcome) => {
                    let done = self.pending.remove(index);
                    self.remember(&done, &outcome).await;
                    self.settle(done.callers, &outcome);
                }
                None => index += 1,
            }
        }
        self.give_up(|pending| pending.placed_at.elapsed() >= PATIENCE, "no block has it yet");
        self.pending.len() < before
    }

    /// How many transactions of this account are in blocks, and the newest block.
    async fn mined(&self) -> Result<(u64, u64), AskError> {
        let (address, is_enough) = (self.signer.address(), self.policy.confirmations == 0);
        let asked = self.endpoints.ask(|provider: DynProvider| async move {
            let mined = provider.get_transaction_count(address).await?;
            // Without confirmations the newest block does not matter.
            Ok((mined, if is_enough { u64::MAX } else { provider.get_block_number().await? }))
        });
        asked.await
    }

    /// The outcome of a transaction whose nonce is used; `None` while it is not deep enough.
    async fn outcome(&mut self, index: usize, head: u64) -> Option<Outcome> {
        let hashes = self.pending[index].hashes.clone();
        let found = self.endpoints.ask(|provider| receipt_of(provider, hashes.clone())).await.ok()?;
        let pending = &mut self.pending[index];
        let Some(receipt) = found else {
            let since = *pending.missing_since.get_or_insert_with(Instant::now);
            let hash = pending.hashes.last().copied().unwrap_or_default();
            let reason = format!(
                "another transaction of the same key replaced transaction {hash}, which did nothing; use a key in one \
                 running program at a time"
            );
            let lost = SendError::Failed(BackendError::Chain { reason });
            return (since.elapsed() >= FOREIGN).then_some(Err(lost));
        };
        (pending.missing_since, pending.in_block) = (None, true);
        let block = receipt.block_number?;
        if block.saturating_add(self.policy.confirmations) > head {
            return None;
        }
        if receipt.status() {
            return Some(Ok(receipt));
        }
        let gas = receipt.gas_used;
        Some(Err(SendError::Reverted(self.reason_of(index, block).await, Some(gas))))
    }

    /// Why a mined transaction reverted: its receipt does not say, so the call is made again.
    async fn reason_of(&self, index: usize, block: u64) -> Revert {
        let TxEip1559 { to, value, input, gas_limit, .. } = &self.pending[index].transaction;
        let mut request = request(self.signer.address(), to.to().copied(), input, *value);
        request.set_gas_limit(*gas_limit);
        let called = self.endpoints.ask(|provider| {
            let request = request.clone();
            async move { provider.call(request).block(BlockNumberOrTag::Number(block).into()).await }
        });
        match called.await {
            Err(AskError::Reverted(revert)) => revert,
            Err(AskError::Answer(reason)) => Revert::Unknown(reason),
            Ok(_) | Err(AskError::Declined(_) | AskError::Unreachable(_)) => {
                revert_of(&[], "the transaction reverted")
            }
        }
    }
}

async fn receipt_of(
    provider: DynProvider,
    hashes: Vec<B256>,
) -> Result<Option<TransactionReceipt>, TransportError> {
    for hash in hashes.into_iter().rev() {
        if let Some(receipt) = provider.get_transaction_receipt(hash).await? {
            return Ok(Some(receipt));
        }
    }
    Ok(None)
}

/// A request as if `from` sent it.
pub(super) fn request(from: Address, to: Option<Address>, data: &Bytes, value: U256) -> TransactionRequest {
    let request = TransactionRequest::default().with_from(from).with_input(data.clone()).with_value(value);
    match to {
        Some(to) => request.with_to(to),
        None => request.with_kind(TxKind::Create),
    }
}

fn explain(error: AskError, account: Address) -> SendError {
    match error {
        AskError::Reverted(revert) => SendError::Reverted(revert, None),
        AskError::Answer(reason) if Refusal::of(&reason) == Refusal::NoEther => {
            SendError::Failed(BackendError::NoEther { account: account.into(), reason })
        }
        AskError::Answer(reason) => SendError::Failed(BackendError::Chain { reason }),
        AskError::Declined(error) | AskError::Unreachable(error) => SendError::Failed(error),
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("address", &self.signer.address()).finish_non_exhaustive()
    }
}
