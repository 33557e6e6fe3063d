//! `assay job`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    DealArgs, NodeArgs, SweepArgs,
    values::{self, Variable},
};
use crate::domain::{JobState, NodeId, Resources, Span, Sum};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum JobCommand {
    /// Submit a job, wait for its verdict and print the accepted output
    Submit(Box<SubmitArgs>),
    /// List jobs, newest first
    List(ListArgs),
    /// Show everything about a job, with the deadline of every wait
    Describe(DescribeArgs),
    /// Say of each known node why it has a seat in the job or none
    Explain(ExplainArgs),
    /// Wait for the verdicts of one or more jobs and print their output
    Wait(WaitArgs),
    /// Submit a job again: the same image by its digest, command, limits and terms
    Rerun(RerunArgs),
    /// Cancel an open job, or stop a running one
    Cancel(CancelArgs),
    /// Delete an ended job from your node: its log, and content that no other job uses
    Forget(ForgetArgs),
    /// Change the deal of an open job before its first acceptance
    Update(Box<UpdateArgs>),
    /// Print the output of a decided job
    Logs(LogsArgs),
    /// Run pilots of a job that writes /outputs/summary, and propose a value for --summary
    Calibrate(Box<CalibrateArgs>),
    /// Check a job file without submitting it
    Validate(ValidateArgs),
    /// Print the JSON schema of job files
    Schema,
}

/// The text below the options in the help of `job submit`.
const SUBMIT_HELP: &str = "\
Put options before IMAGE and the command after it, as with docker run. If the command begins with a dash, put -- before it; \
options may then also stand between IMAGE and --.

The command and the environment of a job are public: they go to every peer and, with --scheduler contract, onto the chain \
for good. Put no secrets into them.
";

/// The terms that say how many nodes run a job, and which.
const REPLICATION_TERMS: [&str; 6] =
    ["concurrency", "confidence", "audit", "audit_seats", "acceptance", "escalate"];

/// Who decides how many nodes run a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReplicationArg {
    /// You: --concurrency, --audit and --escalate say it
    Fixed,
    /// Your node, by what it remembers of others: three nodes, or a trusted one and sometimes two more
    Auto,
}

/// `assay job submit`.
#[derive(Debug, Args)]
#[command(
    override_usage = "assay job submit [OPTIONS] IMAGE [CMD]...\n       assay job submit [OPTIONS] --file FILE [-- CMD...]",
    after_help = SUBMIT_HELP
)]
pub(in crate::cli) struct SubmitArgs {
    /// Image, by name and tag or by digest
    #[arg(value_name = "IMAGE", required = false, required_unless_present = "file")]
    pub(in crate::cli) image: String,

    /// Arguments for the image's entrypoint, or the whole command if the image has none; public
    #[arg(last = true, value_name = "CMD")]
    pub(in crate::cli) command: Vec<String>,

    /// Take the job from FILE, in YAML or JSON, or from standard input if it is -
    ///
    /// Keys of the file are the long flags that make a job, and image and command. A flag given here replaces that of
    /// the file; flags that may be repeated add to it. Paths in the file begin at its directory
    #[arg(long, short, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,

    /// Print the id of the job and exit without waiting
    #[arg(long, short)]
    pub(in crate::cli) detach: bool,

    /// Show the job, its cost and the cost of lying in it, without submitting it
    #[arg(long, conflicts_with_all = ["detach", "output_dir"])]
    pub(in crate::cli) dry_run: bool,

    /// Fetch each accepted result into DIR/NODE once the job is verified, as `results fetch` does; of a sweep, into
    /// DIR/INDEX/NODE
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    /// Who decides how many nodes run the job [default: fixed]
    #[arg(long, value_enum, value_name = "WHO", conflicts_with_all = REPLICATION_TERMS, help_heading = "Deal")]
    pub(in crate::cli) replication: Option<ReplicationArg>,

