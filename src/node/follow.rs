//! Reads the log, folds it, and sees to it that every job that needs one has a driver.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::{sync::watch, task::JoinSet};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use super::{Node, NodeError, driver::Driver, transfer::takes_part, work::chain};
use crate::{
    domain::{BidStatus, Event, Job, JobId, JobState, NodeId, SeatStatus},
    policy::requester::Standing,
    rules::did_its_part,
    scheduler::{BackendError, Cursor, LogItem, LogUpdate},
};

/// Follows the log until the node stops.
///
/// # Errors
/// When the backend ends or its store fails, and when a driver panics.
pub(crate) async fn follow(node: Arc<Node>) -> Result<(), NodeError> {
    let mut drivers = JoinSet::new();
    let mut ended = read(&node, &mut drivers).await;
    // Whatever ended it, the drivers remove their containers: dropped, they would leave them running unwatched.
    node.stop.cancel();
    while let Some(driver) = drivers.join_next().await {
        ended = ended.and(driver.map_err(NodeError::panicked("driver")));
    }
    ended
}

/// Reads the log, and starts drivers for its jobs, until the node stops or the log ends.
async fn read(node: &Arc<Node>, drivers: &mut JoinSet<()>) -> Result<(), NodeError> {
    let mut events = node.scheduler.events(Cursor::default());
    let mut caught_up = false;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return Ok(()),
            Some(ended) = drivers.join_next() => ended.map_err(NodeError::panicked("driver"))?,
            update = events.next() => match update {
                None => return Err(NodeError::Backend(BackendError::Stopped)),
                // Nothing is done about a history that is still being read: the log refuses what is out of date.
                Some(Ok(LogUpdate::CaughtUp)) => {
                    caught_up = true;
                    node.resume(drivers);
                }
                Some(Ok(LogUpdate::Entry(item))) => {
                    if let Some(job) = node.fold(*item, caught_up)
                        && caught_up
                    {
                        node.ensure_driver(job, drivers);
                    }
                }
                Some(Err(error)) if is_fatal(&error) => return Err(NodeError::Backend(error)),
                Some(Err(BackendError::BrokenLog { job, reason, .. })) => node.leave(job, &reason),
                Some(Err(error)) => warn!(%error, "part of the log cannot be read"),
            },
        }
    }
}

/// A stranger's broken log, or a peer that is away, is no reason for this node to end.
const fn is_fatal(error: &BackendError) -> bool {
    match error {
        BackendError::Stopped | BackendError::Store { .. } | BackendError::Reorganised { .. } => true,
        BackendError::Unreachable { .. }
        | BackendError::Chain { .. }
        | BackendError::NoEther { .. }
        | BackendError::UnknownLog { .. }
        | BackendError::BrokenLog { .. } => false,
    }
}

impl Node {
    /// Folds one entry; returns its job, unless the rules refuse it.
    fn fold(&self, item: LogItem, is_live: bool) -> Option<JobId> {
        let stamped = item.stamped.clone();
        let job = match self.board.fold(item, |job| self.count(job)) {
            Ok(job) => job,
            Err(rejection) => {
                self.leave(stamped.job, &format!("the backend ordered what the rules refuse: {rejection}"));
                return None;
            }
        };
        if is_live && takes_part(&job, self.id) {
            tell(&job, stamped.author, &stamped.event);
        }
        Some(job.id)
    }

    /// A job's log is broken: whoever asks for the job is told, and so is whoever reads this node's log.
    fn leave(&self, job: JobId, reason: &str) {
        if self.board.mark_broken(job, reason) {
            error!(%job, reason, "the log of a job is broken; what happens in it from here on is not seen");
        } else {
            debug!(%job, reason, "what the rules refuse is passed over");
        }
    }

    /// Starts a driver for every job that is not over.
    fn resume(self: &Arc<Self>, drivers: &mut JoinSet<()>) {
        // An inconclusive job of this node may be due for a follow-up.
        let may_act = |job: &Job| {
            let unfollowed = job.state == JobState::Inconclusive && job.requester == self.id;
            (unfollowed || !job.state.is_terminal()).then_some(job.id)
        };
        let jobs = self.board.read_all(may_act);
        info!(jobs = jobs.len(), open = jobs.iter().flatten().count(), "log read");
        for job in jobs.into_iter().flatten() {
            self.ensure_driver(job, drivers);
        }
    }

