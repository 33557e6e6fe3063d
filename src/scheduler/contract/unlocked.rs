//! Money from the accounts that a development chain keeps unlocked, as Anvil does.

use std::time::Duration;

use alloy::{
    primitives::{Address, U256},
    providers::Provider,
    rpc::types::TransactionRequest,
};
use tokio::time::{interval, timeout};

use super::rpc::{EndpointError, Endpoints};
use crate::{
    domain::{Amount, NodeId},
    scheduler::BackendError,
};

/// Longest wait until all have the money: some blocks of a slow chain.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why nobody was given money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FundError {
    /// The URL names no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The chain has no money to give away.
    #[error("the chain at {rpc_url} has no unlocked accounts, so it is not a development chain")]
    NoneUnlocked {
        /// The chain.
        rpc_url: String,
    },
    /// The chain does not do as asked.
    #[error("the chain at {rpc_url} does not send ether from its unlocked accounts")]
    Chain {
        /// The chain.
        rpc_url: String,
        /// What it says.
        #[source]
        source: BackendError,
    },
}

/// Sends `amount` to each of `parties`, who have nothing yet, and waits until they have it.
///
/// # Errors
/// [`FundError`]; some may have been given their money then.
pub async fn fund_from_unlocked(rpc_url: &str, parties: &[NodeId], amount: Amount) -> Result<(), FundError> {
    let endpoints = Endpoints::new(&[rpc_url.to_owned()])?;
    let failed = |error: BackendError| FundError::Chain { rpc_url: rpc_url.to_owned(), source: error };
    let accounts = endpoints.ask(|provider| async move { provider.get_accounts().await });
    let accounts = accounts.await.map_err(|error| failed(error.into()))?;
    if accounts.is_empty() {
        return Err(FundError::NoneUnlocked { rpc_url: rpc_url.to_owned() });
    }
    let amount = U256::from(amount.units());
    for (party, from) in parties.iter().zip(accounts.into_iter().cycle()) {
        let gift = TransactionRequest::default().from(from).to(Address::from(*party)).value(amount);
        let sent = endpoints.ask(|provider| {
            let gift = gift.clone();
            async move {
                provider.client().request::<_, alloy::primitives::B256>("eth_sendTransaction", (gift,)).await
            }
        });
        sent.await.map_err(|error| failed(error.into()))?;
    }
    let received = async {
        for party in parties {
            until_rich(&endpoints, Address::from(*party), amount).await?;
        }
        Ok(())
    };
    let late = || BackendError::Chain { reason: format!("no block has it after {} s", PATIENCE.as_secs()) };
    timeout(PATIENCE, received).await.unwrap_or_else(|_| Err(late())).map_err(failed)
}

async fn until_rich(endpoints: &Endpoints, party: Address, amount: U256) -> Result<(), BackendError> {
    let mut looks = interval(endpoints.poll_interval());
    loop {
        looks.tick().await;
        let asked = endpoints.ask(|provider| async move { provider.get_balance(party).await });
        if asked.await.map_err(BackendError::from)? >= amount {
            return Ok(());
        }
    }
}
