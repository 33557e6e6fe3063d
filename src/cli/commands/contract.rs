//! `assay contract`: deploys the contract, and describes the code at an address.

use serde::Serialize;

use super::wallet::tell_transaction;
use crate::{
    cli::{
        CliError, ExitStatus,
        args::{ContractArgs, DeployArgs},
        document::Document,
        keys,
        output::Output,
        settings, text,
    },
    domain::{Amount, Asset, Digest, NodeId},
    scheduler::contract::{
        ContractReader, DEPLOYER, Deployed, MoneyError, Placement, Receipt, deploy_everywhere as put,
    },
};

/// A new contract, as JSON.
#[derive(Debug, Serialize)]
struct DeployedDocument {
    chain_id: u64,
    contract: NodeId,
    /// The ERC-20 that it counts in; null is ether.
    asset: Option<NodeId>,
    /// Whether it has this address on every chain with the deterministic deployer.
    everywhere: bool,
    /// What was sent; absent if the contract was there.
    #[serde(flatten)]
    sent: Option<SentDocument>,
}

#[derive(Debug, Serialize)]
struct SentDocument {
    first_block: u64,
    transaction: Digest,
    gas: u64,
}

impl Document for DeployedDocument {}

/// A contract, as JSON.
#[derive(Debug, Serialize)]
struct InfoDocument {
    chain_id: u64,
    contract: NodeId,
    /// The version in the domain of signatures.
    contract_version: &'static str,
    code_bytes: usize,
    code_hash: Digest,
    /// Whether the code equals what this program deploys, byte for byte.
    code_is_ours: bool,
    /// What it counts money in.
    asset: Asset,
    /// The chain's newest block.
    block: u64,
    /// The contract's balance, in the smallest units of its asset.
    held: String,
    /// The part of the balance that belongs to nobody.
    burnt: Amount,
}

impl Document for InfoDocument {}

/// Deploys the contract.
pub(in crate::cli) async fn deploy(args: &DeployArgs, output: Output) -> Result<ExitStatus, CliError> {
    let rpc_urls = settings::rpc(&args.rpc)?;
    let key = keys::load(&args.key)?;
    let (max_fee, notice) = (settings::max_fee(&args.rpc), tell_transaction(output));
    let placement = put(&rpc_urls, args.rpc.chain_id, &key, args.asset, max_fee, notice)
        .await
        .map_err(CliError::Deploy)?;
    let (chain_id, contract, everywhere, receipt) = match placement {
        Placement::Made { deployed: Deployed { chain_id, contract, receipt }, is_everywhere } => {
            (chain_id, contract, is_everywhere, Some(receipt))
        }
        Placement::Known { chain_id, contract } => (chain_id, contract, true, None),
    };
    let sent = receipt.map(|Receipt { transaction, block, gas }| SentDocument {
        first_block: block,
        transaction,
        gas,
    });
    let document = DeployedDocument { chain_id, contract, asset: args.asset, everywhere, sent };
    output.result(&document, || {
        let sent = document.sent.as_ref().map_or_else(String::new, |sent| {
            format!(
                "Block:        {}\nTransaction:  {}\nGas:          {}\n",
                sent.first_block, sent.transaction, sent.gas
            )
        });
        let asset = args.asset.map_or_else(String::new, |token| format!("Asset:        the token {token}\n"));
        format!("Contract:     {contract}\nChain:        {chain_id}\n{asset}{sent}")
    })?;
    if !everywhere {
        output.note(&format!(
            "this chain has no deployer at {DEPLOYER}: on other chains the contract will have another address"
        ));
    }
    let first_block =
        receipt.map_or_else(String::new, |receipt| format!(" ASSAY_FIRST_BLOCK={}", receipt.block));
    if receipt.is_none() {
        output.note(
            "it was there already, nothing was sent; set ASSAY_FIRST_BLOCK to the block of its deployment, so that nobody reads the \
             blocks before",
        );
    }
    let (deposit, bond) = match args.asset {
        None => ("0.1ether", "0.01ether"),
        Some(_) => ("AMOUNT", "AMOUNT"),
    };
    output.note(&format!(
        "use it, with the same --rpc-url or ASSAY_RPC_URL:\n  export ASSAY_SCHEDULER=contract \
         ASSAY_CONTRACT={contract}{first_block}\n  assay wallet deposit {deposit} --key FILE\n  \
         assay serve --max-bond {bond} --key FILE      # to run jobs\n  \
         assay job submit --key FILE IMAGE -- CMD         # to have them run"
    ));
    Ok(ExitStatus::Success)
}

/// Checks the contract at an address.
pub(in crate::cli) async fn info(args: &ContractArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (chain, _) = settings::chain(args)?;
    let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
    let failed = || CliError::money("read the contract");
    let (block, _) = reader.head().await.map_err(MoneyError::Chain).map_err(failed())?;
    let held = reader.holding(chain.contract).await.map_err(failed())?;
    let asset = reader.asset();
    let code = reader.code();
    let document = InfoDocument {
        chain_id: reader.domain().chain_id,
        contract: chain.contract,
        contract_version: reader.version(),
        code_bytes: code.bytes,
        code_hash: code.hash,
        code_is_ours: code.is_ours,
        asset: asset.clone(),
        block,
        held: held.to_string(),
        burnt: reader.burnt().await.map_err(failed())?,
    };
    output.result(&document, || {
        let build = if code.is_ours { "what this program deploys" } else { "another build of it" };
        format!(
            "Contract:  {}\nChain:     {} at block {block}\nVersion:   {}\nCode:      {} bytes, {build}\n\
             Hash:      {}\nAsset:     {asset}\nHeld:      {}\nBurnt:     {}\n",
            document.contract,
            document.chain_id,
            document.contract_version,
            code.bytes,
            code.hash,
            text::holding(held, asset),
            asset.show(document.burnt)
        )
    })?;
    Ok(ExitStatus::Success)
}
