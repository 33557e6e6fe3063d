//! Reads the log, folds it, and starts a driver for every job that needs one.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Arc, MutexGuard, PoisonError},
};

use futures::StreamExt as _;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use super::{Node, NodeError, driver::Driver};
use crate::{
    domain::{Conduct, Event, Job, JobId, JobState, NodeId, Tally},
    explain::one_line,
    policy::{
        job::takes_part,
        reputation::{self, Acquaintances, KNOWN_AFTER},
        requester::Standing,
    },
    scheduler::{BackendError, Cursor, LogItem, LogUpdate},
    store::DbError,
};

/// Follows the log until the node stops.
///
/// # Errors
/// When the backend ends or its store fails, and when a driver panics.
pub(crate) async fn follow(node: Arc<Node>) -> Result<(), NodeError> {
    let mut drivers = JoinSet::new();
    let mut ended = read(&node, &mut drivers).await;
    // Whatever ended the log, the drivers remove their containers. Dropped drivers would leave them running.
    node.stop.cancel();
    while let Some(driver) = drivers.join_next().await {
        ended = ended.and(driver.map_err(NodeError::panicked("driver")));
    }
    ended
}

/// Reads the log, and starts drivers for its jobs, until the node stops or the log ends.
async fn read(node: &Arc<Node>, drivers: &mut JoinSet<()>) -> Result<(), NodeError> {
    let mut events = node.ports.scheduler.events(Cursor::default());
    let mut caught_up = false;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return Ok(()),
            Some(ended) = drivers.join_next() => ended.map_err(NodeError::panicked("driver"))?,
            update = events.next() => match update {
                None => return Err(NodeError::Backend(BackendError::Stopped)),
                // The node does not act on history that it is still reading: the log refuses outdated actions.
                Some(Ok(LogUpdate::CaughtUp)) => {
                    caught_up = true;
                    node.resume(drivers);
                    node.caught_up.send_replace(true);
                }
                Some(Ok(LogUpdate::Rewound { to })) => {
                    node.rewind(to);
                    if caught_up {
                        node.resume(drivers);
                    }
                }
                Some(Ok(LogUpdate::Entry(item))) => {
                    if let Some(job) = node.fold(*item, caught_up)
                        && caught_up
                    {
                        node.ensure_driver(job, drivers);
                    }
                }
                Some(Ok(LogUpdate::Forgotten(job))) => {
                    node.board.forget(job);
                    node.workload.driven().remove(&job);
                    node.workload.with_capacity(|capacity| (capacity.forget(job), Vec::new()));
                }
                Some(Err(error)) if is_fatal(&error) => return Err(NodeError::Backend(error)),
                Some(Err(BackendError::BrokenLog { job, reason, .. })) => node.lose(job, &reason),
                Some(Err(error)) => warn!(%error, "cannot read part of the log"),
            },
        }
    }
}

/// A stranger's broken log, or a peer that is away, does not end this node.
const fn is_fatal(error: &BackendError) -> bool {
    match error {
        BackendError::Stopped | BackendError::Store { .. } | BackendError::OtherChain { .. } => true,
        BackendError::Other { is_retryable, source: _ } => !*is_retryable,
        BackendError::Unreachable { .. }
        | BackendError::Chain { .. }
        | BackendError::NoEther { .. }
        | BackendError::FeeCap { .. }
        | BackendError::Unconfirmed { .. }
        | BackendError::UnknownLog { .. }
        | BackendError::UnderWay { .. }
        | BackendError::BrokenLog { .. } => false,
    }
}

impl Node {
    /// Folds one entry; returns its job, unless the rules refuse it.
    fn fold(&self, item: LogItem, is_live: bool) -> Option<JobId> {
        let stamped = item.stamped.clone();
        let job = match self.board.fold(item, |job, log| self.count(job, log)) {
            Ok(job) => job,
            Err(rejection) => {
                self.lose(
                    stamped.job,
                    &format!("the backend ordered an event that the rules refuse: {rejection}"),
                );
                return None;
            }
        };
        if is_live && takes_part(&job, self.me.id) {
            tell(&job, stamped.author, &stamped.event);
        }
        Some(job.id)
    }

    /// The chain dropped the entries after `to`. Runs and their salts stay, since they depend on no block.
    fn rewind(&self, to: Cursor) {
        let gone = self.board.rewind(to);
        let again = self.meet_again();
        self.board.read_all(|job| self.acquaintances().note(job, self.me.id));
        if let Err(error) = again {
            error!(error = %one_line(&error), "cannot read which requesters gave this node honest work");
        }
        warn!(
            to = to.0,
            jobs_gone = gone,
            "the chain dropped entries of the log; reading what replaced them"
        );
    }

    /// A job's log is broken: tells everyone who asks for the job, and logs it.
    fn lose(&self, job: JobId, reason: &str) {
        if self.board.mark_broken(job, reason) {
            error!(%job, reason, "the log of a job is broken; this node does not see what happens after that");
        } else {
            debug!(%job, reason, "skipping an event that the rules refuse");
        }
    }

