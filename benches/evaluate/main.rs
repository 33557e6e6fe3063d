//! How well the methods tell good runs from bad ones, on recorded runs of fourteen jobs.
//!
//! Jobs are drawn from the recorded honest runs, a minority of their seats is given to an adversary, and every
//! method decides. The figures, the models of the adversaries and what they leave out are discussed in
//! `docs/verification.md`. The output depends on nothing but this file, its data and the library:
//!
//! `cargo bench --no-default-features --bench evaluate`

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::collections::BTreeMap;

mod outputs;
mod work;

use assay::domain::{Fingerprint, FingerprintWord, Method, Profile, TENTHS};
use assay::verdict::{Decision, Outcome, Run, Terms, decide};

const RUNS: &str = include_str!("../data/runs.csv");

/// Draws for every job, adversary, number of nodes and number of bad ones.
const DRAWS: usize = 20;
const NODES: [usize; 5] = [3, 5, 7, 11, 21];
const TOLERANCE_KIB: u32 = 1024;
const RELATIVE_PERMILLE: u16 = 300;

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
    ("hash", Method::Hash, true),
    ("kmeans", Method::KMeans, true),
    ("ball", Method::Ball, true),
    ("kmeans, no gate", Method::KMeans, false),
    ("ball, no gate", Method::Ball, false),
];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ x >> 31) % bound as u64).expect("a remainder is below its divisor")
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number between two powers of two, each doubling as likely as any other.
    fn doubling(&mut self, from: u32, to: u32) -> u32 {
        let power = from + u32::try_from(self.below((to - from) as usize)).expect("below 32");
        let low = 1 << power;
        low + u32::try_from(self.below(low as usize)).expect("below 2^32")
    }

    /// `count` of the runs, each once before any comes twice.
    fn deal(&mut self, runs: &[Fingerprint], count: usize) -> Vec<Fingerprint> {
        let mut dealt = Vec::new();
        let mut deck = Vec::new();
        while dealt.len() < count {
            if deck.is_empty() {
                deck = runs.to_vec();
            }
            dealt.push(deck.swap_remove(self.below(deck.len())));
        }
        dealt
    }
}

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

/// What is left of a fingerprint in the word that nodes reveal.
fn packed(fingerprint: &Fingerprint, method: Method) -> Profile {
    let word = FingerprintWord::pack(fingerprint, method);
    word.unpack().ok().flatten().expect("a packed fingerprint is one")
}

/// How many of `nodes` are bad: one, half of the largest minority, and all of it.
fn minorities(nodes: usize) -> Vec<usize> {
    let most = (nodes - 1) / 2;
    let mut minorities = vec![1, most.div_ceil(2), most];
    minorities.dedup();
    minorities
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

#[derive(Clone, Copy, Default)]
struct Tally {
    jobs: usize,
    undecided: usize,
    bad: usize,
    bad_accepted: usize,
    bad_rejected: usize,
    /// Honest runs in jobs with a verdict.
    judged: usize,
    honest_rejected: usize,
}

impl Tally {
    fn add(
        &mut self,
        seats: &[(usize, Fingerprint)],
        bad: usize,
        decider: (Method, bool),
        deterministic: bool,
    ) {
        let (method, gated) = decider;
        let runs: Vec<Run> = seats
            .iter()
            .enumerate()
            .map(|(seat, (output, fingerprint))| {
                // Without the gate, no two outputs are equal.
                let id = if gated { *output } else { seat };
                let mut bytes = [1; 32];
                bytes[..8].copy_from_slice(&(id as u64).to_be_bytes());
                Run { output: Some(bytes), profile: Some(packed(fingerprint, method)), ..Run::ABSENT }
            })
            .collect();
        let terms = Terms {
            tolerance_kib: TOLERANCE_KIB,
            relative_permille: RELATIVE_PERMILLE,
            deterministic: deterministic && gated,
            ..Terms::new(method, u32::try_from(seats.len() / 2 + 1).expect("few seats"))
        };
        let outcome = decide(&terms, &runs);
        let honest = seats.len() - bad;
        *self = self.plus(Self::of(&outcome, honest, bad));
    }

    /// Of one job, in which the first `honest` of the runs are good.
    fn of(outcome: &Outcome, honest: usize, bad: usize) -> Self {
        if outcome.decision == Decision::Inconclusive {
            return Self { jobs: 1, undecided: 1, bad, ..Self::default() };
        }
        let count =
            |seats: &[usize], is_bad: bool| seats.iter().filter(|seat| (**seat >= honest) == is_bad).count();
        Self {
            jobs: 1,
            undecided: 0,
            bad,
            judged: honest,
            honest_rejected: count(&outcome.rejected, false),
            bad_rejected: count(&outcome.rejected, true),
            bad_accepted: count(&outcome.accepted, true),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            jobs: self.jobs + other.jobs,
            undecided: self.undecided + other.undecided,
            bad: self.bad + other.bad,
            bad_accepted: self.bad_accepted + other.bad_accepted,
            bad_rejected: self.bad_rejected + other.bad_rejected,
            judged: self.judged + other.judged,
            honest_rejected: self.honest_rejected + other.honest_rejected,
        }
    }

    fn print(self, label: &str) {
        let percent = |part: usize, whole: usize| match whole {
            0 => "-".to_owned(),
            _ => format!("{:.1}", 100.0 * part as f64 / whole as f64),
        };
        println!(
            "| {label} | {} | {} | {} | {} | {} |",
            percent(self.bad_rejected, self.bad),
            percent(self.bad_accepted, self.bad),
            percent(self.bad_rejected, self.bad_rejected + self.honest_rejected),
            percent(self.honest_rejected, self.judged),
            percent(self.undecided, self.jobs),
        );
    }
}

/// What a drawn job is counted under.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    adversary: Option<Adversary>,
    nodes: usize,
    decider: usize,
}

