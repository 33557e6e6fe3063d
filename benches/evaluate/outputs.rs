//! Outputs and numbers of 17 jobs that take their randomness from the job's seed, and of liars.
//!
//! Each job has three honest runs, one of them on another BLAS, without SIMD, on other threads: it stands for another processor. Ten
//! jobs also have a run that stopped at 60 % of the work, one that stopped at 90 %, one with another seed (a replay of an old run), and
//! one with another input. Traces are left out: they reject nobody where outputs or numbers decide.

use std::collections::BTreeMap;

use assay::{
    domain::{Kind, Method, SummaryForm, SummaryWord},
    verdict::{Run, Terms, decide},
};

use super::draw::{Dice, Tally, minorities, sum, table};

const RUNS: &str = include_str!("../data/outputs.csv");

const NODES: [usize; 4] = [3, 5, 7, 11];

/// Draws for every job, adversary, number of nodes and number of bad ones.
const DRAWS: usize = 20;

/// How far numbers may differ, in parts per million.
const PPM: u32 = 10;

/// What a bad node does, and the condition of its recorded runs. The last two need none.
const ADVERSARIES: [(&str, &str); 6] = [
    ("60 %, stopped", "scut60"),
    ("90 %, stopped", "scut90"),
    ("replay of an old run", "sother"),
    ("another input", "swrong"),
    ("invented, each its own", ""),
    ("invented, one together", ""),
];

/// Where the input or the seed is not used, so that the result is right.
const RIGHT: [(&str, &str); 2] = [("gemm", "sother"), ("pi", "swrong")];

const DECIDERS: [(&str, Method); 2] = [("`hash`", Method::Hash), ("`near`, 10 ppm", Method::Near)];

/// The place of `near` among the deciders.
pub(super) const NEAR: usize = 1;

type Found = ([u8; 32], SummaryWord);

fn read() -> BTreeMap<(&'static str, &'static str), Vec<Found>> {
    let mut recorded: BTreeMap<_, Vec<Found>> = BTreeMap::new();
    for line in RUNS.lines().skip(1) {
        let fields: Vec<&'static str> = line.split(',').collect();
        let kinds = vec![Kind::Relative { ppm: PPM }; fields[3].split(' ').count()];
        let form = SummaryForm::new(&kinds).expect("a form has up to ten numbers");
        let word = SummaryWord::of(form, fields[3].as_bytes()).expect("the numbers are a summary");
        let mut output = [0; 32];
        output[..16].copy_from_slice(fields[2].as_bytes());
        recorded.entry((fields[0], fields[1])).or_default().push((output, word));
    }
    recorded
}

/// A result that nobody computed.
fn invented(number: usize) -> Found {
    let mut output = [0xee; 32];
    output[..8].copy_from_slice(&(number as u64).to_be_bytes());
    // Numbers of nobody's: a guess meets one by a chance of 1 in 260,000.
    let text = format!("{}", 7 + number);
    let form = SummaryForm::new(&[Kind::Exact]).expect("one number is a form");
    (output, SummaryWord::of(form, text.as_bytes()).expect("a number is a summary"))
}

fn judge(drawn: &[Found], bad: usize, method: Method) -> Tally {
    let run = |(output, summary): &Found| Run { output: Some(*output), summary: *summary, ..Run::ABSENT };
    let runs: Vec<Run> = drawn.iter().map(run).collect();
    let terms = Terms::new(method, u32::try_from(runs.len() / 2 + 1).expect("few seats"));
    Tally::of(&decide(&terms, &runs), runs.len() - bad, bad)
}

/// By decider and adversary.
pub(super) type Tallies = BTreeMap<(usize, Option<usize>), Tally>;

/// Every drawn job, by every decider.
pub(super) fn evaluate() -> Tallies {
    let recorded = read();
    let mut jobs: Vec<&'static str> = recorded.keys().map(|(job, _)| *job).collect();
    jobs.dedup();
    let of = |job, condition| recorded.get(&(job, condition)).cloned().unwrap_or_default();
    let mut tallies: BTreeMap<(usize, Option<usize>), Tally> = BTreeMap::new();
    let mut dice = Dice(4);
    for job in jobs {
        let honest = [of(job, "seeded"), of(job, "seedhet")].concat();
        for nodes in NODES {
            let with = (0..ADVERSARIES.len())
                .flat_map(|index| minorities(nodes).into_iter().map(move |bad| (Some(index), bad)));
            for (adversary, bad) in with.chain([(None, 0)]) {
                let condition = adversary.map_or("", |index| ADVERSARIES[index].1);
                let liars = of(job, condition);
                if !condition.is_empty() && (liars.is_empty() || RIGHT.contains(&(job, condition))) {
                    continue;
                }
                for _ in 0..DRAWS {
                    let mut drawn = dice.deal(&honest, nodes - bad);
                    drawn.extend(match adversary {
                        Some(4) => (0..bad).map(invented).collect(),
                        Some(5) => vec![invented(0); bad],
                        _ => dice.deal(&liars, bad),
                    });
                    for (decider, (_, method)) in DECIDERS.into_iter().enumerate() {
                        let tally = tallies.entry((decider, adversary)).or_default();
                        *tally = tally.plus(judge(&drawn, bad, method));
                    }
                }
            }
        }
    }
    tallies
}

/// The share of bad runs that `near` rejects of each adversary.
pub(super) fn near_recall(tallies: &Tallies) -> Vec<(&'static str, f64)> {
    let of = |index| sum(tallies, |key| *key == (NEAR, Some(index))).recall();
    ADVERSARIES.iter().enumerate().map(|(index, (label, _))| (*label, of(index))).collect()
}

/// What a decider makes of all adversaries, and where there is none.
pub(super) fn all_and_none(tallies: &Tallies, decider: usize) -> [Tally; 2] {
    [true, false].map(|is_bad| sum(tallies, |(d, adversary)| *d == decider && adversary.is_some() == is_bad))
}

/// The table of this part.
pub(super) fn tables() -> Vec<String> {
    let tallies = evaluate();
    let rows = DECIDERS.iter().enumerate().map(|(decider, (name, _))| {
        let [with, without] = all_and_none(&tallies, decider);
        let cells = [with.recall(), with.accepted(), with.honest_rejected(), with.undecided()];
        let cells = cells.map(|percent| format!("{percent:.1}"));
        [vec![(*name).to_owned()], cells.to_vec(), vec![without.without_bad()]].concat()
    });
    let head = [
        "",
        "recall",
        "bad accepted",
        "honest rejected",
        "no verdict",
        "no bad node: honest rejected / no verdict",
    ];
    vec![table(&head, rows)]
}
