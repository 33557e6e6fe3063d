//! Delivers public results to the contracts that asked for them (`serve --deliver`).
//!
//! Level-triggered, as everything is: it looks at the jobs that are verified and public, and at what their contracts say
//! now. So after a restart it goes on, and what another node delivered is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    io::AsyncReadExt as _,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    domain::{Amount, Backoff, Job, JobId, JobState, NodeId, SeatOpening, Span, Timestamp},
    explain::one_line,
    node::{
        FetchBounds, FetchError, Node, NodeError, RequestError,
        delivery::{BASE_GAS, pays, proof, turn},
    },
    scheduler::{
        BackendError, Cursor,
        contract::{ContractScheduler, DeliveryError},
    },
    store::{STDOUT, output_hash},
};

/// The pauses before another attempt: a node may be away, and the price of gas changes.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

/// How many jobs that ended earlier are looked at when the node starts.
const RECALLED: usize = 256;

/// The longest output that is delivered, in bytes: a transaction may have 128 KiB.
const MAX_OUTPUT: u64 = 64 * 1024;

/// What is fetched for a delivery, at most: one job must not hold up those after it. Beside the output, an archive holds
/// what the run printed on standard error, and its trace.
const BOUNDS: FetchBounds = FetchBounds { bytes: 4 << 20, time: Duration::from_secs(60) };

/// A delivery that is due at some time.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Timestamp,
    pause: Duration,
}

