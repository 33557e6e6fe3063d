//! When two runs did like work.
//!
//! Their memory rows differ by at most the tolerance on average, which is relative to the (lower) median memory level of
//! all runs, and their CPU times and their page faults by at most a share of the larger one.

use super::{
    terms::{Terms, Tolerance},
    work::{Cpu, Faults, Work},
};
use crate::domain::Profile;

/// CPU times differ by this much between honest runs of a job that hardly computes, in milliseconds.
const CPU_TOLERANCE_MS: u128 = 200;

/// Page faults differ by this much between honest runs of a job that hardly allocates, and by this share of the larger
/// number where it does.
const FAULTS_TOLERANCE: u128 = 600;
const FAULTS_PERMILLE: u128 = 200;

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

    /// The distance of two runs' memory, if their traces agree.
    pub(super) fn apart(&self, a: usize, b: usize) -> Option<u64> {
        let apart = self.distance(a, b);
        self.agree(apart, &self.profiles[a], &self.profiles[b]).then_some(apart)
    }

    /// Whether two runs agree whose memory is so far apart.
    fn agree(&self, apart: u64, one: &Profile, other: &Profile) -> bool {
        1000 * apart <= self.tolerance
            && alike(one.cpu_ms, other.cpu_ms, CPU_TOLERANCE_MS, self.cpu_permille)
            && alike(one.faults, other.faults, FAULTS_TOLERANCE, FAULTS_PERMILLE)
    }

    /// Ten times the mean distance of two runs' memory; at most 10 x 2^32.
    pub(super) fn distance(&self, a: usize, b: usize) -> u64 {
        distance(&self.profiles[a], &self.profiles[b])
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.profiles.len()
    }

    /// The memory, CPU time and page faults of any run, beside those of one that is compared.
    pub(super) fn work(&self, centre: usize, profile: &Profile) -> Work {
        let own = &self.profiles[centre];
        let apart = distance(own, profile);
        let (least_ms, most_ms) = allowed(own.cpu_ms, CPU_TOLERANCE_MS, self.cpu_permille);
        let (least, most) = allowed(own.faults, FAULTS_TOLERANCE, FAULTS_PERMILLE);
        let most = most.unwrap_or(u64::MAX);
        Work {
            agrees: self.agree(apart, own, profile),
            memory_apart_kib: apart.div_ceil(10),
            memory_limit_kib: self.tolerance / 10_000,
            cpu: Some(Cpu { ms: profile.cpu_ms, least_ms, most_ms }),
            faults: Some(Faults { count: profile.faults, least, most }),
        }
    }
}

/// Whether two numbers differ by at most `floor`, or so much of the larger.
fn alike(a: u64, b: u64, floor: u128, permille: u128) -> bool {
    1000 * u128::from(a.abs_diff(b)) <= (1000 * floor).max(permille * u128::from(a.max(b)))
}

/// The least and the most that are [`alike`] `centre`; no most where any larger number is.
fn allowed(centre: u64, floor: u128, permille: u128) -> (u64, Option<u64>) {
    let centre = u128::from(centre);
    let small = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
    let below = floor.max(permille * centre / 1000);
    // A larger number is itself what the share is of.
    let above = (1000 * centre).checked_div(1000 - permille);
    (small(centre.saturating_sub(below)), above.map(|above| small(above.max(centre + floor))))
}

fn distance(a: &Profile, b: &Profile) -> u64 {
    let rows = a.memory_kib.into_iter().zip(b.memory_kib);
    rows.map(|(a, b)| u64::from(a.abs_diff(b))).sum()
}

/// Ten times the mean memory; at most 10 x 2^32.
fn level(profile: &Profile) -> u64 {
    profile.memory_kib.into_iter().map(u64::from).sum()
}
