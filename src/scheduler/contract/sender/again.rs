//! Sends transactions once or again, and keeps or gives up those that were sent.

use std::sync::atomic::{AtomicUsize, Ordering};

use alloy::{
    primitives::Bytes,
    providers::{DynProvider, Provider},
    rpc::types::TransactionReceipt,
};
use tokio::time::Instant;

use super::{Callers, Fees, Outcome, Pending, SendError, Sender, Sent, explain};
use crate::scheduler::{
    BackendError,
    contract::{outbox::Kept, rpc::AskError, words::Refusal},
};

impl Sender {
    /// Sends a signed transaction. The same bytes twice are one transaction, so this may be repeated at will.
    pub(super) async fn broadcast(&self, raw: &Bytes, is_first: bool) -> Sent {
        let lost = AtomicUsize::new(0);
        let send = |provider: DynProvider| {
            let raw = raw.clone();
            async move { provider.send_raw_transaction(&raw).await.map(|_| ()) }
        };
        let sent = self.endpoints.ask_in_turn(send, &lost).await;
        let is_fresh = is_first && lost.load(Ordering::Relaxed) == 0;
        match sent {
            Ok(()) => Sent::Taken,
            Err(error) => match (refusal(&error), &error) {
                // Another program made the very same transaction, or used its nonce.
                (Refusal::Known | Refusal::NonceUsed, _) if is_fresh => Sent::NonceUsed,
                (Refusal::Known, _) => Sent::Taken,
                (Refusal::TooCheap, _) => Sent::TooCheap,
                (Refusal::NonceUsed, AskError::Answer(reason)) => Sent::Unsure(reason.clone()),
                (Refusal::NonceUsed | Refusal::NoEther | Refusal::Other, _)
                    if lost.load(Ordering::Relaxed) > 0 =>
                {
                    Sent::Unsure(BackendError::from(error).to_string())
                }
                (Refusal::NonceUsed | Refusal::NoEther | Refusal::Other, _) => {
                    Sent::Refused(explain(error, self.signer.address()))
                }
            },
        }
    }

    /// Resends the transactions that the chain dropped. Says whether all of them are known to be in flight.
    pub(super) async fn recover(&mut self) -> bool {
        let Ok((mined, _)) = self.mined().await else { return false };
        for kept in self.outbox.take_from(mined) {
            let (nonce, hash) = (kept.transaction.nonce, kept.hash);
            if self.pending.iter().any(|pending| pending.transaction.nonce == nonce) {
                continue;
            }
            tracing::info!(%hash, nonce, "the chain dropped a transaction; sending it again");
            let (is_taken, is_too_cheap) = match self.broadcast(&kept.raw, false).await {
                Sent::Taken => (true, false),
                Sent::Unsure(_) => (false, false),
                Sent::TooCheap => (false, true),
                Sent::NonceUsed | Sent::Refused(_) => {
                    tracing::warn!(%hash, nonce, "the chain does not take a dropped transaction again");
                    self.outbox.forget(nonce).await;
                    continue;
                }
            };
            self.pending.push(Pending { is_too_cheap, ..Pending::new(kept, is_taken, Callers::Nobody) });
        }
        true
    }

    /// Keeps a transaction that is in a block, for as long as the chain may drop that.
    pub(super) async fn remember(&mut self, done: &Pending, outcome: &Outcome) {
        let nonce = done.transaction.nonce;
        match outcome {
            Ok(TransactionReceipt { transaction_hash, block_number: Some(block), .. })
                if done.hashes.last() == Some(transaction_hash) =>
            {
                let kept = Kept {
                    transaction: done.transaction.clone(),
                    raw: done.raw.clone(),
                    hash: *transaction_hash,
                };
                self.outbox.in_block(kept, *block).await;
            }
            Ok(_) | Err(_) => self.outbox.forget(nonce).await,
        }
    }

    /// Tells the callers that nothing is known of some transactions, and keeps watching them.
    pub(super) fn give_up(&mut self, of: impl Fn(&Pending) -> bool, reason: &str) {
        for pending in self.pending.iter_mut().filter(|pending| of(pending)) {
            let transaction = pending.hashes.last().copied().unwrap_or_default().into();
            let unconfirmed = BackendError::Unconfirmed { transaction, reason: reason.to_owned() };
            std::mem::take(&mut pending.callers).answer(&Err(SendError::Failed(unconfirmed)));
        }
    }

    /// Sends a transaction once more, for a quarter more if that is within what this node pays.
    pub(super) async fn send_dearer(&mut self, index: usize) {
        let mut dearer = self.pending[index].transaction.clone();
        let paid = Fees { most: dearer.max_fee_per_gas, tip: dearer.max_priority_fee_per_gas };
        let fees = paid.dearer(self.fees().await.ok(), self.policy.max_fee_per_gas);
        if let Some(Fees { most, tip }) = fees {
            (dearer.max_fee_per_gas, dearer.max_priority_fee_per_gas) = (most, tip);
        }
        if fees.is_some()
            && let Ok((raw, hash)) = self.sign(&dearer)
            && self.note(dearer.nonce, hash, &raw).await.is_ok()
        {
            let pending = &mut self.pending[index];
            (pending.transaction, pending.raw) = (dearer, raw);
            pending.hashes.push(hash);
        }
        self.send_same_again(index).await;
    }

    pub(super) async fn send_same_again(&mut self, index: usize) {
        let raw = self.pending[index].raw.clone();
        let nonce = self.pending[index].transaction.nonce;
        let sent = self.broadcast(&raw, false).await;
        let pending = &mut self.pending[index];
        (pending.sent_at, pending.sent_in) = (Instant::now(), None);
        pending.is_too_cheap = matches!(sent, Sent::TooCheap);
        match sent {
            Sent::Taken => {
                pending.is_taken = true;
                tracing::info!(nonce, "a transaction was sent again");
            }
            Sent::Unsure(reason) => tracing::warn!(nonce, reason, "cannot send a transaction again"),
            Sent::TooCheap => tracing::info!(nonce, "the chain asks for more than a transaction offers"),
            Sent::NonceUsed => {}
            Sent::Refused(error) => tracing::warn!(nonce, ?error, "cannot send a transaction again"),
        }
    }
}

/// Why an endpoint refused the transaction, as far as it says.
fn refusal(error: &AskError) -> Refusal {
    match error {
        AskError::Answer(reason) => Refusal::of(reason),
        AskError::Reverted(_) | AskError::Declined(_) | AskError::Unreachable(_) => Refusal::Other,
    }
}
