//! When two runs used memory and CPU alike.
//!
//! Their memory rows differ by at most the tolerance on average, which is relative to the (lower) median memory level of
//! all runs, and their CPU times by at most a share of the larger one.

use super::{
    terms::{Terms, Tolerance},
    work::{Cpu, Work},
};
use crate::domain::Profile;

/// CPU times differ by this much between honest runs of a job that hardly computes, in milliseconds.
const CPU_TOLERANCE_MS: u128 = 200;

/// The traces of the runs that are compared.
pub(super) struct Traces {
    profiles: Vec<Profile>,
    /// 1000 times the most that two rows may differ by, in the unit of [`Self::distance`].
    tolerance: u64,
    cpu_permille: u128,
}

impl Traces {
    pub(super) fn new(terms: &Terms, profiles: Vec<Profile>) -> Self {
        let mut levels: Vec<u64> = profiles.iter().map(level).collect();
        levels.sort_unstable();
        let median = levels.get(levels.len().saturating_sub(1) / 2).copied().unwrap_or(0);
        let tolerance = Tolerance::of(terms).scaled(1, median);
        Self { profiles, tolerance, cpu_permille: terms.cpu_permille.into() }
    }

    /// The distance of two runs' memory, if they agree in memory and CPU time.
    pub(super) fn apart(&self, a: usize, b: usize) -> Option<u64> {
        let apart = self.distance(a, b);
        let agree = 1000 * apart <= self.tolerance
            && self.cpu_agrees(self.profiles[a].cpu_ms, self.profiles[b].cpu_ms);
        agree.then_some(apart)
    }

    /// Ten times the mean distance of two runs' memory; at most 10 x 2^32.
    pub(super) fn distance(&self, a: usize, b: usize) -> u64 {
        distance(&self.profiles[a], &self.profiles[b])
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.profiles.len()
    }

    /// The memory and CPU time of any run, beside those of one that is compared.
    pub(super) fn work(&self, centre: usize, profile: &Profile) -> Work {
        let own = &self.profiles[centre];
        let apart = distance(own, profile);
        Work {
            agrees: 1000 * apart <= self.tolerance && self.cpu_agrees(own.cpu_ms, profile.cpu_ms),
            memory_apart_kib: apart.div_ceil(10),
            memory_limit_kib: self.tolerance / 10_000,
            cpu: Some(self.cpu_allowed(own.cpu_ms, profile.cpu_ms)),
        }
    }

    /// The CPU times that agree with one: what [`Self::cpu_agrees`] says of each.
    fn cpu_allowed(&self, centre_ms: u64, ms: u64) -> Cpu {
        let centre = u128::from(centre_ms);
        let small = |time: u128| u64::try_from(time).unwrap_or(u64::MAX);
        let below = CPU_TOLERANCE_MS.max(self.cpu_permille * centre / 1000);
        // A longer time is itself the larger one.
        let above = (1000 * centre).checked_div(1000 - self.cpu_permille);
        Cpu {
            ms,
            least_ms: small(centre.saturating_sub(below)),
            most_ms: above.map(|above| small(above.max(centre + CPU_TOLERANCE_MS))),
        }
    }

    fn cpu_agrees(&self, a_ms: u64, b_ms: u64) -> bool {
        let larger = u128::from(a_ms.max(b_ms));
        1000 * u128::from(a_ms.abs_diff(b_ms)) <= (1000 * CPU_TOLERANCE_MS).max(self.cpu_permille * larger)
    }
}

fn distance(a: &Profile, b: &Profile) -> u64 {
    let rows = a.memory_kib.into_iter().zip(b.memory_kib);
    rows.map(|(a, b)| u64::from(a.abs_diff(b))).sum()
}

/// Ten times the mean memory; at most 10 x 2^32.
fn level(profile: &Profile) -> u64 {
    profile.memory_kib.into_iter().map(u64::from).sum()
}
