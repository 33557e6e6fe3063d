//! `assay devstack` and `assay serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use libp2p::Multiaddr;

use super::{
    ContractArgs, DEFAULT_API, KeyArgs, NodeArgs, SchedulerArg,
    values::{self, KeepFor},
};
use crate::{
    devstack::{BadActors, DEFAULT_SLOTS},
    domain::{Ask, NodeId, Span, Sum},
    node::{Hours, Pattern},
};

/// `assay devstack`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DevstackArgs {
    /// Number of nodes to run
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(in crate::cli) nodes: usize,

    /// Number of jobs that each node runs at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SLOTS, value_parser = values::at_least_one)]
    pub(in crate::cli) slots: usize,

    /// Number of bad nodes and their kind, such as 2:faker; kinds: idle, faker, copycat, partial, silent, crash, collude
    #[arg(long, value_name = "N[:KIND]", default_value = "0")]
    pub(in crate::cli) bad_actors: BadActors,

    /// Backend that orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

    /// Endpoint of a running development chain such as Anvil, whose unlocked accounts fund the nodes
    /// [default: start an Anvil]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) rpc_url: Option<String>,

    /// Price that each node asks for a seat: an amount such as 5gwei, or a share of the job's price such as 80%
    #[arg(long, value_parser = values::ask, value_name = "ASK", default_value_t = Ask::Percent(80))]
    pub(in crate::cli) ask: Ask,

    /// Directory for the data of the nodes [default: a new directory that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
}

/// `assay serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Address on which other nodes reach this one, such as /ip4/0.0.0.0/tcp/4001
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/127.0.0.1/tcp/0")]
    pub(in crate::cli) listen: Multiaddr,

    /// Address of a node to join, as that node prints it; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub(in crate::cli) peer: Vec<Multiaddr>,

    /// Private addresses to dial when other nodes name them, besides public ones and those of this node's own network
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub(in crate::cli) dial: Vec<DialArg>,

    /// Loopback address and port on which the API listens
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_API)]
    pub(in crate::cli) api: SocketAddr,

    /// Directory for the key and data of the node [default: assay/node in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,

    /// Number of jobs to run at once; 0 for a node that only submits jobs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) slots: usize,

    /// Registry to pull images from for jobs of others, such as registry.example:5000, or none to pull nothing; may be
    /// repeated [default: docker.io, ghcr.io, quay.io, gcr.io, registry.k8s.io, public.ecr.aws, mcr.microsoft.com]
    #[arg(long, value_parser = values::registry, value_name = "HOST")]
    pub(in crate::cli) allow_registry: Vec<String>,

    /// URLs that jobs may have inputs from, besides https:// ones on public addresses; may be repeated
    #[arg(long, value_enum, value_name = "KIND")]
    pub(in crate::cli) input_url: Vec<InputUrlArg>,

    /// Backend that orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", env = "ASSAY_SCHEDULER", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

    /// Highest bond to put at risk for a seat, such as 0.1ether or 1.5usdc, if the scheduler holds money
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT", default_value = "0")]
    pub(in crate::cli) max_bond: Sum,

    /// Another node of yours, by its address; may be repeated. Of them all at most one takes a seat in a job. Name the same
    /// nodes at each
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) sister: Vec<NodeId>,

    /// Deliver public results to the contracts that asked for them, if their fee pays for the gas; needs --scheduler contract
    #[arg(long)]
    pub(in crate::cli) deliver: bool,

    /// Most memory of one container, such as 4g
    #[arg(long, value_parser = values::bytes, value_name = "SIZE", default_value = "4g")]
    pub(in crate::cli) max_memory: u64,

    /// Most CPUs of one container
    #[arg(long, value_parser = values::cpu_millis, value_name = "CPUS", default_value = "4")]
    pub(in crate::cli) max_cpus: u32,

    /// Most bytes that one container may leave in /outputs and its volumes
    #[arg(long, value_parser = values::bytes, value_name = "SIZE", default_value = "8g")]
    pub(in crate::cli) max_disk: u64,

    /// Most memory of all containers together [default: no bound]
    #[arg(long, value_parser = values::bytes, value_name = "SIZE")]
    pub(in crate::cli) total_memory: Option<u64>,

    /// Most CPUs of all containers together [default: no bound]
    #[arg(long, value_parser = values::cpu_millis, value_name = "CPUS")]
    pub(in crate::cli) total_cpus: Option<u32>,

    /// Most bytes of all containers together on the disk: in /outputs, their volumes and scratch [default: no bound]
    #[arg(long, value_parser = values::bytes, value_name = "SIZE")]
    pub(in crate::cli) total_disk: Option<u64>,

    /// Images to run, by repository or digest, such as ghcr.io/me/* or sha256:0123*; * stands for any characters; may be
    /// repeated [default: all]
    #[arg(long, value_parser = values::pattern, value_name = "PATTERN")]
    pub(in crate::cli) allow_image: Vec<Pattern>,

    /// Requesters to work for, by address, such as 0x0123* ; may be repeated [default: all]
    #[arg(long, value_parser = values::pattern, value_name = "PATTERN")]
    pub(in crate::cli) allow_requester: Vec<Pattern>,

    /// Lowest price of a seat to bid on, such as 5gwei or 1.5usdc
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT", default_value = "0")]
    pub(in crate::cli) min_price: Sum,

    /// Hours in UTC to take on work in, such as 22:00-06:00 or "mon-fri 18:00-08:00"; may be repeated [default: always]
    #[arg(long, value_parser = values::hours, value_name = "HOURS")]
    pub(in crate::cli) hours: Vec<Hours>,

    /// Longest run phase (--run of a job) to accept, during which a seat stays occupied
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "25h")]
    pub(in crate::cli) max_run: Span,

    /// Shortest reveal phase to accept, and of jobs submitted here [default: 1m; on Ethereum 30m, on other chains 2h]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) min_reveal: Option<Span>,

    /// Longest reveal phase (--reveal of a job) to accept, during which a result and its bond stay locked
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "3h")]
    pub(in crate::cli) max_reveal: Span,

    /// Most disk space to give one job as scratch directory, or 0 for none; set aside while the job runs
    #[arg(long, value_parser = values::bytes, value_name = "SIZE", default_value = "8g")]
    pub(in crate::cli) max_scratch: u64,

    /// Price to ask for a seat: an amount such as 5gwei or 1.5usdc, or a share of the job's price such as 80%
    #[arg(long, value_parser = values::asked_sum, value_name = "ASK", default_value = "100%")]
    pub(in crate::cli) ask: values::AskedSum,

    /// Time to finish running jobs after a signal to stop; the node then reports the rest, so that others take their seats
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "5s")]
    pub(in crate::cli) grace: Span,

    /// Time to keep what ended jobs left, for all kinds or for one of results (computed for others), own (results of your
    /// jobs), inputs and logs; may be repeated [default: results=7d, own=30d, inputs=1d, logs=180d]
    #[arg(long, value_parser = values::keep_for, value_name = "[KIND=]TIME")]
    pub(in crate::cli) keep_for: Vec<KeepFor>,

    /// Most bytes of inputs and results of ended jobs to keep; the oldest go first
    #[arg(long, value_parser = values::bytes, value_name = "SIZE", default_value = "8g")]
    pub(in crate::cli) keep_bytes: u64,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// `assay node prune`.
