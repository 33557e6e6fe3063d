//! Asks the contract what bidders have.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use super::{
    funds::{BATCH, OLD},
    node::State,
    reader::ContractReader,
};
use crate::{
    domain::{Funds, Job, JobState, NodeId},
    rules::Ledger,
};

/// Questions to the endpoint at a time.
const AT_A_TIME: usize = 8;

/// The pause after an endpoint failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Those whose money matters, the most urgent first: bidders of jobs with free seats and a bond.
///
/// The jobs of `me` come first, since it chooses among their bidders. Then each job has a bidder asked about in turn, so that
/// thousands of bids on one job keep no other job waiting.
pub(super) fn bidders(ledger: &Ledger, me: NodeId) -> Vec<NodeId> {
    let jobs = ledger.open_jobs().filter(|job| !job.deal.bond.is_zero() && has_free_seats(job));
    let bids = jobs.flat_map(|job| {
        let is_other = job.requester != me;
        job.standing_bids().enumerate().map(move |(turn, (node, _))| (is_other, turn, node))
    });
    let mut bids: Vec<(bool, usize, NodeId)> = bids.collect();
    bids.sort_unstable();
    bids.into_iter().map(|(_, _, node)| node).collect()
}

/// Whether a bid may still get a seat.
fn has_free_seats(job: &Job) -> bool {
    match job.state {
        JobState::Open => true,
        JobState::Running => !job.refillable().is_empty(),
        JobState::Revealing
        | JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => false,
    }
}

impl State {
    /// Keeps [`FundsBook`](super::funds::FundsBook) true until the backend stops.
    pub(super) async fn follow_funds(self: Arc<Self>) {
        let stop = self.stop.clone();
        let (mut seen, mut drafts) = (self.seen(), self.log.drafts().watch());
        loop {
            seen.mark_unchanged();
            drafts.look();
            let mut first = vec![self.node];
            first.extend(self.log.drafts().parties());
            let rest = self.log.with_ledger(|ledger| bidders(ledger, self.node));
            let due = self.funds.due(first, rest, Instant::now());
            let is_all = due.len() < BATCH;
            let failed = !self.look_at(self.client.reader(), due).await;
            let next = async {
                tokio::select! {
                    () = std::future::ready(()), if !failed && !is_all => true,
                    changed = seen.changed(), if !failed => changed.is_ok(),
                    () = drafts.changed(), if !failed => true,
                    () = self.funds.asked.notified(), if !failed => true,
                    () = sleep(if failed { PAUSE } else { OLD }) => true,
                }
            };
            if stop.run_until_cancelled(next).await != Some(true) {
                return;
            }
        }
    }

    /// Asks the contract for these; says whether all were answered.
    async fn look_at(&self, reader: &ContractReader, due: Vec<NodeId>) -> bool {
        let asks = due.into_iter().map(|node| async move {
            let asked_at = Instant::now();
            match reader.account(node).await {
                Ok(account) => {
                    self.funds.learn(node, Funds { free: account.free, paid: account.paid }, asked_at);
                    true
                }
                Err(error) => {
                    tracing::debug!(%node, %error, "cannot tell what a bidder has in the contract");
                    false
                }
            }
        });
        stream::iter(asks).buffer_unordered(AT_A_TIME).all(|answered| async move { answered }).await
    }
}

#[cfg(test)]
mod tests;
