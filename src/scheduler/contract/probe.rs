//! One endpoint of a chain, looked at once: which chain it serves, how new its newest block is, and how fast it answers.

use std::time::Duration;

use alloy::{eips::BlockNumberOrTag, providers::Provider as _};
use tokio::time::Instant;

use super::{client::is_for_development, error::ConnectError, newest::header, rpc::Endpoints};
use crate::domain::Timestamp;

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The endpoint, without the secrets that providers put into path and user name.
    pub shown: String,
    /// Its chain.
    pub chain_id: u64,
    /// Its newest block.
    pub block: u64,
    /// The time of that block.
    pub block_at: Timestamp,
    /// How long the answer took, without the connection.
    pub took: Duration,
    /// Whether it is a development chain, which may wait for transactions before it makes a block.
    pub is_for_development: bool,
}

/// Asks one endpoint.
///
/// # Errors
/// [`ConnectError`] when its URL cannot be used, or when it does not answer.
pub async fn probe(url: &str) -> Result<Probe, ConnectError> {
    let endpoints = Endpoints::new(&[url.to_owned()])?;
    let failed = |error: super::rpc::AskError| ConnectError::Chain(error.into());
    let chain_id = endpoints.ask(|provider| async move { provider.get_chain_id().await });
    let chain_id = chain_id.await.map_err(failed)?;
    let asked_at = Instant::now();
    let newest = endpoints.ask(|provider| async move { header(&provider, BlockNumberOrTag::Latest).await });
    let newest = newest.await.map_err(failed)?;
    let took = asked_at.elapsed();
    Ok(Probe {
        shown: endpoints.shown(),
        chain_id,
        block: newest.number,
        block_at: Timestamp::from_secs(newest.timestamp),
        took,
        is_for_development: is_for_development(&endpoints).await,
    })
}
