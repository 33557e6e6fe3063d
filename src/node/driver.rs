//! One task a job: asks each role of this node what to do, does it, and waits for a reason to ask again.
//!
//! The roles take turns because they share one sequence of actions in a job's log. A question costs little, so
//! every change asks all of them: an entry, the end of a run, a passed deadline, a free slot.

use std::{cell::LazyCell, sync::Arc};

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
    submit::{Backoff, is_passing},
    transfer::takes_part,
    warnings::Obstacle,
    work::{Held, chain, work},
};
use crate::{
    domain::{Deal, Event, FailureKind, Job, JobId, SeatStatus},
    policy::{Moment, Wake, capacity::Decision, compute, requester, verifier},
    scheduler::LogOrder,
};

/// How often a full store is looked at again, in milliseconds.
const ROOM_PAUSE_MS: u64 = 5000;

/// What a role wants.
#[derive(Debug)]
enum Step {
    Wait(Wake),
    Submit(Vec<Event>),
    Run,
    Escalate(Box<Deal>),
    Done,
}

/// What came of a role's turn.
#[derive(Debug)]
enum Turn {
    /// Something happened: ask all roles again.
    Acted,
    /// Nothing to do before this.
    Waits(Wake),
    /// Nothing to do until the log changes.
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Requester = 0,
    Compute = 1,
    Verifier = 2,
}

/// The state of one job's task that is not in the log.
#[derive(Debug)]
pub(crate) struct Driver {
    node: Arc<Node>,
    id: JobId,
    changed: watch::Receiver<u64>,
    heard_ms: u64,
    due_since_ms: Option<u64>,
    /// The number of members, and this node's rank among them.
    ranked: (usize, usize),
    backoffs: [Backoff; 3],
    held: Held,
    /// The container is running, or is about to; at most one.
    runs: JoinSet<Held>,
    cancel_run: CancellationToken,
    /// Rung when the node has room for this job.
    bell: Arc<Notify>,
    /// What the executor said, once it was asked.
    can_run: Option<bool>,
}

impl Driver {
    /// `None` when the log has no such job.
    pub(crate) fn new(node: Arc<Node>, id: JobId, bell: Arc<Notify>) -> Option<Self> {
        let changed = node.board.watch(id)?;
        let held = match node.executions.get(id) {
            Ok(execution) => execution.map_or(Held::None, |execution| execution.stage.into()),
            Err(error) => {
                // Without its salt nothing can be revealed; the other roles of this node go on.
                error!(job = %id, error = %chain(&error), "the record of a run cannot be read: the run counts as failed");
                Held::Failed(FailureKind::Engine)
            }
        };
        let heard_ms = node.clock.moment().elapsed_ms;
        Some(Self {
            node,
            id,
            changed,
            heard_ms,
            due_since_ms: None,
            ranked: (0, 0),
            backoffs: Default::default(),
            held,
            runs: JoinSet::new(),
            cancel_run: CancellationToken::new(),
            bell,
            can_run: None,
        })
    }

    /// Drives the job until nothing more can come of it but by a new entry, or until the node stops.
    pub(crate) async fn drive(mut self) {
        let stop = self.node.stop.clone();
        while !stop.is_cancelled() {
            self.changed.borrow_and_update();
            // The job was forgotten; should it come again, another driver does.
            if self.changed.has_changed().is_err() {
                break;
            }
            let Some(snapshot) = self.node.board.snapshot(self.id) else {
                // The chain dropped the job. It may be submitted again, and a run in progress is still good then.
                self.wait(Wake::NEVER).await;
                continue;
            };
            // An action that was sent has been sent: nothing is withdrawn by not waiting for its entry.
            let Some(turn) = stop.run_until_cancelled(self.ask(&snapshot)).await else { break };
            match turn {
                Turn::Acted => {}
                Turn::Waits(wake) => self.wait(wake).await,
                Turn::Done if !self.runs.is_empty() => self.wait(Wake::NEVER).await,
                Turn::Done => {
                    self.node.warnings.over(self.id);
                    if self.node.retire(self.id, &self.changed) {
                        return;
                    }
                }
            }
        }
        self.stop_run().await;
    }

