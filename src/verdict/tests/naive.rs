//! The rules once more, written for the eye: fractions of big integers, every bipartition, no shortcuts.

use std::collections::BTreeMap;

use crate::domain::{Method, Profile};
use crate::verdict::{Decision, Note, Outcome, Run, Split, Terms};

use alloy_primitives::U256;

/// A run's index and profile.
type Row = (usize, Profile);

pub(super) fn decide(terms: &Terms, runs: &[Run]) -> Outcome {
    let n = runs.len();
    let m = terms.confidence as usize;
    let outcome = |accepted: Vec<usize>, absent: Vec<usize>, scores, note| {
        let note = match (2 * accepted.len() > n, accepted.len() >= m) {
            _ if !matches!(note, Note::Agreement | Note::EqualOutputs) => note,
            (true, true) => note,
            (true, false) => Note::FewerThanConfidence,
            (false, _) => Note::NoMajorityAgrees,
        };
        if matches!(note, Note::Agreement | Note::EqualOutputs) {
            let rejected = (0..n).filter(|r| !accepted.contains(r) && !absent.contains(r)).collect();
            Outcome { decision: Decision::Verdict, accepted, rejected, absent, scores, note }
        } else {
            Outcome {
                decision: Decision::Inconclusive,
                accepted: vec![],
                rejected: vec![],
                absent,
                scores,
                note,
            }
        }
    };

    if n == 0 || n > 128 || m < 1 || m > n {
        return outcome(vec![], vec![], BTreeMap::new(), Note::BadParameters);
    }
    let silent: Vec<usize> = (0..n).filter(|&r| runs[r].output.is_none()).collect();
    for run in runs.iter().filter(|run| run.output.is_some()) {
        let group: Vec<usize> = (0..n).filter(|&r| runs[r].output == run.output).collect();
        if 2 * group.len() > n {
            return outcome(group, silent, BTreeMap::new(), Note::EqualOutputs);
        }
    }
    if terms.deterministic || terms.method == Method::Hash {
        return outcome(vec![], silent, BTreeMap::new(), Note::OutputsDisagree);
    }
    let rows: Vec<Row> = (0..n)
        .filter(|&r| runs[r].output.is_some())
        .filter_map(|r| runs[r].profile.map(|profile| (r, profile)))
        .collect();
    let absent = (0..n).filter(|r| rows.iter().all(|(present, _)| present != r)).collect();
    let (accepted, scores, note) = match terms.method {
        Method::KMeans => kmeans(terms, n, rows),
        Method::Ball => ball(terms, &rows),
        Method::Hash => unreachable!("hash asks no scorer"),
    };
    outcome(accepted, absent, scores, note)
}

/// A fraction that is at least the tolerance, everything in 1/1000 of 10 x KiB.
fn reaches(terms: &Terms, (num, den): (u128, u128), (level_num, level_den): (u128, u128)) -> bool {
    1000 * num >= 10_000 * u128::from(terms.tolerance_kib) * den
        && 1000 * num * level_den >= u128::from(terms.relative_permille) * level_num * den
}

fn mean_distance(row: &Row, group: &[Row]) -> u128 {
    // In 1 / group.len() of 10 x KiB.
    let n = group.len() as u128;
    (0..10)
        .map(|k| {
            let sum: u128 = group.iter().map(|(_, p)| u128::from(p.memory_kib[k])).sum();
            (n * u128::from(row.1.memory_kib[k])).abs_diff(sum)
        })
        .sum()
}

fn level(rows: &[Row]) -> u128 {
    rows.iter().flat_map(|(_, p)| p.memory_kib).map(u128::from).sum()
}

fn kmeans(terms: &Terms, n: usize, mut near: Vec<Row>) -> (Vec<usize>, BTreeMap<usize, u64>, Note) {
    let score = |rows: &[Row]| -> BTreeMap<usize, u64> {
        rows.iter().map(|row| (row.0, u64::try_from(mean_distance(row, rows)).unwrap())).collect()
    };
    let first = if near.len() < 2 { BTreeMap::new() } else { score(&near) };
    loop {
        let scores = score(&near);
        let values: Vec<u64> = scores.values().copied().collect();
        let Some(cut) = cut(&values) else { break };
        let mut order: Vec<(u64, usize)> = scores.iter().map(|(run, score)| (*score, *run)).collect();
        order.sort_unstable();
        let low_runs: Vec<usize> = order[..cut].iter().map(|(_, run)| *run).collect();
        let (low, high): (Vec<Row>, Vec<Row>) = near.iter().partition(|(run, _)| low_runs.contains(run));
        let far: u128 = high.iter().map(|row| mean_distance(row, &low)).sum();
        let (i, j) = (low.len() as u128, high.len() as u128);
        if !reaches(terms, (far, i * j), (level(&low), i)) {
            break;
        }
        near = low;
        if 2 * near.len() <= n {
            return (vec![], first, Note::NoMajorityNearMean);
        }
    }
    let spread: u128 = score(&near).values().copied().map(u128::from).sum();
    let i = near.len() as u128;
    if spread > 0 && reaches(terms, (spread, i * i), (level(&near), i)) {
        return (vec![], first, Note::SpreadOverTolerance);
    }
    (near.into_iter().map(|(run, _)| run).collect(), first, Note::Agreement)
}

