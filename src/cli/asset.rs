//! What the sums on a command line are counted in: the contract says, or the node that the command asks.

use super::{
    CliError,
    args::{DealArgs, NodeArgs},
    output::Output,
    session::{Need, Session, with_node},
    settings,
};
use crate::{
    domain::{Amount, Asset, NodeId, Sum, Token},
    scheduler::contract::ContractReader,
};

/// The sums of a deal.
fn sums(args: &DealArgs) -> impl Iterator<Item = &Sum> {
    [&args.price, &args.bond, &args.keeper_fee, &args.min_paid].into_iter().flatten()
}

/// The asset of the deployment that a command will use. Asks only where sums have a unit: without, they mean the same in
/// any asset.
pub(super) async fn of(
    sums: impl IntoIterator<Item = &Sum>,
    asked: &NodeArgs,
    output: Output,
) -> Result<Asset, CliError> {
    if sums.into_iter().all(Sum::is_bare) {
        return Ok(Asset::Ether);
    }
    if let Some(asset) = of_named(asked).await? {
        return Ok(asset);
    }
    with_node(asked, Need::Answers, output, async |session: &Session| {
        let node = session.client().node().await;
        Ok(node.map_err(CliError::node("ask the node for its asset"))?.asset)
    })
    .await
}

/// As [`of`], of a deal.
pub(super) async fn of_deal(args: &DealArgs, asked: &NodeArgs, output: Output) -> Result<Asset, CliError> {
    of(sums(args), asked, output).await
}

/// The asset of the contract that a command names; `None` if it names none.
async fn of_named(asked: &NodeArgs) -> Result<Option<Asset>, CliError> {
    let Some(requester) = settings::requester(asked)? else { return Ok(None) };
    let chain = requester.chain;
    let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
    Ok(Some(reader.asset().clone()))
}

/// As [`of_deal`], for a job that is only shown: asks no node whether ether is its asset. `None` if the sums are so many
/// smallest units of an asset that nobody named.
pub(super) async fn of_plan(
    args: &DealArgs,
    asked: &NodeArgs,
    output: Output,
) -> Result<Option<Asset>, CliError> {
    let is_nothing = |sum: &Sum| sum.is_bare() && sum.of(&Asset::Ether).is_ok_and(Amount::is_zero);
    if sums(args).all(is_nothing) {
        return Ok(Some(Asset::Ether));
    }
    if let Some(asset) = of_named(asked).await? {
        return Ok(Some(asset));
    }
    if sums(args).all(Sum::is_bare) {
        return Ok(None);
    }
    of(sums(args).filter(|sum| !sum.is_ether()), asked, output).await.map(Some)
}

/// The asset that sums seem to be in, where nobody can be asked: a token that is called so, with as many decimals as most
/// have.
pub(super) fn supposed(args: &DealArgs) -> Asset {
    let foreign = sums(args).find(|sum| !sum.is_bare() && !sum.is_ether());
    foreign.map_or(Asset::Ether, |sum| Asset::Token(Token::new(NodeId::ZERO, sum.unit(), 18)))
}

/// How sums in an asset that nobody named are shown: as so many units.
pub(super) fn unnamed() -> Asset {
    Asset::Token(Token::new(NodeId::ZERO, "units", 0))
}
