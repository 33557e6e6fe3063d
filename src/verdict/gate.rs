//! The output gate: more than half of all nodes asked have the same output.
//!
//! Never a plurality: where right runs differ, two colluders with one made-up output would be the largest group.

use std::collections::BTreeMap;

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

fn majority_by<K: Ord>(runs: &[Run], key: impl Fn(&Run) -> Option<K>) -> Option<Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        if let Some(key) = key(run) {
            groups.entry(key).or_default().push(index);
        }
    }
    groups.into_values().find(|group| 2 * group.len() > runs.len())
}
