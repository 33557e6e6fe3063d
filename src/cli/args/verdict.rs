//! `assay verdict`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ApiArgs, NodeArgs};
use crate::domain::NodeId;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum VerdictCommand {
    /// Explain a job's verdict: which rule decided, which nodes agreed, how far apart the others are
    Show(ShowArgs),
    /// Draw the memory and CPU curves of a job's runs, with the samples that were compared
    Plot(PlotArgs),
    /// Recompute a job's verdict from its log alone, and compare it with the claimed one
    Check(CheckArgs),
    /// Write a job's log with its signatures to standard output, to check it elsewhere
    Export(ExportArgs),
    /// Compute verdicts without a node, from one JSON object per line
    Compute(ComputeArgs),
}

/// `assay verdict show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay verdict plot`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PlotArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    /// Write the picture to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) svg: Option<PathBuf>,

    /// Write one page with the picture, and the reason for each run, to this file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) html: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay verdict export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay verdict check`.
#[derive(Debug, Args)]
#[command(mut_arg("rpc_url", |url| url.conflicts_with("api")))]
pub(in crate::cli) struct CheckArgs {
    /// Id of the job, or a unique prefix of it; with --file, the job that the file must be about
    #[arg(required_unless_present = "file")]
    pub(in crate::cli) job: Option<String>,

    /// Check this log from `verdict export`, without asking a node; a contract's log also needs --rpc-url and --contract
    #[arg(long, value_name = "LOG.json")]
    pub(in crate::cli) file: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,

    #[command(flatten)]
    pub(in crate::cli) chain: OnChainArgs,
}

/// Where a verdict was posted. The environment does not count: the command line alone must show which log it checks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Against a contract, without asking a node")]
pub(in crate::cli) struct OnChainArgs {
    /// Endpoint of the chain: http://, https://, ws:// or wss://; may be repeated: if one fails, the next is used
    #[arg(long, value_name = "URL", value_delimiter = ',', requires = "contract")]
    pub(in crate::cli) rpc_url: Vec<String>,

    /// Address of the contract
    #[arg(long, value_name = "ADDRESS", requires = "rpc_url")]
    pub(in crate::cli) contract: Option<NodeId>,

    /// Block in which the contract was deployed; earlier blocks are not read
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
