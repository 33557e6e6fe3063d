//! Actions that their authors sent to this node as well as to the requester: evidence, should the requester
//! leave one out of its log.
//!
//! A commitment must be in the log by the closing entry, a reveal by the end of the job.

use std::collections::BTreeMap;

use crate::domain::{JobId, MAX_SEATS, NodeId};

/// Most jobs with witnessed actions; beyond this, the lowest id makes room.
const MAX_JOBS: usize = 1024;

/// Which action was witnessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Witnessed {
    Commitment,
    Reveal,
}

/// What this node was told: by job, author and kind, the sequence number of the action.
#[derive(Debug, Default)]
pub(super) struct Witnesses(BTreeMap<JobId, BTreeMap<(NodeId, Witnessed), u64>>);

impl Witnesses {
    /// Notes an action whose author holds a seat in the job.
    pub(super) fn note(&mut self, job: JobId, author: NodeId, what: Witnessed, sequence: u64) {
        if self.0.len() >= MAX_JOBS && !self.0.contains_key(&job) {
            self.0.pop_first();
        }
        let of_job = self.0.entry(job).or_default();
        // A seat may change hands once or twice; more than that is noise.
        if of_job.len() < 4 * usize::from(MAX_SEATS) {
            of_job.entry((author, what)).or_insert(sequence);
        }
    }

    /// The authors whose actions the log has left out for good, each once. `next` is the sequence number that
    /// an author's next action has in the log.
    pub(super) fn audit(
        &mut self,
        job: JobId,
        closed: bool,
        over: bool,
        next: impl Fn(NodeId) -> u64,
    ) -> Vec<NodeId> {
        let Some(of_job) = self.0.get_mut(&job) else { return Vec::new() };
        let mut censored = Vec::new();
        of_job.retain(|(author, what), sequence| {
            let due = match what {
                Witnessed::Commitment => closed || over,
                Witnessed::Reveal => over,
            };
            if due && next(*author) <= *sequence {
                censored.push(*author);
            }
            !due
        });
        if of_job.is_empty() {
            self.0.remove(&job);
        }
        censored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_left_out_is_reported_once_and_only_when_it_is_too_late() {
        let (job, one, two) = (JobId::new([1; 32]), NodeId::new([1; 20]), NodeId::new([2; 20]));
        let mut witnesses = Witnesses::default();
        witnesses.note(job, one, Witnessed::Commitment, 1);
        witnesses.note(job, two, Witnessed::Commitment, 1);
        witnesses.note(job, one, Witnessed::Reveal, 2);
        let next = |author| if author == one { 2 } else { 1 };
        assert_eq!(witnesses.audit(job, false, false, next), []);
        assert_eq!(witnesses.audit(job, true, false, next), [two]);
        assert_eq!(witnesses.audit(job, true, false, next), []);
        assert_eq!(witnesses.audit(job, true, true, next), [one]);
        assert!(witnesses.0.is_empty());
    }

    #[test]
    fn the_number_of_jobs_is_bounded() {
        let mut witnesses = Witnesses::default();
        for index in 0..=u16::try_from(MAX_JOBS).unwrap() {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&index.to_be_bytes());
            witnesses.note(JobId::new(id), NodeId::ZERO, Witnessed::Reveal, 0);
        }
        assert_eq!(witnesses.0.len(), MAX_JOBS);
    }
}