    fn ensure_driver(self: &Arc<Self>, job: JobId, drivers: &mut JoinSet<()>) {
        if !self.driven().insert(job) {
            return;
        }
        if let Some(driver) = Driver::new(Arc::clone(self), job) {
            drivers.spawn(driver.drive().instrument(info_span!("node", id = %self.id.short())));
        }
    }

    /// Gives a job's driver up, unless an entry came that it has not seen. An entry after that starts another.
    pub(crate) fn retire(&self, job: JobId, changed: &watch::Receiver<u64>) -> bool {
        let mut driven = self.driven();
        let over = !changed.has_changed().unwrap_or(false);
        if over {
            driven.remove(&job);
        }
        over
    }

    /// Counts how the nodes of an ended job fared, once, for the choice among later bids.
    ///
    /// Only jobs that this node requested or sat in count: the logs of strangers may be made up. Jobs of one seat
    /// say nothing. Unpaid jobs do count here, since this is no one's record but this node's own.
    fn count(&self, job: &Job) {
        let is_own = job.requester == self.id || job.seat_of(self.id).is_some();
        if !is_own || !job.state.is_terminal() || job.deal.concurrency < 2 {
            return;
        }
        for (node, accepted) in outcomes(job) {
            if let Err(error) = self.reputation.record(job.id, node, accepted) {
                error!(job = %job.id, error = %chain(&error), "reputation cannot be recorded");
            }
        }
    }

    /// How every node fared so far.
    pub(crate) fn counts(&self) -> std::collections::BTreeMap<NodeId, Standing> {
        let counts = self.reputation.counts().unwrap_or_else(|error| {
            error!(error = %chain(&error), "reputation cannot be read");
            Default::default()
        });
        let standing = |(node, tally): (NodeId, crate::store::Tally)| {
            (node, Standing { accepted: tally.accepted, rejected: tally.rejected })
        };
        counts.into_iter().map(standing).collect()
    }
}

/// Who kept its promise in a job that ran to its end: agreed, or not; gave no result.
fn outcomes(job: &Job) -> Vec<(NodeId, bool)> {
    let ran = matches!(job.state, JobState::Verified | JobState::Inconclusive | JobState::Failed);
    let judge = |(seat, held): (u8, &crate::domain::Seat)| {
        let verdict = job.verdict.as_ref();
        let accepted = verdict.is_some_and(|verdict| verdict.accepted.contains(seat));
        let rejected = verdict.is_some_and(|verdict| verdict.rejected.contains(seat));
        let broken = matches!(held.status, SeatStatus::Failed(_)) || !did_its_part(job, held.status);
        (accepted || rejected || broken).then_some((held.node, accepted))
    };
    // Whose seat was given to another node had reported a failure.
    let replaced = |node: &NodeId| job.seat_of(*node).is_none();
    let seated = job.bids.iter().filter(|(_, bid)| matches!(bid.status, BidStatus::Seated(_)));
    let replaced = seated.map(|(node, _)| *node).filter(replaced).map(|node| (node, false));
    let judged = (0..).zip(&job.seats).filter_map(judge);
    if ran { judged.chain(replaced).collect() } else { Vec::new() }
}

/// One line a life event.
fn tell(job: &Job, author: NodeId, event: &Event) {
    let (id, author) = (job.id, author.short());
    match event {
        Event::Submitted { .. } => info!(job = %id, requester = author, "job submitted"),
        Event::DealUpdated { .. } => info!(job = %id, "deal updated"),
        Event::Cancelled => info!(job = %id, "job cancelled"),
        Event::BidPlaced { price } => info!(job = %id, node = author, %price, "bid placed"),
        Event::BidWithdrawn => info!(job = %id, node = author, "bid withdrawn"),
        Event::BidAccepted { node } => info!(job = %id, node = node.short(), "bid accepted"),
        Event::BidRejected { node } => info!(job = %id, node = node.short(), "bid rejected"),
        Event::FailureReported { kind } => info!(job = %id, node = author, %kind, "failure reported"),
        Event::Committed { .. } => info!(job = %id, node = author, "result committed"),
        Event::Stopped => info!(job = %id, "job stopped"),
        Event::Revealed { .. } => info!(job = %id, node = author, "result revealed"),
        Event::VerdictPosted { .. } => info!(job = %id, by = author, state = %job.state, "verdict posted"),
        Event::Expired => info!(job = %id, by = author, state = %job.state, "job expired"),
        Event::Remarked { node, remark } => info!(job = %id, node = node.short(), ?remark, "remark made"),
        Event::Ticked => debug!(job = %id, "commits closed by a tick"),
    }
}
