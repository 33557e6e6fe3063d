//! Arguments for a chain, the contract on it and the key, for commands that need no running node.

use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::domain::{Amount, NodeId};

/// How to reach a chain.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(in crate::cli) struct RpcArgs {
    /// Endpoint of the chain: http://, https://, ws:// or wss://; may be repeated: if one fails, the next is used
    #[arg(long, value_name = "URL", env = "ASSAY_RPC_URL", hide_env_values = true, value_delimiter = ',')]
    pub(in crate::cli) rpc_url: Vec<String>,

    /// Id that the chain must have [default: any]
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) chain_id: Option<u64>,

    /// Highest price to pay for a unit of gas, such as 50gwei [default: what the chain asks]
    #[arg(long, value_name = "AMOUNT", value_parser = values::amount)]
    pub(in crate::cli) max_fee: Option<Amount>,
}

/// A contract on a chain.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(in crate::cli) struct ContractArgs {
    #[command(flatten)]
    pub(in crate::cli) rpc: RpcArgs,

    /// Address of the contract
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_CONTRACT")]
    pub(in crate::cli) contract: Option<NodeId>,

    /// Number of blocks that must follow a block before its events count [default: 2; 0 on Anvil, Hardhat and Ganache]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) confirmations: Option<u64>,

    /// Block in which the contract was deployed; earlier blocks are not read
    #[arg(long, value_name = "N", env = "ASSAY_FIRST_BLOCK", default_value_t = 0)]
    pub(in crate::cli) first_block: u64,
}

/// A key and its passphrase. The passphrase itself is never an argument, because other users of the machine can read
/// arguments.
#[derive(Debug, Args)]
#[command(next_help_heading = "Key")]
pub(in crate::cli) struct KeyArgs {
    /// File with the key: 64 hex digits, or a JSON keystore as Ethereum tools write it
    #[arg(long, value_name = "FILE", env = "ASSAY_KEY")]
    pub(in crate::cli) key: Option<PathBuf>,

    /// File with the passphrase of the keystore [default: ASSAY_PASSPHRASE, or a prompt on the terminal]
    #[arg(long, value_name = "FILE", env = "ASSAY_PASSPHRASE_FILE")]
    pub(in crate::cli) passphrase_file: Option<PathBuf>,
}