fn evaluate(jobs: &[Job], fakes: &Fakes) -> BTreeMap<Cell, Tally> {
    let mut dice = Dice(1);
    let mut tallies: BTreeMap<Cell, Tally> = BTreeMap::new();
    for job in jobs {
        for nodes in NODES {
            let with = ADVERSARIES
                .iter()
                .flat_map(|(a, _)| minorities(nodes).into_iter().map(|bad| (Some(*a), bad)));
            for (adversary, bad) in with.chain([(None, 0)]) {
                for _ in 0..DRAWS {
                    let seats = draw(job, fakes, adversary.unwrap_or(A::Guesser), nodes, bad, &mut dice);
                    for (decider, (_, method, gated)) in DECIDERS.into_iter().enumerate() {
                        let cell = Cell { adversary, nodes, decider };
                        tallies.entry(cell).or_default().add(&seats, bad, (method, gated), job.deterministic);
                    }
                }
            }
        }
    }
    tallies
}

fn print_sum(tallies: &BTreeMap<Cell, Tally>, label: &str, wanted: impl Fn(&Cell) -> bool) {
    let chosen = tallies.iter().filter(|(cell, _)| wanted(cell)).map(|(_, tally)| *tally);
    chosen.fold(Tally::default(), Tally::plus).print(label);
}

fn heading(title: &str) {
    println!("\n{title}, in %\n");
    println!("| | recall | bad accepted | precision | honest rejected | no verdict |");
    println!("|---|---|---|---|---|---|");
}

fn main() {
    let (jobs, fakes) = read();
    let tallies = evaluate(&jobs, &fakes);
    let detectable = |cell: &Cell| cell.adversary.is_some_and(Adversary::is_detectable);

    heading("All detectable adversaries");
    for (decider, (name, ..)) in DECIDERS.iter().enumerate() {
        print_sum(&tallies, name, |cell| cell.decider == decider && detectable(cell));
    }
    heading("No bad node");
    for (decider, (name, ..)) in DECIDERS.iter().enumerate() {
        print_sum(&tallies, name, |cell| cell.decider == decider && cell.adversary.is_none());
    }
    for (decider, (name, ..)) in DECIDERS.iter().enumerate() {
        heading(&format!("`{name}` by nodes, detectable adversaries"));
        for nodes in NODES {
            print_sum(&tallies, &nodes.to_string(), |cell| {
                cell.decider == decider && cell.nodes == nodes && detectable(cell)
            });
        }
        heading(&format!("`{name}` by adversary"));
        for (adversary, label) in ADVERSARIES {
            print_sum(&tallies, label, |cell| cell.decider == decider && cell.adversary == Some(adversary));
        }
    }
    work::print();
    outputs::print();
}