    /// Starts a driver for every job that has not ended.
    fn resume(self: &Arc<Self>, drivers: &mut JoinSet<()>) {
        // An inconclusive job of this node may be due for a follow-up.
        let may_act = |job: &Job| {
            let unfollowed = job.state == JobState::Inconclusive && job.requester == self.me.id;
            (job.id, unfollowed || !job.state.is_terminal())
        };
        let (open, over): (Vec<_>, Vec<_>) =
            self.board.read_all(may_act).into_iter().partition(|(_, may_act)| *may_act);
        info!(open = open.len(), over = over.len(), "log read");
        over.into_iter().for_each(|(job, _)| self.board.let_go(job));
        for (job, _) in open {
            self.ensure_driver(job, drivers);
        }
    }

    fn ensure_driver(self: &Arc<Self>, job: JobId, drivers: &mut JoinSet<()>) {
        let bell = Arc::new(Notify::new());
        match self.workload.driven().entry(job) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(Arc::clone(&bell)),
        };
        if let Some(driver) = Driver::new(Arc::clone(self), job, bell) {
            drivers.spawn(driver.drive().instrument(info_span!("node", id = %self.me.id.short())));
        }
    }

    /// Ends a job's driver, unless an entry came that it has not seen. A later entry starts another driver.
    pub(crate) fn retire(&self, job: JobId, changed: &watch::Receiver<u64>) -> bool {
        let mut driven = self.workload.driven();
        let over = !changed.has_changed().unwrap_or(false);
        if over {
            driven.remove(&job);
            self.board.let_go(job);
        }
        over
    }

    /// Records once how the nodes of an ended job did, for the choice among later bids.
    fn count(&self, job: &Job, log: &[LogItem]) {
        if !job.state.is_terminal() {
            return;
        }
        self.remember(job);
        self.note_seats(job.id, BTreeSet::new());
        let is_known = {
            let mut acquaintances = self.acquaintances();
            acquaintances.note(job, self.me.id);
            acquaintances.knows(job.requester)
        };
        if is_known {
            self.ports.transfer.befriend(job.requester);
        }
        if !reputation::counts(job, self.me.id, is_known) {
            return;
        }
        let reported = log.iter().filter_map(|item| {
            let Event::FailureReported { kind } = item.stamped.event else { return None };
            Some((item.stamped.author, kind))
        });
        let conduct = reputation::conduct(job, &reported.collect()).into_iter();
        let fared: BTreeMap<NodeId, Conduct> = conduct.collect();
        for (node, _) in fared.iter().filter(|(_, conduct)| **conduct == Conduct::Kept) {
            self.ports.transfer.befriend(*node);
        }
        if let Err(error) = self.records.reputation.record(job.id, fared) {
            error!(job = %job.id, error = %one_line(&error), "cannot record reputation");
        }
    }

    /// The requesters that have given this node honest work.
    pub(crate) fn acquaintances(&self) -> MutexGuard<'_, Acquaintances> {
        // Each change is a single insertion.
        self.acquaintances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows the requesters that it knew by jobs that have left memory, and nobody else.
    ///
    /// # Errors
    /// [`DbError`].
    pub(crate) fn meet_again(&self) -> Result<(), DbError> {
        let enough = u32::try_from(KNOWN_AFTER).expect("a handful");
        let honest = self.records.ended.honest(enough)?;
        let mut acquaintances = Acquaintances::default();
        for (requester, jobs) in honest {
            jobs.into_iter().for_each(|job| acquaintances.note_honest(requester, job));
            if acquaintances.knows(requester) {
                self.ports.transfer.befriend(requester);
            }
        }
        *self.acquaintances() = acquaintances;
        Ok(())
    }

    /// Gives nodes that kept their promises priority over strangers.
    pub(crate) fn befriend_proven(&self) {
        let proven = |standing: &Standing| standing.tally.accepted > 0 && !standing.is_below_floor();
        let counts = self.counts().into_iter().filter(|(_, standing)| proven(standing));
        counts.for_each(|(node, _)| self.ports.transfer.befriend(node));
    }

    /// The record of every node so far.
    pub(crate) fn counts(&self) -> BTreeMap<NodeId, Standing> {
        let counts = self.records.reputation.counts().unwrap_or_else(|error| {
            error!(error = %one_line(&error), "cannot read reputation");
            Default::default()
        });
        let standing = |(node, tally): (NodeId, Tally)| (node, Standing { tally, level: self.level(node) });
        counts.into_iter().map(standing).collect()
    }
}

/// Logs one line for each life event of a job.
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
        Event::SecretPublished { .. } => info!(job = %id, audit = %job.audit, "audit drawn"),
        Event::Ticked => debug!(job = %id, "commits closed by a tick"),
    }
}
