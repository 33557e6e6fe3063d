//! What a node takes on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Amount, Resources, Span};

/// The limits of the jobs that a node takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeLimits {
    /// Of the container; the machine may have less free.
    pub resources: Resources,
    /// Seconds of one run.
    pub timeout: Span,
    /// Seconds from the last acceptance to the close of commits.
    pub run: Span,
    /// Fewest seconds for reveals, for jobs that it submits too.
    pub shortest_reveal: Span,
    /// Seconds for reveals.
    pub reveal: Span,
    /// The bond.
    pub bond: Amount,
    /// The lowest price of a seat.
    #[serde(default)]
    pub price: Amount,
}
