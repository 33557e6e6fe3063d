//! What page faults add to memory and CPU time, on recorded runs of 31 jobs, 17 of them random.
//!
//! Each job has five honest runs, and such as stopped after 60 % of the work, or idled for the rest of the time. Two
//! idlers and two fakers were recorded too. Outputs are left out: traces decide alone, as they do where nodes' outputs
//! never agree, and as they must where work is required beside equal outputs.

use std::collections::BTreeMap;

use assay::domain::{Fingerprint, Method, TENTHS};
use assay::verdict::{Run, Terms, decide};

use super::draw::{Dice, RELATIVE_PERMILLE, TOLERANCE_KIB, Tally, minorities, packed, percent, sum, table};

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
    ("`ball` without faults", Method::Ball, false),
    ("`ball`", Method::Ball, true),
];

const WITH_FAULTS: usize = 2;
const STOPPED: usize = 0;
const PADDED: usize = 1;

/// The CPU tolerance unless a deal gives another.
const CPU_DEFAULT: u16 = 333;

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

/// Tolerances of CPU time under which jobs are decided by traces alone, in permille.
const CPU_PERMILLE: [u16; 4] = [333, 250, 200, 150];

/// Those that `--require-work` sets.
const REQUIRED: (u16, u16) = (500, 500);

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

/// What a decider sees of drawn runs.
fn seen(drawn: &[Fingerprint], (_, method, with_faults): (&str, Method, bool)) -> Vec<Run> {
    let run = |(seat, fingerprint): (u8, &Fingerprint)| {
        let faults = if with_faults { fingerprint.faults } else { 0 };
        let profile = packed(&Fingerprint { faults, ..*fingerprint }, method);
        Run { output: Some([seat; 32]), profile: Some(profile), ..Run::ABSENT }
    };
    (0..).zip(drawn).map(run).collect()
}

/// Whether and for whom a drawn job is decided; the last `bad` of the runs are bad.
fn judge(runs: &[Run], bad: usize, method: Method, cpu_permille: u16) -> Tally {
    let terms = Terms {
        tolerance_kib: TOLERANCE_KIB,
        relative_permille: RELATIVE_PERMILLE,
        cpu_permille,
        ..Terms::new(method, u32::try_from(runs.len() / 2 + 1).expect("few seats"))
    };
    Tally::of(&decide(&terms, runs), runs.len() - bad, bad)
}

type Tallies = BTreeMap<(usize, Option<usize>, usize, bool), Tally>;

/// Every drawn job, and whether its honest runs are alike. The last of its runs are bad, as many as are said.
fn for_each_draw(jobs: &[Job], mut judge: impl FnMut((Option<usize>, usize, bool), &[Fingerprint], usize)) {
    let mut dice = Dice(2);
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
                    judge((adversary, nodes, is_alike), &drawn, bad);
                }
            }
        }
    }
}

/// By decider, adversary, number of nodes, and whether the job's honest runs are alike.
fn evaluate(jobs: &[Job]) -> Tallies {
    let mut tallies = Tallies::new();
    for_each_draw(jobs, |(adversary, nodes, is_alike), drawn, bad| {
        for (index, decider) in DECIDERS.into_iter().enumerate() {
            let tally = tallies.entry((index, adversary, nodes, is_alike)).or_default();
            *tally = tally.plus(judge(&seen(drawn, decider), bad, decider.1, CPU_DEFAULT));
        }
    });
    tallies
}

/// What a narrower tolerance of CPU time gains and costs under `ball`.
fn by_cpu(jobs: &[Job]) -> String {
    let mut tallies: BTreeMap<(usize, Option<usize>, bool), Tally> = BTreeMap::new();
    for_each_draw(jobs, |(adversary, _, is_alike), drawn, bad| {
        // Those that leave work out, and nobody.
        if adversary.is_some_and(|adversary| adversary > PADDED) {
            return;
        }
        let runs = seen(drawn, DECIDERS[WITH_FAULTS]);
        for (index, cpu_permille) in CPU_PERMILLE.into_iter().enumerate() {
            let tally = tallies.entry((index, adversary, is_alike)).or_default();
            *tally = tally.plus(judge(&runs, bad, Method::Ball, cpu_permille));
        }
    });
    let rows = CPU_PERMILLE.iter().enumerate().map(|(index, permille)| {
        let of = |adversary: Option<usize>, alike_alone: bool| {
            sum(&tallies, |(i, a, is_alike): &(usize, Option<usize>, bool)| {
                *i == index && *a == adversary && (*is_alike || !alike_alone)
            })
        };
        let caught = |adversary| {
            let tally = of(Some(adversary), false);
            format!("{:.1} / {:.1}", tally.recall(), tally.accepted())
        };
        let cells = [
            permille.to_string(),
            caught(STOPPED),
            caught(PADDED),
            of(None, false).without_bad(),
            of(None, true).without_bad(),
        ];
        cells.to_vec()
    });
    let head = ["CPU", "60 %, stopped", "60 %, padded", "no bad node", "no bad node, 27 jobs alike"];
    table(&head, rows)
}

