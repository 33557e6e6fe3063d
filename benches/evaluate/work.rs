//! What page faults add to memory and CPU time, on recorded runs of 31 jobs, 17 of them random.
//!
//! Each job has five honest runs, and such as stopped after 60 % of the work, or idled for the rest of the time. Two
//! idlers and two fakers were recorded too. Outputs are left out: traces decide alone, as they do where nodes' outputs
//! never agree, and as they must where work is required beside equal outputs.

use std::collections::BTreeMap;

use assay::domain::{Fingerprint, Method, TENTHS};
use assay::verdict::{Run, Terms, decide};

use super::{Dice, RELATIVE_PERMILLE, TOLERANCE_KIB, Tally, heading, minorities, packed};

const RUNS: &str = include_str!("../data/work.csv");

const NODES: [usize; 4] = [3, 5, 7, 11];

/// Draws for every job, adversary, number of nodes and number of bad ones.
const DRAWS: usize = 20;

/// What a bad node does, and the conditions of its recorded runs.
const ADVERSARIES: [(&str, &[&str]); 4] = [
    ("60 %, stopped", &["cut60n", "cut60i"]),
    ("60 %, padded", &["pad60"]),
    ("idle", &["idle"]),
    ("faker, 60 MB", &["faker60"]),
];

/// What traces are compared by.
const DECIDERS: [(&str, Method, bool); 3] = [
    ("`kmeans`", Method::KMeans, false),
    ("`ball`, no faults", Method::Ball, false),
    ("`ball`", Method::Ball, true),
];

/// The jobs whose honest runs differ from one another: a fifth of a second, racing threads, random sizes.
const UNLIKE: [&str; 4] = ["gemm", "mcmc", "randalloc", "short03"];

/// The jobs whose honest runs have equal outputs: only there can work be required beside them.
const EQUAL: [&str; 15] = [
    "compile_c",
    "cpu_busy",
    "gemm",
    "grep_sort",
    "growfree",
    "gzip_stream",
    "hold100",
    "image",
    "io_heavy",
    "long20",
    "numeric",
    "pipeline",
    "py_dict",
    "sawtooth",
    "short03",
];

/// Relative tolerances of memory and of CPU time, in permille.
const TOLERANCES: [(u16, u16); 5] = [(300, 333), (500, 333), (300, 500), (500, 500), (800, 500)];

struct Job {
    name: &'static str,
    honest: Vec<Fingerprint>,
    /// By adversary.
    bad: Vec<Vec<Fingerprint>>,
}

fn read() -> Vec<Job> {
    let mut recorded: BTreeMap<(&str, &str), Vec<Fingerprint>> = BTreeMap::new();
    for line in RUNS.lines().skip(1) {
        let fields: Vec<&'static str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse::<u32>().expect("the data hold numbers");
        let fingerprint = Fingerprint {
            w: std::array::from_fn(|k| number(4 + k)),
            q: std::array::from_fn(|k| number(4 + TENTHS + k)),
            cpu_ms: number(2).into(),
            faults: number(3).into(),
        };
        recorded.entry((fields[0], fields[1])).or_default().push(fingerprint);
    }
    let runs = |job: &'static str, conditions: &[&'static str]| -> Vec<Fingerprint> {
        conditions
            .iter()
            .filter_map(|condition| recorded.get(&(job, *condition)))
            .flatten()
            .copied()
            .collect()
    };
    let mut names: Vec<&'static str> = recorded.keys().map(|(job, _)| *job).collect();
    names.dedup();
    let is_fake = |job: &&str| matches!(*job, "idle" | "faker60");
    let jobs = names.iter().copied().filter(|job| !is_fake(job)).map(|name| {
        let bad = ADVERSARIES.iter().map(|(_, from)| match *from {
            ["idle"] => runs("idle", &["bad"]),
            ["faker60"] => runs("faker60", &["bad"]),
            conditions => runs(name, conditions),
        });
        Job { name, honest: runs(name, &["noisy", "idle"]), bad: bad.collect() }
    });
    jobs.collect()
}

/// Whether and for whom a drawn job is decided; the last `bad` of the runs are bad.
fn judge(drawn: &[Fingerprint], bad: usize, (_, method, with_faults): (&str, Method, bool)) -> Tally {
    let runs: Vec<Run> = (0_u8..)
        .zip(drawn)
        .map(|(seat, fingerprint)| {
            let faults = if with_faults { fingerprint.faults } else { 0 };
            let profile = packed(&Fingerprint { faults, ..*fingerprint }, method);
            Run { output: Some([seat; 32]), profile: Some(profile), ..Run::ABSENT }
        })
        .collect();
    let terms = Terms {
        tolerance_kib: TOLERANCE_KIB,
        relative_permille: RELATIVE_PERMILLE,
        ..Terms::new(method, u32::try_from(runs.len() / 2 + 1).expect("few seats"))
    };
    Tally::of(&decide(&terms, &runs), runs.len() - bad, bad)
}

