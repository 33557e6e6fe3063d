//! A key's way to one contract: checked when it connects, and the money that the key has there.

use std::{fmt, sync::Arc};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Bytes, U256},
    providers::Provider,
};
use alloy_sol_types::{Eip712Domain, SolCall};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    abi::IJobScheduler as abi,
    calls::to_contract,
    convert::Revert,
    rpc::{EndpointError, Endpoints, header},
    sender::{Call, Policy, SendError, Sender, SenderHandle},
};
use crate::{
    domain::{Amount, LogDomain, NodeId, Timestamp},
    identity::NodeKey,
    rules::Rejection,
    scheduler::BackendError,
};

/// Most that is paid for a unit of gas unless configured otherwise: 200 gwei.
pub const DEFAULT_MAX_FEE_PER_GAS: u128 = 200_000_000_000;

/// Which contract, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Endpoints of one chain; the first that answers is used.
    pub rpc_urls: Vec<String>,
    /// The scheduler contract.
    pub contract: NodeId,
    /// The chain's id, if another one must be refused.
    pub chain_id: Option<u64>,
    /// How many blocks must follow a block before its events count; 0 where blocks are final at once.
    pub confirmations: u64,
    /// Most that is paid for a unit of gas, in wei.
    pub max_fee_per_gas: u128,
}

/// Why there is no way to the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// An endpoint cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No endpoint answers.
    #[error("no RPC endpoint answers")]
    Chain(#[source] BackendError),
    /// The endpoint serves another chain.
    #[error("the RPC endpoint serves chain {found}, not {expected}; check --rpc-url and the chain id")]
    WrongChain {
        /// The chain wanted.
        expected: u64,
        /// The chain there.
        found: u64,
    },
    /// There is no contract at the address.
    #[error("there is no contract at {contract} on chain {chain_id}; check --contract, or deploy one")]
    NoCode {
        /// The address.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
    },
    /// The contract there is another one.
    #[error(
        "the contract at {contract} on chain {chain_id} is no job scheduler of this version; check --contract"
    )]
    OtherContract {
        /// The address.
        contract: NodeId,
        /// The chain.
        chain_id: u64,
    },
}

/// Why money does not move.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The contract refuses.
    #[error("refused by the contract: {0}")]
    Rejected(Rejection),
    /// The contract refuses for a reason of its own.
    #[error("refused by the contract: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// The chain failed; whether the money moved is told by the balance.
    #[error(transparent)]
    Chain(BackendError),
}

/// What a party has in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// May be locked by jobs, or withdrawn, in wei.
    pub free: Amount,
    /// Seats ever taken.
    pub seats: u32,
    /// Seats paid for by a verdict.
    pub paid: u32,
    /// Seats that a verdict found to disagree.
    pub rejected: u32,
    /// Failures reported.
    pub failures: u32,
}

/// A key's way to the contract.
pub struct ChainClient {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) sender: SenderHandle,
    pub(super) contract: Address,
    domain: LogDomain,
    confirmations: u64,
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

