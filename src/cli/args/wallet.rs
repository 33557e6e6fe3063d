//! `assay wallet` and `assay contract`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ContractArgs, KeyArgs, RpcArgs, values};
use crate::domain::{NodeId, Sum};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WalletCommand {
    /// Create a key and write it to the file that --key names
    New(NewArgs),
    /// Import a key in hex and write it to the file that --key names
    Import(ImportArgs),
    /// Print the address of a key
    Show(KeyArgs),
    /// Show the money of an address: on the chain, and free and locked in the contract
    Balance(BalanceArgs),
    /// Move money from the key's address to its account in the contract
    Deposit(MoveArgs),
    /// Move free money from the contract back to the key's address
    Withdraw(MoveArgs),
}

/// `assay wallet new`.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// Write the key in plain hex instead of a keystore with a passphrase; anyone who reads the file can use it
    #[arg(long)]
    pub(in crate::cli) plain: bool,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// `assay wallet import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// File with 64 hex digits; - for standard input
    #[arg(default_value = "-", value_name = "HEX_FILE")]
    pub(in crate::cli) source: PathBuf,

    #[command(flatten)]
    pub(in crate::cli) new: NewArgs,
}

/// `assay wallet balance`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BalanceArgs {
    /// Address to show [default: that of the key]
    #[arg(value_name = "ADDRESS")]
    pub(in crate::cli) address: Option<NodeId>,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// `assay wallet deposit` and `withdraw`.
#[derive(Debug, Args)]
pub(in crate::cli) struct MoveArgs {
    /// Amount to move in the contract's asset, such as 0.1ether or 1.5usdc
    #[arg(value_parser = values::sum)]
    pub(in crate::cli) amount: Sum,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ContractCommand {
    /// Deploy the contract to a chain
    Deploy(DeployArgs),
    /// Check the code at an address, and describe the contract
    Info(ContractArgs),
}

/// `assay contract deploy`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeployArgs {
    /// ERC-20 token to count prices, bonds and fees in; gas is always ether [default: ether]
    #[arg(long, value_name = "TOKEN")]
    pub(in crate::cli) asset: Option<NodeId>,

    #[command(flatten)]
    pub(in crate::cli) rpc: RpcArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}