/// How many of all pairs of a run that stopped at 60 % and an honest one are within each limit of `ball`: by the verdict over two
/// runs that differ in nothing else.
fn by_limit(jobs: &[Job]) -> String {
    let only = |of: fn(&mut Fingerprint, &Fingerprint)| {
        move |liar: &Fingerprint, honest: &Fingerprint| {
            let mut changed = *honest;
            of(&mut changed, liar);
            changed
        }
    };
    type Change = fn(&mut Fingerprint, &Fingerprint);
    let limits: [(&str, Change); 4] = [
        ("memory", |run, liar| run.q = liar.q),
        ("CPU time", |run, liar| run.cpu_ms = liar.cpu_ms),
        ("page faults", |run, liar| run.faults = liar.faults),
        ("all three", |run, liar| *run = *liar),
    ];
    let rows = limits.into_iter().map(|(name, change)| {
        let change = only(change);
        let pairs = jobs.iter().flat_map(|job| {
            job.bad[STOPPED].iter().flat_map(|liar| job.honest.iter().map(move |honest| (liar, honest)))
        });
        let (mut within, mut all) = (0, 0);
        for (liar, honest) in pairs {
            let tally = judge(
                &seen(&[*honest, change(liar, honest)], DECIDERS[WITH_FAULTS]),
                1,
                Method::Ball,
                CPU_DEFAULT,
            );
            (within, all) = (within + tally.bad_accepted, all + 1);
        }
        vec![name.to_owned(), format!("{:.0}", percent(within, all))]
    });
    table(&["within the limit of", "of the pairs"], rows)
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

/// What is decided by each method, where traces alone decide.
fn by_traces(jobs: &[Job]) -> String {
    let tallies = evaluate(jobs);
    let row = |label: &str, is_wanted: &dyn Fn(Option<usize>, usize, bool) -> bool| {
        let cell = |decider| {
            let tally =
                sum(&tallies, |(d, adversary, nodes, is_alike): &(usize, Option<usize>, usize, bool)| {
                    *d == decider && is_wanted(*adversary, *nodes, *is_alike)
                });
            let caught = if tally.bad == 0 {
                "- / -".to_owned()
            } else {
                format!("{:.1} / {:.1}", tally.recall(), tally.accepted())
            };
            format!("{caught} / {}", tally.without_bad())
        };
        std::iter::once(label.to_owned()).chain((0..DECIDERS.len()).map(cell)).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (index, (label, _)) in ADVERSARIES.iter().enumerate() {
        rows.push(row(label, &|adversary, _, _| adversary == Some(index)));
    }
    for nodes in NODES {
        rows.push(row(&format!("N = {nodes}"), &|adversary, n, _| adversary.is_some() && n == nodes));
    }
    rows.push(row("no bad node", &|adversary, _, _| adversary.is_none()));
    rows.push(row("27 jobs alike, all liars", &|adversary, _, is_alike| adversary.is_some() && is_alike));
    rows.push(row("27 jobs alike, no bad node", &|adversary, _, is_alike| adversary.is_none() && is_alike));
    table(&["", DECIDERS[0].0, DECIDERS[1].0, DECIDERS[2].0], rows)
}

/// What required work says, by tolerances of memory and of CPU time.
fn by_work(jobs: &[Job]) -> String {
    let rows = TOLERANCES.into_iter().map(|(relative, cpu)| {
        let [idle, faker, none] = require_work(jobs, (relative, cpu));
        let cells = [
            format!("{relative}, {cpu}"),
            format!("{:.1}", idle.accepted()),
            format!("{:.1}", faker.accepted()),
            format!("{:.1} / {:.1}", idle.undecided(), faker.undecided()),
            format!("{:.1} / {:.1}", idle.honest_rejected(), faker.honest_rejected()),
            none.without_bad(),
        ];
        cells.to_vec()
    });
    let head = [
        "memory, CPU",
        "idle accepted",
        "faker accepted",
        "no verdict, idle / faker",
        "honest rejected, idle / faker",
        "no bad node: honest rejected / no verdict",
    ];
    table(&head, rows)
}

/// The tables of this part.
pub(super) fn tables() -> Vec<String> {
    let jobs = read();
    vec![by_traces(&jobs), by_limit(&jobs), by_cpu(&jobs), by_work(&jobs)]
}

/// What the tolerances of `--require-work` make of idlers, of fakers, and of honest runs alone.
pub(super) fn required() -> [Tally; 3] {
    require_work(&read(), REQUIRED)
}
