//! One key's connection to a contract, checked when it connects, and the key's money there.

use std::{fmt, sync::Arc, time::Duration};

use alloy::{primitives::U256, providers::Provider as _, rpc::types::TransactionReceipt};
use alloy_sol_types::SolCall;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    abi::IJobScheduler as abi,
    calls::to_contract,
    convert::Revert,
    error::{ConnectError, MoneyError},
    outbox::Outbox,
    reader::ContractReader,
    rpc::Endpoints,
    sender::{Call, Notice, PATIENCE, Policy, SendError, Sender, SenderHandle},
    token, words,
};
use crate::{
    domain::{Amount, Asset, Digest, NodeId, Pace},
    identity::NodeKey,
    scheduler::{BackendError, tasks::Tasks},
};

/// Longest wait for a turn to send, on top of the sender's own limit.
const TURN: Duration = Duration::from_secs(60);

/// Default number of blocks that must follow a block before its events count, except on development chains.
pub const DEFAULT_CONFIRMATIONS: u64 = 2;

/// Which contract, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Endpoints of one chain; the first that answers is used.
    pub rpc_urls: Vec<String>,
    /// The scheduler contract.
    pub contract: NodeId,
    /// The expected chain id; any other is refused.
    pub chain_id: Option<u64>,
    /// How many blocks must follow a block before its events count; `None` for the default: 0 on a development chain,
    /// else [`DEFAULT_CONFIRMATIONS`].
    pub confirmations: Option<u64>,
    /// Cap on the fee for a unit of gas, in wei; `None` to pay what the chain asks.
    pub max_fee_per_gas: Option<u128>,
}

/// A transaction that is deep enough in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its hash.
    pub transaction: Digest,
    /// Its block.
    pub block: u64,
    /// The gas that it took.
    pub gas: u64,
}

/// One key's connection to the contract.
pub struct ChainClient {
    reader: ContractReader,
    pub(super) sender: SenderHandle,
    account: NodeId,
    confirmations: u64,
    is_for_development: bool,
    tasks: Tasks,
    stop: CancellationToken,
}

