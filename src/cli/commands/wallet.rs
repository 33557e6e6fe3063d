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
        settings, text,
    },
    domain::{Amount, Digest, NodeId},
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

/// Money, as JSON: amounts in wei, as text.
#[derive(Debug, Serialize)]
struct BalanceDocument {
    address: NodeId,
    chain_id: u64,
    contract: NodeId,
    /// On the chain, outside the contract.
    ether: String,
    /// In the contract and free: for jobs and bonds, or to withdraw.
    free: Amount,
    /// In the contract and locked in jobs that have not ended.
    locked: Amount,
}

impl Document for BalanceDocument {}

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

/// Shows the ether of an address.
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
    let balance = BalanceDocument {
        address,
        chain_id: reader.domain().chain_id,
        contract: chain.contract,
        ether: reader.ether(address).await.map_err(failed())?.to_string(),
        free: reader.account(address).await.map_err(failed())?.free,
        locked: locked(&reader, first_block, address).await.map_err(CliError::Log)?,
    };
    output.result(&balance, || {
        let ether = balance.ether.parse::<U256>().unwrap_or(U256::MAX);
        format!(
            "Address:   {}\nOn chain:  {}\nFree:      {}\nLocked:    {}\n",
            balance.address,
            text::wei(ether),
            text::amount(balance.free),
            text::amount(balance.locked)
        )
    })?;
    Ok(ExitStatus::Success)
}

/// Moves money into the contract.
pub(in crate::cli) async fn deposit(args: &MoveArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (client, address) = connect(args, output).await?;
    let moved = client.deposit(args.amount).await;
    let moved = moved.map_err(CliError::money(format!("deposit {}", text::amount(args.amount))))?;
    told(&client, address, args.amount, moved, output).await
}

/// Moves money out of the contract.
pub(in crate::cli) async fn withdraw(args: &MoveArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (client, address) = connect(args, output).await?;
    let moved = client.withdraw(args.amount).await;
    let moved = moved.map_err(CliError::money(format!("withdraw {}", text::amount(args.amount))))?;
    told(&client, address, args.amount, moved, output).await
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
            text::amount(account.free)
        )
    })?;
    Ok(ExitStatus::Success)
}
