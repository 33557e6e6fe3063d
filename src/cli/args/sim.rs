//! `assay sim`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use clap::Args;

use super::{SchedulerArg, values};
use crate::{
    domain::Span,
    sim::{BadNodes, Fault, ParseFaultError},
};

/// `assay sim`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SimArgs {
    /// The number that everything follows from: the same one gives the same run
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(in crate::cli) seed: u64,

    /// Simulate with this many seeds, one after the other
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = values::at_least_one)]
    pub(in crate::cli) seeds: usize,

    /// Who orders the events of a job
    #[arg(long, value_enum, default_value_t = SchedulerArg::Contract, value_name = "BACKEND")]
    pub(in crate::cli) scheduler: SchedulerArg,

    /// Nodes, at least 3; the first two submit the jobs
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = nodes)]
    pub(in crate::cli) nodes: usize,

    /// Jobs to submit; their terms vary
    #[arg(long, value_name = "J", default_value_t = 100, value_parser = at_most_a_million)]
    pub(in crate::cli) jobs: usize,

    /// Jobs that a node runs at once
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = at_most_a_million)]
    pub(in crate::cli) slots: usize,

    /// Bad nodes, and how they are bad: faker (makes its result up), absent (takes seats and never commits),
    /// silent (never reveals), garbler (commits to what it cannot open), hasty (reveals too early) or meddler (proposes what
    /// it may not); without a kind each is bad in another way
    #[arg(long, value_name = "B[:KIND]", default_value = "1")]
    pub(in crate::cli) bad_actors: BadNodes,

    /// What goes wrong, with commas between: delay, drop, duplicate, reorder, partition, crash, clock-skew (with libp2p; a chain
    /// tells everybody the time), disk, or none
    #[arg(long, value_name = "FAULT,...", default_value_t = Faults(Fault::ALL.into()))]
    pub(in crate::cli) faults: Faults,

    /// When to stop, in simulated time
    #[arg(long, value_name = "TIME", value_parser = values::span, default_value = "7d")]
    pub(in crate::cli) until: Span,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Faults(pub(in crate::cli) BTreeSet<Fault>);

impl FromStr for Faults {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        match text {
            "none" => Ok(Self(BTreeSet::new())),
            _ => text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self),
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|fault| fault.name()).collect();
        f.write_str(&if names.is_empty() { "none".to_owned() } else { names.join(",") })
    }
}

fn nodes(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (3..=10_000).contains(number));
    number.ok_or_else(|| "expected 3 to 10000: two nodes submit jobs, and others run them".to_owned())
}

fn at_most_a_million(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1_000_000).contains(number));
    number.ok_or_else(|| "expected 1 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_faults_read_back() {
        for text in ["none", "drop", "delay,drop,disk"] {
            assert_eq!(text.parse::<Faults>().map(|faults| faults.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "drop,", "rain", "none,drop"] {
            assert!(text.parse::<Faults>().is_err(), "{text:?}");
        }
    }
}
