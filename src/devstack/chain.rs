//! The chain of a devstack: Anvil, its own or one that runs already, the contract on it, and money for every node.

use futures::future::try_join_all;

use super::anvil::{Anvil, AnvilError, AnvilOptions, DevAccount};
use crate::{
    assembly::Backend,
    domain::{Amount, NodeId},
    identity::KeyError,
    scheduler::contract::{
        ChainClient, ChainConfig, ConnectError, DeployError, Deployed, FundError, MoneyError, deploy,
        fund_from_unlocked,
    },
};

/// What each node has in the contract from the start: 1000 ether of the chain's own, worth nothing elsewhere.
pub const DEPOSIT: Amount = match Amount::new(1_000_000_000_000_000_000_000) {
    Some(amount) => amount,
    None => Amount::ZERO,
};

/// What each node has on a chain that runs already: that deposit, and 100 ether for gas.
const ALLOWANCE: Amount = match Amount::new(1_100_000_000_000_000_000_000) {
    Some(amount) => amount,
    None => Amount::ZERO,
};

/// Why a devstack has no chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Anvil does not run.
    #[error(transparent)]
    Anvil(#[from] AnvilError),
    /// No keys for the nodes.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The chain that runs already has no money for them.
    #[error(transparent)]
    Fund(#[from] FundError),
    /// The contract is not there.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The contract cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The nodes have no money.
    #[error("cannot fund the nodes")]
    Money(#[from] MoneyError),
}

/// A chain with the contract on it.
#[derive(Debug)]
pub struct LocalChain {
    rpc_url: String,
    /// The first one deployed the contract, so that the nodes' nonces begin at 0.
    accounts: Vec<DevAccount>,
    deployed: Deployed,
    /// Ends with this; absent if the chain is another's.
    _anvil: Option<Anvil>,
}

impl LocalChain {
    /// Starts Anvil, deploys the contract and deposits for each of `nodes` nodes.
    ///
    /// # Errors
    /// [`ChainError`]; nothing runs then.
    pub async fn start(nodes: usize) -> Result<Self, ChainError> {
        let options = AnvilOptions { accounts: Some(nodes + 1), ..AnvilOptions::default() };
        let mut anvil = Anvil::start(options).await?;
        let (rpc_url, accounts) = (anvil.rpc_url.clone(), std::mem::take(&mut anvil.accounts));
        Self::prepare(rpc_url, accounts, Some(anvil)).await
    }

    /// Deploys the contract on a chain for development that runs already, such as an Anvil, and deposits for each of
    /// `nodes` nodes; the money is that of the accounts that the chain keeps unlocked.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn join(rpc_url: &str, nodes: usize) -> Result<Self, ChainError> {
        let accounts: Vec<_> = (0..=nodes).map(|_| DevAccount::generate()).collect::<Result<_, _>>()?;
        let parties: Vec<NodeId> = accounts.iter().map(|account| account.id).collect();
        fund_from_unlocked(rpc_url, &parties, ALLOWANCE).await?;
        Self::prepare(rpc_url.to_owned(), accounts, None).await
    }

    async fn prepare(
        rpc_url: String,
        accounts: Vec<DevAccount>,
        anvil: Option<Anvil>,
    ) -> Result<Self, ChainError> {
        let deployed = deploy(std::slice::from_ref(&rpc_url), None, &accounts[0].key).await?;
        let chain = Self { rpc_url, accounts, deployed, _anvil: anvil };
        let config = chain.config();
        try_join_all(chain.accounts().iter().map(|account| fund(&config, account))).await?;
        Ok(chain)
    }

    fn config(&self) -> ChainConfig {
        ChainConfig {
            rpc_urls: vec![self.rpc_url.clone()],
            contract: self.deployed.contract,
            chain_id: Some(self.deployed.chain_id),
            confirmations: None,
            max_fee_per_gas: None,
        }
    }

    /// The backend of every node of the devstack.
    pub fn backend(&self) -> Backend {
        Backend::Contract { chain: self.config(), first_block: self.deployed.receipt.block }
    }

    /// Where the chain answers.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// The contract.
    pub const fn deployed(&self) -> Deployed {
        self.deployed
    }

    /// The accounts of the nodes, in their order.
    pub fn accounts(&self) -> &[DevAccount] {
        &self.accounts[1..]
    }
}

async fn fund(config: &ChainConfig, account: &DevAccount) -> Result<(), ChainError> {
    let client = ChainClient::connect(config, &account.key).await?;
    client.deposit(DEPOSIT).await?;
    client.shutdown().await;
    Ok(())
}
