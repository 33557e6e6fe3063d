//! `assay results`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NodeArgs;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ResultsCommand {
    /// List the results of all nodes of a job
    List(ResultsListArgs),
    /// Fetch the accepted results, check them and unpack each into DIR/NODE
    Fetch(FetchArgs),
    /// Show where the outputs of two nodes differ
    Diff(DiffArgs),
}

/// `assay results list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResultsListArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay results fetch`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FetchArgs {
    /// Id of the job, or a unique prefix of it
    #[arg(required_unless_present = "group")]
    pub(in crate::cli) job: Option<String>,

    /// Fetch the results of all verified jobs of this group, each into DIR/INDEX/NODE
    #[arg(long, value_name = "GROUP", conflicts_with = "job")]
    pub(in crate::cli) group: Option<String>,

    /// Directory to unpack into [default: job-SHORT_ID or group-ID]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay results diff`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    /// Nodes whose results to compare, by id or a unique prefix [default: one that agrees, and the first that does not]
    #[arg(value_name = "NODE", num_args = 0..=2)]
    pub(in crate::cli) nodes: Vec<String>,

    /// Also let diffoscope, if it is installed, look into archives, images and programs
    #[arg(long)]
    pub(in crate::cli) diffoscope: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}
