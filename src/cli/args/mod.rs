//! What may stand on the command line, as it stands there. What it means is [`super::settings`]'s to say.
//!
//! - `common`: what several commands take
//! - `deal`: the terms of a job
//! - `chain`: a chain, a contract on it, and a key
//! - `job`, `results`, `verdict`, `wallet`, `host`: one noun a file
//! - `values`: the text forms of durations, sizes and pairs

mod chain;
mod common;
pub(super) mod deal;
mod host;
mod job;
mod results;
pub(super) mod values;
mod verdict;
mod wallet;

use clap::{Parser, Subcommand};

pub(super) use chain::{ContractArgs, KeyArgs, RpcArgs};
pub(super) use common::{API_VARIABLE, ApiArgs, Format, LogFormat, NodeArgs, SCHEDULER_VARIABLE};
pub(super) use deal::{AcceptanceArg, DealArgs};
pub(super) use host::{DevstackArgs, DialArg, SchedulerArg, ServeArgs};
pub(super) use job::{
    CancelArgs, ContainerArgs, DescribeArgs, JobCommand, ListArgs, LogsArgs, SubmitArgs, UpdateArgs, WaitArgs,
};
pub(super) use results::{FetchArgs, ResultsCommand, ResultsListArgs};
pub(super) use values::Variable;
pub(super) use verdict::{CheckArgs, ComputeArgs, ExportArgs, OnChainArgs, ShowArgs, VerdictCommand};
pub(super) use wallet::{
    BalanceArgs, ContractCommand, DeployArgs, ImportArgs, MoveArgs, NewArgs, WalletCommand,
};

const EXAMPLES: &str = "\
Examples:
  assay devstack --nodes 5 --bad-actors 1
  assay job submit --concurrency 3 --confidence 2 assay/demo:1 echo hello
  assay results fetch JOB --output-dir results

";

/// Runs container jobs on machines nobody has to trust, and tells which results to keep.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    before_long_help = EXAMPLES,
    after_long_help = super::exit::EXIT_CODES,
    max_term_width = 100
)]
pub struct Cli {
    /// How data is written to standard output, and with json also what is said on standard error
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) output: Format,

    /// Write nothing to standard error but errors, warnings, and why a job failed
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,

    /// Which log messages to write to standard error, such as `info` or `assay=debug`
    #[arg(long, global = true, env = "ASSAY_LOG", hide_env_values = true, value_name = "FILTER")]
    pub(super) log: Option<String>,

    /// How log messages are written [default: text, or json with --output json]
    #[arg(
        long,
        global = true,
        env = "ASSAY_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        value_name = "FORMAT"
    )]
    pub(super) log_format: Option<LogFormat>,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run several nodes in this process, some of them bad, to try the network
    Devstack(DevstackArgs),
    /// Run one node
    Serve(ServeArgs),
    /// Submit jobs and follow them
    #[command(subcommand)]
    Job(JobCommand),
    /// List and fetch what a job left
    #[command(subcommand)]
    Results(ResultsCommand),
    /// Explain, check and compute verdicts
    #[command(subcommand)]
    Verdict(VerdictCommand),
    /// See the nodes of the network
    #[command(subcommand)]
    Node(NodeCommand),
    /// Keep keys, and their money on a contract
    #[command(subcommand)]
    Wallet(WalletCommand),
    /// Deploy and check the contract
    #[command(subcommand)]
    Contract(ContractCommand),
    /// Print a script that completes commands in a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version of this program, and of the node if one answers
    Version(ApiArgs),
}

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes that the asked node knows, itself included
    List(NodeArgs),
    /// Say what the asked node is: where it listens, what it takes on, how many jobs it knows
    Describe(NodeArgs),
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
