//! `assay job`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    DealArgs, NodeArgs,
    values::{self, Variable},
};
use crate::domain::{Resources, Span};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobCommand {
    /// Submit a job, wait for its verdict and print what the agreeing runs printed
    Submit(Box<SubmitArgs>),
    /// List jobs, newest first
    List(ListArgs),
    /// Show everything about a job on one screen, with the bound of every wait
    Describe(DescribeArgs),
    /// Wait for the verdicts of one or more jobs
    Wait(WaitArgs),
    /// Cancel an open job, or stop a running one
    Cancel(CancelArgs),
    /// Change the deal of an open job before its first acceptance
    Update(Box<UpdateArgs>),
    /// Print what a job's program printed, once the job is decided
    Logs(LogsArgs),
}

/// Beside the options, in the long help.
const SUBMIT_HELP: &str = "\
Options go before IMAGE; all that follows it is the command, as with docker run. Where the command begins with a dash, put \
-- before it; options may then also stand between IMAGE and --.

The command and the environment of a job are public: they go to every peer, and with --scheduler contract onto the chain, \
for good. Put no secrets into them.
";

/// `assay job submit`.
#[derive(Debug, Args)]
#[command(override_usage = "assay job submit [OPTIONS] IMAGE [CMD]...", after_help = SUBMIT_HELP)]
pub(in crate::cli) struct SubmitArgs {
    /// The image, by name and tag or by digest
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: String,

    /// Arguments for the image's entrypoint, or the whole command if it has none. Public: every peer sees them, and with
    /// --scheduler contract they stay on the chain
    #[arg(last = true, value_name = "CMD")]
    pub(in crate::cli) command: Vec<String>,

    /// Print the id of the job and do not wait
    #[arg(long, short)]
    pub(in crate::cli) detach: bool,

    /// Fetch the accepted results into DIR/NODE once the job is verified, as results fetch does
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) deal: DealArgs,

    #[command(flatten)]
    pub(in crate::cli) container: ContainerArgs,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// What a job runs, and its limits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Container")]
pub(in crate::cli) struct ContainerArgs {
    /// Give a local file or directory to every node, read-only; may be repeated
    ///
    /// The target is the file or directory itself: data:/inputs, table.csv:/inputs/table.csv. A file for a target
    /// that ends in a slash goes into that directory under its own name: table.csv:/inputs/
    #[arg(long = "input", short, value_parser = values::input, value_name = "PATH:/target")]
    pub(in crate::cli) inputs: Vec<(String, String)>,

    /// Set an environment variable; NAME alone passes on your own value; may be repeated. Public: every peer sees it, and
    /// with --scheduler contract it stays on the chain
    #[arg(long = "env", short, value_parser = values::variable, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) environment: Vec<Variable>,

    /// Set the variables in a file of NAME=VALUE lines, as docker reads it; may be repeated; --env overrides it. Public, as
    /// --env is
    #[arg(long = "env-file", value_name = "FILE")]
    pub(in crate::cli) env_files: Vec<PathBuf>,

    /// Directory to start in [default: the image's]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) workdir: Option<String>,

    /// Replace the image's entrypoint by this program
    #[arg(long, value_name = "PROGRAM")]
    pub(in crate::cli) entrypoint: Option<String>,

    /// Memory, such as 512m or 1.5g
    #[arg(long, value_parser = values::bytes, default_value = "512m", value_name = "SIZE")]
    pub(in crate::cli) memory: u64,

    /// CPUs, with at most three decimals
    #[arg(long, value_parser = values::cpu_millis, default_value = "1", value_name = "CPUS")]
    pub(in crate::cli) cpus: u32,

    /// Processes and threads
    #[arg(long, default_value_t = Resources::default().pids, value_name = "COUNT")]
    pub(in crate::cli) pids: u32,

    /// What /tmp may hold, such as 256m; it is memory, and counts against --memory
    #[arg(long, value_parser = values::bytes, default_value = "64m", value_name = "SIZE")]
    pub(in crate::cli) tmp: u64,

    /// What /outputs may hold, with the volumes of the image, such as 1g
    #[arg(long, value_parser = values::bytes, default_value = "1g", value_name = "SIZE")]
    pub(in crate::cli) disk: u64,
}

/// `assay job list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// List at most this many jobs
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(in crate::cli) limit: usize,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job describe`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DescribeArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job wait`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// The jobs: ids or the beginnings of them. The exit code is that of the first, in this order, that did not end with
    /// 0
    #[arg(required = true, value_name = "JOB")]
    pub(in crate::cli) jobs: Vec<String>,

    /// Give up waiting after this long, for all jobs together; they go on [default: their own deadlines]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) wait_timeout: Option<Span>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job cancel`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) deal: DealArgs,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job logs`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    /// The job: its id or the beginning of it
    pub(in crate::cli) job: String,

    /// Show progress until the job is decided, then print
    #[arg(long, short)]
    pub(in crate::cli) follow: bool,

    /// Print the run of this node, given by its id or the beginning of it [default: a node that agrees]
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) node: Option<String>,

    /// Print the program's standard error instead of its standard output
    #[arg(long)]
    pub(in crate::cli) stderr: bool,

    /// Pass on control characters to a terminal too, which they can steer; anything else gets every byte anyhow
    #[arg(long)]
    pub(in crate::cli) raw: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}
