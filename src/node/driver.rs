//! One task per job: asks the node's policy what to do, does it, and waits for a reason to ask again.
//!
//! [`crate::policy::job`] makes all decisions, retries included. This module carries them out. Asking is cheap, so every
//! change asks: an entry, the end of a run, a passed deadline, a free slot.

use std::{cell::LazyCell, collections::BTreeSet, error::Error, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::{
    Node,
    board::Snapshot,
    submit::is_passing,
    url::UrlError,
    warnings::Obstacle,
    work::{Held, work},
    workload::Unasked,
};
use crate::{
    domain::{Event, Facts, FailureKind, Job, JobId, NodeId, SeatStatus, Timestamp},
    explain::{bytes, one_line},
    policy::{
        ComputeLimits, Purses, Wake,
        capacity::Capacity,
        compute::{Execution, LogTrust},
        job::{Answer, Deed, Fitness, JobPolicy, JobView, Role, Turn, takes_part},
        requester::Standing,
    },
    scheduler::LogOrder,
};

/// How long the look at all URLs of a job may take. It asks their servers for the first bytes.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// The state of one job's task that is not in the log.
#[derive(Debug)]
pub(crate) struct Driver {
    node: Arc<Node>,
    id: JobId,
    changed: watch::Receiver<u64>,
    /// Money moved, where the log holds any.
    moved: Option<watch::Receiver<u64>>,
    policy: JobPolicy,
    held: Held,
    /// The container is running, or is about to; at most one.
    runs: JoinSet<Held>,
    cancel_run: CancellationToken,
    /// Wakes the driver when the node has room for this job.
    bell: Arc<Notify>,
    /// The input at which the last look at URLs ended. The next begins there.
    lacking: usize,
    /// Until the first question about the job is answered.
    unasked: Option<Unasked>,
}

impl Driver {
    /// `None` when the log has no such job.
    pub(crate) fn new(node: Arc<Node>, id: JobId, bell: Arc<Notify>) -> Option<Self> {
        let changed = node.board.watch(id)?;
        let held = match node.records.executions.get(id) {
            Ok(execution) => execution.map_or(Held::None, |execution| execution.stage.into()),
            Err(error) => {
                // Without its salt this node cannot reveal. Its other roles go on.
                error!(job = %id, error = %one_line(&error), "cannot read the record of a run, so the run counts as failed");
                Held::Failed(FailureKind::Engine)
            }
        };
        let policy = JobPolicy::new(node.clock.moment());
        let (runs, cancel_run) = (JoinSet::new(), CancellationToken::new());
        let unasked = Some(node.workload.unasked());
        let moved = node.ports.scheduler.watch_funds();
        let lacking = 0;
        Some(Self { node, id, changed, moved, policy, held, runs, cancel_run, bell, lacking, unasked })
    }

    /// Drives the job until only a new entry could change anything, or until the node stops.
    pub(crate) async fn drive(mut self) {
        let stop = self.node.stop.clone();
        while !stop.is_cancelled() {
            self.changed.borrow_and_update();
            self.moved.iter_mut().for_each(watch::Receiver::mark_unchanged);
            // The node has forgotten the job. If the job comes back, another driver takes it.
            if self.changed.has_changed().is_err() {
                break;
            }
            let Some(snapshot) = self.node.board.snapshot(self.id) else {
                // The chain dropped the job. It may be submitted again, and then a run in progress is still good.
                self.node.note_seats(self.id, BTreeSet::new());
                self.wait(Wake::NEVER).await;
                continue;
            };
            // Not waiting for the entry does not undo an action that was sent.
            let Some(turn) = stop.run_until_cancelled(self.ask(&snapshot)).await else { break };
            match turn {
                Turn::Act(role, deed) => {
                    let acts = self.carry_out(role, deed, &snapshot.job);
                    if stop.run_until_cancelled(acts).await.is_none() {
                        break;
                    }
                }
                Turn::Wait(wake) => self.wait(wake).await,
                Turn::Done if !self.runs.is_empty() => self.wait(Wake::NEVER).await,
                Turn::Done => {
                    self.node.warnings.over(self.id);
                    // A job that never runs here is over for this driver while others still ask why.
                    if snapshot.job.state.is_terminal() {
                        self.node.findings.clear(self.id);
                    }
                    if self.node.retire(self.id, &self.changed) {
                        return;
                    }
                }
            }
        }
        self.stop_run().await;
    }

    /// Asks the policy for the next step.
    async fn ask(&mut self, snapshot: &Snapshot) -> Turn {
        let (node, job) = (Arc::clone(&self.node), &snapshot.job);
        self.meet_runners(job).await;
        let moment = node.clock.moment();
        // Read only when bids are ranked.
        let counts = LazyCell::new(|| node.counts());
        let funds = |id| node.ports.scheduler.funds(id);
        let view = JobView {
            me: node.me.id,
            job,
            moment,
            followed_up: snapshot.followed_by.is_some(),
            members: &node.ports.scheduler.members(),
            sisters: &node.config.sisters,
            facts: node.facts(job),
            log: node.trust(job, moment.now),
            pace: node.ports.scheduler.pace(),
            execution: match &self.held {
                Held::None => Execution::None,
                Held::Running => Execution::Running,
                Held::Finished(opening) => Execution::Finished(opening),
                Held::Failed(kind) => Execution::Failed(*kind),
            },
            limits: node.takes_on(),
            is_admitted: node.config.admission.declines(job).is_empty(),
            knows_requester: job.requester == node.me.id || node.acquaintances().knows(job.requester),
            reputation: &|id| {
                let level = node.level(id);
                Standing { level, ..counts.get(&id).copied().unwrap_or_default() }
            },
            purses: Purses(&funds),
            secret: node.me.secret,
            is_auto: !job.state.is_terminal() && node.is_auto(job),
        };
        let policy = &mut self.policy;
        let (turn, stops_run) = node.workload.with_capacity(|capacity| {
            let Answer { turn, stops_run, ring } = policy.next(&view, capacity);
            ((turn, stops_run), ring)
        });
        self.unasked = None;
        if job.requester == node.me.id {
            // Also of a job that ended meanwhile: this may be asked for the last time.
            let seated = if job.state.is_terminal() { BTreeSet::new() } else { seated(job, &turn) };
            node.note_seats(job.id, seated);
        }
        if stops_run {
            self.cancel_run.cancel();
        }
        turn
    }

    async fn carry_out(&mut self, role: Role, deed: Deed, job: &Job) {
        let failed = match &deed {
            Deed::Run => {
                self.cancel_run = CancellationToken::new();
                let run = work(Arc::clone(&self.node), job.clone(), self.cancel_run.clone());
                self.runs.spawn(run);
                self.held = Held::Running;
                return;
            }
            Deed::Check => {
                let (fitness, id) = (self.look(job).await, self.id);
                let moment = self.node.clock.moment();
                return self.report(|policy, capacity| policy.checked(fitness, (id, moment), capacity));
            }
            Deed::Submit(events) => self.node.submit_all(self.id, events.clone()).await.err(),
            Deed::Escalate(deal) => {
                let followed = self.node.submit_spec((*job.spec).clone(), (**deal).clone()).await;
                match &followed {
                    Ok(child) => info!(job = %self.id, %child, "job is followed up"),
                    Err(error) => warn!(job = %self.id, %error, "follow-up not submitted"),
                }
                followed.err()
            }
        };
        let Some(error) = failed else {
            self.node.warnings.ordered(self.id);
            return self.policy.succeeded(role);
        };
        let (moment, may_pass, id) = (self.node.clock.moment(), is_passing(&error), self.id);
        if let Some(obstacle) = Obstacle::of(&error) {
            self.node.warnings.raise(obstacle, Some(id), moment.now, one_line(&error));
        }
        debug!(job = %id, ?role, %error, may_pass, "action not taken");
        self.report(|policy, capacity| policy.failed((role, &deed), may_pass, (id, moment), capacity));
    }

    /// Reports the outcome of a step to the policy, and has the jobs that may now go on ask again.
    fn report(&mut self, tell: impl FnOnce(&mut JobPolicy, &mut Capacity) -> Vec<JobId>) {
        let policy = &mut self.policy;
        self.node.workload.with_capacity(|capacity| ((), tell(policy, capacity)));
    }

    /// Nodes fetch the inputs of a job from its requester. They may be unable to reach it, so it connects to them.
    async fn meet_runners(&self, job: &Job) {
        if job.requester != self.node.me.id || job.state.is_terminal() || job.spec.inputs.is_empty() {
            return;
        }
        for seat in job.seats.iter().filter(|seat| matches!(seat.status, SeatStatus::Accepted)) {
            self.node.ports.transfer.meet(seat.node).await;
        }
    }

    /// Whether the job can run here and the node can keep its result. Asked last, when everything else speaks for a bid.
    /// Keeps why not, for those who ask this node.
    async fn look(&mut self, job: &Job) -> Fitness {
        match self.fitness(job).await {
            Ok(()) => {
                self.node.findings.clear(self.id);
                Fitness::Fits
            }
            Err((fitness, reason)) => {
                info!(job = %self.id, ?fitness, reason, "no bid");
                self.node.findings.note(self.id, reason);
                fitness
            }
        }
    }

    /// # Errors
    /// How long the job cannot run here, and why.
    async fn fitness(&mut self, job: &Job) -> Result<(), (Fitness, String)> {
        let (needed, cap) = (self.node.space_for(&job.spec), self.node.shelf.content().cap_for_others());
        if needed > cap {
            let reason = format!(
                "its inputs and result may take {}, and the store has room for {}",
                bytes(needed),
                bytes(cap)
            );
            return Err((Fitness::Unfit, reason));
        }
        if !self.has_room(needed, cap) {
            return Err((Fitness::NoRoom, "the store has no room for its inputs and result now".to_owned()));
        }
        if !self.node.has_disk_for(self.node.disk_for(&job.spec)) {
            return Err((Fitness::NoRoom, "a disk of the node has no room for it now".to_owned()));
        }
        let reason = |may_pass: bool, error: &dyn Error| {
            (if may_pass { Fitness::NotNow } else { Fitness::Unfit }, one_line(error))
        };
        match timeout(LOOK_LIMIT, self.look_at_urls(job)).await {
            Ok(looked) => looked.map_err(|error| reason(error.may_pass(), &error))?,
            Err(_) => {
                let limit = LOOK_LIMIT.as_secs();
                let late = format!("the URLs of its inputs do not answer within {limit} s");
                return Err((Fitness::NotNow, late));
            }
        }
        let checked = self.node.ports.executor.check(&job.spec).await;
        checked.map_err(|error| reason(error.may_pass(), &error))
    }

    /// Looks whether the inputs that come from URLs are there, until one is not. Begins with the one that was not there the
    /// last time: one dead URL must not have all nodes ask the servers of the others again and again.
    async fn look_at_urls(&mut self, job: &Job) -> Result<(), UrlError> {
        let inputs = &job.spec.inputs;
        for (index, input) in inputs.iter().enumerate().cycle().skip(self.lacking).take(inputs.len()) {
            let Some(url) = &input.url else { continue };
            self.lacking = index;
            self.node.look_at_url(job, input, url).await?;
        }
        Ok(())
    }

    /// Whether the store has room for the job's inputs and result. That changes, so every bid asks.
    fn has_room(&self, needed: u64, cap: u64) -> bool {
        let room = self.node.shelf.content().room_for_others();
        // Clears the warning only once a job of any size fits: with every small one, it would come and go.
        if room >= self.node.config.max_archive_bytes.min(cap) {
            self.node.warnings.clear(Obstacle::StoreFull, None);
        }
        if needed <= room {
            return true;
        }
        let message = format!(
            "no bids: the store in {} has room for {room} bytes, but a job may take {needed}",
            self.node.store_path().display()
        );
        self.node.warnings.raise(Obstacle::StoreFull, None, self.node.clock.moment().now, message);
        false
    }

    /// Waits for any reason to ask again.
    async fn wait(&mut self, wake: Wake) {
        let clock = &self.node.clock;
        tokio::select! {
            () = self.node.stop.cancelled() => {}
            // The sender lives until the job is forgotten.
            _ = self.changed.changed() => self.policy.heard(),
            () = clock.after(wake.deadline) => {}
            () = clock.elapsed(wake.elapsed_ms) => {}
            Some(ended) = self.runs.join_next() => self.held = ended_run(ended),
            () = self.bell.notified() => {}
            () = changed(&mut self.moved) => {}
        }
    }

    /// Cancels a run in progress, and waits until its container is removed.
    async fn stop_run(&mut self) {
        self.cancel_run.cancel();
        let grace = self.node.config.stop_grace;
        if timeout(grace, async { while self.runs.join_next().await.is_some() {} }).await.is_err() {
            warn!(job = %self.id, ?grace, "a run did not stop in time; the next start removes its container");
        }
    }
}

/// Who has a seat in a job of this node's, or is about to be given one.
fn seated(job: &Job, turn: &Turn) -> BTreeSet<NodeId> {
    let events = match turn {
        Turn::Act(_, Deed::Submit(events)) => events.as_slice(),
        Turn::Act(_, Deed::Run | Deed::Check | Deed::Escalate(_)) | Turn::Wait(_) | Turn::Done => &[],
    };
    let accepted = events.iter().filter_map(|event| {
        let Event::BidAccepted { node } = event else { return None };
        Some(*node)
    });
    job.seats.iter().map(|seat| seat.node).chain(accepted).collect()
}

/// Resolves when money moved, if there is any.
async fn changed(moved: &mut Option<watch::Receiver<u64>>) {
    // The backend of a log that has ended tells nothing more.
    if let Some(moved) = moved
        && moved.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn ended_run(ended: Result<Held, tokio::task::JoinError>) -> Held {
    ended.unwrap_or_else(|error| {
        error!(%error, "a run panicked");
        Held::Failed(FailureKind::Interrupted)
    })
}

impl Node {
    /// The limits on the jobs that this node takes on; `None` if it runs none.
    fn takes_on(&self) -> Option<&ComputeLimits> {
        (self.config.compute_slots > 0).then_some(&self.config.limits)
    }

    /// What the log says of this node as a bidder.
    fn facts(&self, job: &Job) -> Facts {
        let me = self.me.id;
        let funds = |node| self.ports.scheduler.funds(node);
        let funded = Purses(&funds).back(job, me) == Some(true);
        let paid = funds(me).unwrap_or_default().paid;
        Facts { funded, paid, ..self.board.facts(job.id, me) }
    }

    /// Who orders the log of a job, and how far this node follows it. Warns where this node's clock keeps it from acting.
    fn trust(&self, job: &Job, now: Timestamp) -> LogTrust {
        match self.ports.scheduler.order(job.id) {
            LogOrder::Neutral => LogTrust::Neutral,
            LogOrder::Requester { clock_agrees, suspended } => {
                let obstacle = Obstacle::of_order(clock_agrees, suspended);
                if let Some(obstacle) = obstacle.filter(|_| takes_part(job, self.me.id)) {
                    let (id, requester) = (job.id, job.requester);
                    let why = if obstacle == Obstacle::BrokenLog {
                        format!(
                            "requester {requester} broke the log of job {id}, or showed two histories of it"
                        )
                    } else {
                        format!(
                            "this machine's clock and that of requester {requester} differ by more than 30 s"
                        )
                    };
                    let message = format!("{why}: this node acts no more in job {id}");
                    self.warnings.raise(obstacle, Some(id), now, message);
                }
                LogTrust::Requester { clock_agrees, suspended }
            }
        }
    }
}
