//! Puts the contract on a chain.

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, Bytes, U256, hex},
    rpc::types::TransactionReceipt,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    artifact::creation_code,
    client::{Receipt, default_confirmations, in_time, is_for_development},
    error::ConnectError,
    outbox::Outbox,
    reader::{chain_id, code_at},
    rpc::Endpoints,
    sender::{Call, Notice, Policy, SendError, Sender},
    token,
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
    /// The asset is no ERC-20.
    #[error("there is no ERC-20 token at {token} on chain {chain_id}; check --asset")]
    NoToken {
        /// What was to be the asset.
        token: NodeId,
        /// The chain.
        chain_id: u64,
    },
    /// The chain runs the code and refuses it.
    #[error("the chain refuses the contract: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
}

/// Where the contract is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// A new contract.
    Made {
        /// The contract.
        deployed: Deployed,
        /// Whether this address is the contract's on every chain that has [`DEPLOYER`].
        is_everywhere: bool,
    },
    /// Somebody has deployed the same code at its address before.
    Known {
        /// The chain.
        chain_id: u64,
        /// Where it is.
        contract: NodeId,
    },
}

/// The deterministic deployment proxy: most chains have it at this address. It creates the code that it is sent with `CREATE2`, so
/// that the address depends on the code alone.
pub const DEPLOYER: NodeId = NodeId::new(hex!("4e59b44847b379578588920ca78fbf26c0b4956c"));

/// Deploys a contract that counts in ether, paid by `key`, and waits until it is there: another one each time. Refuses another
/// chain than `expected_chain`.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy(
    rpc_urls: &[String],
    expected_chain: Option<u64>,
    key: &NodeKey,
) -> Result<Deployed, DeployError> {
    let chain = Chain::connect(rpc_urls, expected_chain).await?;
    let paying = Paying { key, max_fee_per_gas: None, notice: Arc::new(|_| {}) };
    chain.create(paying, creation_code(None)).await
}

/// Deploys the contract that counts in `asset`, an ERC-20 or else ether, at the address that it has on every chain with [`DEPLOYER`], unless it is there already. It pays at most
/// `max_fee_per_gas` wei for a unit of gas, if given. On a chain without, the address is like any other. `notice` is told the hash of the transaction before it is sent.
///
/// # Errors
/// [`DeployError`].
pub async fn deploy_everywhere(
    rpc_urls: &[String],
    expected_chain: Option<u64>,
    key: &NodeKey,
    asset: Option<NodeId>,
    max_fee_per_gas: Option<u128>,
    notice: Notice,
) -> Result<Placement, DeployError> {
    let chain = Chain::connect(rpc_urls, expected_chain).await?;
    let paying = Paying { key, max_fee_per_gas, notice };
    if let Some(token) = asset {
        chain.check_token(token).await?;
    }
    let creation = creation_code(asset);
    let deployer = Address::from(DEPLOYER);
    if code_at(&chain.endpoints, deployer).await?.is_empty() {
        return Ok(Placement::Made { deployed: chain.create(paying, creation).await?, is_everywhere: false });
    }
    let address = deployer.create2_from_code(B256::ZERO, &creation);
    let (chain_id, contract) = (chain.chain_id, NodeId::from(address));
    let known = Placement::Known { chain_id, contract };
    if !code_at(&chain.endpoints, address).await?.is_empty() {
        return Ok(known);
    }
    let data = Bytes::from([B256::ZERO.as_slice(), &creation].concat());
    let receipt = match chain
        .send(paying, Call { to: Some(deployer), data, value: U256::ZERO, gas_limit: None, shares: None })
        .await
    {
        Ok(receipt) => receipt,
        // Somebody else was faster: it refuses to create what is there.
        Err(DeployError::Refused { .. }) if !code_at(&chain.endpoints, address).await?.is_empty() => {
            return Ok(known);
        }
        Err(error) => return Err(error),
    };
    if code_at(&chain.endpoints, address).await?.is_empty() {
        return Err(DeployError::Refused { reason: format!("it created no contract at {contract}") });
    }
    let deployed = Deployed { chain_id, contract, receipt: Receipt::from(&receipt) };
    Ok(Placement::Made { deployed, is_everywhere: true })
}

/// Who pays, and who is told.
struct Paying<'a> {
    key: &'a NodeKey,
    max_fee_per_gas: Option<u128>,
    notice: Notice,
}

struct Chain {
    endpoints: Arc<Endpoints>,
    chain_id: u64,
}

impl Chain {
    async fn connect(rpc_urls: &[String], expected: Option<u64>) -> Result<Self, DeployError> {
        let endpoints = Arc::new(Endpoints::new(rpc_urls).map_err(ConnectError::from)?);
        let chain_id = chain_id(&endpoints, expected).await?;
        Ok(Self { endpoints, chain_id })
    }

    async fn send(&self, paying: Paying<'_>, call: Call) -> Result<TransactionReceipt, DeployError> {
        let confirmations = default_confirmations(is_for_development(&self.endpoints).await);
        let Paying { key, max_fee_per_gas, notice } = paying;
        let policy = Policy { chain_id: self.chain_id, confirmations, max_fee_per_gas, shares: false };
        let (signer, endpoints) = (key.transaction_signer(), Arc::clone(&self.endpoints));
        let (sender, handle) = Sender::new(endpoints, signer, policy, Outbox::in_memory(), notice);
        let mut tasks = JoinSet::new();
        tasks.spawn(sender.run(CancellationToken::new()));
        in_time(handle.send(call)).await.map_err(|error| match error {
            SendError::Failed(error) => DeployError::Chain(error),
            SendError::Reverted(revert, _) => DeployError::Refused { reason: format!("{revert:?}") },
        })
    }

    /// Refuses what is no token, before anybody pays for a contract that counts in it.
    async fn check_token(&self, token: NodeId) -> Result<(), DeployError> {
        let no_token = DeployError::NoToken { token, chain_id: self.chain_id };
        if code_at(&self.endpoints, Address::from(token)).await?.is_empty() {
            return Err(no_token);
        }
        if token::is_token(&self.endpoints, token).await? { Ok(()) } else { Err(no_token) }
    }

    /// A contract at an address of its own.
    async fn create(&self, paying: Paying<'_>, data: Bytes) -> Result<Deployed, DeployError> {
        let call = Call { to: None, data, value: U256::ZERO, gas_limit: None, shares: None };
        let receipt = self.send(paying, call).await?;
        let contract = receipt.contract_address.map(NodeId::from);
        let contract =
            contract.ok_or_else(|| DeployError::Refused { reason: "it created no contract".to_owned() })?;
        Ok(Deployed { chain_id: self.chain_id, contract, receipt: Receipt::from(&receipt) })
    }
}
