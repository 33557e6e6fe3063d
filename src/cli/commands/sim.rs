//! `assay sim`: a whole network in virtual time, from a seed.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    cli::{
        CliError, ExitStatus,
        args::{Faults, SchedulerArg, SimArgs},
        document::Document,
        output::Output,
        text,
    },
    domain::JobState,
    sim::{Counts, Order, Report, Setup, shrink, simulate_under, story},
};

/// What simulations came to, as JSON: sums over all seeds.
#[derive(Debug, Serialize)]
struct Simulated {
    seeds: usize,
    nodes: usize,
    jobs: usize,
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

/// Simulates one seed after the other, until a promise is not kept.
pub(in crate::cli) async fn run(args: SimArgs, output: Output) -> Result<ExitStatus, CliError> {
    tokio::task::spawn_blocking(move || simulate_all(&args, output))
        .await
        .map_err(|error| CliError::Output(std::io::Error::other(error)))?
}

fn simulate_all(args: &SimArgs, output: Output) -> Result<ExitStatus, CliError> {
    let mut sum = Simulated {
        seeds: args.seeds,
        nodes: args.nodes,
        jobs: 0,
        ended: BTreeMap::new(),
        accepted: 0,
        rejected: 0,
        absent: 0,
        simulated_secs: 0,
        outages: 0,
        messages: 0,
        bytes: 0,
        decisions: 0,
    };
    for seed in (args.seed..).take(args.seeds) {
        let setup = setup(args, seed);
        match simulate_under(&setup, None) {
            Ok(report) => sum.add(&report),
            Err((_, violation)) => {
                output.note(&format!("seed {seed}: {violation}; looking for a smaller setup that fails"));
                return Err(smallest(&setup, &violation.what, output));
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
fn smallest(setup: &Setup, what: &str, output: Output) -> CliError {
    let small = shrink(setup, None, what);
    let Err((world, violation)) = simulate_under(&small, None) else {
        return CliError::Simulation { what: "it fails only sometimes".to_owned(), replay: command(setup) };
    };
    if let Some(job) = violation.job {
        story(&world, job).iter().for_each(|line| output.outcome(line));
    }
    CliError::Simulation { what: violation.what, replay: command(&small) }
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
        let Report { jobs, ended, judged: [accepted, rejected, absent], took_ms, outages, counts } = report;
        let Counts { messages, bytes, decisions, steps: _ } = counts;
        self.jobs += jobs;
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
