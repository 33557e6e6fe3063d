//! `assay wallet`: keys and their money.

use std::sync::Arc;

use alloy_primitives::U256;
use serde::Serialize;

use crate::{
    cli::{
        CliError, ExitStatus,
        args::{BalanceArgs, ImportArgs, KeyArgs, MoveArgs, NewArgs},
        document::Document,
        keys,
        output::Output,
        settings::{self, SettingsError},
        text,
    },
    domain::{Amount, Asset, Digest, NodeId, Token},
    identity::NodeKey,
    scheduler::contract::{ChainClient, ContractReader, MoneyError, Notice, Receipt, locked},
};

/// Reading more blocks than this takes long enough for a message.
const MANY_BLOCKS: u64 = 50_000;

/// A key, as JSON.
#[derive(Debug, Serialize)]
struct KeyDocument {
    address: NodeId,
    key: String,
}

impl Document for KeyDocument {}

/// Money, as JSON: amounts in wei, or in the smallest units of the token, as text.
#[derive(Debug, Serialize)]
struct BalanceDocument {
    address: NodeId,
    chain_id: u64,
    contract: NodeId,
    /// On the chain, outside the contract; pays for gas.
    ether: String,
    /// The contract's asset, if it is a token, and how much of it is on the chain, outside the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenDocument>,
    /// In the contract and free: for jobs and bonds, or to withdraw.
    free: Amount,
    /// In the contract and locked in jobs that have not ended.
    locked: Amount,
}

impl Document for BalanceDocument {}

/// A token, as JSON.
#[derive(Debug, Serialize)]
struct TokenDocument {
    #[serde(flatten)]
    about: Token,
    /// In its smallest units.
    balance: String,
}

/// A transaction that moved money, as JSON.
#[derive(Debug, Serialize)]
struct MoveDocument {
    address: NodeId,
    amount: Amount,
    transaction: Digest,
    block: u64,
    gas: u64,
    /// The free balance in the contract, after the transaction.
    free: Amount,
}

impl Document for MoveDocument {}

/// Creates a key.
pub(in crate::cli) fn new(args: &NewArgs, output: Output) -> Result<ExitStatus, CliError> {
    save(&NodeKey::generate().map_err(keys::KeysError::from)?, args, output)
}

/// Imports a key in hex.
pub(in crate::cli) fn import(args: &ImportArgs, output: Output) -> Result<ExitStatus, CliError> {
    save(&keys::from_hex(&args.source)?, &args.new, output)
}

fn save(key: &NodeKey, args: &NewArgs, output: Output) -> Result<ExitStatus, CliError> {
    let path = keys::path(&args.key)?;
    let passphrase = if args.plain { None } else { Some(keys::new_passphrase(&args.key)?) };
    key.save(path, passphrase.as_ref()).map_err(keys::KeysError::from)?;
    tell(key, &args.key, output)?;
    output.note(if args.plain {
        "anyone who reads this file has the key; keep a copy in a safe place"
    } else {
        "keep a copy of this file and its passphrase: nobody can replace either"
    });
    Ok(ExitStatus::Success)
}

/// Prints the address of a key.
pub(in crate::cli) fn show(args: &KeyArgs, output: Output) -> Result<ExitStatus, CliError> {
    tell(&keys::load(args)?, args, output)?;
    Ok(ExitStatus::Success)
}

fn tell(key: &NodeKey, args: &KeyArgs, output: Output) -> Result<(), CliError> {
    let key_file = keys::path(args)?.display().to_string();
    let document = KeyDocument { address: key.node_id(), key: key_file };
    output.result(&document, || format!("{}\n", document.address))
}