/// Why nothing was delivered.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    /// Nobody has to deliver it, or can.
    #[error("{0}")]
    Never(&'static str),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("cannot read the output")]
    Output(#[from] std::io::Error),
}

impl Undelivered {
    const fn may_pass(&self) -> bool {
        match self {
            Self::Never(_)
            | Self::Delivery(
                DeliveryError::Unpaid { .. } | DeliveryError::Undone { .. } | DeliveryError::Late { .. },
            ) => false,
            // A callback may stop reverting, gas become cheaper, a node come back. Seats are unpacked once.
            Self::Request(_)
            | Self::Output(_)
            | Self::Delivery(
                DeliveryError::Refused { .. }
                | DeliveryError::TooMuchGas { .. }
                | DeliveryError::TooDear { .. }
                | DeliveryError::Unpacked { .. }
                | DeliveryError::Chain(_),
            ) => true,
        }
    }

    /// The contract that took gas for nothing, and gets no result any more.
    const fn unpaying(&self) -> Option<NodeId> {
        match self {
            Self::Delivery(
                DeliveryError::Unpaid { consumer, .. } | DeliveryError::Undone { consumer, .. },
            ) => Some(*consumer),
            Self::Never(_)
            | Self::Request(_)
            | Self::Output(_)
            | Self::Delivery(
                DeliveryError::Refused { .. }
                | DeliveryError::TooMuchGas { .. }
                | DeliveryError::TooDear { .. }
                | DeliveryError::Late { .. }
                | DeliveryError::Unpacked { .. }
                | DeliveryError::Chain(_),
            ) => None,
        }
    }
}

/// What one node knows of deliveries.
#[derive(Debug)]
pub(super) struct Deliverer {
    node: Arc<Node>,
    scheduler: ContractScheduler,
    /// Public jobs that have not ended, or were not looked at since.
    watched: BTreeSet<JobId>,
    /// Jobs that nobody has to deliver, or can.
    settled: BTreeSet<JobId>,
    /// Contracts that took gas and did not pay.
    unpaying: BTreeSet<NodeId>,
    due: BTreeMap<JobId, Due>,
}

impl Deliverer {
    pub(super) fn new(node: Arc<Node>, scheduler: ContractScheduler) -> Self {
        let (watched, settled, unpaying) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { node, scheduler, watched, settled, unpaying, due: BTreeMap::new() }
    }

    /// Delivers until the node stops. `news` changes with the log.
    pub(super) async fn run(
        mut self,
        mut news: watch::Receiver<u64>,
        stop: CancellationToken,
    ) -> Result<(), NodeError> {
        let node = Arc::clone(&self.node);
        let delivering = async {
            node.caught_up().await;
            self.recall();
            loop {
                let head = *news.borrow_and_update();
                // The store hears of an entry before the node has folded it.
                let is_read = timeout(AGAIN.first, node.reached(Cursor(head))).await.is_ok();
                self.notice().await;
                self.deliver_due().await;
                let next = self.due.values().map(|due| due.at).min();
                let now = node.now();
                let wait = next.map(|at| Duration::from_secs(at.since(now).as_secs().max(1).into()));
                let wait = if is_read { wait } else { Some(wait.unwrap_or(AGAIN.first).min(AGAIN.first)) };
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { return },
                    () = until(wait) => {}
                }
            }
        };
        let _stopped = stop.run_until_cancelled(delivering).await;
        Ok(())
    }

    /// Watches the newest jobs that ended while this node was away.
    fn recall(&mut self) {
        match self.node.ended_jobs(None, RECALLED) {
            Ok(rows) => self.watched.extend(rows.into_iter().map(|row| row.job)),
            Err(error) => {
                warn!(%error, "cannot read which jobs ended: those before the start are not delivered")
            }
        }
    }

    /// Notices verified jobs whose contracts wait for their results, or cannot be asked yet.
    async fn notice(&mut self) {
        let public = |job: &Job, is_broken: bool| {
            (job.spec.public_result && !is_broken).then(|| (job.id, job.state.is_terminal()))
        };
        let here: BTreeMap<JobId, bool> = self.node.read_jobs(public).into_iter().flatten().collect();
        let new = here.keys().filter(|job| !self.settled.contains(*job) && !self.due.contains_key(*job));
        self.watched.extend(new);
        // Those that are not here have ended, and left memory.
        let ended = self.watched.iter().filter(|job| here.get(*job).copied().unwrap_or(true));
        for id in ended.copied().collect::<Vec<_>>() {
            let Ok(job) = self.node.known_job(id) else {
                // A reorganisation took it back.
                self.watched.remove(&id);
                continue;
            };
            let is_deliverable =
                job.spec.public_result && job.state == JobState::Verified && proof(&job).is_some();
            let fee = if is_deliverable { self.fee_for(&job).await } else { Ok(None) };
            let turn = || turn(&job, self.node.id(), &self.node.members(), self.scheduler.delivery_step());
            match fee {
                Ok(Some(_)) => {
                    let at = turn();
                    debug!(job = %id, consumer = %job.requester, ?at, "a contract waits for a result");
                    self.due.insert(id, Due { at, pause: Duration::ZERO });
                }
                Ok(None) => {
                    self.settled.insert(id);
                }
                // A delivery asks anew, and pauses ever longer between two attempts.
                Err(error) => {
                    debug!(job = %id, %error, "cannot ask the requester of a job");
                    let again = self.node.now().plus(Span::from_secs(seconds(AGAIN.first)));
                    self.due.insert(id, Due { at: turn().max(again), pause: AGAIN.first });
                }
            }
            self.watched.remove(&id);
        }
    }

    async fn deliver_due(&mut self) {
        let now = self.node.now();
        let due: Vec<(JobId, Due)> =
            self.due.iter().filter(|(_, due)| due.at <= now).map(|(job, due)| (*job, *due)).collect();
        for (id, due) in due {
            match self.deliver(id).await {
                Ok(()) => {}
                Err(error) if error.may_pass() => {
                    let pause = AGAIN.after(due.pause);
                    info!(job = %id, error = %one_line(&error), ?pause, "a result is not delivered yet");
                    let at = self.node.now().plus(Span::from_secs(seconds(pause)));
                    self.due.insert(id, Due { at, pause });
                    continue;
                }
                Err(error) => {
                    warn!(job = %id, error = %one_line(&error), "a result is not delivered");
                    self.unpaying.extend(error.unpaying());
                }
            }
            self.due.remove(&id);
            self.settled.insert(id);
        }
    }

    /// Delivers one result, if its contract still waits for it.
    async fn deliver(&self, id: JobId) -> Result<(), Undelivered> {
        let job = self.node.known_job(id)?;
        let Some(fee) = self.fee_for(&job).await.map_err(DeliveryError::from)? else {
            debug!(job = %id, "somebody else delivered a result");
            return Ok(());
        };
        // Before anything is fetched.
        let (gas, wei_per_gas) = (BASE_GAS, self.scheduler.gas_price().await.map_err(DeliveryError::from)?);
        if !pays(fee, gas, wei_per_gas) {
            return Err(DeliveryError::TooDear { fee, gas, wei_per_gas }.into());
        }
        let proof = proof(&job).ok_or(Undelivered::Never("no majority of its results is equal"))?;
        let stdout = self.output(&job, &proof.holders).await?;
        let result = (proof.exit_code, stdout.as_slice());
        let receipt = self.scheduler.deliver(&job, &proof.openings, result, fee, pays).await?;
        info!(job = %id, consumer = %job.requester, %fee, gas = receipt.gas, "result delivered");
        Ok(())
    }

    /// The fee of a contract that waits, unless it did not pay before.
    async fn fee_for(&self, job: &Job) -> Result<Option<Amount>, BackendError> {
        if self.unpaying.contains(&job.requester) {
            return Ok(None);
        }
        self.scheduler.fee_for(job).await
    }

    /// The standard output of a result, from the first of its holders that serves it. All are asked at once, so that a slow
    /// one costs no time.
    ///
    /// What the result hash leaves out, such as masked text, may differ between holders. So one whose output cannot be
    /// delivered says nothing of the others.
    async fn output(&self, job: &Job, holders: &[SeatOpening]) -> Result<Vec<u8>, Undelivered> {
        let mut failed = Undelivered::Never("its seats are gone");
        let mut asked: FuturesUnordered<_> =
            holders.iter().map(|holder| self.output_of(job, holder)).collect();
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(stdout) => return Ok(stdout),
                Err(error) if failed.may_pass() => {
                    debug!(job = %job.id, error = %one_line(&error), "a node does not serve a result");
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn output_of(
        &self,
        job: &Job,
        SeatOpening { seat, opening }: &SeatOpening,
    ) -> Result<Vec<u8>, Undelivered> {
        let holder = job.seat(*seat).ok_or(Undelivered::Never("its seats are gone"))?.node;
        match self.node.result_within(job.id, holder, BOUNDS).await {
            Err(RequestError::Fetch(FetchError::Long { .. })) => {
                return Err(Undelivered::Never("its archive is too long"));
            }
            fetched => fetched?,
        };
        let dir = self.node.unpacked_result(job.id, holder, opening.output_root).await?;
        let file = tokio::fs::File::open(dir.path().join("result").join(STDOUT)).await?;
        let mut stdout = Vec::new();
        file.take(MAX_OUTPUT + 1).read_to_end(&mut stdout).await?;
        if stdout.len() as u64 > MAX_OUTPUT {
            return Err(Undelivered::Never("its output is too long for a transaction"));
        }
        let is_whole = output_hash(job.id, opening.exit_code, &stdout) == opening.result_hash;
        is_whole.then_some(stdout).ok_or(Undelivered::Never(
            "its result is more than its standard output, so that no contract can check it",
        ))
    }
}

fn seconds(pause: Duration) -> u32 {
    u32::try_from(pause.as_secs()).unwrap_or(u32::MAX)
}

/// Waits so long; forever without a limit.
async fn until(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again_and_only_who_took_gas_for_nothing_gets_no_more_results() {
        let consumer = NodeId::new([7; 20]);
        let (fee, gas, reason) = (Amount::ZERO, 1, String::new);
        let table = [
            (DeliveryError::Unpaid { consumer, fee }, false, true),
            (DeliveryError::Undone { consumer, gas, reason: reason() }, false, true),
            (DeliveryError::Late { consumer, gas }, false, false),
            (DeliveryError::Unpacked { gas }, true, false),
            (DeliveryError::Refused { consumer, reason: reason() }, true, false),
            (DeliveryError::TooMuchGas { consumer, gas, most: 1 }, true, false),
            (DeliveryError::TooDear { fee, gas, wei_per_gas: 1 }, true, false),
            (DeliveryError::Chain(BackendError::Stopped), true, false),
        ];
        for (error, may_pass, is_unpaying) in table {
            let undelivered = Undelivered::from(error);
            let found = (undelivered.may_pass(), undelivered.unpaying());
            assert_eq!(found, (may_pass, is_unpaying.then_some(consumer)), "{undelivered}");
        }
    }
}
