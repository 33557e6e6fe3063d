//! Gives calls their nonces, and sends them for the first time.

use alloy::{
    consensus::TxEip1559,
    primitives::{B256, Bytes, TxKind},
};

use super::{Call, Callers, Pending, Reply, SendError, Sender, Sent};
use crate::scheduler::{BackendError, contract::outbox::Kept};

/// How often a call gets a new nonce after another program used its own.
const NONCES: usize = 8;

/// Why a call is not in flight. Nothing was sent for it.
pub(super) enum Unplaced {
    /// For a reason of its own, as its estimate shows. Others may be sent all the same.
    Unfit(SendError),
    /// No endpoint takes its transaction.
    Refused(SendError),
    /// Nothing can be sent now: there is no nonce, no fee that this node pays, or no store.
    Blocked(SendError),
}

/// What became of a transaction.
enum Once {
    InFlight,
    /// Another program used its nonce.
    NonceUsed,
}

impl From<Unplaced> for SendError {
    fn from(unplaced: Unplaced) -> Self {
        match unplaced {
            Unplaced::Unfit(error) | Unplaced::Refused(error) | Unplaced::Blocked(error) => error,
        }
    }
}

impl Sender {
    /// Gives a call a nonce and sends it, unless it would revert.
    pub(super) async fn place(&mut self, call: Call, reply: Reply) {
        let mut callers = Callers::One(reply);
        if let Err(unplaced) = self.try_place(&call, None, &mut callers).await {
            // The caller may be gone; nothing was sent for it.
            callers.answer(&Err(unplaced.into()));
        }
    }

    /// Sends a call with this gas limit, or with one that follows from an estimate. The callers wait for it, if it is in
    /// flight then.
    pub(super) async fn try_place(
        &mut self,
        call: &Call,
        gas: Option<u64>,
        callers: &mut Callers,
    ) -> Result<(), Unplaced> {
        for _ in 0..NONCES {
            match self.place_once(call, gas, callers).await? {
                Once::InFlight => return Ok(()),
                Once::NonceUsed => {
                    tracing::info!("another program used this key's nonce; trying the next one");
                }
            }
        }
        let reason = "other programs keep using the nonces of this key; nothing was sent".to_owned();
        Err(Unplaced::Blocked(SendError::Failed(BackendError::Chain { reason })))
    }

    async fn place_once(
        &mut self,
        call: &Call,
        gas: Option<u64>,
        callers: &mut Callers,
    ) -> Result<Once, Unplaced> {
        let (transaction, raw, hash) = self.prepare(call, gas).await?;
        let nonce = transaction.nonce;
        self.note(nonce, hash, &raw).await.map_err(Unplaced::Blocked)?;
        let (is_taken, is_too_cheap) = match self.broadcast(&raw, true).await {
            Sent::Taken => (true, false),
            Sent::Unsure(reason) => {
                tracing::warn!(%hash, nonce, reason, "it is unknown whether a transaction was taken");
                (false, false)
            }
            Sent::TooCheap => (false, true),
            refused @ (Sent::NonceUsed | Sent::Refused(_)) => {
                self.outbox.forget(nonce).await;
                let Sent::Refused(error) = refused else { return Ok(Once::NonceUsed) };
                return Err(Unplaced::Refused(error));
            }
        };
        let sent = Kept { transaction, raw, hash };
        self.pending.push(Pending { is_too_cheap, ..Pending::new(sent, is_taken, std::mem::take(callers)) });
        Ok(Once::InFlight)
    }

    /// Stores and tells a transaction that is about to be sent.
    pub(super) async fn note(&mut self, nonce: u64, hash: B256, raw: &Bytes) -> Result<(), SendError> {
        self.outbox.about_to_send(nonce, hash, raw).await.map_err(SendError::Failed)?;
        tracing::info!(%hash, nonce, "sending a transaction");
        (self.notice)(hash.into());
        Ok(())
    }

    async fn prepare(&mut self, call: &Call, gas: Option<u64>) -> Result<(TxEip1559, Bytes, B256), Unplaced> {
        let mut nonce = self.next_nonce().await.map_err(Unplaced::Blocked)?;
        if nonce < self.outbox.next_nonce() {
            // Dropped transactions go first: their nonces are taken.
            self.recover().await;
            nonce = self.next_nonce().await.map_err(Unplaced::Blocked)?;
        }
        let gas = async { if let Some(gas) = gas { Ok(gas) } else { self.estimate(call).await } };
        let fees = async { self.fees().await.map_err(Unplaced::Blocked) };
        let (gas, fees) = tokio::try_join!(gas, fees)?;
        let transaction = TxEip1559 {
            chain_id: self.policy.chain_id,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: fees.most,
            max_priority_fee_per_gas: fees.tip,
            to: call.to.map_or(TxKind::Create, TxKind::Call),
            value: call.value,
            access_list: Default::default(),
            input: call.data.clone(),
        };
        let (raw, hash) = self.sign(&transaction).map_err(Unplaced::Blocked)?;
        Ok((transaction, raw, hash))
    }
}
