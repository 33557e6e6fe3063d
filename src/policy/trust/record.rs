//! What a requester remembers of one node.

use std::collections::VecDeque;

use crate::domain::JobId;

/// What a requester remembers of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Kept results in a row, since the last rejection, that were compared with others.
    pub compared: u32,
    /// Kept results, compared or not.
    pub kept: u32,
    /// Rejected results, less those that an own run has shown to be right.
    pub rejected: u32,
    /// Wrong results, by own runs.
    pub proofs: u32,
    /// Kept results whose traces were unlike those of others, less those since whose traces were alike.
    pub odd: u8,
    /// The last kept results that no own run has checked, the oldest first.
    pub unchecked: VecDeque<JobId>,
}

impl Record {
    pub(super) fn reject(&mut self) {
        self.rejected = self.rejected.saturating_add(1);
        self.compared = 0;
    }

    pub(super) fn remember(&mut self, job: JobId, most: usize) {
        self.unchecked.push_back(job);
        while self.unchecked.len() > most {
            self.unchecked.pop_front();
        }
    }
}