#[derive(Debug, Args)]
pub(in crate::cli) struct PruneArgs {
    /// Only show what would be deleted
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// `assay node earnings`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EarningsArgs {
    /// Number of days to look back on
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(in crate::cli) days: u32,

    /// What a row is
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = EarningsBy::Day)]
    pub(in crate::cli) by: EarningsBy,

    /// The older name of --output csv
    #[arg(long, hide = true)]
    pub(in crate::cli) csv: bool,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// What a row of earnings is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum EarningsBy {
    /// A day, in UTC
    Day,
    /// A job
    Job,
}

/// `assay node drain`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DrainArgs {
    /// Time to wait for the node; when it has passed the node stays paused, and the command ends with exit code 122
    /// [default: no limit]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) timeout: Option<Span>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}

/// URLs of inputs that a node gets only on request of its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum InputUrlArg {
    /// http:// URLs; anybody on the way can read what comes
    Http,
    /// Files of this machine, as file:/// URLs: whoever knows the SHA-256 of a file can have a job read it; whether this node
    /// bids tells strangers whether a path exists and has a given number of bytes
    File,
    /// URLs on this machine and in private networks, but no link-local addresses; whether this node bids tells strangers
    /// whether a URL there exists and has a given number of bytes
    Private,
    /// No URL at all; not with the others
    None,
}

/// Addresses that a node dials only on request when another node names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DialArg {
    /// All private addresses, such as 10.0.0.0/8 and fd00::/8
    Private,
}
