//! Many jobs as one group: `--count` and `--matrix` of `assay job submit`, and `assay group`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{NodeArgs, values};
use crate::{api::types::MAX_GROUP_JOBS, domain::Span};

/// The text below the options in the help of `group wait`.
const WAIT_HELP: &str = "\
The exit code is that of the first job, by index, whose code is not 0, and 0 if there is none. Jobs that the interrupted command had not \
submitted yet are submitted.
";

/// What makes a submission many jobs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sweep")]
pub(in crate::cli) struct SweepArgs {
    /// Submit COUNT jobs as one group; SWEEP_INDEX tells each its number, from 0. With --matrix, COUNT for each combination
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GROUP_JOBS)))]
    pub(in crate::cli) count: Option<u32>,

    /// Submit one job for each VALUE, which the variable KEY tells it; may be repeated for all combinations; public
    #[arg(long = "matrix", value_parser = values::axis, value_name = "KEY=VALUE,..")]
    pub(in crate::cli) matrix: Vec<values::Axis>,

    /// Submit the next job of the group only while fewer than COUNT of it are undecided [default: submit all at once]
    #[arg(long, value_name = "COUNT", value_parser = values::at_least_one, conflicts_with = "detach")]
    pub(in crate::cli) max_parallel: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum GroupCommand {
    /// Wait for all jobs of a group and show how they ended
    Wait(GroupWaitArgs),
}

/// `assay group wait`.
#[derive(Debug, Args)]
#[command(after_long_help = WAIT_HELP)]
pub(in crate::cli) struct GroupWaitArgs {
    /// Id of the group, or a unique prefix of it
    pub(in crate::cli) group: String,

    /// Time to wait; the jobs go on afterwards [default: until their own deadlines]
    #[arg(long, value_parser = values::span, value_name = "TIME")]
    pub(in crate::cli) wait_timeout: Option<Span>,

    /// Fetch the accepted results of each verified job into DIR/INDEX/NODE
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) output_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(in crate::cli) asked: NodeArgs,
}
