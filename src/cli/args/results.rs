//! `assay results`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NodeArgs;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ResultsCommand {
    /// List what each node of a job brought
    List(ResultsListArgs),
    /// Fetch the accepted results, check them and unpack each into DIR/NODE
    Fetch(FetchArgs),
}

/// `assay results list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResultsListArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay results fetch`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FetchArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    /// Where to unpack [default: job-SHORT_ID]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}