    /// Gives each role its turn; the first that acts ends the round.
    async fn ask(&mut self, snapshot: &Snapshot) -> Turn {
        let moment = self.node.clock.moment();
        let mut wake = None;
        for role in [Role::Requester, Role::Compute, Role::Verifier] {
            let due_ms = self.backoffs[role as usize].until_ms();
            if moment.elapsed_ms < due_ms {
                wake = Some(earlier(wake, Wake::NEVER.or_at(due_ms)));
                continue;
            }
            let step = match role {
                Role::Requester => {
                    self.meet_runners(&snapshot.job).await;
                    self.requester_step(snapshot, moment)
                }
                Role::Compute => self.compute_step(&snapshot.job, moment).await,
                Role::Verifier => self.verifier_step(&snapshot.job, moment),
            };
            match self.carry_out(role, step, &snapshot.job, moment).await {
                Turn::Acted => return Turn::Acted,
                Turn::Waits(until) => wake = Some(earlier(wake, until)),
                Turn::Done => {}
            }
        }
        wake.map_or(Turn::Done, Turn::Waits)
    }

    async fn carry_out(&mut self, role: Role, step: Step, job: &Job, moment: Moment) -> Turn {
        let bids = matches!(&step, Step::Submit(events) if matches!(**events, [Event::BidPlaced { .. }]));
        let failed = match step {
            Step::Wait(wake) => return Turn::Waits(wake),
            Step::Done => return Turn::Done,
            Step::Run => {
                self.cancel_run = CancellationToken::new();
                let run = work(Arc::clone(&self.node), job.clone(), self.cancel_run.clone());
                self.runs.spawn(run);
                self.held = Held::Running;
                return Turn::Acted;
            }
            Step::Submit(events) => self.node.submit_all(self.id, events).await.err(),
            Step::Escalate(deal) => {
                let followed = self.node.submit_spec((*job.spec).clone(), *deal).await;
                match &followed {
                    Ok(child) => info!(job = %self.id, %child, "job is followed up"),
                    Err(error) => warn!(job = %self.id, %error, "follow-up not submitted"),
                }
                followed.err()
            }
        };
        let Some(error) = failed else {
            self.node.warnings.ordered(self.id);
            self.backoffs[role as usize] = Backoff::default();
            return Turn::Acted;
        };
        if let Some(obstacle) = Obstacle::of(&error) {
            self.node.warnings.raise(obstacle, Some(self.id), moment.now, chain(&error));
        }
        if bids {
            self.node.with_capacity(|capacity| ((), capacity.bid_failed(self.id, self.node.clock.moment())));
        }
        let (backoff, now_ms) = (&mut self.backoffs[role as usize], moment.elapsed_ms);
        if bids && !is_passing(&error) {
            // It came too late. Who has no seat hears little of the job: to knock again and again is all it could do.
            *backoff = Backoff::give_up(now_ms);
        } else {
            backoff.fail(now_ms);
        }
        debug!(job = %self.id, ?role, %error, passing = is_passing(&error), "action not taken");
        Turn::Waits(Wake::NEVER.or_at(self.backoffs[role as usize].until_ms()))
    }

    /// Nodes fetch the inputs of a job from its requester, and may have no way to it: it goes to them.
    async fn meet_runners(&self, job: &Job) {
        if job.requester != self.node.id || job.state.is_terminal() || job.spec.inputs.is_empty() {
            return;
        }
        for seat in job.seats.iter().filter(|seat| matches!(seat.status, SeatStatus::Accepted)) {
            self.node.transfer.meet(seat.node).await;
        }
    }

