//! The command line.
//!
//! Arguments as typed (`args`) become resolved settings (`settings`). One function per command (`commands`) does the
//! rest: it asks a node over its API (`client`), which may be its own node (`session`), writes through the only printer
//! (`output`) and returns how the program ends (`exit`) or why it failed (`error`).
//!
//! `watch` waits for a job with `progress` to show, `ending` says what came of it, `doubts` what a verdict does not say, `failure` why runs gave no
//! result, `fetch` brings results here and checks them, `audit` recomputes a job from its log alone, `text` is how values read.
//!
//! `words` divides a job's command from the image before it; `environment` and `secrets` read and look at what a job is
//! given; `document` is the form of JSON, `message` that of everything on standard error.
//!
//! `running` is what commands that run nodes share; `keys` opens the key that a command acts with.
//!
//! Nothing here decides anything about a job: the rules are the node's.

mod accepted;
mod args;
mod client;
mod commands;
mod document;
mod doubts;
mod ending;
mod environment;
mod error;
mod exit;
mod failure;
mod fetch;
mod keys;
mod message;
mod output;
mod progress;
mod run;
mod running;
mod secrets;
mod session;
mod settings;
mod text;
mod watch;
mod words;

pub use args::Cli;
pub use error::CliError;
pub use exit::ExitStatus;
pub use run::run;
