//! `kmeans`: runs near the mean of all, found by repeating an exact 2-means split.
//!
//! With n runs left, every run's score is 10 n times its mean absolute distance from the mean row. The scores
//! are split in two. If the runs of the far group are, on average, at least the tolerance away from the
//! mean row of the near group, they are out and the rest is split again. The runs left must be a majority, and
//! on average closer to their own mean than the tolerance: two runs are always equally far from their mean,
//! and so are two against two.
//!
//! Bounds, with at most 128 runs and 32-bit memory: a column's sum is below 2^39, a score below 2^42.4, the sum
//! of all scores below 2^49.4, and 1000 times it below 2^59.4.

use super::outcome::{Field, Note, Outcome};
use super::terms::{Terms, Tolerance};
use super::two_means::split_sorted;
use super::work::Work;
use crate::domain::{Profile, TENTHS};

pub(super) fn score(field: Field, runs: &[(usize, Profile)], terms: &Terms) -> Outcome {
    let tolerance = Tolerance::of(terms);
    let mut near = runs.to_vec();
    let mut scores = distances(&near);
    let first_scores = match near.len() {
        0 | 1 => [].into(),
        _ => near.iter().map(|(run, _)| *run).zip(scores.iter().copied()).collect(),
    };

    while let Some((low, high)) = split(&near, &scores) {
        if !is_apart(&low, &high, tolerance) {
            break;
        }
        near = low;
        if !field.is_majority(near.len()) {
            return field.inconclusive(first_scores, Note::NoMajorityNearMean);
        }
        scores = distances(&near);
    }

    if is_spread(&near, &scores, tolerance) {
        return field.inconclusive(first_scores, Note::SpreadOverTolerance);
    }
    field.agreed(near.into_iter().map(|(run, _)| run).collect(), first_scores, Note::Agreement)
}

type Runs = Vec<(usize, Profile)>;

/// The runs of the lower and of the higher scores, in their order; `None` when all scores are equal.
fn split(runs: &[(usize, Profile)], scores: &[u64]) -> Option<(Runs, Runs)> {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    let last_low = sorted[split_sorted(&sorted)? - 1];
    let (low, high): (Vec<_>, Vec<_>) = runs.iter().zip(scores).partition(|(_, score)| **score <= last_low);
    let runs = |part: Vec<(&(usize, Profile), _)>| part.into_iter().map(|(run, _)| *run).collect();
    Some((runs(low), runs(high)))
}

/// Whether the higher group is, on average, at least the tolerance away from the lower group's mean row.
fn is_apart(low: &[(usize, Profile)], high: &[(usize, Profile)], tolerance: Tolerance) -> bool {
    let sums = sums(low);
    let far: u64 = high.iter().map(|(_, profile)| distance(profile, low.len() as u64, &sums)).sum();
    1000 * far >= tolerance.scaled(low.len() as u64, sums.iter().sum()) * high.len() as u64
}

/// Whether the runs are, on average, at least the tolerance away from their own mean row.
fn is_spread(runs: &[(usize, Profile)], scores: &[u64], tolerance: Tolerance) -> bool {
    let n = runs.len() as u64;
    let spread: u64 = scores.iter().sum();
    spread > 0 && 1000 * spread >= tolerance.scaled(n * n, n * sums(runs).iter().sum::<u64>())
}

/// The mean row of some runs, for what is measured beside it.
pub(super) struct Mean {
    count: u64,
    sums: [u64; TENTHS],
    tolerance: Tolerance,
}

impl Mean {
    /// `None` of no runs.
    pub(super) fn of(profiles: &[Profile], terms: &Terms) -> Option<Self> {
        let runs: Vec<_> = profiles.iter().copied().enumerate().collect();
        let mean = Self { count: runs.len() as u64, sums: sums(&runs), tolerance: Tolerance::of(terms) };
        (mean.count > 0).then_some(mean)
    }

    /// The memory of any run beside the mean. CPU time and page faults are not looked at.
    pub(super) fn work(&self, profile: &Profile) -> Work {
        let apart = distance(profile, self.count, &self.sums);
        let limit = self.tolerance.scaled(self.count, self.sums.iter().sum());
        Work {
            agrees: 1000 * apart < limit,
            memory_apart_kib: apart.div_ceil(10 * self.count),
            memory_limit_kib: limit / (10_000 * self.count),
            cpu: None,
            faults: None,
        }
    }
}

/// Every run's score.
fn distances(runs: &[(usize, Profile)]) -> Vec<u64> {
    let sums = sums(runs);
    runs.iter().map(|(_, profile)| distance(profile, runs.len() as u64, &sums)).collect()
}

/// Ten `n` times the mean distance of a row from the mean of the `n` rows that add up to `sums`.
fn distance(profile: &Profile, n: u64, sums: &[u64; TENTHS]) -> u64 {
    profile.memory_kib.into_iter().zip(sums).map(|(kib, sum)| (n * u64::from(kib)).abs_diff(*sum)).sum()
}

/// The sum of the rows.
fn sums(runs: &[(usize, Profile)]) -> [u64; TENTHS] {
    let mut sums = [0; TENTHS];
    for (_, profile) in runs {
        for (sum, kib) in sums.iter_mut().zip(profile.memory_kib) {
            *sum += u64::from(kib);
        }
    }
    sums
}
