//! The order of the questions: are the terms valid, do the outputs decide, and what does the scorer say.

use std::collections::BTreeMap;

use super::outcome::{Field, Note, Outcome};
use super::{ball, gate, kmeans};
use crate::domain::{Method, Profile};

/// More runs than this are not compared: the bounds of the scorers' 64-bit sums are stated for so many.
pub const MAX_RUNS: usize = 128;

/// The largest relative tolerance: the whole memory level.
pub(super) const MAX_PERMILLE: u16 = 1000;

/// What a job's deal says about its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many runs must agree, beyond being a strict majority; 1 to the number of runs.
    pub confidence: u32,
    /// How far apart runs may be at any memory level, in KiB.
    pub tolerance_kib: u32,
    /// How far apart runs may be for their memory level, in permille of it; 0 to 1000. The larger of the two
    /// tolerances counts.
    pub relative_permille: u16,
    /// How runs are compared when no output has a majority.
    pub method: Method,
    /// Whether all right runs have the same output, so that there is nothing to compare but outputs.
    pub deterministic: bool,
}

/// Which runs a method finds to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// By index, in any order; an index that was not given to the method counts for nothing.
    pub agreeing: Vec<usize>,
    /// Each compared run's score, for people.
    pub scores: BTreeMap<usize, u64>,
}

/// What one node that was asked brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Hash of its output; `None` when the node brought no result. Such a run agrees with nobody.
    pub output: Option<[u8; 32]>,
    /// Its memory and CPU time; `None` when its fingerprint is void.
    pub profile: Option<Profile>,
}

/// A tolerance that grows with the memory level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) kib: u32,
    pub(super) permille: u16,
}

impl Tolerance {
    /// 1000 times the tolerance, both parts weighted as the caller's sums are: `kib_weight` times 10 for the
    /// absolute part, `level` being the memory level times as much.
    ///
    /// With at most 128 runs, `kib_weight` is at most 2^14 and `level` at most 2^49.4 (128 x 128 rows
    /// of ten 32-bit values), hence the result is below 2^60.
    pub(super) fn scaled(self, kib_weight: u64, level: u64) -> u64 {
        (10_000 * u64::from(self.kib) * kib_weight).max(u64::from(self.permille) * level)
    }
}

/// Which of the runs agree under the terms. `runs` holds every node that was asked, in an order that none of
/// them chose, because `ball` settles its last ties by index.
///
/// No runs, more than [`MAX_RUNS`], a confidence of 0 or above their number, or a relative tolerance above
/// 1000 permille is [`Note::BadParameters`].
pub fn decide(terms: &Terms, runs: &[Run]) -> Outcome {
    let scorer = match terms.method {
        Method::Hash => None,
        Method::KMeans => Some(kmeans::score as Scorer),
        Method::Ball => Some(ball::score as Scorer),
    };
    compare(terms, runs, scorer)
}

type Scorer = fn(Field, &[(usize, Profile)], Tolerance) -> Outcome;

/// As [`decide()`], with a method of the caller's own in place of [`Terms::method`]: to try one before it becomes a
/// [`Method`], which all nodes and the contract must share.
///
/// `agree` gets the runs that can be compared, at least one, by index and ascending. That outputs go first, and that
/// only a strict majority of at least the confidence makes a verdict, is not its to say.
///
/// ```
/// use assay::{
///     domain::{Method, Profile},
///     verdict::{Agreement, Decision, Run, Terms, decide_by},
/// };
///
/// let method = Method::Hash;
/// let terms = Terms { confidence: 2, tolerance_kib: 0, relative_permille: 0, method, deterministic: false };
/// let profile = |cpu_ms| Some(Profile { memory_kib: [0; 10], cpu_ms });
/// let runs = [(1, 100), (2, 101), (3, 900)]
///     .map(|(output, cpu_ms)| Run { output: Some([output; 32]), profile: profile(cpu_ms) });
/// let outcome = decide_by(&terms, &runs, |runs| {
///     let quick = runs.iter().filter(|(_, profile)| profile.cpu_ms < 500).map(|(run, _)| *run);
///     Agreement { agreeing: quick.collect(), ..Agreement::default() }
/// });
/// assert_eq!((outcome.decision, outcome.rejected), (Decision::Verdict, vec![2]));
/// ```
pub fn decide_by(
    terms: &Terms,
    runs: &[Run],
    agree: impl FnOnce(&[(usize, Profile)]) -> Agreement,
) -> Outcome {
    let scorer = |field: Field, runs: &[(usize, Profile)], _: Tolerance| {
        if runs.is_empty() {
            return field.inconclusive(BTreeMap::new(), Note::NoTraces);
        }
        let Agreement { mut agreeing, mut scores } = agree(runs);
        let is_run = |run: &usize| runs.binary_search_by_key(run, |(run, _)| *run).is_ok();
        agreeing.retain(is_run);
        agreeing.sort_unstable();
        agreeing.dedup();
        scores.retain(|run, _| is_run(run));
        field.agreed(agreeing, scores, Note::Agreement)
    };
    compare(terms, runs, Some(scorer))
}

fn compare(
    terms: &Terms,
    runs: &[Run],
    scorer: Option<impl FnOnce(Field, &[(usize, Profile)], Tolerance) -> Outcome>,
) -> Outcome {
    let confidence = usize::try_from(terms.confidence).unwrap_or(usize::MAX);
    let mut field = Field { asked: runs.len(), confidence, absent: Vec::new() };
    let sane = (1..=MAX_RUNS).contains(&runs.len())
        && (1..=runs.len()).contains(&confidence)
        && terms.relative_permille <= MAX_PERMILLE;
    if !sane {
        return field.inconclusive(BTreeMap::new(), Note::BadParameters);
    }

    field.absent = indices(runs, |run| run.output.is_none());
    if let Some(group) = gate::majority(runs) {
        return field.agreed(group, BTreeMap::new(), Note::EqualOutputs);
    }
    if terms.deterministic {
        return field.inconclusive(BTreeMap::new(), Note::OutputsDisagree);
    }

    let Some(scorer) = scorer else {
        return field.inconclusive(BTreeMap::new(), Note::OutputsDisagree);
    };
    let profiles = runs.iter().map(|run| run.output.and(run.profile)).enumerate();
    let present: Vec<(usize, Profile)> =
        profiles.filter_map(|(run, profile)| Some((run, profile?))).collect();
    field.absent = indices(runs, |run| run.output.is_none() || run.profile.is_none());
    scorer(field, &present, Tolerance { kib: terms.tolerance_kib, permille: terms.relative_permille })
}

fn indices(runs: &[Run], wanted: impl Fn(&Run) -> bool) -> Vec<usize> {
    runs.iter().enumerate().filter(|(_, run)| wanted(run)).map(|(index, _)| index).collect()
}
