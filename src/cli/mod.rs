//! The command line.
//!
//! Arguments as typed (`args`) become resolved settings (`settings`). One function for each command (`commands`) does the
//! rest. It asks a node over its API (`client`), which may be its own node (`session`), writes through the only printer
//! (`output`), and returns an exit code (`exit`) or an error (`error`).
//!
//! `watch` waits for a job and shows its `progress`. `ending` shows how it ended, `doubts` what its verdict does not say,
//! `failure` why runs gave no result. `fetch` downloads results and checks them. `text` formats values.
//!
//! `words` separates a job's command from the image before it; `job_file` turns a file into such words. `environment`
//! reads the variables for a job, `sweep` makes many jobs of one, and `secrets` warns of those that look secret. `document` is the form of JSON,
//! `message` the form of everything on standard error.
//!
//! `config` reads the files of settings, and makes them defaults of the flags. `complete` answers shells. `list` and `yaml` are forms of
//! results.
//!
//! Commands that run nodes share `running`. `keys` opens the key that a command acts with.
//!
//! Nothing here decides anything about a job; that is for the node.
//!
//! ```
//! use assay::cli::Cli;
//! use clap::{Parser as _, error::ErrorKind};
//!
//! assert!(Cli::try_parse_from(["assay", "job", "list", "--output", "json"]).is_ok());
//! let refused = Cli::try_parse_from(["assay", "job", "list", "--outptu", "json"]).unwrap_err();
//! assert_eq!(refused.kind(), ErrorKind::UnknownArgument);
//! ```

mod accepted;
mod args;
mod asset;
mod client;
mod commands;
mod complete;
mod config;
mod document;
mod doubts;
mod ending;
mod environment;
mod error;
mod exit;
mod failure;
mod fetch;
mod job_file;
mod keys;
mod list;
mod message;
mod output;
mod progress;
mod run;
mod running;
mod secrets;
mod session;
mod settings;
mod sweep;
mod text;
mod watch;
mod words;
mod yaml;

pub use args::Cli;
pub use complete::complete;
pub use error::CliError;
pub use exit::ExitStatus;
pub use run::run;
