//! Puts the contract on a chain.

use std::sync::Arc;

use alloy::primitives::U256;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    artifact::creation_code,
    client::{DEFAULT_MAX_FEE_PER_GAS, Receipt, default_confirmations, in_time, is_for_development},
    error::ConnectError,
    outbox::Outbox,
    reader::chain_id,
    rpc::Endpoints,
    sender::{Call, Notice, Policy, SendError, Sender},
};
use crate::{domain::NodeId, identity::NodeKey, scheduler::BackendError};

/// A contract that was put on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed {
    /// The chain.
    pub chain_id: u64,
    /// Where it is.
    pub contract: NodeId,
    /// The transaction that created it; reading starts at its block.
    pub receipt: Receipt,
}

/// Why there is no contract now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// No chain to put it on.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The transaction failed.
    #[error("the transaction failed")]
    Chain(#[source] BackendError),
    /// The chain runs the code and refuses it.
    #[error("the chain refuses the contract: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Deploys the contract, paid by `key`, and waits until it is there. Refuses another chain than `expected_chain`.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy(
    rpc_urls: &[String],
    expected_chain: Option<u64>,
    key: &NodeKey,
) -> Result<Deployed, DeployError> {
    deploy_telling(rpc_urls, expected_chain, key, DEFAULT_MAX_FEE_PER_GAS, Arc::new(|_| {})).await
}

/// As [`deploy`], for at most `max_fee_per_gas` wei; `notice` is told the hash of the transaction before it is sent.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy_telling(
    rpc_urls: &[String],
    expected_chain: Option<u64>,
    key: &NodeKey,
    max_fee_per_gas: u128,
    notice: Notice,
) -> Result<Deployed, DeployError> {
    let endpoints = Arc::new(Endpoints::new(rpc_urls).map_err(ConnectError::from)?);
    let chain_id = chain_id(&endpoints, expected_chain).await?;
    let confirmations = default_confirmations(is_for_development(&endpoints).await);
    let policy = Policy { chain_id, confirmations, max_fee_per_gas };
    let signer = key.transaction_signer();
    let (sender, handle) = Sender::new(endpoints, signer, policy, Outbox::in_memory(), notice);
    let mut tasks = JoinSet::new();
    tasks.spawn(sender.run(CancellationToken::new()));
    let sent = in_time(handle.send(Call { to: None, data: creation_code(), value: U256::ZERO })).await;
    let receipt = sent.map_err(|error| match error {
        SendError::Failed(error) => DeployError::Chain(error),
        SendError::Reverted(revert) => DeployError::Refused { reason: format!("{revert:?}") },
    })?;
    let contract = receipt.contract_address.map(NodeId::from);
    let contract =
        contract.ok_or_else(|| DeployError::Refused { reason: "it created no contract".to_owned() })?;
    Ok(Deployed { chain_id, contract, receipt: Receipt::from(&receipt) })
}
