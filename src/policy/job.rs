//! All that a node decides about one job: which role acts next, what it does, and when to ask again.
//!
//! The roles take turns because they share one sequence of actions in a job's log. Each role's rule is in its own module and
//! keeps no state. [`JobPolicy`] keeps the state between two questions: since when the node has known the job, which
//! attempts failed, and whether the job can run here. It does no I/O. Its owner carries out the [`Turn`], reports the
//! outcome, and asks again.

use std::fmt;

use super::{
    ComputeLimits, Moment, Purses, Wake,
    attempts::{Attempts, LOOK_AGAIN, RESEND},
    capacity::{Capacity, Decision},
    compute::{self, ComputeStep, ComputeView, Execution, LogTrust},
    requester::{self, RequesterStep, RequesterView, Standing},
    verifier::{self, VerifierStep, VerifierView},
};
use crate::domain::{BidStatus, Deal, Digest, Event, Facts, Job, JobId, NodeId, Pace};

/// A node's role in a job, in the order in which the policy asks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It submitted the job.
    Requester,
    /// It runs the job.
    Compute,
    /// It ends the job.
    Verifier,
}

/// What a node knows of one job.
#[derive(Clone, Copy)]
pub struct JobView<'a> {
    /// This node.
    pub me: NodeId,
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub moment: Moment,
    /// Whether the job has a follow-up already.
    pub followed_up: bool,
    /// The other nodes that this node knows.
    pub members: &'a [NodeId],
    /// See [`ComputeView::sisters`].
    pub sisters: &'a [NodeId],
    /// The backend's facts about this node as a bidder.
    pub facts: Facts,
    /// Who orders the log.
    pub log: LogTrust,
    /// How slow the log is.
    pub pace: Pace,
    /// The state of this node's run.
    pub execution: Execution<'a>,
    /// The limits on the jobs that this node takes on; `None` if it runs none.
    pub limits: Option<&'a ComputeLimits>,
    /// Whether the node's operator lets it bid on the job.
    pub is_admitted: bool,
    /// Whether the requester has given this node honest work before.
    pub knows_requester: bool,
    /// This node's record of another node.
    pub reputation: &'a dyn Fn(NodeId) -> Standing,
    /// What nodes have in the log.
    pub purses: Purses<'a>,
    /// See [`RequesterView::secret`].
    pub secret: Digest,
    /// See [`RequesterView::is_auto`].
    pub is_auto: bool,
}

impl fmt::Debug for JobView<'_> {
    // Keeps the secret out of the output.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobView")
            .field("me", &self.me)
            .field("job", &self.job.id)
            .field("moment", &self.moment)
            .field("followed_up", &self.followed_up)
            .field("members", &self.members.len())
            .field("facts", &self.facts)
            .field("log", &self.log)
            .field("execution", &self.execution)
            .finish_non_exhaustive()
    }
}

/// The answer to the question what to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Do this in that role, report the outcome, and ask again.
    Act(Role, Deed),
    /// Nothing before this, unless something happens.
    Wait(Wake),
    /// Nothing until the log changes.
    Done,
}

/// What a role does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Sign and submit these, in this order; then [`JobPolicy::succeeded`] or [`JobPolicy::failed`].
    Submit(Vec<Event>),
    /// Submit a new job with these terms and the same spec; then as above.
    Escalate(Box<Deal>),
    /// Find out whether the job can run here; then [`JobPolicy::checked`].
    Check,
    /// Start the run.
    Run,
}

/// The answer to one question, for the job and for its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What to do in this job.
    pub turn: Turn,
    /// Whether a run in progress has become useless.
    pub stops_run: bool,
    /// Other jobs that may go on now. Ask about each of them.
    pub ring: Vec<JobId>,
}

/// Whether a job can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fitness {
    /// It can.
    Fits,
    /// It never can.
    Unfit,
    /// Not now, because this node has no room for it. To look again asks nobody else.
    NoRoom,
    /// Not now, because of what others answered, or the engine.
    NotNow,
}

