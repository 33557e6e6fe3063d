//! The output gate: more than half of all nodes asked have the same output.
//!
//! Never a plurality: where right runs differ, two colluders with one made-up output would be the largest group.

use std::{borrow::Cow, collections::BTreeMap};

use super::terms::Run;

/// The runs, ascending, of the output with a strict majority of all runs. Runs without an output join no
/// group and count in the total; the hash of an empty output is an output like any other.
pub(super) fn majority(runs: &[Run]) -> Option<Vec<usize>> {
    majority_by(runs, |run| run.output)
}

/// As [`majority()`], of the exit codes that runs with an output state.
pub(super) fn exit_code(runs: &[Run]) -> Option<i32> {
    let stated = |run: &Run| run.output.map(|_| run.exit_code);
    majority_by(runs, stated)?.first().map(|run| runs[*run].exit_code)
}

/// The runs as they are compared: where most state one exit code, a run with another counts as one that brought nothing.
///
/// An output hash covers the exit code, but a node states the code besides, for whoever has not fetched the result. So a
/// false one must not be accepted with a true hash, nor shift the mean, the tolerance or the choice of a ball.
pub(super) fn comparable(runs: &[Run]) -> Cow<'_, [Run]> {
    let Some(most) = exit_code(runs) else { return runs.into() };
    if runs.iter().all(|run| run.output.is_none() || run.exit_code == most) {
        return runs.into();
    }
    runs.iter().map(|run| if run.exit_code == most { *run } else { Run::ABSENT }).collect()
}

fn majority_by<K: Ord>(runs: &[Run], key: impl Fn(&Run) -> Option<K>) -> Option<Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        if let Some(key) = key(run) {
            groups.entry(key).or_default().push(index);
        }
    }
    groups.into_values().find(|group| 2 * group.len() > runs.len())
}
