//! `assay store`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum StoreCommand {
    /// Read all that your node keeps, and say what is damaged; the node may run
    Check(StoreArgs),
    /// Copy what your node keeps to a new directory, which a node can be started on; the node may run
    Backup(BackupArgs),
    /// Remove damaged files and build indexes again; stop the node first
    Repair(StoreArgs),
}

/// `assay store check` and `assay store repair`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StoreArgs {
    /// Data directory of the node [default: assay/node in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
}

/// `assay store backup`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BackupArgs {
    /// Directory to create
    #[arg(value_name = "TARGET")]
    pub(in crate::cli) target: PathBuf,

    /// Leave inputs and results out: a node can go without those that nobody asks for any more
    #[arg(long)]
    pub(in crate::cli) no_content: bool,

    #[command(flatten)]
    pub(in crate::cli) of: StoreArgs,
}
