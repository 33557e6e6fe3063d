//! Sweeps: one submission that makes many jobs, which form a group.
//!
//! What is here is pure: how many jobs a sweep has, and the variables that tell each what it is. `plan` is the file from which
//! another command submits what an interrupted one did not. `summary` says how a group ended.

mod plan;
mod progress;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    args::{SweepArgs, values::Axis},
    settings::SettingsError,
};
use crate::api::types::{GROUP_VARIABLE, INDEX_VARIABLE, MAX_GROUP_JOBS, Member, is_group};

pub(super) use plan::{Plan, PlanError};
pub(super) use progress::GroupProgress;
pub(super) use summary::{Ended, GroupEnd, Unfetched, Unsubmitted};

/// The jobs that a sweep has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweep {
    /// How often each combination of values runs.
    count: u32,
    axes: Vec<Axis>,
}

impl Sweep {
    /// The sweep that the flags ask for; `None` for a single job. `variables` are those that all its jobs have.
    pub(super) fn of(
        args: &SweepArgs,
        variables: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, SettingsError> {
        if args.count.is_none() && args.matrix.is_empty() {
            return if args.max_parallel.is_some() { Err(SettingsError::NoSweep) } else { Ok(None) };
        }
        let sweep = Self { count: args.count.unwrap_or(1), axes: args.matrix.clone() };
        let mut known: BTreeSet<&str> = variables.keys().map(String::as_str).collect();
        known.extend([GROUP_VARIABLE, INDEX_VARIABLE]);
        if let Some(taken) =
            [GROUP_VARIABLE, INDEX_VARIABLE].iter().find(|name| variables.contains_key(**name))
        {
            return Err(SettingsError::SweepVariable { name: (*taken).to_owned() });
        }
        for axis in &sweep.axes {
            if !known.insert(&axis.key) {
                return Err(SettingsError::SweepVariable { name: axis.key.clone() });
            }
        }
        let jobs = sweep.axes.iter().map(|axis| axis.values.len() as u128);
        let jobs = jobs.fold(u128::from(sweep.count), u128::saturating_mul);
        if jobs > u128::from(MAX_GROUP_JOBS) {
            return Err(SettingsError::SweepSize { jobs, most: MAX_GROUP_JOBS });
        }
        Ok(Some(sweep))
    }

    /// The number of its jobs.
    pub(super) fn jobs(&self) -> u32 {
        let combinations = self.axes.iter().map(|axis| u32::try_from(axis.values.len()).unwrap_or(u32::MAX));
        combinations.fold(self.count, u32::saturating_mul)
    }

    /// The values of one job, in the order of the flags. The last flag varies fastest.
    pub(super) fn values(&self, index: u32) -> Vec<(&str, &str)> {
        let mut rest = usize::try_from(index).unwrap_or(usize::MAX);
        let mut values: Vec<(&str, &str)> = Vec::new();
        for Axis { key, values: known } in self.axes.iter().rev() {
            let length = known.len().max(1);
            let value = known.get(rest % length).map_or("", String::as_str);
            values.push((key, value));
            rest /= length;
        }
        values.reverse();
        values
    }

    /// The variables of one job of a group, besides those that all have.
    pub(super) fn variables(&self, group: &str, index: u32) -> BTreeMap<String, String> {
        let member = Member { group: group.to_owned(), index };
        let values = self.values(index).into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        values.chain(member.variables()).collect()
    }
}

/// The text as a group's id or the beginning of one.
pub(super) fn group_name(text: &str) -> Result<&str, SettingsError> {
    let padded = format!("{text:0<12}");
    if !text.is_empty() && is_group(&padded) {
        Ok(text)
    } else {
        Err(SettingsError::GroupName { text: text.to_owned() })
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(in crate::cli) use super::{plan::tests::plan, summary::tests::row};

    use super::*;
    use crate::cli::args::values;

    fn args(count: Option<u32>, matrix: &[&str]) -> SweepArgs {
        let matrix = matrix.iter().map(|text| values::axis(text).unwrap()).collect();
        SweepArgs { count, matrix, max_parallel: None }
    }

    fn sweep(count: Option<u32>, matrix: &[&str]) -> Sweep {
        Sweep::of(&args(count, matrix), &BTreeMap::new()).unwrap().unwrap()
    }

    #[test]
    fn a_matrix_is_every_combination_with_the_last_key_fastest() {
        let sweep = sweep(Some(2), &["lr=0.1,0.2", "seed=7,8,9"]);
        assert_eq!(sweep.jobs(), 12);
        let of = |index| {
            sweep.values(index).iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(of(0), ["lr=0.1", "seed=7"]);
        assert_eq!(of(2), ["lr=0.1", "seed=9"]);
        assert_eq!(of(3), ["lr=0.2", "seed=7"]);
        assert_eq!((of(5), of(6)), (of(11), of(0)), "a count repeats all combinations");
        let all: BTreeSet<Vec<String>> = (0..6).map(of).collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn each_job_is_told_its_group_its_number_and_its_values() {
        let told = sweep(None, &["lr=0.1,0.2"]).variables("0123456789ab", 1);
        let said: Vec<String> = told.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(said, ["SWEEP_GROUP=0123456789ab", "SWEEP_INDEX=1", "lr=0.2"]);
    }

    #[test]
    fn a_sweep_that_sets_a_variable_twice_or_is_too_large_is_refused() {
        let refused = |args: &SweepArgs, set: &str| {
            let variables = BTreeMap::from([(set.to_owned(), "1".to_owned())]);
            Sweep::of(args, &variables).unwrap_err().to_string()
        };
        assert!(refused(&args(None, &["lr=1", "lr=2"]), "a").contains("lr"));
        assert!(refused(&args(None, &["lr=1"]), "lr").contains("lr"));
        assert!(refused(&args(Some(2), &[]), "SWEEP_INDEX").contains("SWEEP_INDEX"));
        assert!(refused(&args(None, &["SWEEP_GROUP=1"]), "a").contains("SWEEP_GROUP"));
        let large = refused(&args(Some(5_001), &["lr=1,2"]), "a");
        assert!(large.contains("10002 jobs"), "{large}");
        assert_eq!(sweep(Some(5_000), &["lr=1,2"]).jobs(), 10_000);
        let unused = SweepArgs { max_parallel: Some(1), ..args(None, &[]) };
        assert!(matches!(Sweep::of(&unused, &BTreeMap::new()), Err(SettingsError::NoSweep)));
        assert_eq!(Sweep::of(&args(None, &[]), &BTreeMap::new()).unwrap(), None);
    }

    #[test]
    fn a_group_is_named_by_lower_case_hex_digits() {
        assert!(group_name("0123456789ab").is_ok() && group_name("0").is_ok());
        for text in ["", "xyz", "0x12", "0123456789abc", "AB"] {
            assert!(group_name(text).is_err(), "{text}");
        }
    }
}
