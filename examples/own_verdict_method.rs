//! A verdict method of your own, measured against those of Assay on the same runs.
//!
//! The method compares CPU time alone: runs agree that took at most a tenth more or less than the median. Outputs
//! still go first, and only a strict majority makes a verdict: that is not the method's to say.
//!
//! A network accepts the methods of `assay::domain::Method` alone, since every node must come to the same verdict.
//! A new one becomes a variant there, with its twin in Solidity; this is how to try it before.
//!
//! ```sh
//! cargo run --example own_verdict_method
//! ```

use assay::{
    domain::{Method, Profile},
    verdict::{Agreement, Outcome, Run, Terms, decide, decide_by},
};

/// The runs whose CPU time is within a tenth of the median, with their distances from it as scores.
pub(crate) fn by_cpu_time(runs: &[(usize, Profile)]) -> Agreement {
    let mut times: Vec<u64> = runs.iter().map(|(_, profile)| profile.cpu_ms).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    let apart = |profile: &Profile| profile.cpu_ms.abs_diff(median);
    let agrees = |(run, profile): &(usize, Profile)| (10 * apart(profile) <= median).then_some(*run);
    Agreement {
        agreeing: runs.iter().filter_map(agrees).collect(),
        scores: runs.iter().map(|(run, profile)| (*run, apart(profile))).collect(),
    }
}

/// Four runs whose outputs all differ, as those of a program with a clock in it; the last one did much less.
pub(crate) fn runs() -> Vec<Run> {
    let run = |(output, cpu_ms)| Run {
        output: Some([output; 32]),
        profile: Some(Profile { memory_kib: [50_000; 10], cpu_ms, faults: 0 }),
        ..Run::ABSENT
    };
    [(1, 10_000), (2, 10_400), (3, 9_700), (4, 7_900)].into_iter().map(run).collect()
}

/// What the method makes of the runs, and what `ball` makes of them.
pub(crate) fn compare() -> (Outcome, Outcome) {
    let terms = Terms { tolerance_kib: 1_000, relative_permille: 0, ..Terms::new(Method::Ball, 3) };
    (decide_by(&terms, &runs(), by_cpu_time), decide(&terms, &runs()))
}

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() {
    let (own, ball) = compare();
    println!("by CPU time: {:?}, accepted {:?}, rejected {:?}", own.decision, own.accepted, own.rejected);
    println!("ball:        {:?}, accepted {:?}, rejected {:?}", ball.decision, ball.accepted, ball.rejected);
}
