//! Arguments that several commands take.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ContractArgs, KeyArgs};

/// The format of the data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// Aligned columns and short ids, for people
    Table,
    /// The same with whole ids and more columns, where there is more to show
    Wide,
    /// One JSON document with whole ids, for programs
    Json,
    /// The same document as YAML; of `job describe` a job file for `job submit --file`
    Yaml,
    /// Comma-separated values, of lists only
    Csv,
}

/// The format of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// One line of text per message
    Text,
    /// One JSON object per message
    Json,
}

/// The backend that orders the events of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SchedulerArg {
    /// The requester of each job, over a peer-to-peer network
    Libp2p,
    /// A contract on an EVM chain, which also holds the money
    Contract,
}

/// The node that a command asks, or what the command needs to act as the requester itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Node")]
pub(in crate::cli) struct NodeArgs {
    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,

    /// With `contract`, ask no node: act as the requester yourself while the command runs (needs --rpc-url, --contract and
    /// --key)
    #[arg(long, value_enum, value_name = "BACKEND", env = SCHEDULER_VARIABLE, hide_env_values = true)]
    pub(in crate::cli) scheduler: Option<SchedulerArg>,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// The default address of a node's API.
pub(in crate::cli) const DEFAULT_API: &str = "127.0.0.1:7421";

/// The variables that choose between a node's API and acting as the requester.
pub(in crate::cli) const API_VARIABLE: &str = "ASSAY_API";
pub(in crate::cli) const SCHEDULER_VARIABLE: &str = "ASSAY_SCHEDULER";

/// The address of the node that a command asks.
#[derive(Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Address of the API of your node [default: the newest devstack or node that you started on this machine]
    #[arg(long, env = API_VARIABLE, hide_env_values = true, value_name = "URL")]
    pub(in crate::cli) api: Option<String>,

    /// File with the token of that API [default: ASSAY_API_TOKEN_FILE, or what your own nodes on this machine left]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) api_token_file: Option<PathBuf>,
}
