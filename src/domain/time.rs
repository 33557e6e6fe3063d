//! Points in time, and spans between them, in whole seconds. Nothing here reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Unix seconds, as a block stamps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Timestamp(u64);

/// A length of time in seconds; 32 bits, about 136 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct Span(u32);

impl Timestamp {
    /// The start of 1970. It means "not set" in a field that a later event fills.
    pub const ZERO: Self = Self(0);

    /// Wraps Unix seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// Unix seconds.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This point plus `span`; stays at the end of time rather than wrapping.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0 as u64))
    }

    /// This point minus `span`; stays at zero rather than wrapping.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0 as u64))
    }

    /// From `earlier` to this point; zero if `earlier` is later, and at most the longest span.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        Span(u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX))
    }
}

impl Span {
    /// Wraps a number of seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs)
    }

    /// The number of seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The sum of two spans; stays at the largest rather than wrapping.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}