impl ChainClient {
    /// Connects, and checks that chain and contract are what the configuration says.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(config: &ChainConfig, key: &NodeKey) -> Result<Self, ConnectError> {
        let endpoints = Arc::new(Endpoints::new(&config.rpc_urls)?);
        let chain_id = chain_id(&endpoints, config.chain_id).await?;
        let contract = Address::from(config.contract);
        let code = endpoints.ask(|provider| async move { provider.get_code_at(contract).await });
        let code = code.await.map_err(|error| ConnectError::Chain(error.into()))?;
        if code.is_empty() {
            return Err(ConnectError::NoCode { contract: config.contract, chain_id });
        }
        let domain = LogDomain { chain_id, contract: config.contract };
        let policy =
            Policy { chain_id, confirmations: config.confirmations, max_fee_per_gas: config.max_fee_per_gas };
        let client = Self::new(endpoints, key, contract, domain, policy);
        let expected = Eip712Domain::new(
            Some("Assay".into()),
            Some("1".into()),
            Some(U256::from(chain_id)),
            Some(contract),
            None,
        );
        match client.view(abi::domainSeparatorCall {}).await {
            Ok(found) if found == expected.separator() => Ok(client),
            Ok(_) | Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => {
                Err(ConnectError::OtherContract { contract: config.contract, chain_id })
            }
            Err(MoneyError::Chain(error)) => Err(ConnectError::Chain(error)),
        }
    }

    fn new(
        endpoints: Arc<Endpoints>,
        key: &NodeKey,
        contract: Address,
        domain: LogDomain,
        policy: Policy,
    ) -> Self {
        let (sender, handle) = Sender::new(Arc::clone(&endpoints), key.transaction_signer(), policy);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(sender.run(stop.clone()));
        let confirmations = policy.confirmations;
        Self { endpoints, sender: handle, contract, domain, confirmations, tasks: Mutex::new(tasks), stop }
    }

    /// What signatures in the contract's log are bound to.
    pub const fn domain(&self) -> LogDomain {
        self.domain
    }

    pub(super) const fn confirmations(&self) -> u64 {
        self.confirmations
    }

    /// Moves money from the key's address into the contract, where jobs and bonds take it from.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn deposit(&self, amount: Amount) -> Result<(), MoneyError> {
        let data = abi::depositCall {}.abi_encode().into();
        self.send(Call { value: U256::from(amount.units()), ..to_contract(self.contract, data) }).await
    }

    /// Moves free money back to the key's address.
    ///
    /// # Errors
    /// [`MoneyError::Rejected`] with `NotFunded` when less is free.
    pub async fn withdraw(&self, amount: Amount) -> Result<(), MoneyError> {
        let data = abi::withdrawCall { amount: U256::from(amount.units()) }.abi_encode().into();
        self.send(to_contract(self.contract, data)).await
    }

    /// Says where this node can be reached.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn announce(&self, addresses: &str) -> Result<(), MoneyError> {
        let data = abi::announceCall { addresses: addresses.to_owned() }.abi_encode().into();
        self.send(to_contract(self.contract, data)).await
    }

    /// What a party has in the contract, as of the newest block.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn account(&self, party: NodeId) -> Result<Account, MoneyError> {
        let found = self.view(abi::accountsCall { party: party.into() }).await?;
        let free = amount(U256::from(found.free))?;
        let abi::Account { seats, paid, rejected, failures, .. } = found;
        Ok(Account { free, seats, paid, rejected, failures })
    }

    /// What was burnt so far.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn burnt(&self) -> Result<Amount, MoneyError> {
        amount(self.view(abi::burntCall {}).await?)
    }

    /// What a party has outside the contract, for gas and to deposit, in wei.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn ether(&self, party: NodeId) -> Result<U256, MoneyError> {
        let address = Address::from(party);
        let asked = self.endpoints.ask(|provider| async move { provider.get_balance(address).await });
        asked.await.map_err(|error| MoneyError::Chain(error.into()))
    }

    /// The newest block's time.
    pub(super) async fn block_time(&self) -> Result<Timestamp, BackendError> {
        let asked =
            self.endpoints.ask(|provider| async move { header(&provider, BlockNumberOrTag::Latest).await });
        Ok(Timestamp::from_secs(asked.await?.timestamp))
    }

    async fn send(&self, call: Call) -> Result<(), MoneyError> {
        match self.sender.send(call).await {
            Ok(_) => Ok(()),
            Err(SendError::Failed(error)) => Err(MoneyError::Chain(error)),
            Err(SendError::Reverted(Revert::Rule(rejection))) => Err(MoneyError::Rejected(rejection)),
            Err(SendError::Reverted(revert)) => Err(MoneyError::Refused { reason: format!("{revert:?}") }),
        }
    }

    async fn view<C: SolCall>(&self, call: C) -> Result<C::Return, MoneyError> {
        let data = Bytes::from(call.abi_encode());
        let request = super::sender::request(self.sender.address(), Some(self.contract), &data, U256::ZERO);
        let asked = self.endpoints.ask(|provider| {
            let request = request.clone();
            async move { provider.call(request).await }
        });
        let data = asked.await.map_err(|error| MoneyError::Chain(error.into()))?;
        C::abi_decode_returns(&data).map_err(|error| MoneyError::Refused { reason: error.to_string() })
    }

    /// Ends the sender; what is on its way stays so.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        while self.tasks.lock().await.join_next().await.is_some() {}
    }
}

/// The chain's id, which must be `expected` if that is given.
pub(super) async fn chain_id(endpoints: &Endpoints, expected: Option<u64>) -> Result<u64, ConnectError> {
    let asked = endpoints.ask(|provider| async move { provider.get_chain_id().await });
    let found = asked.await.map_err(|error| ConnectError::Chain(error.into()))?;
    match expected {
        Some(expected) if expected != found => Err(ConnectError::WrongChain { expected, found }),
        _ => Ok(found),
    }
}

fn amount(wei: U256) -> Result<Amount, MoneyError> {
    let units = u128::try_from(wei).ok().and_then(Amount::new);
    units.ok_or_else(|| MoneyError::Refused { reason: format!("{wei} wei is no amount of this contract") })
}

impl fmt::Debug for ChainClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainClient").field("domain", &self.domain).finish_non_exhaustive()
    }
}
