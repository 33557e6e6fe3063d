//! `assay verdict`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ApiArgs;

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
    pub(in crate::cli) api: ApiArgs,
}

/// `assay verdict export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,
}

/// `assay verdict check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// The job: its id or the beginning of it
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(in crate::cli) job: Option<String>,

    /// Check a log from `verdict export`, without asking a node
    #[arg(long, value_name = "LOG.json")]
    pub(in crate::cli) file: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,
}

/// `assay verdict compute`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ComputeArgs {
    /// File of cases; - for standard input
    #[arg(default_value = "-")]
    pub(in crate::cli) file: PathBuf,
}
