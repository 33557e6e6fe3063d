//! How well the methods tell good runs from bad ones, on recorded runs of fourteen jobs.
//!
//! Jobs are drawn from the recorded honest runs, a minority of their seats is given to an adversary, and every method
//! decides. The models of the adversaries and what they leave out are discussed in `docs/verification.md`.

use std::collections::BTreeMap;

use assay::domain::{Fingerprint, Method, Profile, TENTHS};
use assay::verdict::{Run, Terms, decide};

use super::draw::{Dice, RELATIVE_PERMILLE, TOLERANCE_KIB, Tally, minorities, packed, sum, table};

const RUNS: &str = include_str!("../data/runs.csv");

/// Draws for every job, adversary, number of nodes and number of bad ones.
const DRAWS: usize = 20;
const NODES: [usize; 5] = [3, 5, 7, 11, 21];

/// What a bad node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Adversary {
    IdleLong,
    IdleShort,
    ConstantFaker,
    Guesser,
    ColludeIdle,
    ColludeOneFake,
    Mask,
    PartialPadded,
    PartialStopped,
    RightOutputWrongTrace,
    Copycat,
    RightTraceWrongOutput,
}

use Adversary as A;

const ADVERSARIES: [(Adversary, &str); 12] = [
    (A::IdleLong, "idle, for 10 s"),
    (A::IdleShort, "idle, for 2 s"),
    (A::ConstantFaker, "constant faker, 60 MB"),
    (A::Guesser, "guesser"),
    (A::ColludeIdle, "collude, idle"),
    (A::ColludeOneFake, "collude, one fake"),
    (A::Mask, "mask"),
    (A::PartialPadded, "partial 60 %, padded"),
    (A::PartialStopped, "partial 60 %, stopped"),
    (A::RightOutputWrongTrace, "right output, wrong trace"),
    (A::Copycat, "copycat, no commitments"),
    (A::RightTraceWrongOutput, "wrong output, right trace"),
];

impl Adversary {
    /// Whether anything that a verifier sees is out of the ordinary.
    fn is_detectable(self) -> bool {
        !matches!(self, Self::Copycat | Self::RightTraceWrongOutput)
    }
}

/// A way to decide: the methods as they are used, and the scorers without the gate before them.
const DECIDERS: [(&str, Method, bool); 5] = [
    ("`hash`", Method::Hash, true),
    ("`kmeans`", Method::KMeans, true),
    ("`ball`", Method::Ball, true),
    ("`kmeans` without the gate", Method::KMeans, false),
    ("`ball` without the gate", Method::Ball, false),
];

/// What an earlier evaluation of the same rules said of all but the first of these: recall, accepted, honest rejected, precision,
/// no verdict.
const EARLIER: [&str; 4] = [
    "86.1 / 10.3 / 0.00 / 100 / 1.5",
    "90.1 / 9.8 / 0.05 / 99.9 / 0.2",
    "54.5 / 16.6 / 2.1 / 90.5 / 15.6",
    "87.9 / 9.2 / 0.43 / 98.7 / 1.9",
];

/// A recorded job: its honest runs, and whether all had one output.
struct Job {
    deterministic: bool,
    runs: Vec<Fingerprint>,
}

/// What the bad actors' recorded runs left.
struct Fakes {
    idle_long: Vec<Fingerprint>,
    idle_short: Vec<Fingerprint>,
    constant: Vec<Fingerprint>,
}

fn read() -> (Vec<Job>, Fakes) {
    let mut recorded: BTreeMap<&str, Vec<(&str, Fingerprint)>> = BTreeMap::new();
    for line in RUNS.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |index: usize| fields[index].parse().expect("the data hold numbers");
        let fingerprint = Fingerprint {
            w: std::array::from_fn(|k| number(4 + k)),
            q: std::array::from_fn(|k| number(14 + k)),
            cpu_ms: u64::from(number(3)),
            // They were not counted.
            faults: 0,
        };
        recorded.entry(fields[0]).or_default().push((fields[2], fingerprint));
    }
    let mut fake = |name: &str| {
        let runs = recorded.remove(name).expect("the data hold the fakes");
        runs.into_iter().map(|(_, fingerprint)| fingerprint).collect()
    };
    let (idle_long, idle_short, constant) = (fake("sleep10"), fake("sleep2"), fake("faker60"));
    let fakes = Fakes { idle_long, idle_short, constant };
    let jobs = recorded
        .into_values()
        .map(|runs| Job {
            deterministic: runs.iter().all(|(output, _)| *output == runs[0].0),
            runs: runs.into_iter().map(|(_, fingerprint)| fingerprint).collect(),
        })
        .collect();
    (jobs, fakes)
}

