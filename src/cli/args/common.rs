//! Arguments that several commands take.

use clap::{Args, ValueEnum};

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

/// Where the node is that a command asks.
#[derive(Debug, Args)]
pub(in crate::cli) struct ApiArgs {
    /// Address of a node's API; without it the newest devstack or node of this machine is asked
    #[arg(long, env = "ASSAY_API", hide_env_values = true, value_name = "URL")]
    pub(in crate::cli) api: Option<String>,
}
