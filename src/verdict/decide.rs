//! The order of the questions: are the terms valid, do the outputs decide, what does the scorer say?

use std::collections::BTreeMap;

use super::outcome::{Field, Note, Outcome};
use super::terms::{Agreement, MAX_PERMILLE, MAX_RUNS, Run, Terms};
use super::{ball, gate, kmeans, near};
use crate::domain::{Method, Profile};

/// Which of the runs agree under the terms. `runs` holds every node that was asked, in an order that none of
/// them chose, because `ball` settles its last ties by index.
///
/// No runs, more than [`MAX_RUNS`], a confidence of 0 or above their number, a tolerance above 1000 permille, or work
/// required of another method than `hash` and `near` is [`Note::BadParameters`].
pub fn decide(terms: &Terms, runs: &[Run]) -> Outcome {
    let scorer = match terms.method {
        Method::Hash | Method::Near => None,
        Method::KMeans => Some(kmeans::score as Scorer),
        Method::Ball => Some(ball::score as Scorer),
    };
    compare(terms, runs, scorer)
}

type Scorer = fn(Field, &[(usize, Profile)], &Terms) -> Outcome;

/// As [`decide()`], with a method of the caller's own in place of [`Terms::method`]: to try one before it becomes a
/// [`Method`], which all nodes and the contract must share.
///
/// `agree` gets the runs that can be compared, at least one, by index and ascending. It cannot change that outputs go
/// first, nor that a verdict needs a strict majority and at least the confidence.
///
/// ```
/// use assay::{
///     domain::{Method, Profile},
///     verdict::{Agreement, Decision, Run, Terms, decide_by},
/// };
///
/// let method = Method::Hash;
/// let terms = Terms::new(method, 2);
/// let profile = |cpu_ms| Some(Profile { memory_kib: [0; 10], cpu_ms, faults: 0 });
/// let runs = [(1, 100), (2, 101), (3, 900)]
///     .map(|(output, cpu_ms)| Run { output: Some([output; 32]), profile: profile(cpu_ms), ..Run::ABSENT });
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
    let scorer = |field: Field, runs: &[(usize, Profile)], _: &Terms| {
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
    scorer: Option<impl FnOnce(Field, &[(usize, Profile)], &Terms) -> Outcome>,
) -> Outcome {
    let confidence = usize::try_from(terms.confidence).unwrap_or(usize::MAX);
    let has_one_exit = gate::exit_code(runs).is_some();
    let mut field = Field { asked: runs.len(), confidence, absent: Vec::new(), has_one_exit };
    let sane = (1..=MAX_RUNS).contains(&runs.len())
        && (1..=runs.len()).contains(&confidence)
        && terms.relative_permille.max(terms.cpu_permille) <= MAX_PERMILLE
        && (!terms.require_work || matches!(terms.method, Method::Hash | Method::Near));
    if !sane {
        return field.inconclusive(BTreeMap::new(), Note::BadParameters);
    }

    if terms.method == Method::Near || terms.require_work {
        return near::score(field, runs, terms);
    }
    field.absent = indices(runs, |run| run.output.is_none());
    let comparable = gate::comparable(runs);
    if let Some(group) = gate::majority(&comparable) {
        return field.agreed(group, BTreeMap::new(), Note::EqualOutputs);
    }
    if terms.deterministic {
        return field.inconclusive(BTreeMap::new(), Note::OutputsDisagree);
    }

    let Some(scorer) = scorer else {
        return field.inconclusive(BTreeMap::new(), Note::OutputsDisagree);
    };
    let profiles = comparable.iter().map(|run| run.output.and(run.profile)).enumerate();
    let present: Vec<(usize, Profile)> =
        profiles.filter_map(|(run, profile)| Some((run, profile?))).collect();
    field.absent = indices(runs, |run| run.output.is_none() || run.profile.is_none());
    scorer(field, &present, terms)
}

fn indices(runs: &[Run], wanted: impl Fn(&Run) -> bool) -> Vec<usize> {
    runs.iter().enumerate().filter(|(_, run)| wanted(run)).map(|(index, _)| index).collect()
}
