//! `assay devstack` and `assay serve`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use libp2p::Multiaddr;

use super::values;
use crate::{
    devstack::BadActors,
    domain::{Amount, Ask, NodeId},
};

/// `assay devstack`.
#[derive(Debug, Args)]
pub(in crate::cli) struct DevstackArgs {
    /// How many nodes to run
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(in crate::cli) nodes: usize,

    /// How many of them misbehave, and how: idle, faker, copycat, partial, silent, crash or collude
    #[arg(long, value_name = "N[:KIND]", default_value = "0")]
    pub(in crate::cli) bad_actors: BadActors,

    /// Who orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

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

    /// Where the API listens
    #[arg(long, value_name = "ADDR", default_value = crate::cli::settings::DEFAULT_API)]
    pub(in crate::cli) api: SocketAddr,

    /// Where the node keeps its key and data [default: the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data_dir: Option<PathBuf>,

    /// How many jobs to run at once; 0 for a node that only requests
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(in crate::cli) slots: usize,

    /// Who orders the events of a job
    #[arg(long, value_enum, value_name = "BACKEND", default_value_t = SchedulerArg::Libp2p)]
    pub(in crate::cli) scheduler: SchedulerArg,

    #[command(flatten)]
    pub(in crate::cli) chain: ChainArgs,
}

/// Who orders the events of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SchedulerArg {
    /// The requester of each job, over a peer-to-peer network
    Libp2p,
    /// A contract on an EVM chain, which holds the money too
    Contract,
}

/// Which chain, and which contract on it.
#[derive(Debug, Args)]
#[command(next_help_heading = "With --scheduler contract")]
pub(in crate::cli) struct ChainArgs {
    /// An endpoint of the chain: http://, ws:// or wss://; may be repeated, the next is used when one fails
    #[arg(long, value_name = "URL", env = "ASSAY_RPC_URL", hide_env_values = true, value_delimiter = ',')]
    pub(in crate::cli) rpc_url: Vec<String>,

    /// The address of the contract
    #[arg(long, value_name = "ADDRESS", env = "ASSAY_CONTRACT")]
    pub(in crate::cli) contract: Option<NodeId>,

    /// Refuse to start on another chain than the one with this id
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) chain_id: Option<u64>,

    /// How many blocks must follow a block before its events count
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) confirmations: u64,

    /// The block that the contract was deployed in: nothing is read before it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) first_block: u64,

    /// The highest bond to risk for a seat, such as 5gwei or 2ether
    #[arg(long, value_parser = values::amount, value_name = "AMOUNT", default_value = "0")]
    pub(in crate::cli) max_bond: Amount,

    /// What to ask for a seat: an amount such as 5gwei or 2ether, or a share of the job's price such as 80%
    #[arg(long, value_parser = values::ask, value_name = "ASK", default_value_t = Ask::ALL)]
    pub(in crate::cli) ask: Ask,

    /// A file with the node's key in hex [default: the one in its data directory, made when there is none]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
}
