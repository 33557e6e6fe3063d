//! The terms of a job. Every one is optional here: what is not given is the default, or stays as it is.

use clap::{Args, ValueEnum};

use super::values;
use crate::domain::{Amount, Method, NodeId, Span, ToleranceKib};

/// The terms of a job.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Deal")]
pub(in crate::cli) struct DealArgs {
    /// How many nodes run the job, 1 to 31 [default: 3]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) concurrency: Option<u8>,

    /// How many nodes must agree, 1 to the concurrency; never fewer than a majority [default: a majority]
    #[arg(long, value_name = "M")]
    pub(in crate::cli) confidence: Option<u8>,

    /// How far apart two memory traces may be, in MiB with at most three decimals [default: 1]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub(in crate::cli) tolerance: Option<ToleranceKib>,

    /// How far apart two memory traces may be, in thousandths of their level; the larger tolerance counts
    /// [default: 300]
    #[arg(long, value_name = "PERMILLE")]
    pub(in crate::cli) relative_permille: Option<u16>,

    /// How runs with different outputs are compared: hash, kmeans or ball [default: ball]
    #[arg(long, value_name = "METHOD")]
    pub(in crate::cli) method: Option<Method>,

    /// Say that right runs have equal outputs, so that outputs alone decide
    #[arg(long)]
    pub(in crate::cli) deterministic: bool,

    /// Who turns bids into seats [default: requester]
    #[arg(long, value_enum, value_name = "WHO")]
    pub(in crate::cli) acceptance: Option<AcceptanceArg>,

    /// Let any node come first, although one owner of many nodes may then hold every seat
    #[arg(long, value_enum, value_name = "WHO", requires = "acceptance")]
    pub(in crate::cli) first_come: Option<FirstComeArg>,

    /// Only this node may bid; may be repeated
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) allow: Vec<NodeId>,

    /// How long one run may take, such as 90s, 5m or 1h30m [default: 30m]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) timeout: Option<Span>,

    /// How long the job waits for nodes with room, up to 30d; an open job keeps no node busy [default: 1h]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) open: Option<Span>,

    /// How long nodes may take from the last acceptance to their commitment; at least the timeout and a
    /// minute; more leaves time for another node to take a failed seat [default: the timeout and two minutes]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) run: Option<Span>,

    /// How long nodes may take to reveal; at least a minute [default: 1m]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) reveal: Option<Span>,

    /// The most that a seat is paid, where the scheduler holds money, such as 5gwei or 2ether [default: 0]
    #[arg(long, value_parser = values::amount, value_name = "AMOUNT")]
    pub(in crate::cli) price: Option<Amount>,

    /// What each node stands to lose: the price up to ten times that [default: the price]
    #[arg(long, value_parser = values::amount, value_name = "AMOUNT")]
    pub(in crate::cli) bond: Option<Amount>,

    /// What whoever posts the verdict earns [default: 0]
    #[arg(long, value_parser = values::amount, value_name = "AMOUNT")]
    pub(in crate::cli) keeper_fee: Option<Amount>,

    /// Follow up an inconclusive job with a larger one, of at most this many nodes [default: no follow-up]
    #[arg(long, value_name = "LIMIT")]
    pub(in crate::cli) escalate: Option<u8>,
}

/// Who turns bids into seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AcceptanceArg {
    /// The requester chooses among the bids
    Requester,
    /// A bid takes a free seat at once
    FirstCome,
}

/// Whom `--acceptance first-come` is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FirstComeArg {
    /// Anybody
    Open,
}