fn flat(kib: u32, cpu_ms: u64) -> Fingerprint {
    Fingerprint { w: [kib; TENTHS], q: [kib; TENTHS], cpu_ms, faults: 0 }
}

/// A fingerprint from 60 equal stretches of time.
fn from_stretches(stretches: [u32; 60], cpu_ms: u64) -> Fingerprint {
    let mut sorted = stretches;
    sorted.sort_unstable();
    let mean = |part: &[u32]| part.iter().sum::<u32>() / u32::try_from(part.len()).expect("60 at most");
    Fingerprint {
        w: std::array::from_fn(|k| mean(&stretches[6 * k..6 * k + 6])),
        q: std::array::from_fn(|k| sorted[6 * k + 3]),
        cpu_ms,
        faults: 0,
    }
}

/// The outputs of bad nodes are numbered from here; 0 is the right one.
const FAKE_OUTPUT: usize = 1000;
const SHARED_FAKE: usize = 999;

/// What the `index`-th of the bad nodes brings. `genuine` is a run that it, or its victim, really made.
fn fake(
    adversary: Adversary,
    index: usize,
    genuine: Fingerprint,
    shared: Fingerprint,
    fakes: &Fakes,
    dice: &mut Dice,
) -> (usize, Fingerprint) {
    let own = FAKE_OUTPUT + index;
    let idle_kib = fakes.idle_short[0].q[TENTHS / 2];
    match adversary {
        A::IdleLong => (own, dice.pick(&fakes.idle_long)),
        A::IdleShort => (own, dice.pick(&fakes.idle_short)),
        A::ConstantFaker => (own, dice.pick(&fakes.constant)),
        A::Guesser => (own, guess(dice)),
        A::ColludeIdle => (SHARED_FAKE, dice.pick(&fakes.idle_long)),
        A::ColludeOneFake => (SHARED_FAKE, shared),
        A::Mask if index == 0 => (own, flat(20 << 20, 1000)),
        A::Mask => (own, dice.pick(&fakes.idle_long)),
        A::PartialPadded => {
            let stretches = std::array::from_fn(|i| if i < 36 { genuine.w[i / 6] } else { idle_kib });
            (own, from_stretches(stretches, genuine.cpu_ms * 6 / 10))
        }
        A::PartialStopped => {
            let stretches = std::array::from_fn(|i| genuine.w[i / 10]);
            (own, from_stretches(stretches, genuine.cpu_ms * 6 / 10))
        }
        A::RightOutputWrongTrace => (0, dice.pick(&fakes.idle_long)),
        A::Copycat => (SHARED_FAKE, genuine),
        A::RightTraceWrongOutput => (own, genuine),
    }
}

/// A level between 1 and 512 MiB and a CPU time between 64 ms and 65 s, as a stranger to the job might guess.
fn guess(dice: &mut Dice) -> Fingerprint {
    let level = dice.doubling(10, 19);
    flat(level, u64::from(dice.doubling(6, 16)))
}

/// One drawn job: every seat's output and fingerprint, the bad seats last.
fn draw(
    job: &Job,
    fakes: &Fakes,
    adversary: Adversary,
    n: usize,
    bad: usize,
    dice: &mut Dice,
) -> Vec<(usize, Fingerprint)> {
    let dealt = dice.deal(&job.runs, n);
    let shared = guess(dice);
    let honest_output = |seat: usize| if job.deterministic { 0 } else { 1 + seat };
    let mut seats: Vec<(usize, Fingerprint)> =
        dealt[..n - bad].iter().enumerate().map(|(seat, run)| (honest_output(seat), *run)).collect();
    for index in 0..bad {
        let (output, fingerprint) = fake(adversary, index, dealt[n - bad + index], shared, fakes, dice);
        let seat = match adversary {
            // Everything is taken from somebody honest.
            A::Copycat => dice.pick(&seats[..n - bad]),
            // A right output of a job without one is just another.
            A::RightOutputWrongTrace => (honest_output(n - bad + index), fingerprint),
            _ => (output, fingerprint),
        };
        seats.push(seat);
    }
    seats
}

/// The verdict over drawn seats with these profiles, of which the last `bad` are bad.
fn judge(
    (seats, profiles): (&[(usize, Fingerprint)], &[Profile]),
    bad: usize,
    (method, gated): (Method, bool),
    deterministic: bool,
) -> Tally {
    let runs: Vec<Run> = seats
        .iter()
        .zip(profiles)
        .enumerate()
        .map(|(seat, ((output, _), profile))| {
            // Without the gate, no two outputs are equal.
            let id = if gated { *output } else { seat };
            let mut bytes = [1; 32];
            bytes[..8].copy_from_slice(&(id as u64).to_be_bytes());
            Run { output: Some(bytes), profile: Some(*profile), ..Run::ABSENT }
        })
        .collect();
    let terms = Terms {
        tolerance_kib: TOLERANCE_KIB,
        relative_permille: RELATIVE_PERMILLE,
        deterministic: deterministic && gated,
        ..Terms::new(method, u32::try_from(seats.len() / 2 + 1).expect("few seats"))
    };
    Tally::of(&decide(&terms, &runs), seats.len() - bad, bad)
}

