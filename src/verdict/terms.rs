//! What a verdict is asked: the terms, the runs, and how far apart they may be.

use std::collections::BTreeMap;

use crate::domain::{Deal, Method, Profile, SummaryWord};

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
    /// Whether runs with agreeing outputs must also have agreeing traces; only with `hash` and `near`.
    pub require_work: bool,
    /// How far apart CPU times may be, in permille of the larger; 0 to 1000.
    pub cpu_permille: u16,
}

impl Terms {
    /// The terms of the default deal, but for the method and the confidence.
    pub fn new(method: Method, confidence: u32) -> Self {
        Self { confidence, ..Self::of(&Deal { method, ..Deal::default() }) }
    }

    /// What a deal says about its job's verdict.
    pub fn of(deal: &Deal) -> Self {
        Self {
            confidence: deal.confidence.into(),
            tolerance_kib: deal.tolerance_kib,
            relative_permille: deal.relative_permille,
            method: deal.method,
            deterministic: deal.deterministic,
            require_work: deal.require_work,
            cpu_permille: deal.cpu_permille,
        }
    }
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
    /// The exit code that the node states; of a run without an output it says nothing.
    pub exit_code: i32,
    /// Its memory, CPU time and page faults; `None` when its fingerprint is void.
    pub profile: Option<Profile>,
    /// The numbers of its output.
    pub summary: SummaryWord,
}

impl Run {
    /// A node that brought nothing.
    pub const ABSENT: Self = Self { output: None, exit_code: 0, profile: None, summary: SummaryWord::VOID };
}

/// A tolerance that grows with the memory level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) kib: u32,
    pub(super) permille: u16,
}

impl Tolerance {
    pub(super) const fn of(terms: &Terms) -> Self {
        Self { kib: terms.tolerance_kib, permille: terms.relative_permille }
    }

    /// 1000 times the tolerance, both parts weighted as the caller's sums are: `kib_weight` times 10 for the
    /// absolute part, `level` being the memory level times as much.
    ///
    /// With at most 128 runs, `kib_weight` is at most 2^14 and `level` at most 2^49.4 (128 x 128 rows
    /// of ten 32-bit values), hence the result is below 2^60.
    pub(super) fn scaled(self, kib_weight: u64, level: u64) -> u64 {
        (10_000 * u64::from(self.kib) * kib_weight).max(u64::from(self.permille) * level)
    }
}
