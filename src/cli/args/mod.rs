//! The command line as the user types it. [`super::settings`] resolves it.
//!
//! - `common`: arguments of several commands
//! - `deal`: the terms of a job
//! - `chain`: a chain, a contract on it, and a key
//! - `job`, `results`, `verdict`, `wallet`, `host`: the commands of one noun each
//! - `attest`: attestations
//! - `sweep`: many jobs as one group
//! - `config`: the settings; `doctor`: the checks; `store`: what a node keeps; `sim`: simulations
//! - `values`: the text forms of durations, sizes and pairs

mod attest;
mod chain;
mod common;
mod config;
pub(super) mod deal;
mod doctor;
mod host;
mod job;
mod results;
mod sim;
mod store;
mod sweep;
pub(super) mod values;
mod verdict;
mod wallet;

use clap::{Parser, Subcommand};

pub(super) use attest::{AttestArgs, AttestCommand, AttestVerifyArgs, FormArg};
pub(super) use chain::{ContractArgs, KeyArgs, RpcArgs};
pub(super) use common::{
    API_VARIABLE, ApiArgs, DEFAULT_API, Format, LogFormat, NodeArgs, SCHEDULER_VARIABLE, SchedulerArg,
};
pub(super) use config::{ConfigCommand, ConfigListArgs};
pub(super) use deal::{AcceptanceArg, DealArgs};
pub(super) use doctor::DoctorArgs;
pub(super) use host::{
    DevstackArgs, DialArg, DrainArgs, EarningsArgs, EarningsBy, InputUrlArg, PruneArgs, ServeArgs,
};
pub(super) use job::{
    CalibrateArgs, CancelArgs, ContainerArgs, DescribeArgs, ExplainArgs, ForgetArgs, JobCommand, ListArgs,
    LogsArgs, ReplicationArg, RerunArgs, SubmitArgs, UpdateArgs, ValidateArgs, WaitArgs,
};
pub(super) use results::{DiffArgs, FetchArgs, ResultsCommand, ResultsListArgs};
pub(super) use sim::{Faults, SimArgs};
pub(super) use store::{BackupArgs, StoreArgs, StoreCommand};
pub(super) use sweep::{GroupCommand, GroupWaitArgs, SweepArgs};
pub(super) use values::{KeepFor, KeepKind, Variable};
pub(super) use verdict::{
    CheckArgs, ComputeArgs, ExportArgs, OnChainArgs, PlotArgs, ShowArgs, VerdictCommand,
};
pub(super) use wallet::{
    BalanceArgs, ContractCommand, DeployArgs, ImportArgs, MoveArgs, NewArgs, WalletCommand,
};

const EXAMPLES: &str = "\
Examples:
  assay devstack --nodes 5 --bad-actors 1
  assay job submit --concurrency 3 --confidence 2 assay/demo:1 echo hello
  assay results fetch JOB --output-dir results

";

/// Run container jobs on machines nobody has to trust, and learn which results to keep.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    before_long_help = EXAMPLES,
    after_long_help = super::exit::EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// Format of the data on standard output; with json, messages on standard error are JSON too; csv is for lists
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) output: Format,

    /// Hide progress; write only errors, warnings and the reasons for failed jobs to standard error
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,

    /// Log messages to write to standard error, such as `info` or `assay=debug`
    #[arg(long, global = true, env = "ASSAY_LOG", hide_env_values = true, value_name = "FILTER")]
    pub(super) log: Option<String>,

    /// Format of log messages [default: text, or json with --output json]
    #[arg(
        long,
        global = true,
        env = "ASSAY_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        value_name = "FORMAT"
    )]
    pub(super) log_format: Option<LogFormat>,

    /// Profile of the configuration files to use, as in [profile.NAME]
    #[arg(long, global = true, env = "ASSAY_PROFILE", hide_env_values = true, value_name = "NAME")]
    pub(super) profile: Option<String>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a network of several nodes in this process to try Assay; some nodes can be bad
    Devstack(DevstackArgs),
    /// Run one node
    Serve(Box<ServeArgs>),
    /// Submit jobs and follow them
    #[command(subcommand)]
    Job(JobCommand),
    /// Wait for the jobs of a sweep
    #[command(subcommand)]
    Group(GroupCommand),
    /// List and fetch the results of a job
    #[command(subcommand)]
    Results(ResultsCommand),
    /// Explain, check and compute verdicts
    #[command(subcommand)]
    Verdict(VerdictCommand),
    /// Write attestations of what the accepted nodes of a job built, to standard output, and check them
    Attest(Box<AttestArgs>),
    /// List and describe nodes of the network
    #[command(subcommand)]
    Node(NodeCommand),
    /// Create keys, and move their money to and from a contract
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Deploy and check the contract
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Print an address that opens your node's dashboard in a browser
    Dashboard(ApiArgs),
    /// Check, copy and mend what a node keeps on its disk
    #[command(subcommand)]
    Store(StoreCommand),
    /// Simulate a whole network from a seed, with bad nodes and faults, and check every promise
    Sim(SimArgs),
    /// Check this machine, your node and the chain, and say what to do about each fault
    Doctor(DoctorArgs),
    /// Show the settings that come from the environment and from configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the script with which a shell completes commands, flags and ids
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    Man {
        /// Directory for the pages, such as man1
        #[arg(value_name = "DIR")]
        dir: std::path::PathBuf,
    },
    /// Print the version of this program, and that of the node if one answers
    Version(ApiArgs),
}

impl Command {
    /// Whether the result is a list, which comma-separated values can hold.
    pub(super) const fn prints_list(&self) -> bool {
        matches!(
            self,
            Self::Job(JobCommand::List(_))
                | Self::Node(NodeCommand::List(_) | NodeCommand::Earnings(_))
                | Self::Results(ResultsCommand::List(_))
        )
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes that your node knows, and your node itself
    List(NodeArgs),
    /// Describe your node: where it listens, which jobs it takes, how many jobs it knows
    Describe(NodeArgs),
    /// Show what takes how much of your node's disk, and when it goes
    Usage(NodeArgs),
    /// Delete now what ended jobs left and your node keeps no longer
    Prune(PruneArgs),
    /// Show what your node's seats brought, by day or by job; gas is not in it
    Earnings(EarningsArgs),
    /// Take on no more work, also after a restart; bids are withdrawn, and seats are worked off
    Pause(NodeArgs),
    /// Take on work again after a pause or a drain
    Resume(NodeArgs),
    /// Pause your node, and wait until it owes nothing in any job
    Drain(DrainArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }
}