/// What a drawn job is counted under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    adversary: Option<Adversary>,
    nodes: usize,
    decider: usize,
}

/// Every drawn job, by every decider.
fn evaluate() -> BTreeMap<Cell, Tally> {
    let (jobs, fakes) = read();
    let mut dice = Dice(1);
    let mut tallies: BTreeMap<Cell, Tally> = BTreeMap::new();
    for job in &jobs {
        for nodes in NODES {
            let with = ADVERSARIES
                .iter()
                .flat_map(|(a, _)| minorities(nodes).into_iter().map(|bad| (Some(*a), bad)));
            for (adversary, bad) in with.chain([(None, 0)]) {
                for _ in 0..DRAWS {
                    let seats = draw(job, &fakes, adversary.unwrap_or(A::Guesser), nodes, bad, &mut dice);
                    let profiles = [Method::Ball, Method::KMeans].map(|method| {
                        seats.iter().map(|(_, fingerprint)| packed(fingerprint, method)).collect::<Vec<_>>()
                    });
                    for (decider, (_, method, gated)) in DECIDERS.into_iter().enumerate() {
                        let seats = (&seats[..], &profiles[usize::from(method == Method::KMeans)][..]);
                        let cell = Cell { adversary, nodes, decider };
                        let tally = tallies.entry(cell).or_default();
                        *tally = tally.plus(judge(seats, bad, (method, gated), job.deterministic));
                    }
                }
            }
        }
    }
    tallies
}

/// The tables of this part.
pub(super) fn tables() -> Vec<String> {
    let tallies = evaluate();
    let of = |decider: usize, is_wanted: &dyn Fn(&Cell) -> bool| {
        sum(&tallies, |cell: &Cell| cell.decider == decider && is_wanted(cell))
    };
    let detectable = |cell: &Cell| cell.adversary.is_some_and(Adversary::is_detectable);
    let name = |decider: usize| DECIDERS[decider].0.to_owned();

    let all = (0..DECIDERS.len()).map(|decider| {
        let (with, without) = (of(decider, &detectable), of(decider, &|cell| cell.adversary.is_none()));
        let cells =
            [with.recall(), with.accepted(), with.precision(), with.honest_rejected(), with.undecided()];
        let cells = cells.map(|percent| format!("{percent:.1}"));
        [vec![name(decider)], cells.to_vec(), vec![without.without_bad()]].concat()
    });
    let all_head = [
        "",
        "recall",
        "accepted",
        "precision",
        "honest rejected",
        "no verdict",
        "no bad node: honest rejected / no verdict",
    ];

    let by_nodes = NODES.into_iter().map(|nodes| {
        let cell = |decider| {
            let tally = of(decider, &|cell| cell.nodes == nodes && detectable(cell));
            let (recall, accepted) = (tally.recall(), tally.accepted());
            format!("{recall:.1} / {accepted:.1} / {}", tally.without_bad())
        };
        std::iter::once(nodes.to_string()).chain((1..DECIDERS.len()).map(cell)).collect()
    });
    let names: Vec<&str> = DECIDERS.iter().map(|(name, ..)| *name).collect();

    let by_adversary = ADVERSARIES.into_iter().map(|(adversary, label)| {
        let cell = |decider| {
            let tally = of(decider, &|cell| cell.adversary == Some(adversary));
            format!("{:.0} / {:.0}", tally.recall(), tally.accepted())
        };
        std::iter::once(label.to_owned()).chain((0..DECIDERS.len()).map(cell)).collect()
    });

    let earlier = EARLIER.into_iter().zip(1..).map(|(earlier, decider)| {
        let tally = of(decider, &detectable);
        let shares =
            [tally.recall(), tally.accepted(), tally.honest_rejected(), tally.precision(), tally.undecided()];
        let here = shares.map(|percent| format!("{percent:.1}")).join(" / ");
        vec![name(decider), earlier.to_owned(), here]
    });
    vec![
        table(&all_head, all),
        table(&[&["N"], &names[1..]].concat(), by_nodes),
        table(&[&["adversary"], &names[..]].concat(), by_adversary),
        table(&["", "earlier", "here"], earlier),
    ]
}
