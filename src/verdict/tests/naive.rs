//! The rules once more, written for the eye: fractions of big integers, every bipartition, no shortcuts.

use std::collections::BTreeMap;

use crate::domain::{Method, Profile, SummaryWord};
use crate::verdict::{Decision, Note, Outcome, Run, Split, Terms};

use alloy_primitives::U256;

/// A run's index and profile.
type Row = (usize, Profile);

fn decides(note: Note) -> bool {
    use Note::{Agreement, EqualOutputs, EqualOutputsAndWork, NearOutputs, NearOutputsAndWork};
    matches!(note, Agreement | EqualOutputs | NearOutputs | EqualOutputsAndWork | NearOutputsAndWork)
}

pub(super) fn decide(terms: &Terms, runs: &[Run]) -> Outcome {
    let n = runs.len();
    let m = terms.confidence as usize;
    let states = |exit_code: i32| {
        let stating = runs.iter().filter(|run| run.output.is_some() && run.exit_code == exit_code);
        2 * stating.count() > n
    };
    // With another exit code than most a run is as good as silent, though not absent.
    let all = runs;
    let one_exit = runs.iter().any(|run| states(run.exit_code));
    let silenced = |run: &Run| if one_exit && !states(run.exit_code) { Run::ABSENT } else { *run };
    let runs = &runs.iter().map(silenced).collect::<Vec<Run>>();
    let outcome = |accepted: Vec<usize>, absent: Vec<usize>, scores, note| {
        let accepted = if one_exit { accepted } else { vec![] };
        let note = match (2 * accepted.len() > n, accepted.len() >= m) {
            _ if !decides(note) => note,
            (true, true) => note,
            (true, false) => Note::FewerThanConfidence,
            (false, _) => Note::NoMajorityAgrees,
        };
        if decides(note) {
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

    let by_outputs = matches!(terms.method, Method::Hash | Method::Near);
    if n == 0 || n > 128 || m < 1 || m > n || (terms.require_work && !by_outputs) {
        return outcome(vec![], vec![], BTreeMap::new(), Note::BadParameters);
    }
    if terms.method == Method::Near || terms.require_work {
        let (accepted, scores, note) = relation(terms, runs);
        let takes_part = |run: &Run| run.output.is_some() && (!terms.require_work || run.profile.is_some());
        let absent = (0..n).filter(|&r| !takes_part(&all[r])).collect();
        return outcome(accepted, absent, scores, note);
    }
    let silent: Vec<usize> = (0..n).filter(|&r| all[r].output.is_none()).collect();
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
    let absent = (0..n).filter(|&r| all[r].output.is_none() || all[r].profile.is_none()).collect();
    let (accepted, scores, note) = match terms.method {
        Method::KMeans => kmeans(terms, n, rows),
        Method::Ball => ball(terms, &rows),
        Method::Hash | Method::Near => unreachable!("outputs alone decide"),
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

fn memory_apart(a: &Row, b: &Row) -> u64 {
    (0..10).map(|k| u64::from(a.1.memory_kib[k]).abs_diff(u64::from(b.1.memory_kib[k]))).sum()
}

fn traces_agree(terms: &Terms, rows: &[Row], a: &Row, b: &Row) -> bool {
    let mut levels: Vec<u128> = rows.iter().map(|row| level(&[*row])).collect();
    levels.sort_unstable();
    let memory = 1000 * u128::from(memory_apart(a, b));
    let absolute = 10_000 * u128::from(terms.tolerance_kib);
    let relative = u128::from(terms.relative_permille) * levels[(levels.len() - 1) / 2];
    let cpu = 1000 * u128::from(a.1.cpu_ms.abs_diff(b.1.cpu_ms));
    let share = u128::from(terms.cpu_permille) * u128::from(a.1.cpu_ms.max(b.1.cpu_ms));
    let faults = u128::from(a.1.faults.abs_diff(b.1.faults));
    let most = u128::from(a.1.faults.max(b.1.faults));
    (memory <= absolute || memory <= relative)
        && (cpu <= 200_000 || cpu <= share)
        && (faults <= 600 || 5 * faults <= most)
}

fn ball(terms: &Terms, rows: &[Row]) -> (Vec<usize>, BTreeMap<usize, u64>, Note) {
    let agree = |a: &Row, b: &Row| traces_agree(terms, rows, a, b);
    let best = rows.iter().min_by_key(|centre| {
        let inside: Vec<&Row> = rows.iter().filter(|row| agree(centre, row)).collect();
        let spread: u64 = inside.iter().map(|row| memory_apart(centre, row)).sum();
        (rows.len() - inside.len(), spread, centre.0)
    });
    let Some(centre) = best else { return (vec![], BTreeMap::new(), Note::NoTraces) };
    let inside = rows.iter().filter(|row| agree(centre, row)).map(|row| row.0).collect();
    (inside, rows.iter().map(|row| (row.0, memory_apart(centre, row))).collect(), Note::Agreement)
}

/// Lane by lane, on a circle of 2^25.
fn lanes_apart(a: SummaryWord, b: SummaryWord) -> Option<u64> {
    if a == SummaryWord::VOID || b == SummaryWord::VOID {
        return None;
    }
    let lane = |word: SummaryWord, k: usize| -> u64 {
        (U256::from_be_bytes(word.0) >> (25 * k)).wrapping_to::<u64>() % (1 << 25)
    };
    (0..10).map(|k| lane(a, k).abs_diff(lane(b, k))).map(|apart| apart.min((1 << 25) - apart)).max()
}

type Found = (Vec<usize>, BTreeMap<usize, u64>, Note);

/// Outputs, summaries and traces as one relation.
fn relation(terms: &Terms, runs: &[Run]) -> Found {
    let is_near = terms.method == Method::Near && !terms.deterministic;
    let present: Vec<usize> = (0..runs.len())
        .filter(|&r| runs[r].output.is_some() && (!terms.require_work || runs[r].profile.is_some()))
        .collect();
    // What `ball` says of two runs alone depends on the level of all.
    let rows: Vec<Row> =
        present.iter().filter_map(|&r| runs[r].profile.map(|profile| (r, profile))).collect();
    let row = |run: usize| rows.iter().find(|row| row.0 == run).unwrap();
    let equal = |a: usize, b: usize| {
        let numbers = terms.method != Method::Near || runs[a].summary == runs[b].summary;
        numbers && runs[a].output == runs[b].output
    };
    let agree = |a: usize, b: usize| {
        let summaries = lanes_apart(runs[a].summary, runs[b].summary);
        let outputs = equal(a, b) || (is_near && summaries.is_some_and(|d| d <= 64));
        outputs && (!terms.require_work || traces_agree(terms, &rows, row(a), row(b)))
    };
    let spread = |a: usize, b: usize| if terms.require_work { memory_apart(row(a), row(b)) } else { 0 };
    let best = present.iter().copied().min_by_key(|&centre| {
        let inside: Vec<usize> = present.iter().copied().filter(|&r| agree(centre, r)).collect();
        let spread: u64 = inside.iter().map(|&r| spread(centre, r)).sum();
        (present.len() - inside.len(), spread, centre)
    });
    let Some(centre) = best else { return (vec![], BTreeMap::new(), Note::NoTraces) };
    let score = |r: usize| match (terms.require_work, equal(r, centre)) {
        (true, _) => Some(memory_apart(row(centre), row(r))),
        (false, true) => Some(0),
        (false, false) => lanes_apart(runs[centre].summary, runs[r].summary),
    };
    let scores = present.iter().filter_map(|&r| Some((r, score(r)?))).collect();
    let note = match (is_near, terms.require_work) {
        (true, true) => Note::NearOutputsAndWork,
        (true, false) => Note::NearOutputs,
        (false, true) => Note::EqualOutputsAndWork,
        (false, false) => Note::EqualOutputs,
    };
    (present.iter().copied().filter(|&r| agree(centre, r)).collect(), scores, note)
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
