//! Asks the contract what bidders have.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use super::{funds::OLD, node::State, reader::ContractReader};
use crate::{
    domain::{Funds, NodeId},
    rules::Ledger,
};

/// Accounts that are looked at: bidders beyond them count as unknown.
const MAX_ACCOUNTS: usize = 4096;

/// Questions to the endpoint at a time.
const AT_A_TIME: usize = 8;

/// The pause after an endpoint failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Those whose money matters: bidders of jobs that ask for a bond.
pub(super) fn bidders(ledger: &Ledger) -> BTreeSet<NodeId> {
    let jobs = ledger.open_jobs().filter(|job| !job.deal.bond.is_zero());
    jobs.flat_map(|job| job.standing_bids().map(|(node, _)| node)).take(MAX_ACCOUNTS).collect()
}

impl State {
    /// Keeps [`FundsBook`] true until the backend stops.
    pub(super) async fn follow_funds(self: Arc<Self>) {
        let stop = self.stop.clone();
        let (mut seen, mut drafts) = (self.seen(), self.log.drafts().watch());
        loop {
            seen.mark_unchanged();
            drafts.look();
            let mut wanted = self.log.with_ledger(bidders);
            wanted.extend(self.log.drafts().bidders());
            wanted.insert(self.node);
            let due = self.funds.due(wanted, Instant::now());
            let failed = !self.look_at(self.client.reader(), due).await;
            let next = async {
                tokio::select! {
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
