//! Proof that a requester broke the log of its job, as a node shows it and as an exported log carries it.

use serde::{Deserialize, Serialize};

/// What a requester did to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It signed two histories of the job.
    TwoHistories,
    /// It signed an entry that the rules refuse.
    RuleBroken,
}

/// Entries that a requester must not have signed. A reader with the log up to there can check them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What the requester did.
    pub kind: FaultKind,
    /// The height at which the log broke.
    pub height: u64,
    /// The entries that prove it, in hex: two that contradict each other, or one that the log refuses.
    pub entries: Vec<String>,
}