    #[command(flatten)]
    pub(in crate::cli) deal: DealArgs,

    #[command(flatten)]
    pub(in crate::cli) container: ContainerArgs,

    #[command(flatten)]
    pub(in crate::cli) sweep: SweepArgs,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job validate`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ValidateArgs {
    /// Job file in YAML or JSON, or - for standard input
    pub(in crate::cli) file: PathBuf,
}

/// `assay job calibrate`.
#[derive(Debug, Args)]
#[command(override_usage = "assay job calibrate [OPTIONS] IMAGE [CMD]...")]
pub(in crate::cli) struct CalibrateArgs {
    /// Image, by name and tag or by digest
    #[arg(value_name = "IMAGE")]
    pub(in crate::cli) image: String,

    /// Arguments for the image's entrypoint, or the whole command if the image has none; public
    #[arg(last = true, value_name = "CMD")]
    pub(in crate::cli) command: Vec<String>,

    /// Number of pilots; each is a job of one node with its own seed
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u8).range(3..=64))]
    pub(in crate::cli) pilots: u8,

    /// Run pilots on this node; may be repeated to take turns [default: any node]
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) allow: Vec<NodeId>,

    /// Time limit of one pilot, such as 90s, 5m or 1h30m [default: 30m]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) timeout: Option<Span>,

    /// Time limit for finding a node for each pilot [default: 1h]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) open: Option<Span>,

    /// Highest pay for a pilot, such as 5gwei, 2ether or 1.5usdc, where the scheduler holds money [default: 0]
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT")]
    pub(in crate::cli) price: Option<Sum>,

    #[command(flatten)]
    pub(in crate::cli) container: ContainerArgs,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// What a job runs, and the limits of its container.
#[derive(Debug, Args)]
#[command(next_help_heading = "Container")]
pub(in crate::cli) struct ContainerArgs {
    /// Mount a local file or directory, or a file at a URL, read-only on every node; may be repeated
    ///
    /// A URL needs the SHA-256 of its file, as in URL#sha256=HEX:/inputs/. Each node gets the file
    /// from there and checks it; the URL is public. Most nodes take https:// on public addresses only.
    ///
    /// The target names the file or directory itself: data:/inputs, table.csv:/inputs/table.csv. If it ends in a
    /// slash, a file keeps its own name: table.csv:/inputs/ gives /inputs/table.csv
    #[arg(long = "input", short, value_parser = values::input, value_name = "PATH|URL#sha256=HEX:/target")]
    pub(in crate::cli) inputs: Vec<(String, String)>,

    /// Set an environment variable; NAME alone passes on your own value; may be repeated; public
    #[arg(long = "env", short, value_parser = values::variable, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) environment: Vec<Variable>,

    /// Set the variables in a file with NAME=VALUE or NAME on each line, as docker does; --env overrides them; may be
    /// repeated; public
    #[arg(long = "env-file", value_name = "FILE")]
    pub(in crate::cli) env_files: Vec<PathBuf>,

    /// Derive the program's random numbers and wall time from the job's seed, so that ordinary random programs give equal
    /// outputs
    ///
    /// For dynamically linked programs. docs/containers.md lists what is covered and which variables are set
    #[arg(long)]
    pub(in crate::cli) seeded: bool,

    /// Text file that --canonical also applies to, by its path in /outputs; may be repeated
    #[arg(long = "text-file", value_name = "PATH")]
    pub(in crate::cli) text_files: Vec<String>,

    /// Let anybody fetch the results once the job has ended [default: you and the nodes with a seat]
    #[arg(long)]
    pub(in crate::cli) public_result: bool,
    /// File with the numbers that --summary compares, by its path in /outputs [default: summary]
    #[arg(long = "summary-file", value_name = "PATH")]
    pub(in crate::cli) summary_file: Option<String>,

    /// Directory to start the command in [default: that of the image]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) workdir: Option<String>,

    /// Program to run instead of the image's entrypoint [default: that of the image]
    #[arg(long, value_name = "PROGRAM")]
    pub(in crate::cli) entrypoint: Option<String>,

    /// Memory limit, such as 512m or 1.5g
    #[arg(long, value_parser = values::bytes, default_value = "512m", value_name = "SIZE")]
    pub(in crate::cli) memory: u64,

    /// Number of CPUs, with at most three decimals, such as 0.5
    #[arg(long, value_parser = values::cpu_millis, default_value = "1", value_name = "CPUS")]
    pub(in crate::cli) cpus: u32,

    /// Limit on processes and threads
    #[arg(long, default_value_t = Resources::default().pids, value_name = "COUNT")]
    pub(in crate::cli) pids: u32,

    /// Limit on the size of /tmp, such as 256m; /tmp is memory and counts towards --memory
    #[arg(long, value_parser = values::bytes, default_value = "64m", value_name = "SIZE")]
    pub(in crate::cli) tmp: u64,

    /// Limit on the size of /outputs and the image's volumes together, such as 2g
    #[arg(long, value_parser = values::bytes, default_value = "1g", value_name = "SIZE")]
    pub(in crate::cli) disk: u64,

    /// Give the job an empty directory on disk of this size, at PATH or /scratch, that is no part of the result, such as
    /// 6g:/build
    #[arg(long, value_parser = values::scratch, value_name = "SIZE[:PATH]")]
    pub(in crate::cli) scratch: Option<(u64, Option<String>)>,

    /// Run only on nodes of this platform, such as linux/amd64, with the image that is built for it [default: any that the
    /// image is built for]
    #[arg(long, value_parser = values::platform, value_name = "OS/ARCH")]
    pub(in crate::cli) platform: Option<String>,
}

/// `assay job list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Largest number of jobs to list
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub(in crate::cli) limit: usize,