impl ChainClient {
    /// Connects, and checks that chain and contract are what the configuration says.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(config: &ChainConfig, key: &NodeKey) -> Result<Self, ConnectError> {
        Self::connect_telling(config, key, Arc::new(|_| {})).await
    }

    /// As [`Self::connect`]; `notice` is told the hash of each transaction before it is sent.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect_telling(
        config: &ChainConfig,
        key: &NodeKey,
        notice: Notice,
    ) -> Result<Self, ConnectError> {
        let reader = ContractReader::connect(&config.rpc_urls, config.contract, config.chain_id).await?;
        Ok(Self::start(config, key, reader, Outbox::in_memory(), notice).await)
    }

    /// Starts the sender.
    pub(super) async fn start(
        config: &ChainConfig,
        key: &NodeKey,
        reader: ContractReader,
        outbox: Outbox,
        notice: Notice,
    ) -> Self {
        let chain_id = reader.domain().chain_id;
        let is_for_development = is_for_development(&reader.endpoints).await;
        let confirmations = config.confirmations.unwrap_or_else(|| default_confirmations(is_for_development));
        let (max_fee_per_gas, shares) = (config.max_fee_per_gas, reader.code().is_ours);
        let policy = Policy { chain_id, confirmations, max_fee_per_gas, shares };
        let endpoints = Arc::clone(&reader.endpoints);
        let (sender, handle) = Sender::new(endpoints, key.transaction_signer(), policy, outbox, notice);
        let stop = CancellationToken::new();
        let mut tasks = Tasks::new("the sender of transactions", &stop);
        tasks.spawn(sender.run(stop.clone()));
        let account = key.node_id();
        Self { reader, sender: handle, account, confirmations, is_for_development, tasks, stop }
    }

    /// Notified when the chain drops blocks.
    pub(super) fn lost(&self) -> Arc<tokio::sync::Notify> {
        self.sender.lost()
    }

    /// The reader of the contract.
    pub const fn reader(&self) -> &ContractReader {
        &self.reader
    }

    /// Whether this is a development chain.
    pub(super) const fn is_for_development(&self) -> bool {
        self.is_for_development
    }

    /// How slow this chain is.
    pub(super) fn pace(&self) -> Pace {
        Pace::of_chain(self.reader.domain().chain_id, self.is_for_development)
    }

    pub(super) const fn confirmations(&self) -> u64 {
        self.confirmations
    }

    /// Moves money from the key's address into the contract, where jobs and bonds take it from. A token is allowed first to
    /// be taken, which is a transaction of its own unless the contract may take as much already.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn deposit(&self, amount: Amount) -> Result<Receipt, MoneyError> {
        let contract = self.reader.contract;
        let units = U256::from(amount.units());
        match self.reader.asset() {
            Asset::Ether => {
                let call = to_contract(contract, abi::depositCall {}.abi_encode().into());
                self.send(Call { value: units, ..call }).await
            }
            Asset::Token(token) => {
                let (address, own) = (token.address, self.account);
                let allowed = token::allowance(&self.reader.endpoints, address, own, contract).await?;
                // Some tokens change an allowance only from or to nothing.
                let changes = [U256::ZERO, units].into_iter().skip(usize::from(allowed.is_zero()));
                for amount in changes.filter(|_| allowed < units) {
                    let data = token::abi::approveCall { spender: contract, amount }.abi_encode();
                    self.send(to_contract(address.into(), data.into())).await?;
                }
                let call = abi::depositTokenCall { account: own.into(), amount: units };
                self.send(to_contract(contract, call.abi_encode().into())).await
            }
        }
    }

    /// Moves free money back to the key's address.
    ///
    /// # Errors
    /// [`MoneyError::Rejected`] with `NotFunded` when less is free.
    pub async fn withdraw(&self, amount: Amount) -> Result<Receipt, MoneyError> {
        let data = abi::withdrawCall { amount: U256::from(amount.units()) }.abi_encode().into();
        self.send(to_contract(self.reader.contract, data)).await
    }

    /// Announces this node's addresses.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn announce(&self, addresses: &str) -> Result<Receipt, MoneyError> {
        let data = abi::announceCall { addresses: addresses.to_owned() }.abi_encode().into();
        self.send(to_contract(self.reader.contract, data)).await
    }

    async fn send(&self, call: Call) -> Result<Receipt, MoneyError> {
        match in_time(self.sender.send(call)).await {
            Ok(receipt) => Ok(Receipt::from(&receipt)),
            Err(SendError::Failed(error)) => Err(MoneyError::Chain(error)),
            Err(SendError::Reverted(Revert::Rule(rejection), _)) => Err(MoneyError::Rejected(rejection)),
            Err(SendError::Reverted(revert, _)) => Err(MoneyError::Refused { reason: format!("{revert:?}") }),
        }
    }

    /// Stops the sender; transactions in flight may still be mined.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.join().await;
    }
}

/// Bounds the wait for a transaction, which may still be mined afterwards.
pub(super) async fn in_time(
    sent: impl Future<Output = Result<TransactionReceipt, SendError>>,
) -> Result<TransactionReceipt, SendError> {
    let late = || {
        let reason = "it was not sent: too many others are in flight".to_owned();
        SendError::Failed(BackendError::Chain { reason })
    };
    timeout(PATIENCE + TURN, sent).await.unwrap_or_else(|_| Err(late()))
}

/// The default for the chain: 0 on a development chain, where blocks are final at once and come only with
/// transactions.
pub(super) const fn default_confirmations(is_for_development: bool) -> u64 {
    if is_for_development { 0 } else { DEFAULT_CONFIRMATIONS }
}

/// Whether the chain says that it is a development chain.
pub(super) async fn is_for_development(endpoints: &Endpoints) -> bool {
    let version = endpoints.ask(|provider| async move { provider.get_client_version().await }).await;
    words::is_for_development(&version.unwrap_or_default())
}

impl From<&TransactionReceipt> for Receipt {
    fn from(receipt: &TransactionReceipt) -> Self {
        Self {
            transaction: receipt.transaction_hash.into(),
            block: receipt.block_number.unwrap_or_default(),
            gas: receipt.gas_used,
        }
    }
}

impl fmt::Debug for ChainClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainClient").field("domain", &self.reader.domain()).finish_non_exhaustive()
    }
}