    fn requester_step(&self, snapshot: &Snapshot, moment: Moment) -> Step {
        let job = &snapshot.job;
        if job.requester != self.node.id {
            return Step::Done;
        }
        // Read only when bids are ranked.
        let counts = LazyCell::new(|| self.node.counts());
        let view = requester::RequesterView {
            job,
            moment,
            opened_ms: self.heard_ms,
            reputation: &|node| counts.get(&node).copied().unwrap_or_default(),
            secret: self.node.secret,
            members: self.node.bidders(),
            orders_log: matches!(self.node.scheduler.order(self.id), LogOrder::Requester { .. }),
            followed_up: snapshot.followed_by.is_some(),
        };
        match requester::next(&view) {
            requester::RequesterStep::Wait(wake) => Step::Wait(wake),
            requester::RequesterStep::Submit(events) => Step::Submit(events),
            requester::RequesterStep::Escalate(deal) => Step::Escalate(deal),
            requester::RequesterStep::Done => Step::Done,
        }
    }

    fn verifier_step(&mut self, job: &Job, moment: Moment) -> Step {
        // Whoever has no stake in a job holds no more of its log than the announcement.
        if !takes_part(job, self.node.id) {
            return Step::Done;
        }
        let due = verifier::is_due(job, moment.now);
        let due_since_ms = *self.due_since_ms.filter(|_| due).get_or_insert(moment.elapsed_ms);
        self.due_since_ms = due.then_some(due_since_ms);
        let view = verifier::VerifierView {
            job,
            moment,
            rank: self.rank(),
            in_charge: job.requester == self.node.id,
            due_since_ms,
        };
        match verifier::next(&view) {
            verifier::VerifierStep::Wait(wake) => Step::Wait(wake),
            verifier::VerifierStep::Submit(event) => Step::Submit(vec![event]),
            verifier::VerifierStep::Done => Step::Done,
        }
    }

    /// Asks the compute role.
    async fn compute_step(&mut self, job: &Job, moment: Moment) -> Step {
        if self.node.config.compute_slots == 0 {
            return Step::Done;
        }
        let step = match self.ask_compute(job, moment) {
            compute::ComputeStep::Submit(Event::BidPlaced { .. }) if !self.may_run(job).await => {
                if self.can_run.is_none() {
                    // No room yet: results are fetched and removed, so look again. Until then nothing is promised.
                    self.node.with_capacity(|capacity| ((), capacity.bid_failed(self.id, moment)));
                    let again_ms = moment.elapsed_ms.saturating_add(ROOM_PAUSE_MS);
                    return Step::Wait(Wake::after_next_deadline(job, moment.now).or_at(again_ms));
                }
                self.ask_compute(job, moment)
            }
            other => other,
        };
        match step {
            compute::ComputeStep::Submit(event) => Step::Submit(vec![event]),
            compute::ComputeStep::Run => Step::Run,
            compute::ComputeStep::Wait(wake) => Step::Wait(wake),
            compute::ComputeStep::Done => {
                self.cancel_run.cancel();
                Step::Done
            }
        }
    }

    fn ask_compute(&mut self, job: &Job, moment: Moment) -> compute::ComputeStep {
        let (limits, rank) = (self.node.config.limits, self.rank());
        let limits = compute::BidLimits {
            max_bond: limits.max_bond,
            ask: limits.ask,
            max_resources: limits.max_resources,
            max_timeout: limits.max_timeout,
            max_run: limits.max_run,
            max_reveal: limits.max_reveal,
            can_run: self.can_run.unwrap_or(true),
        };
        let view = compute::ComputeView {
            me: self.node.id,
            job,
            moment,
            heard_ms: self.heard_ms,
            rank,
            limits: &limits,
            facts: self.node.board.facts(self.id, self.node.id),
            execution: match &self.held {
                Held::None => compute::Execution::None,
                Held::Running => compute::Execution::Running,
                Held::Finished(opening) => compute::Execution::Finished(opening),
                Held::Failed(kind) => compute::Execution::Failed(*kind),
            },
            log: match self.node.scheduler.order(self.id) {
                LogOrder::Neutral => compute::LogTrust::Neutral,
                LogOrder::Requester { clock_agrees, suspended } => {
                    if !clock_agrees && takes_part(job, self.node.id) {
                        let message = format!(
                            "this machine's clock and that of requester {} differ by more than 30 s: this node acts no \
                             more in job {}",
                            job.requester, self.id
                        );
                        self.node.warnings.raise(Obstacle::Clock, Some(self.id), moment.now, message);
                    }
                    compute::LogTrust::Requester { clock_agrees, suspended }
                }
            },
        };
        self.node.with_capacity(|capacity| {
            let Decision { step, ring } = capacity.next(&view);
            (step, ring)
        })
    }