type Tallies = BTreeMap<(usize, Option<usize>, usize, bool), Tally>;

/// By decider, adversary, number of nodes, and whether the job's honest runs are alike.
fn evaluate(jobs: &[Job]) -> Tallies {
    let mut dice = Dice(2);
    let mut tallies = Tallies::new();
    for job in jobs {
        let is_alike = !UNLIKE.contains(&job.name);
        for nodes in NODES {
            let with = (0..ADVERSARIES.len())
                .flat_map(|bad| minorities(nodes).into_iter().map(move |n| (Some(bad), n)));
            for (adversary, bad) in with.chain([(None, 0)]) {
                for _ in 0..DRAWS {
                    let mut drawn = dice.deal(&job.honest, nodes - bad);
                    if let Some(adversary) = adversary {
                        drawn.extend(dice.deal(&job.bad[adversary], bad));
                    }
                    for (index, decider) in DECIDERS.into_iter().enumerate() {
                        let tally = tallies.entry((index, adversary, nodes, is_alike)).or_default();
                        *tally = tally.plus(judge(&drawn, bad, decider));
                    }
                }
            }
        }
    }
    tallies
}

/// What required work says of a right output with the trace of an idler or a faker, and of honest runs alone.
fn require_work(jobs: &[Job], (relative_permille, cpu_permille): (u16, u16)) -> [Tally; 3] {
    let mut dice = Dice(3);
    let mut tallies = [Tally::default(); 3];
    let mut judge =
        |tally: &mut Tally, honest: &[Fingerprint], from: &[Fingerprint], nodes: usize, bad: usize| {
            let mut drawn = dice.deal(honest, nodes - bad);
            drawn.extend(dice.deal(from, bad));
            let run = |fingerprint: &Fingerprint| {
                let profile = Some(packed(fingerprint, Method::Hash));
                Run { output: Some([1; 32]), profile, ..Run::ABSENT }
            };
            let runs: Vec<Run> = drawn.iter().map(run).collect();
            let confidence = u32::try_from(nodes / 2 + 1).expect("few seats");
            let terms = Terms {
                relative_permille,
                cpu_permille,
                require_work: true,
                ..Terms::new(Method::Hash, confidence)
            };
            *tally = tally.plus(Tally::of(&decide(&terms, &runs), nodes - bad, bad));
        };
    for job in jobs.iter().filter(|job| EQUAL.contains(&job.name)) {
        for nodes in NODES {
            for _ in 0..DRAWS {
                for (tally, adversary) in tallies.iter_mut().zip([2, 3]) {
                    judge(tally, &job.honest, &job.bad[adversary], nodes, (nodes - 1) / 2);
                }
                judge(&mut tallies[2], &job.honest, &[], nodes, 0);
            }
        }
    }
    tallies
}

/// Prints the tables of this part.
pub(super) fn print() {
    let jobs = read();
    let tallies = evaluate(&jobs);
    let sum = |wanted: &dyn Fn(usize, Option<usize>, usize, bool) -> bool| {
        let chosen = tallies
            .iter()
            .filter(|((decider, adversary, nodes, alike), _)| wanted(*decider, *adversary, *nodes, *alike));
        chosen.map(|(_, tally)| *tally).fold(Tally::default(), Tally::plus)
    };
    for (decider, (name, ..)) in DECIDERS.into_iter().enumerate() {
        heading(&format!("{name}, without outputs, 31 jobs with page faults"));
        for (adversary, (label, _)) in ADVERSARIES.into_iter().enumerate() {
            sum(&|d, a, _, _| d == decider && a == Some(adversary)).print(label);
        }
        for nodes in NODES {
            sum(&|d, a, n, _| d == decider && a.is_some() && n == nodes).print(&format!("N = {nodes}"));
        }
        sum(&|d, a, _, _| d == decider && a.is_none()).print("no bad node");
        sum(&|d, a, _, alike| d == decider && a.is_some() && alike).print("27 jobs alike, all liars");
        sum(&|d, a, _, alike| d == decider && a.is_none() && alike).print("27 jobs alike, no bad node");
    }
    for (relative, cpu) in TOLERANCES {
        heading(&format!("work required, memory within {relative} and CPU within {cpu} permille"));
        for (tally, label) in
            require_work(&jobs, (relative, cpu)).iter().zip(["idle", "faker", "no bad node"])
        {
            tally.print(label);
        }
    }
}
