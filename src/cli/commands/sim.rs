//! `assay sim`: a whole network in virtual time, from a seed.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    cli::{
        CliError, ExitStatus,
        args::{Faults, SchedulerArg, SimArgs},
        document::Document,
        output::Output,
        settings::SettingsError,
        text,
    },
    domain::JobState,
    sim::{Counts, Order, Report, Setup, shrink, simulate_under, story},
};

/// What simulations came to, as JSON: sums over all seeds.
#[derive(Debug, Default, Serialize)]
struct Simulated {
    seeds: usize,
    nodes: usize,
    jobs: usize,
    /// Jobs that were not over, or not submitted, when the simulation stopped.
    unfinished: usize,
    /// Jobs by the state in which they ended.
    ended: BTreeMap<JobState, usize>,
    accepted: usize,
    rejected: usize,
    absent: usize,
    simulated_secs: u64,
    outages: usize,
    messages: u64,
    bytes: u64,
    decisions: u64,
}

impl Document for Simulated {}

/// Nodes that submit jobs.
const REQUESTERS: usize = 2;

/// Simulates one seed after the other, until a promise is not kept.
pub(in crate::cli) async fn run(args: SimArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (nodes, bad) = (args.nodes, args.bad_actors.count);
    if bad > nodes - REQUESTERS {
        return Err(SettingsError::BadNodes { nodes: nodes - REQUESTERS, bad }.into());
    }
    match tokio::task::spawn_blocking(move || simulate_all(&args, output)).await {
        Ok(simulated) => simulated,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn simulate_all(args: &SimArgs, output: Output) -> Result<ExitStatus, CliError> {
    let mut sum = Simulated { seeds: args.seeds, nodes: args.nodes, ..Simulated::default() };
    for index in 0..args.seeds {
        let seed = args.seed.wrapping_add(u64::try_from(index).unwrap_or_default());
        let setup = setup(args, seed);
        match simulate_under(&setup, None) {
            Ok(report) => sum.add(&report),
            Err((_, violation)) => {
                output.note(&format!("{violation}, in: {}", command(&setup)));
                output.note("looking for a smaller network that breaks the same promise");
                return Err(smallest(&setup, violation.promise, output));
            }
        }
    }
    output.result(&sum, || shown(&sum))?;
    Ok(ExitStatus::Success)
}

fn setup(args: &SimArgs, seed: u64) -> Setup {
    Setup {
        seed,
        order: match args.scheduler {
            SchedulerArg::Libp2p => Order::Requester,
            SchedulerArg::Contract => Order::Neutral,
        },
        nodes: args.nodes,
        slots: args.slots,
        jobs: args.jobs,
        bad: args.bad_actors,
        faults: args.faults.0.clone(),
        until_ms: u64::from(args.until.as_secs()) * 1000,
    }
}

/// Tells the story of the smallest setup that fails.
fn smallest(setup: &Setup, promise: &'static str, output: Output) -> CliError {
    let small = shrink(setup, None, promise);
    let (what, setup) = match simulate_under(&small, None) {
        Err((world, violation)) => {
            story(&world, violation.job).iter().for_each(|line| output.outcome(line));
            (violation.to_string(), &small)
        }
        // One seed gives one run, so this is never so.
        Ok(_) => (promise.to_owned(), setup),
    };
    CliError::Simulation { what, replay: command(setup) }
}

/// The command that replays a setup.
fn command(setup: &Setup) -> String {
    let backend = match setup.order {
        Order::Neutral => "contract",
        Order::Requester => "libp2p",
    };
    let faults = Faults(setup.faults.clone());
    format!(
        "assay sim --seed {} --scheduler {backend} --nodes {} --jobs {} --slots {} --bad-actors {} --faults {faults} \
         --until {}s",
        setup.seed,
        setup.nodes,
        setup.jobs,
        setup.slots,
        setup.bad,
        setup.until_ms.div_ceil(1000)
    )
}

impl Simulated {
    fn add(&mut self, report: &Report) {
        let Report {
            jobs,
            unfinished,
            ended,
            judged: [accepted, rejected, absent],
            took_ms,
            outages,
            counts,
        } = report;
        let Counts { messages, bytes, decisions } = counts;
        self.jobs += jobs;
        self.unfinished += unfinished;
        ended.iter().for_each(|(state, count)| *self.ended.entry(*state).or_default() += count);
        self.accepted += accepted;
        self.rejected += rejected;
        self.absent += absent;
        self.simulated_secs += took_ms / 1000;
        self.outages += outages;
        self.messages += messages;
        self.bytes += bytes;
        self.decisions += decisions;
    }
}

fn shown(sum: &Simulated) -> String {
    let jobs = u64::try_from(sum.jobs.max(1)).unwrap_or(u64::MAX);
    let ended: Vec<String> = sum.ended.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{name:<12}{value}");
    };
    line("seeds", format!("{}, every promise kept", sum.seeds));
    line("jobs", format!("{}: {}", sum.jobs, ended.join(", ")));
    if sum.unfinished > 0 {
        line("unfinished", format!("{}, for lack of simulated time; see --until", sum.unfinished));
    }
    line(
        "seats",
        format!("{} accepted, {} rejected, {} without a result", sum.accepted, sum.rejected, sum.absent),
    );
    line("time", format!("{} simulated, {} outages", text::span(sum.simulated_secs), sum.outages));
    line("messages", format!("{} a job, {}", sum.messages / jobs, text::bytes(sum.bytes / jobs)));
    line("decisions", format!("{} a job, by all {} nodes", sum.decisions / jobs, sum.nodes));
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, args::Command};

    #[test]
    fn the_command_of_a_setup_gives_that_setup() {
        let with = Setup { seed: 9, jobs: 3, slots: 4, ..Setup::new(1, Order::Requester) };
        let none = Setup { faults: std::collections::BTreeSet::new(), ..Setup::new(2, Order::Neutral) };
        for setup in [with, none] {
            let cli = Cli::try_parse_from(command(&setup).split_whitespace()).unwrap();
            let Command::Sim(args) = cli.command else { panic!("{cli:?}") };
            assert_eq!(super::setup(&args, args.seed), setup);
        }
    }
}
