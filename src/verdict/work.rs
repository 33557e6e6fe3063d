//! What a run took beside others, and what was allowed.

use serde::{Deserialize, Serialize};

/// Memory, CPU time and page faults of a run, beside those that it was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Work {
    /// Whether it agrees with the run at the centre; under `kmeans`, whether it is nearer to the mean than the limit.
    pub agrees: bool,
    /// Mean distance of its memory, in KiB.
    pub memory_apart_kib: u64,
    /// The distance that was allowed, in KiB.
    pub memory_limit_kib: u64,
    /// Its CPU time; null where it was not compared.
    pub cpu: Option<Cpu>,
    /// Its page faults; null where they were not compared.
    pub faults: Option<Faults>,
}

/// CPU time in milliseconds, and what was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Cpu {
    /// Of this run.
    pub ms: u64,
    /// The least that agrees.
    pub least_ms: u64,
    /// The most that agrees; null where any longer time does.
    pub most_ms: Option<u64>,
}

/// A number of page faults, and what was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
pub struct Faults {
    /// Of this run.
    pub count: u64,
    /// The least that agree.
    pub least: u64,
    /// The most that agree.
    pub most: u64,
}
