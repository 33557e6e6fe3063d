//! What the tasks of a node ask of its logs. Nothing here changes one.

use std::collections::BTreeMap;

use super::{
    super::{entry::Entry, room::over_by, sequence::Skew, wire::MAX_RESPONSE_ENTRIES_BYTES},
    HeldLog, Logs,
};
use crate::{
    domain::{Acceptance, Digest, JobId, JobState, NodeId, Timestamp},
    network::WireBytes,
    scheduler::{BackendError, Cursor, Trouble, stored::store_error},
};

/// What the tasks of a node need to know of a job.
#[derive(Debug, Clone)]
pub(in super::super) struct View {
    pub(in super::super) own: bool,
    pub(in super::super) requester: NodeId,
    pub(in super::super) height: u64,
    pub(in super::super) state: JobState,
    /// Whether this node has acted in the job.
    pub(in super::super) takes_part: bool,
    /// When nothing can happen in the job any more, whatever its requester does.
    pub(in super::super) over_by: Timestamp,
    pub(in super::super) seats: Vec<NodeId>,
    /// Those of them whose reveal is not in the log.
    pub(in super::super) unrevealed: Vec<NodeId>,
    pub(in super::super) closing_height: Option<u64>,
    pub(in super::super) may_act: Result<(), BackendError>,
    pub(in super::super) clock_agrees: bool,
}

impl Logs {
    /// What `read` makes of a log, in memory or, if it was retired, from the store.
    fn read<T>(&self, job: JobId, read: impl FnOnce(&HeldLog) -> T) -> Option<T> {
        {
            let inner = self.lock();
            if let Some(log) = inner.jobs.get(&job) {
                return Some(read(log));
            }
        }
        self.retired(job).as_ref().map(read)
    }

    /// The entries of a job above a height, as many as one response holds, and the newest height.
    pub(in super::super) fn page(&self, job: JobId, after_height: u64) -> Option<(u64, Vec<WireBytes>)> {
        self.read(job, |log| {
            let job_log = log.job_log();
            let mut bytes = 0;
            let encoded = job_log.entries_after(after_height).iter().map(Entry::encode);
            let page = encoded.take_while(|entry| {
                bytes += entry.len();
                bytes <= MAX_RESPONSE_ENTRIES_BYTES
            });
            (job_log.height(), page.map(WireBytes).collect())
        })
    }

    /// Where the entry at this height stands in the order of this node's readers.
    pub(in super::super) fn cursor(&self, job: JobId, height: u64) -> Result<Cursor, BackendError> {
        let stored = self.store.read_job(job, height.saturating_sub(1), 1);
        let stored = stored.map_err(|error| store_error(&error))?;
        stored.first().map(|stored| Cursor(stored.cursor)).ok_or(BackendError::UnknownLog { job })
    }

    /// Whether the log of a job is here and begins with this very entry.
    pub(in super::super) fn begins_with(&self, first: &Entry) -> bool {
        self.read(first.job(), |log| log.job_log().entry(1) == Some(first)).unwrap_or_default()
    }

    /// Whether the entry at this height holds this action.
    pub(in super::super) fn holds(&self, job: JobId, height: u64, action: Digest) -> bool {
        let is_there = |entry: &Entry| entry.action.action.signing_digest(self.domain) == action;
        self.read(job, |log| log.job_log().entry(height).is_some_and(is_there)).unwrap_or_default()
    }

    /// Whether a job of this node has so many bids that its requester is choosing among them now.
    pub(in super::super) fn is_choosing(&self, job: JobId) -> bool {
        self.lock().job(job).is_some_and(|job| {
            let is_open = job.state == JobState::Open && job.deal.acceptance == Acceptance::Requester;
            is_open && job.standing_bids().count() >= job.wanted_bids()
        })
    }

    /// Who signed the action of the entry at this height, as it was checked when the entry came.
    pub(in super::super) fn author_at(&self, job: JobId, height: u64) -> Option<NodeId> {
        self.read(job, |log| log.job_log().author_at(height))?
    }

    /// Whether an action is in the log: as the author's action with its sequence number.
    pub(in super::super) fn next_sequence(&self, job: JobId, author: NodeId) -> u64 {
        self.read(job, |log| log.job_log().next_sequence(author)).unwrap_or(0)
    }

