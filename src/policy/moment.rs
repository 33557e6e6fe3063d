//! The time as policies see it, and when they want to be asked again.

use crate::domain::{Job, Timestamp};

/// Two clocks: the backend's decides on deadlines, and a monotonic one measures delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The backend's time.
    pub now: Timestamp,
    /// Milliseconds since a fixed point of this process.
    pub elapsed_ms: u64,
}

/// When to ask again if nothing happens before: at the earlier of two times; never if both are `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// Once the backend's time is *after* this.
    pub deadline: Option<Timestamp>,
    /// Once the monotonic clock has reached this.
    pub elapsed_ms: Option<u64>,
}

impl Wake {
    /// Only when something happens.
    pub const NEVER: Self = Self { deadline: None, elapsed_ms: None };

    /// Once the backend's time is after `deadline`.
    pub const fn after(deadline: Timestamp) -> Self {
        Self { deadline: Some(deadline), elapsed_ms: None }
    }

    /// Once the next deadline of the job has passed; never if all have passed.
    pub fn after_next_deadline(job: &Job, now: Timestamp) -> Self {
        Self { deadline: job.next_deadline(now).filter(|deadline| *deadline >= now), elapsed_ms: None }
    }

    /// At the earlier of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            deadline: self.deadline.into_iter().chain(other.deadline).min(),
            elapsed_ms: self.elapsed_ms.into_iter().chain(other.elapsed_ms).min(),
        }
    }

    /// As `self`, or once the monotonic clock reaches `elapsed_ms` if that is earlier.
    #[must_use]
    pub const fn or_at(self, elapsed_ms: u64) -> Self {
        Self { elapsed_ms: Some(elapsed_ms), ..self }
    }
}