/// What one process remembers of one job.
#[derive(Debug, Clone)]
pub struct JobPolicy {
    /// When this process first heard of the job, on the monotonic clock.
    heard_ms: u64,
    due_since_ms: Option<u64>,
    /// The number of members, and this node's rank among them.
    ranked: Option<(usize, usize)>,
    attempts: [Attempts; 3],
    fitness: Option<Fitness>,
    /// The looks whether the job can run here. News of the job does not reset them, since its requester can make news.
    looks: Attempts,
}

/// Whether `node` has, or had, a part in the job beyond reading its announcement.
pub fn takes_part(job: &Job, node: NodeId) -> bool {
    let seated = |status| matches!(status, BidStatus::Seated(_) | BidStatus::Standing);
    job.requester == node || job.bids.get(&node).is_some_and(|bid| seated(bid.status))
}

impl JobPolicy {
    /// The policy for a job that this process hears of now.
    pub const fn new(moment: Moment) -> Self {
        Self {
            heard_ms: moment.elapsed_ms,
            due_since_ms: None,
            ranked: None,
            attempts: [Attempts::NONE; 3],
            fitness: None,
            looks: Attempts::NONE,
        }
    }

    /// Asks each role in turn. The first that acts ends the round.
    pub fn next(&mut self, view: &JobView<'_>, capacity: &mut Capacity) -> Answer {
        let now_ms = view.moment.elapsed_ms;
        let mut answer = Answer { turn: Turn::Done, stops_run: false, ring: Vec::new() };
        for role in [Role::Requester, Role::Compute, Role::Verifier] {
            let due_ms = self.attempts[role as usize].until_ms();
            let turn = if now_ms < due_ms {
                Turn::Wait(Wake::NEVER.or_at(due_ms))
            } else {
                match role {
                    Role::Requester => self.request(view),
                    Role::Compute => self.compute(view, capacity, &mut answer),
                    Role::Verifier => self.verify(view),
                }
            };
            answer.turn = match (answer.turn, turn) {
                (_, act @ Turn::Act(..)) => return Answer { turn: act, ..answer },
                (Turn::Wait(known), Turn::Wait(other)) => Turn::Wait(known.or(other)),
                (known, Turn::Done) => known,
                (_, turn) => turn,
            };
        }
        answer
    }

    /// Records that the log has what a role submitted.
    pub const fn succeeded(&mut self, role: Role) {
        self.attempts[role as usize] = Attempts::NONE;
    }

    /// Records that what a role submitted was refused, or did not reach the sequencer. `may_pass`: the same action may
    /// succeed later though nothing else happens. Returns other jobs that may go on now.
    pub fn failed(
        &mut self,
        (role, deed): (Role, &Deed),
        may_pass: bool,
        (job, moment): (JobId, Moment),
        capacity: &mut Capacity,
    ) -> Vec<JobId> {
        let attempts = &mut self.attempts[role as usize];
        if !matches!(deed, Deed::Submit(events) if matches!(**events, [Event::BidPlaced { .. }])) {
            attempts.fail(moment.elapsed_ms, RESEND);
            return Vec::new();
        }
        if may_pass {
            attempts.fail(moment.elapsed_ms, RESEND);
        } else {
            // The action came too late. A node without a seat gets few further entries, so retrying soon is pointless.
            *attempts = Attempts::give_up(moment.elapsed_ms);
        }
        capacity.bid_failed(job, moment)
    }

    /// Records the answer to [`Deed::Check`]. Returns other jobs that may go on now.
    pub fn checked(
        &mut self,
        fitness: Fitness,
        (job, moment): (JobId, Moment),
        capacity: &mut Capacity,
    ) -> Vec<JobId> {
        self.fitness = Some(fitness);
        match fitness {
            Fitness::Fits | Fitness::Unfit => return Vec::new(),
            Fitness::NoRoom => self.looks.pause(moment.elapsed_ms, LOOK_AGAIN.first),
            Fitness::NotNow => self.looks.fail(moment.elapsed_ms, LOOK_AGAIN),
        }
        // Until the check, the node promises nothing.
        capacity.bid_failed(job, moment)
    }

    /// Records that the log changed, so that failed actions may succeed now.
    pub const fn heard(&mut self) {
        self.attempts = [Attempts::NONE; 3];
    }

