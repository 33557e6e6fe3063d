//! What this node earned: the jobs in which it had a seat, and what their ends paid it.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use tokio::task::spawn_blocking;

use super::{Node, RequestError, past::Summary};
use crate::{
    domain::{Amount, Job, JobId, JobState, NodeId, Timestamp},
    rules::{MoneyError, gain},
};

/// A job that ended, in which this node had a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Earning {
    pub(crate) job: JobId,
    pub(crate) requester: NodeId,
    pub(crate) ended_at: Timestamp,
    pub(crate) state: JobState,
    /// What it got beyond what it locked.
    pub(crate) paid: Amount,
    /// What it lost of what it locked.
    pub(crate) lost: Amount,
}

impl Node {
    /// What jobs that ended since `since` paid this node: the newest first, or those behind `after`, at most `limit` of them,
    /// and whether there are more.
    pub(crate) async fn earnings(
        self: Arc<Self>,
        since: Timestamp,
        after: Option<(Timestamp, JobId)>,
        limit: usize,
    ) -> Result<(Vec<Earning>, bool), RequestError> {
        let earned = spawn_blocking(move || self.earnings_now(since, after, limit)).await;
        earned.expect("adding up returns its errors")
    }

    fn earnings_now(
        &self,
        since: Timestamp,
        after: Option<(Timestamp, JobId)>,
        limit: usize,
    ) -> Result<(Vec<Earning>, bool), RequestError> {
        let me = self.me.id;
        let place = |at: Timestamp, job: JobId| (Reverse(at), job);
        let is_behind =
            |job: &Job| after.is_none_or(|(at, last)| place(job.ended_at, job.id) > place(at, last));
        let of = |job: &Job| {
            let counts = job.state.is_terminal()
                && job.ended_at >= since
                && job.seat_of(me).is_some()
                && is_behind(job);
            counts.then(|| earning(job, me))
        };
        let here = self.board.read_all(of).into_iter().flatten();
        let mut found: BTreeMap<JobId, Earning> =
            here.map(|one| one.map(|one| (one.job, one))).collect::<Result<_, _>>()?;
        // By seats and not by runs: a seat that never ran may have cost its bond.
        let (mut ended, mut more) =
            (self.records.ended.since(since, after, Summary::may_have_seat)?.into_iter(), limit + 1);
        while more > 0
            && let Some(job) = ended.next()
        {
            if let Some(one) = self.board.read(job, of).flatten() {
                found.insert(job, one?);
                more -= 1;
            }
        }
        let mut earned: Vec<Earning> = found.into_values().collect();
        earned.sort_by_key(|one| (Reverse(one.ended_at), one.job));
        let has_more = earned.len() > limit;
        earned.truncate(limit);
        Ok((earned, has_more))
    }
}

fn earning(job: &Job, me: NodeId) -> Result<Earning, MoneyError> {
    let (paid, lost) = gain(job, me)?;
    Ok(Earning {
        job: job.id,
        requester: job.requester,
        ended_at: job.ended_at,
        state: job.state,
        paid,
        lost,
    })
}
