//! `assay devstack` and `assay serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use libp2p::Multiaddr;

use super::{ContractArgs, KeyArgs, values};
use crate::{
    devstack::{BadActors, DEFAULT_SLOTS},
    domain::{Amount, Ask, Span},
};

/// `assay devstack`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DevstackArgs {
    /// How many nodes to run
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(in crate::cli) nodes: usize,

    /// How many jobs each node runs at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SLOTS, value_parser = values::at_least_one)]
    pub(in crate::cli) slots: usize,

    /// How many of them misbehave, and how: idle, faker, copycat, partial, silent, crash or collude
    #[arg(long, value_name = "N[:KIND]", default_value = "0")]
    pub(in crate::cli) bad_actors: BadActors,

    /// Who orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

    /// A chain for development that runs already, such as an Anvil; its unlocked accounts give the nodes their money
    /// [default: an Anvil of the devstack's own]
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) rpc_url: Option<String>,

    /// What the nodes ask for a seat of a job with a price: an amount such as 5gwei, or a share of it
    #[arg(long, value_parser = values::ask, value_name = "ASK", default_value_t = Ask::Percent(80))]
    pub(in crate::cli) ask: Ask,

    /// Where the nodes keep their data [default: a new directory that is removed at the end]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,
}

/// `assay serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    /// Where other nodes reach this one
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/127.0.0.1/tcp/0")]
    pub(in crate::cli) listen: Multiaddr,

    /// A node to join, as it prints its address; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub(in crate::cli) peer: Vec<Multiaddr>,

    /// Which addresses to dial when other nodes name them, beyond public ones and those of this node's own network
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub(in crate::cli) dial: Vec<DialArg>,

    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = crate::cli::settings::DEFAULT_API)]
    pub(in crate::cli) api: SocketAddr,

    /// Where the node keeps its key and data [default: the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,

    /// How many jobs to run at once; 0 for a node that only requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) slots: usize,

    /// A registry to ask for images of other people's jobs, such as registry.example:5000, in place of the public ones
    /// (docker.io, ghcr.io, quay.io, gcr.io, registry.k8s.io, public.ecr.aws, mcr.microsoft.com); may be repeated; none
    /// to ask no registry
    #[arg(long, value_parser = values::registry, value_name = "HOST")]
    pub(in crate::cli) allow_registry: Vec<String>,

    /// Who orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", env = "ASSAY_SCHEDULER", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

    /// The highest bond to risk for a seat, where the scheduler holds money, such as 5gwei or 0.1ether
    #[arg(long, value_parser = values::amount, value_name = "AMOUNT", default_value = "0")]
    pub(in crate::cli) max_bond: Amount,

    /// The longest time from the last acceptance to the close of commitments (--run of a job) to take: a seat is bound
    /// for as long
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "25h")]
    pub(in crate::cli) max_run: Span,

    /// The longest time for reveals (--reveal of a job) to take: a result and its bond are bound for as long
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "1h")]
    pub(in crate::cli) max_reveal: Span,

    /// What to ask for a seat: an amount such as 5gwei or 0.1ether, or a share of the job's price such as 80%
    #[arg(long, value_parser = values::ask, value_name = "ASK", default_value_t = Ask::ALL)]
    pub(in crate::cli) ask: Ask,

    /// How long running jobs may go on after a signal to stop; then the node reports them, and another takes its seat
    #[arg(long, value_parser = values::span, value_name = "TIME", default_value = "5s")]
    pub(in crate::cli) grace: Span,

    #[command(flatten)]
    pub(in crate::cli) chain: ContractArgs,

    #[command(flatten)]
    pub(in crate::cli) key: KeyArgs,
}

/// Who orders the events of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SchedulerArg {
    /// The requester of each job, over a peer-to-peer network
    Libp2p,
    /// A contract on an EVM chain, which holds the money too
    Contract,
}

/// Addresses that are not dialled on somebody's word by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DialArg {
    /// All private addresses, such as 10.0.0.0/8 and fd00::/8
    Private,
}
