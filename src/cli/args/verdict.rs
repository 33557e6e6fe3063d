//! `assay verdict`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ApiArgs, NodeArgs};
use crate::domain::NodeId;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VerdictCommand {
    /// Explain a job's verdict: who agreed, how far apart the others were, and by which rule
    Show(ShowArgs),
    /// Recompute a job's verdict from its log alone, and say whether it agrees
    Check(CheckArgs),
    /// Write a job's log with its signatures, to be checked elsewhere
    Export(ExportArgs),
    /// Decide cases, one JSON object a line, without a node
    Compute(ComputeArgs),
}

/// `assay verdict show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay verdict export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay verdict check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The job: its id or the beginning of it; with --file, the job that the file must be of
    #[arg(required_unless_present = "file")]
    pub(in crate::cli) job: Option<String>,

    /// Check a log from `verdict export`, without asking a node; a contract's log also needs --rpc-url
    #[arg(long, value_name = "LOG.json")]
    pub(in crate::cli) file: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,

    #[command(flatten)]
    pub(in crate::cli) chain: OnChainArgs,
}

/// Where a verdict was posted. Not from the environment: which log is checked must be seen in the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Against a contract, without asking a node")]
pub(in crate::cli) struct OnChainArgs {
    /// An endpoint of the chain; may be repeated, the next is used when one fails
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "contract", conflicts_with = "api")]
    pub(in crate::cli) rpc_url: Vec<String>,

    /// The address of the contract
    #[arg(long, value_name = "ADDRESS", requires = "rpc_url")]
    pub(in crate::cli) contract: Option<NodeId>,

    /// The block that the contract was deployed in; earlier blocks are not read
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) first_block: u64,
}

/// `assay verdict compute`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ComputeArgs {
    /// File of cases; - for standard input
    #[arg(default_value = "-")]
    pub(in crate::cli) file: PathBuf,
}
