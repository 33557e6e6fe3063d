//! `ball`: the largest set of runs that all lie within the tolerance of one of them.
//!
//! Two runs agree if their memory rows differ by at most the tolerance on average, which is relative to the
//! (lower) median memory level of all runs, and if their CPU times differ by at most a third. The runs that agree with
//! run i are the ball around i. The largest ball wins, then the one with the least sum of distances to
//! its centre, then the lowest centre. It takes time quadratic in the number of runs.

use super::outcome::{Field, Note, Outcome};
use super::terms::Tolerance;
use crate::domain::Profile;

/// How far CPU times may differ at least, in milliseconds: honest runs of a job that hardly computes differ so much.
const CPU_TOLERANCE_MS: u128 = 200;
/// How far CPU times may differ, in permille of the larger: runs on an idle and on a busy machine differ so much.
const CPU_TOLERANCE_PERMILLE: u128 = 333;

/// A ball is better when it is larger, then tighter. Ties stay with the first.
struct Ball {
    centre: usize,
    members: Vec<usize>,
    spread: u64,
}

impl Ball {
    fn around(centre: usize, runs: &[(usize, Profile)], tolerance: u64) -> Self {
        let (_, profile) = &runs[centre];
        let mut ball = Self { centre, members: Vec::new(), spread: 0 };
        for (run, other) in runs {
            let apart = distance(profile, other);
            if 1000 * apart <= tolerance && cpu_agrees(profile.cpu_ms, other.cpu_ms) {
                ball.members.push(*run);
                ball.spread += apart;
            }
        }
        ball
    }

    fn beats(&self, other: &Self) -> bool {
        let (size, other_size) = (self.members.len(), other.members.len());
        size > other_size || (size == other_size && self.spread < other.spread)
    }
}

pub(super) fn score(field: Field, runs: &[(usize, Profile)], tolerance: Tolerance) -> Outcome {
    let mut levels: Vec<u64> = runs.iter().map(|(_, profile)| level(profile)).collect();
    levels.sort_unstable();
    let median = levels.get(levels.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let tolerance = tolerance.scaled(1, median);

    let balls = (0..runs.len()).map(|centre| Ball::around(centre, runs, tolerance));
    let Some(best) = balls.reduce(|best, ball| if ball.beats(&best) { ball } else { best }) else {
        return field.inconclusive([].into(), Note::NoTraces);
    };
    let (_, centre) = &runs[best.centre];
    let scores = runs.iter().map(|(run, profile)| (*run, distance(centre, profile))).collect();
    field.agreed(best.members, scores, Note::Agreement)
}

/// Ten times the mean memory; at most 10 x 2^32.
fn level(profile: &Profile) -> u64 {
    profile.memory_kib.into_iter().map(u64::from).sum()
}

/// Ten times the mean distance; at most 10 x 2^32.
fn distance(a: &Profile, b: &Profile) -> u64 {
    a.memory_kib.into_iter().zip(b.memory_kib).map(|(a, b)| u64::from(a.abs_diff(b))).sum()
}

fn cpu_agrees(a_ms: u64, b_ms: u64) -> bool {
    let larger = u128::from(a_ms.max(b_ms));
    1000 * u128::from(a_ms.abs_diff(b_ms)) <= (1000 * CPU_TOLERANCE_MS).max(CPU_TOLERANCE_PERMILLE * larger)
}
