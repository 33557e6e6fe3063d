//! A chain of a devstack's own: Anvil, the contract on it, and money for every node.

use futures::future::try_join_all;

use super::{
    Backend,
    anvil::{Anvil, AnvilError, AnvilOptions, DevAccount},
};
use crate::{
    domain::Amount,
    scheduler::contract::{
        ChainClient, ChainConfig, ConnectError, DEFAULT_MAX_FEE_PER_GAS, DeployError, Deployed, MoneyError,
        deploy,
    },
};

/// What each node has in the contract from the start: 1000 ether of the chain's own, worth nothing elsewhere.
pub const DEPOSIT: Amount = match Amount::new(1_000_000_000_000_000_000_000) {
    Some(amount) => amount,
    None => Amount::ZERO,
};

/// Why a devstack has no chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Anvil does not run.
    #[error(transparent)]
    Anvil(#[from] AnvilError),
    /// The contract is not there.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The contract cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The nodes have no money.
    #[error("the nodes cannot be given money")]
    Money(#[from] MoneyError),
}

/// A running chain; it ends with this.
#[derive(Debug)]
pub struct LocalChain {
    anvil: Anvil,
    deployed: Deployed,
}

impl LocalChain {
    /// Starts Anvil, deploys the contract and deposits for each of `nodes` nodes.
    ///
    /// # Errors
    /// [`ChainError`]; nothing runs then.
    pub async fn start(nodes: usize) -> Result<Self, ChainError> {
        // The first account deploys, so that the nodes' nonces begin at 0.
        let options = AnvilOptions { accounts: Some(nodes + 1), ..AnvilOptions::default() };
        let anvil = Anvil::start(options).await?;
        let deployed = deploy(std::slice::from_ref(&anvil.rpc_url), None, &anvil.accounts[0].key).await?;
        let chain = Self { anvil, deployed };
        let config = chain.config();
        try_join_all(chain.accounts().iter().map(|account| fund(&config, account))).await?;
        Ok(chain)
    }

    fn config(&self) -> ChainConfig {
        ChainConfig {
            rpc_urls: vec![self.anvil.rpc_url.clone()],
            contract: self.deployed.contract,
            chain_id: Some(self.deployed.chain_id),
            confirmations: 0,
            max_fee_per_gas: DEFAULT_MAX_FEE_PER_GAS,
        }
    }

    /// The backend of every node of the devstack.
    pub fn backend(&self) -> Backend {
        Backend::Contract { chain: self.config(), first_block: self.deployed.receipt.block }
    }

    /// Where the chain answers.
    pub fn rpc_url(&self) -> &str {
        &self.anvil.rpc_url
    }

    /// The contract.
    pub const fn deployed(&self) -> Deployed {
        self.deployed
    }

    /// The accounts of the nodes, in their order.
    pub fn accounts(&self) -> &[DevAccount] {
        &self.anvil.accounts[1..]
    }
}

async fn fund(config: &ChainConfig, account: &DevAccount) -> Result<(), ChainError> {
    let client = ChainClient::connect(config, &account.key).await?;
    client.deposit(DEPOSIT).await?;
    client.shutdown().await;
    Ok(())
}