    /// The logs that their requesters broke, and what is wrong with each. There are no more of them than jobs.
    pub(in super::super) fn broken(&self) -> BTreeMap<JobId, BackendError> {
        let inner = self.lock();
        let followed = inner.jobs.iter().filter_map(|(job, log)| match log {
            HeldLog::Followed(follower) => Some((job, follower)),
            HeldLog::Own(_) => None,
        });
        let faulty = followed.filter(|(_, follower)| follower.fault().is_some());
        faulty.filter_map(|(job, follower)| Some((*job, follower.may_act().err()?))).collect()
    }

    pub(in super::super) fn view(&self, job: JobId) -> Option<View> {
        self.read(job, |log| self.view_of(log))
    }

    fn view_of(&self, log: &HeldLog) -> View {
        let (job_log, job) = (log.job_log(), log.job());
        let (own, may_act, clock_agrees) = match log {
            HeldLog::Own(_) => (true, Ok(()), true),
            HeldLog::Followed(follower) => (false, follower.may_act(), follower.skew().is_none()),
        };
        let unrevealed = (0..).zip(&job.seats).filter(|(seat, _)| !job.revealed.contains(*seat));
        View {
            own,
            requester: job.requester,
            height: job_log.height(),
            state: job.state,
            takes_part: job_log.next_sequence(self.key.node_id()) > 0,
            over_by: over_by(job),
            seats: job.seats.iter().map(|seat| seat.node).collect(),
            unrevealed: unrevealed.map(|(_, seat)| seat.node).collect(),
            closing_height: job_log.closing_height(),
            may_act,
            clock_agrees,
        }
    }

    /// By how much this node's clock differs from that of a requester, when it differs from those of most. One alone
    /// may be wrong itself.
    pub(in super::super) fn clock_differs(&self) -> Option<Trouble> {
        let inner = self.lock();
        let followed = inner.jobs.values().filter_map(|log| match log {
            HeldLog::Own(_) => None,
            HeldLog::Followed(follower) => {
                let job = log.job();
                (!job.state.is_terminal()).then(|| (job.requester, follower.skew()))
            }
        });
        let by_requester: BTreeMap<NodeId, Option<Skew>> = followed.collect();
        let mut off = by_requester.iter().filter_map(|(requester, skew)| Some((*requester, (*skew)?)));
        let count = off.clone().count();
        let (requester, Skew { at, now, .. }) = off.next().filter(|_| 2 * count > by_requester.len())?;
        let signed = |at: Timestamp| i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        Some(Trouble::ClockOfRequester { requester, seconds: signed(now).saturating_sub(signed(at)) })
    }

    /// Whether the log of a job has every one of these entries.
    pub(in super::super) fn holds_all(&self, job: JobId, entries: &[Entry]) -> bool {
        let hashes: Vec<Digest> = entries.iter().map(|entry| entry.hash(self.domain)).collect();
        let inner = self.lock();
        let held = |log: &HeldLog| hashes.iter().all(|hash| log.job_log().height_of(*hash).is_some());
        inner.jobs.get(&job).is_some_and(held)
    }

    /// The height of the entry with this hash.
    pub(in super::super) fn height_of(&self, job: JobId, hash: Digest) -> Option<u64> {
        self.read(job, |log| log.job_log().height_of(hash))?
    }

    /// Jobs of this node that can still change, and the first entry of each.
    pub(in super::super) fn own_unfinished(&self) -> Vec<(JobId, Entry)> {
        let inner = self.lock();
        let own = inner.jobs.iter().filter(|(_, log)| matches!(log, HeldLog::Own(_)));
        own.filter(|(_, log)| !log.job().state.is_terminal())
            .filter_map(|(job, log)| Some((*job, log.job_log().entry(1)?.clone())))
            .collect()
    }

    /// Jobs of others that can still change.
    pub(in super::super) fn followed_unfinished(&self) -> Vec<JobId> {
        let inner = self.lock();
        let followed = inner.jobs.iter().filter(|(_, log)| matches!(log, HeldLog::Followed(_)));
        followed.filter(|(_, log)| !log.job().state.is_terminal()).map(|(job, _)| *job).collect()
    }
}