    /// List only the jobs of this group, by its id or a unique prefix of it
    #[arg(long, value_name = "GROUP")]
    pub(in crate::cli) group: Option<String>,

    /// List only jobs in this state; may be repeated, or several with commas between them
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = values::state())]
    pub(in crate::cli) state: Vec<JobState>,

    /// List only jobs that were submitted within this time, such as 90s, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = values::span)]
    pub(in crate::cli) since: Option<Span>,

    /// Show changes until Ctrl-C: redraw the list on a terminal, else print a line for each new or changed job
    #[arg(long, short)]
    pub(in crate::cli) watch: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job rerun`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RerunArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    /// Print the id of the new job and exit without waiting
    #[arg(long, short)]
    pub(in crate::cli) detach: bool,

    /// Fetch each accepted result into DIR/NODE once the job is verified
    #[arg(long, value_name = "DIR", conflicts_with = "detach")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job describe`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DescribeArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job explain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job wait`.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// Ids of the jobs, or unique prefixes of them. The exit code is that of the first job in this order whose code is not 0
    #[arg(required = true, value_name = "JOB")]
    pub(in crate::cli) jobs: Vec<String>,

    /// Time to wait for all jobs together; they go on afterwards [default: until their own deadlines]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) wait_timeout: Option<Span>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job cancel`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job forget`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ForgetArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job update`.
#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    #[command(flatten)]
    pub(in crate::cli) deal: DealArgs,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay job logs`.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    /// Id of the job, or a unique prefix of it
    pub(in crate::cli) job: String,

    /// Wait until the job is decided, showing progress, then print
    #[arg(long, short)]
    pub(in crate::cli) follow: bool,

    /// Id of the node whose run to print, or a unique prefix of it [default: a node that agrees]
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) node: Option<String>,

    /// Print standard error instead of standard output
    #[arg(long)]
    pub(in crate::cli) stderr: bool,

    /// Print control characters to a terminal unescaped; files and pipes always get every byte
    #[arg(long)]
    pub(in crate::cli) raw: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}