fn ball(terms: &Terms, rows: &[Row]) -> (Vec<usize>, BTreeMap<usize, u64>, Note) {
    let distance = |a: &Row, b: &Row| -> u64 {
        (0..10).map(|k| u64::from(a.1.memory_kib[k]).abs_diff(u64::from(b.1.memory_kib[k]))).sum()
    };
    let mut levels: Vec<u128> = rows.iter().map(|row| level(&[*row])).collect();
    levels.sort_unstable();
    let agree = |a: &Row, b: &Row| {
        let memory = 1000 * u128::from(distance(a, b));
        let absolute = 10_000 * u128::from(terms.tolerance_kib);
        let relative = u128::from(terms.relative_permille) * levels[(levels.len() - 1) / 2];
        let cpu = 1000 * u128::from(a.1.cpu_ms.abs_diff(b.1.cpu_ms));
        let third = 333 * u128::from(a.1.cpu_ms.max(b.1.cpu_ms));
        (memory <= absolute || memory <= relative) && (cpu <= 200_000 || cpu <= third)
    };
    let best = rows.iter().min_by_key(|centre| {
        let inside: Vec<&Row> = rows.iter().filter(|row| agree(centre, row)).collect();
        let spread: u64 = inside.iter().map(|row| distance(centre, row)).sum();
        (rows.len() - inside.len(), spread, centre.0)
    });
    let Some(centre) = best else { return (vec![], BTreeMap::new(), Note::NoTraces) };
    let inside = rows.iter().filter(|row| agree(centre, row)).map(|row| row.0).collect();
    (inside, rows.iter().map(|row| (row.0, distance(centre, row))).collect(), Note::Agreement)
}

/// What a bipartition leaves of L^2 / i + H^2 / j: numerator and denominator.
fn gain(low: &[u64], high: &[u64]) -> (U256, U256) {
    let sum = |part: &[u64]| part.iter().map(|v| U256::from(*v)).sum::<U256>();
    let (l, h) = (sum(low), sum(high));
    let (i, j) = (U256::from(low.len()), U256::from(high.len()));
    (l * l * j + h * h * i, i * j)
}

fn beats((a, b): (U256, U256), (c, d): (U256, U256)) -> bool {
    a * d > c * b
}

/// The best cut of the sorted values, by the tie rules.
fn cut(values: &[u64]) -> Option<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let n = sorted.len();
    let mut cuts: Vec<usize> = (1..n).filter(|&i| sorted[i - 1] < sorted[i]).collect();
    cuts.sort_by_key(|&i| (i.max(n - i), i));
    cuts.into_iter().reduce(|best, i| {
        let (old, new) = (gain(&sorted[..best], &sorted[best..]), gain(&sorted[..i], &sorted[i..]));
        if beats(old, new) { best } else { i }
    })
}

/// The best cut, after checking that no other way to make two groups does better.
pub(super) fn two_means(values: &[u32]) -> Option<Split> {
    let mut sorted: Vec<u64> = values.iter().copied().map(u64::from).collect();
    sorted.sort_unstable();
    let low = cut(&sorted)?;
    let best = gain(&sorted[..low], &sorted[low..]);
    for mask in 1u32..(1 << sorted.len()) - 1 {
        let part = |bit| {
            let of_part = sorted.iter().enumerate().filter(|(i, _)| mask >> i & 1 == bit);
            of_part.map(|(_, v)| *v).collect::<Vec<_>>()
        };
        assert!(!beats(gain(&part(0), &part(1)), best), "{sorted:?} {mask:b}");
    }
    Some(Split { low, last_low: u32::try_from(sorted[low - 1]).unwrap() })
}
