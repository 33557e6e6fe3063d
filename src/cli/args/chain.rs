//! Which chain, which contract on it, and whose key: what every command without a node of somebody else takes.

use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::domain::{Amount, NodeId};

/// The way to a chain.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(in crate::cli) struct RpcArgs {
    /// An endpoint of the chain: http://, https://, ws:// or wss://; may be repeated, the next is used when one fails
    #[arg(long, value_name = "URL", env = "ASSAY_RPC_URL", hide_env_values = true, value_delimiter = ',')]
    pub(in crate::cli) rpc_url: Vec<String>,

    /// Refuse a chain with any other id
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) chain_id: Option<u64>,

    /// The most to pay for a unit of gas, such as 50gwei [default: 200gwei]
    #[arg(long, value_name = "AMOUNT", value_parser = values::amount)]
    pub(in crate::cli) max_fee: Option<Amount>,
}

/// A contract on a chain.
#[derive(Debug, Args)]
#[command(next_help_heading = "Chain")]
pub(in crate::cli) struct ContractArgs {
    #[command(flatten)]
    pub(in crate::cli) rpc: RpcArgs,

    /// The address of the contract
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_CONTRACT")]
    pub(in crate::cli) contract: Option<NodeId>,

    /// How many blocks must follow a block before its events count [default: 2, and 0 on Anvil, Hardhat and Ganache]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) confirmations: Option<u64>,

    /// The block that the contract was deployed in; earlier blocks are not read
    #[arg(long, value_name = "N", env = "ASSAY_FIRST_BLOCK", default_value_t = 0)]
    pub(in crate::cli) first_block: u64,
}

/// A key, and what opens it. The passphrase itself is never an argument: other users of a machine see those.
#[derive(Debug, Args)]
#[command(next_help_heading = "Key")]
pub(in crate::cli) struct KeyArgs {
    /// A file with the key: 64 hex digits, or a JSON keystore as Ethereum tools write it
    #[arg(long, value_name = "FILE", env = "ASSAY_KEY")]
    pub(in crate::cli) key: Option<PathBuf>,

    /// A file with the passphrase of a keystore [default: ASSAY_PASSPHRASE, or a prompt on the terminal]
    #[arg(long, value_name = "FILE", env = "ASSAY_PASSPHRASE_FILE")]
    pub(in crate::cli) passphrase_file: Option<PathBuf>,
}