    fn request(&self, view: &JobView<'_>) -> Turn {
        let JobView { job, moment, .. } = *view;
        if job.requester != view.me {
            return Turn::Done;
        }
        let view = RequesterView {
            job,
            moment,
            opened_ms: self.heard_ms,
            pace: view.pace,
            reputation: view.reputation,
            purses: view.purses,
            secret: view.secret,
            members: view.members.len() + usize::from(view.limits.is_some()),
            orders_log: matches!(view.log, LogTrust::Requester { .. }),
            followed_up: view.followed_up,
            is_auto: view.is_auto,
        };
        match requester::next(&view) {
            RequesterStep::Wait(wake) => Turn::Wait(wake),
            RequesterStep::Submit(events) => Turn::Act(Role::Requester, Deed::Submit(events)),
            RequesterStep::Escalate(deal) => Turn::Act(Role::Requester, Deed::Escalate(deal)),
            RequesterStep::Done => Turn::Done,
        }
    }

    fn compute(&mut self, view: &JobView<'_>, capacity: &mut Capacity, answer: &mut Answer) -> Turn {
        let Some(limits) = view.limits else { return Turn::Done };
        let JobView { me, job, moment, facts, log, execution, knows_requester, .. } = *view;
        let can_run = view.is_admitted && self.fitness != Some(Fitness::Unfit);
        let (heard_ms, rank) = (self.heard_ms, self.rank(view));
        let view = ComputeView {
            me,
            job,
            moment,
            heard_ms,
            rank,
            limits,
            can_run,
            facts,
            sisters: view.sisters,
            purses: view.purses,
            pace: view.pace,
            execution,
            log,
            knows_requester,
        };
        let Decision { step, ring } = capacity.next(&view);
        answer.ring.extend(ring);
        match step {
            ComputeStep::Wait(wake) => Turn::Wait(wake),
            ComputeStep::Submit(event @ Event::BidPlaced { .. }) => match self.fitness {
                Some(Fitness::Fits) => Turn::Act(Role::Compute, Deed::Submit(vec![event])),
                Some(Fitness::NoRoom | Fitness::NotNow) if moment.elapsed_ms < self.looks.until_ms() => {
                    answer.ring.extend(capacity.bid_failed(job.id, moment));
                    Turn::Wait(Wake::after_next_deadline(job, moment.now).or_at(self.looks.until_ms()))
                }
                None | Some(Fitness::Unfit | Fitness::NoRoom | Fitness::NotNow) => {
                    Turn::Act(Role::Compute, Deed::Check)
                }
            },
            ComputeStep::Submit(event) => Turn::Act(Role::Compute, Deed::Submit(vec![event])),
            ComputeStep::Run => Turn::Act(Role::Compute, Deed::Run),
            ComputeStep::Done => {
                answer.stops_run = true;
                Turn::Done
            }
        }
    }

    fn verify(&mut self, view: &JobView<'_>) -> Turn {
        let JobView { me, job, moment, .. } = *view;
        // A node without a stake in a job holds only the announcement from its log.
        if !takes_part(job, me) {
            return Turn::Done;
        }
        let is_due = verifier::is_due(job, moment.now);
        let due_since_ms = self.due_since_ms.filter(|_| is_due).unwrap_or(moment.elapsed_ms);
        self.due_since_ms = is_due.then_some(due_since_ms);
        let (rank, in_charge) = (self.rank(view), job.requester == me);
        match verifier::next(&VerifierView { job, moment, rank, in_charge, due_since_ms }) {
            VerifierStep::Wait(wake) => Turn::Wait(wake),
            VerifierStep::Submit(event) => Turn::Act(Role::Verifier, Deed::Submit(vec![event])),
            VerifierStep::Done => Turn::Done,
        }
    }

    /// This node's place among those it knows. It costs one hash for each member, so it is kept while their number stays.
    fn rank(&mut self, view: &JobView<'_>) -> usize {
        let members = view.members.len();
        match self.ranked {
            Some((known, rank)) if known == members => rank,
            Some(_) | None => {
                let rank = compute::rank(view.job.id, view.me, view.members);
                self.ranked = Some((members, rank));
                rank
            }
        }
    }
}

#[cfg(test)]
mod tests;
