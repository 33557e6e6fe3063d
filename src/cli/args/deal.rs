//! The terms of a job. Each is optional: `submit` uses the default of a missing term, `update` leaves it unchanged.

use clap::{Args, ValueEnum};

use super::values;
use crate::domain::{Canonical, Method, NodeId, Span, Sum, SummaryForm, ToleranceKib};

/// The terms of a job.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Deal")]
pub(in crate::cli) struct DealArgs {
    /// Number of nodes that run the job, 1 to 31 [default: 3]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) concurrency: Option<u8>,

    /// Number of nodes that must agree, up to the concurrency; a verdict also needs a majority [default: a majority]
    #[arg(long, value_name = "M")]
    pub(in crate::cli) confidence: Option<u8>,

    /// Largest difference between two memory traces that agree, in MiB with at most three decimals, or in KiB, such as
    /// 1500KiB [default: 1]
    #[arg(long, value_name = "MIB", allow_negative_numbers = true)]
    pub(in crate::cli) tolerance: Option<ToleranceKib>,

    /// The same in thousandths of their level; the larger tolerance counts [default: 300, or 500 with
    /// --require-work]
    #[arg(long, value_name = "PERMILLE")]
    pub(in crate::cli) relative_permille: Option<u16>,

    /// How to compare runs with different outputs: hash, kmeans, ball or near [default: ball, or near with --summary]
    #[arg(long, value_name = "METHOD")]
    pub(in crate::cli) method: Option<Method>,

    /// Declare that right runs have equal outputs, so that outputs alone decide
    #[arg(long)]
    pub(in crate::cli) deterministic: bool,

    /// Compare the numbers in /outputs/summary (or --summary-file), at most ten, separated by white space, each as `exact`, `rel:PPMppm` or
    /// `abs:TOLERANCE`; needs the method near. For example --summary rel:10ppm,abs:0.5,exact
    #[arg(long, value_name = "KINDS")]
    pub(in crate::cli) summary: Option<SummaryForm>,

    /// Ignore these differences when comparing standard output and the files given by --text-file: any of times, uuids,
    /// hosts, pids and sorted-lines, separated by commas [default: none]
    #[arg(long, value_name = "KINDS")]
    pub(in crate::cli) canonical: Option<Canonical>,

    /// Also require alike memory, CPU time and page faults of agreeing runs, so that knowing the answer alone earns nothing;
    /// needs the method hash or near
    #[arg(long)]
    pub(in crate::cli) require_work: bool,

    /// Say that this is a build whose right output everybody may know: equal outputs and alike work decide, so that copying
    /// earns nothing; stands for --method hash --require-work
    #[arg(long, conflicts_with_all = ["method", "summary"])]
    pub(in crate::cli) verified_build: bool,

    /// Largest difference between two CPU times that agree, in thousandths of the larger; 200 ms always agree
    /// [default: 333, or 500 with --require-work]
    #[arg(long, value_name = "PERMILLE")]
    pub(in crate::cli) cpu_permille: Option<u16>,

    /// Chance, in thousandths, of an audit: after the first nodes have committed, more nodes run the job and compare; no
    /// node can foresee it [default: 0]
    #[arg(long, value_name = "PERMILLE")]
    pub(in crate::cli) audit: Option<u16>,

    /// How many nodes an audit adds [default: one more than the concurrency]
    #[arg(long, value_name = "N")]
    pub(in crate::cli) audit_seats: Option<u8>,

    /// How bids become seats [default: requester]
    #[arg(long, value_enum, value_name = "WHO")]
    pub(in crate::cli) acceptance: Option<AcceptanceArg>,

    /// With --acceptance first-come, let any node bid; one owner of many nodes may then take every seat
    #[arg(long, value_enum, value_name = "WHO", requires = "acceptance")]
    pub(in crate::cli) first_come: Option<FirstComeArg>,

    /// Let only nodes bid that verdicts have paid so much before; where the scheduler holds no money, that is nobody
    /// [default: 0]
    #[arg(long, value_name = "AMOUNT", value_parser = values::sum)]
    pub(in crate::cli) min_paid: Option<Sum>,

    /// Let only this node bid; may be repeated [default: any node]
    #[arg(long, value_name = "NODE")]
    pub(in crate::cli) allow: Vec<NodeId>,

    /// Time limit of one run, such as 90s, 5m or 1h30m [default: 30m]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) timeout: Option<Span>,

    /// Time limit for finding nodes, up to 30d; an open job occupies no node [default: 1h]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) open: Option<Span>,

    /// Time limit from the last acceptance to the commitments, at least the timeout plus 1m; a longer one leaves time to
    /// replace a failed node [default: the timeout plus 2m]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) run: Option<Span>,

    /// Time limit for reveals [default: the shortest of the chain, 1m without one]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) reveal: Option<Span>,

    /// Highest pay for a seat, such as 5gwei, 2ether or 1.5usdc, where the scheduler holds money [default: 0]
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT")]
    pub(in crate::cli) price: Option<Sum>,

    /// Bond that each node puts at risk, from the price to ten times the price [default: the price]
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT")]
    pub(in crate::cli) bond: Option<Sum>,

    /// Reward for the node that posts the verdict [default: 0]
    #[arg(long, value_parser = values::sum, value_name = "AMOUNT")]
    pub(in crate::cli) keeper_fee: Option<Sum>,

    /// Follow up an inconclusive job with larger ones, up to this many nodes [default: no follow-up]
    #[arg(long, value_name = "LIMIT")]
    pub(in crate::cli) escalate: Option<u8>,
}

/// How bids become seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AcceptanceArg {
    /// The requester chooses among the bids
    Requester,
    /// A bid takes a free seat at once
    FirstCome,
}

/// Who may bid with `--acceptance first-come`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FirstComeArg {
    /// Any node
    Open,
}