/// Shows the money of an address.
pub(in crate::cli) async fn balance(args: BalanceArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (chain, first_block) = settings::chain(&args.chain)?;
    let address = match args.address {
        Some(address) => address,
        None => keys::load(&args.key)?.node_id(),
    };
    let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
    let failed = || CliError::money("read the balance");
    let (head, _) = reader.head().await.map_err(MoneyError::Chain).map_err(failed())?;
    let blocks = head.saturating_sub(first_block);
    if blocks > MANY_BLOCKS {
        output.note(&format!(
            "reading {blocks} blocks to find what is locked; --first-block skips those before the contract"
        ));
    }
    let asset = reader.asset();
    let holding = reader.holding(address).await.map_err(failed())?;
    let token = match asset {
        Asset::Ether => None,
        Asset::Token(about) => Some(TokenDocument { about: about.clone(), balance: holding.to_string() }),
    };
    let balance = BalanceDocument {
        address,
        chain_id: reader.domain().chain_id,
        contract: chain.contract,
        token,
        ether: reader.ether(address).await.map_err(failed())?.to_string(),
        free: reader.account(address).await.map_err(failed())?.free,
        locked: locked(&reader, first_block, address).await.map_err(CliError::Log)?,
    };
    output.result(&balance, || {
        let ether = balance.ether.parse::<U256>().unwrap_or(U256::MAX);
        let for_gas = match asset {
            Asset::Ether => String::new(),
            Asset::Token(_) => format!("For gas:   {}\n", text::holding(ether, &Asset::Ether)),
        };
        format!(
            "Address:   {}\nOn chain:  {}\n{for_gas}Free:      {}\nLocked:    {}\n",
            balance.address,
            text::holding(holding, asset),
            asset.show(balance.free),
            asset.show(balance.locked)
        )
    })?;
    Ok(ExitStatus::Success)
}

/// Moves money into the contract.
pub(in crate::cli) async fn deposit(args: &MoveArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (client, address) = connect(args, output).await?;
    let (asset, amount) = sum(&client, args)?;
    let moved = client.deposit(amount).await;
    let moved = moved.map_err(CliError::money(format!("deposit {}", asset.show(amount))))?;
    told(&client, address, amount, moved, output).await
}

/// Moves money out of the contract.
pub(in crate::cli) async fn withdraw(args: &MoveArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (client, address) = connect(args, output).await?;
    let (asset, amount) = sum(&client, args)?;
    let moved = client.withdraw(amount).await;
    let moved = moved.map_err(CliError::money(format!("withdraw {}", asset.show(amount))))?;
    told(&client, address, amount, moved, output).await
}

/// The sum to move, in what the contract counts in.
fn sum(client: &ChainClient, args: &MoveArgs) -> Result<(Asset, Amount), SettingsError> {
    let asset = client.reader().asset();
    Ok((asset.clone(), args.amount.of(asset)?))
}

async fn connect(args: &MoveArgs, output: Output) -> Result<(ChainClient, NodeId), CliError> {
    let (chain, _) = settings::chain(&args.chain)?;
    let key = keys::load(&args.key)?;
    let client = ChainClient::connect_telling(&chain, &key, tell_transaction(output)).await?;
    Ok((client, key.node_id()))
}

/// Names the transaction before it is sent, so that it can be looked up whatever happens.
pub(in crate::cli) fn tell_transaction(output: Output) -> Notice {
    Arc::new(move |transaction: Digest| {
        output.note(&format!("sending transaction {transaction}, and waiting until it is in a block"));
    })
}

async fn told(
    client: &ChainClient,
    address: NodeId,
    amount: Amount,
    moved: Receipt,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let account = client.reader().account(address).await.map_err(CliError::money("read the balance"))?;
    client.shutdown().await;
    let Receipt { transaction, block, gas } = moved;
    let document = MoveDocument { address, amount, transaction, block, gas, free: account.free };
    output.result(&document, || {
        format!(
            "Transaction:  {transaction}\nBlock:        {block}\nGas:          {gas}\nFree:         {}\n",
            client.reader().asset().show(account.free)
        )
    })?;
    Ok(ExitStatus::Success)
}
