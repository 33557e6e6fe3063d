//! Arguments that several commands take.

use clap::{Args, ValueEnum};

use super::{ContractArgs, KeyArgs, SchedulerArg};

/// How data is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people: aligned columns, short ids
    Table,
    /// For programs: one JSON document, whole ids
    Json,
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    /// One line of text a message
    Text,
    /// One JSON object a message
    Json,
}

/// Which node a command asks, or that it is a requester by itself.
#[derive(Debug, Args)]
pub(in crate::cli) struct NodeArgs {
    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,

    /// With contract, act as the requester yourself while the command runs (needs --contract and --key)
    #[arg(long, value_enum, value_name = "BACKEND", env = SCHEDULER_VARIABLE, hide_env_values = true)]
    pub(in crate::cli) scheduler: Option<SchedulerArg>,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// The variables that choose between a node's API and a requester of one's own.
pub(in crate::cli) const API_VARIABLE: &str = "ASSAY_API";
pub(in crate::cli) const SCHEDULER_VARIABLE: &str = "ASSAY_SCHEDULER";

/// Where the node is that a command asks.
#[derive(Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Address of a node's API [default: the newest devstack or node that you started on this machine]
    #[arg(long, env = API_VARIABLE, hide_env_values = true, value_name = "URL")]
    pub(in crate::cli) api: Option<String>,
}
