//! What a requester remembers of one node.

use std::collections::VecDeque;

use crate::domain::JobId;

/// Rejections from which a node is doubted, if they are also more than one in [`DOUBTED_SHARE`] of its results.
const DOUBTED_FROM: u32 = 3;

/// See [`DOUBTED_FROM`]: sound machines err too, but less often than this.
const DOUBTED_SHARE: u32 = 100;

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
    /// Whether it was rejected too often.
    pub(super) const fn is_doubted(&self) -> bool {
        let results = self.kept.saturating_add(self.rejected);
        self.rejected >= DOUBTED_FROM && self.rejected.saturating_mul(DOUBTED_SHARE) > results
    }

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
