//! `assay config`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// List the settings that commands get from the environment and from configuration files
    List(ConfigListArgs),
}

/// `assay config list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigListArgs {
    /// Also show where each value comes from: a variable, or a file and its line
    #[arg(long)]
    pub(in crate::cli) show_origin: bool,
}
