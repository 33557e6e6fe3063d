//! How a node did in a job, for the records that others keep of it.

use serde::{Deserialize, Serialize};

/// The conduct of a node in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// The verdict accepted its result.
    Kept,
    /// The verdict rejected its result.
    Rejected,
    /// It reported a failure that is no fault of the job.
    Failed,
    /// It promised a result and went silent.
    Absent,
}

/// How often a node did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Jobs in which a verdict accepted its result.
    pub accepted: u32,
    /// Jobs in which a verdict rejected its result.
    pub rejected: u32,
    /// Jobs in which it failed by a fault of its own.
    pub failed: u32,
    /// Jobs in which it promised a result and went silent.
    pub absent: u32,
}

impl Tally {
    /// Counts one job more.
    pub const fn add(&mut self, conduct: Conduct) {
        let count = match conduct {
            Conduct::Kept => &mut self.accepted,
            Conduct::Rejected => &mut self.rejected,
            Conduct::Failed => &mut self.failed,
            Conduct::Absent => &mut self.absent,
        };
        *count = count.saturating_add(1);
    }

    /// Jobs in which it brought no result that was accepted, by its own doing.
    pub const fn broken(&self) -> u32 {
        self.rejected.saturating_add(self.failed).saturating_add(self.absent)
    }
}
