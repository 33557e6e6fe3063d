//! A failing simulation made smaller, so that its story can be read.

use super::{
    setup::{Setup, simulate_under},
    temper::BadNodes,
    world::Law,
};

/// A search ends after so many simulations.
pub const MOST_ATTEMPTS: usize = 200;

/// Seeds tried for each smaller setup: what went wrong in a larger one needs another chance there.
const SEEDS: u64 = 4;

/// The smallest setup that was found to break the same promise; greedy, with at most [`MOST_ATTEMPTS`] simulations.
pub fn shrink(setup: &Setup, law: Option<Law>, promise: &'static str) -> Setup {
    let mut smallest = setup.clone();
    let mut attempts = 0;
    'smaller: loop {
        for candidate in smaller(&smallest) {
            for seed in [smallest.seed].into_iter().chain(1..=SEEDS) {
                if attempts == MOST_ATTEMPTS {
                    return smallest;
                }
                attempts += 1;
                let candidate = Setup { seed, ..candidate.clone() };
                if simulate_under(&candidate, law).is_err_and(|(_, violation)| violation.promise == promise) {
                    smallest = candidate;
                    continue 'smaller;
                }
            }
        }
        return smallest;
    }
}

/// Setups that are smaller by one thing, those first that lose most.
fn smaller(setup: &Setup) -> Vec<Setup> {
    let mut found = Vec::new();
    let mut fewer = |number: usize, least: usize, with: &dyn Fn(usize) -> Setup| {
        for less in [number / 2, number.saturating_sub(1)] {
            if less >= least && less < number {
                found.push(with(less));
            }
        }
    };
    fewer(setup.jobs, 1, &|jobs| Setup { jobs, ..setup.clone() });
    fewer(setup.nodes, 3, &|nodes| Setup { nodes, ..setup.clone() });
    fewer(setup.bad.count, 0, &|count| Setup { bad: BadNodes { count, ..setup.bad }, ..setup.clone() });
    fewer(setup.slots, 1, &|slots| Setup { slots, ..setup.clone() });
    for fault in &setup.faults {
        let mut faults = setup.faults.clone();
        faults.remove(fault);
        found.push(Setup { faults, ..setup.clone() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Job, JobState},
        sim::{BadNodes, Order, Temper, story},
    };

    fn nobody_is_rejected(job: &Job) -> Option<&'static str> {
        let rejects = job.verdict.as_ref().is_some_and(|verdict| !verdict.rejected.is_empty());
        (job.state == JobState::Verified && rejects).then_some("somebody was rejected")
    }

    #[test]
    fn what_fails_among_many_is_shown_among_few() {
        let bad = BadNodes { count: 3, temper: Some(Temper::Faker) };
        let setup = Setup { jobs: 8, bad, ..Setup::new(1, Order::Neutral) };
        let law: Option<Law> = Some(nobody_is_rejected);
        let (_, violation) = simulate_under(&setup, law).unwrap_err();
        assert_eq!(violation.promise, "somebody was rejected");
        let small = shrink(&setup, law, violation.promise);
        assert!(small.jobs <= 3 && small.nodes <= 5 && small.bad.count == 1, "{small:?}");
        assert!(small.faults.is_empty(), "no fault is needed: {small:?}");
        let (world, violation) = simulate_under(&small, law).unwrap_err();
        let told = story(&world, violation.job);
        assert!(told.iter().any(|line| line.contains("(faker) reveals")), "{told:#?}");
        assert!(told.last().is_some_and(|line| line.contains("posts the verdict")), "{told:#?}");
        assert!(told.len() < 40, "{told:#?}");
    }
}