    /// This node's place among those it knows. One hash a member, so it is kept while their number stays.
    fn rank(&mut self) -> usize {
        let members = self.node.scheduler.members();
        if self.ranked.0 != members.len() {
            self.ranked = (members.len(), compute::rank(self.id, self.node.id, &members));
        }
        self.ranked.1
    }

    /// Whether the store has room for the job's inputs and result. That changes, so it is asked before every bid.
    fn has_room(&self, needed: u64, cap: u64) -> bool {
        let room = self.node.shelf.content().room_bytes();
        // Not with every small job that still fits: the warning would come and go with each.
        if room >= self.node.config.max_archive_bytes.min(cap) {
            self.node.warnings.clear(Obstacle::StoreFull, None);
        }
        if needed <= room {
            return true;
        }
        let message = format!(
            "no bids: the store in {} has room for {room} bytes, and a job may take {needed}",
            self.node.store_path().display()
        );
        self.node.warnings.raise(Obstacle::StoreFull, None, self.node.clock.moment().now, message);
        false
    }

    /// Whether the job could run here, and its result be kept; asked once, when everything else speaks for a bid.
    async fn may_run(&mut self, job: &Job) -> bool {
        if let Some(known) = self.can_run {
            return known;
        }
        let (needed, cap) = (self.node.space_for(&job.spec), self.node.shelf.content().cap_bytes());
        if needed > cap {
            debug!(job = %self.id, needed, cap, "no bid: the store is too small for the job's inputs and result");
            return *self.can_run.insert(false);
        }
        if !self.has_room(needed, cap) {
            return false;
        }
        let checked = self.node.executor.check(&job.spec).await;
        if let Err(error) = &checked {
            info!(job = %self.id, error = %chain(error), "no bid: the job cannot run here");
        }
        *self.can_run.insert(checked.is_ok())
    }

    /// Waits for any reason to ask again.
    async fn wait(&mut self, wake: Wake) {
        let clock = &self.node.clock;
        tokio::select! {
            () = self.node.stop.cancelled() => {}
            // The sender lives until the job is forgotten.
            _ = self.changed.changed() => self.backoffs = Default::default(),
            () = clock.after(wake.deadline) => {}
            () = clock.elapsed(wake.elapsed_ms) => {}
            Some(ended) = self.runs.join_next() => self.held = ended_run(ended),
            () = self.bell.notified() => {}
        }
    }

    /// Cancels a run that still goes, and waits until its container is removed.
    async fn stop_run(&mut self) {
        self.cancel_run.cancel();
        let grace = self.node.config.stop_grace;
        if timeout(grace, async { while self.runs.join_next().await.is_some() {} }).await.is_err() {
            warn!(job = %self.id, ?grace, "a run did not stop in time; the next start removes its container");
        }
    }
}

fn ended_run(ended: Result<Held, tokio::task::JoinError>) -> Held {
    ended.unwrap_or_else(|error| {
        error!(%error, "a run panicked");
        Held::Failed(FailureKind::Interrupted)
    })
}

/// The earlier of two reasons to ask again, in either clock.
fn earlier(known: Option<Wake>, other: Wake) -> Wake {
    let Some(known) = known else { return other };
    let first = |a: Option<_>, b: Option<_>| a.into_iter().chain(b).min();
    Wake {
        deadline: known.deadline.into_iter().chain(other.deadline).min(),
        elapsed_ms: first(known.elapsed_ms, other.elapsed_ms),
    }
}
