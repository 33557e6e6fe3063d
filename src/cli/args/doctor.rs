//! `assay doctor`.

use std::path::PathBuf;

use clap::Args;

use super::{ApiArgs, ContractArgs, KeyArgs};

/// The text below the options in the help of `doctor`.
const DOCTOR_HELP: &str = "\
Each line begins with `ok`, `warn` (works, but see the hint), `fail` (mend it) or `skip` (there was nothing to check). Exit code: 0 \
if no line fails, 125 otherwise.
";

/// `assay doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = DOCTOR_HELP)]
pub(in crate::cli) struct DoctorArgs {
    /// Image that the engine must have or be able to pull
    #[arg(long, value_name = "IMAGE")]
    pub(in crate::cli) image: Option<String>,

    /// Directory for the key and data of the node [default: assay/node in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) api: ApiArgs,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}
