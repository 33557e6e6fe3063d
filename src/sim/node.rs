//! One simulated node: what it is like, what it holds, and what its policies make of that.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        Amount, Ask, Deal, Digest, Event, Facts, FailureKind, Fingerprint, FingerprintWord, Job, JobId,
        MIN_REVEAL, NodeId, Opening, Pace, SeatSet, Span, SummaryWord,
    },
    identity::NodeKey,
    policy::{
        ComputeLimits, Moment, Purses, Wake,
        capacity::Capacity,
        compute::Execution,
        job::{self, Answer, Fitness, JobPolicy, JobView, Role, Turn},
        requester::Standing,
    },
};

use super::{chance::Chance, replica::Replica, temper::Temper};

/// How long a node waits for what it sent.
const ATTEMPT_MS: u64 = 2_000;

/// What orders bids and draws audits, of every requester.
pub(super) const SECRET: Digest = Digest::new([9; 32]);

/// What a node wants to have done.
#[derive(Debug)]
pub(super) enum Deed {
    Propose(Role, Vec<Event>),
    Run,
    Stop,
    FollowUp(Box<Deal>),
    Wake(Wake),
    /// Ask about another job.
    Ring(JobId),
}

/// A simulated node.
#[derive(Debug)]
pub struct Node {
    pub(super) key: NodeKey,
    pub(super) temper: Temper,
    pub(super) skew_secs: i64,
    slots: usize,
    /// The others.
    pub(super) members: Vec<NodeId>,
    pub(super) up: bool,
    /// Whether its disk takes nothing.
    pub(super) full: bool,
    /// Counts starts: what was set off before a crash does not reach the process after it.
    pub(super) life: u32,
    pub(super) disk: Disk,
    pub(super) memory: Memory,
}

/// What survives a crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) replicas: BTreeMap<JobId, Replica>,
    /// Jobs that need nothing more of this node.
    pub(super) ended: BTreeSet<JobId>,
    pub(super) runs: BTreeMap<JobId, Result<Opening, FailureKind>>,
    /// Submissions decided on and in no log yet, by the job they make.
    pub(super) submissions: BTreeMap<JobId, Event>,
    /// Jobs that this node has followed up, or decided to.
    pub(super) followed_up: BTreeSet<JobId>,
    /// How many entries it has read of each party that orders logs.
    pub(super) read: BTreeMap<usize, usize>,
}

/// What does not.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) capacity: Capacity,
    policies: BTreeMap<JobId, JobPolicy>,
    /// What was sent and is in no log that the node has read, and since when: a job's next action waits for it.
    in_flight: BTreeMap<JobId, (Role, job::Deed, u64)>,
    pub(super) running: BTreeSet<JobId>,
    /// Whether the logs were read since the start: before that a node acts on nothing.
    pub(super) caught_up: bool,
    /// Wake-ups that are set: by job, in milliseconds.
    pub(super) wakes: BTreeSet<(JobId, u64)>,
}

/// What the world tells a node beside its logs.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) moment: Moment,
    pub(super) facts: Facts,
    /// What each node has.
    pub(super) purses: Purses<'a>,
}

impl Memory {
    fn new(slots: usize) -> Self {
        Self {
            capacity: Capacity::new(slots),
            policies: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            running: BTreeSet::new(),
            caught_up: false,
            wakes: BTreeSet::new(),
        }
    }
}

impl Node {
    pub(super) fn new(key: NodeKey, temper: Temper, skew_secs: i64, slots: usize) -> Self {
        let (disk, memory) = (Disk::default(), Memory::new(slots));
        let members = Vec::new();
        Self { key, temper, skew_secs, slots, members, up: true, full: false, life: 0, disk, memory }
    }

    /// Whether it can work.
    pub(super) const fn is_well(&self) -> bool {
        self.up && !self.full
    }

    /// The process ends without a word.
    pub(super) fn crash(&mut self) {
        self.up = false;
        self.memory = Memory::new(self.slots);
    }

    /// Its name.
    pub fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// How it behaves.
    pub const fn temper(&self) -> Temper {
        self.temper
    }

    /// What this node's policies want for `job`, in the order in which it is to be done.
    pub(super) fn decide(&mut self, job: JobId, around: &Surroundings<'_>) -> Vec<Deed> {
        let me = self.id();
        let Some(replica) = self.disk.replicas.get(&job) else { return Vec::new() };
        let followed_up = self.disk.followed_up.contains(&job);
        let Memory { capacity, policies, running, .. } = &mut self.memory;
        let policy = policies.entry(job).or_insert_with(|| JobPolicy::new(around.moment));
        let limits = limits(replica.job());
        let view = JobView {
            me,
            job: replica.job(),
            moment: around.moment,
            followed_up,
            members: &self.members,
            sisters: &[],
            facts: around.facts,
            log: replica.trust(),
            pace: Pace::QUICK,
            execution: match self.disk.runs.get(&job) {
                Some(Ok(opening)) => Execution::Finished(opening),
                Some(Err(kind)) => Execution::Failed(*kind),
                None if running.contains(&job) => Execution::Running,
                None => Execution::None,
            },
            limits: Some(&limits),
            is_admitted: true,
            knows_requester: false,
            reputation: &|_| Standing::default(),
            purses: around.purses,
            secret: SECRET,
            is_auto: false,
        };
        let mut deeds = Vec::new();
        loop {
            let Answer { turn, stops_run, ring } = policy.next(&view, capacity);
            deeds.extend(ring.into_iter().map(Deed::Ring));
            deeds.extend(stops_run.then_some(Deed::Stop));
            deeds.push(match turn {
                Turn::Act(role, job::Deed::Submit(events)) => Deed::Propose(role, events),
                Turn::Act(_, job::Deed::Escalate(deal)) => Deed::FollowUp(deal),
                Turn::Act(_, job::Deed::Run) => Deed::Run,
                Turn::Act(_, job::Deed::Check) => {
                    let ring = policy.checked(Fitness::Fits, (job, around.moment), capacity);
                    deeds.extend(ring.into_iter().map(Deed::Ring));
                    continue;
                }
                Turn::Wait(wake) => Deed::Wake(wake),
                Turn::Done => Deed::Wake(Wake::NEVER),
            });
            return deeds;
        }
    }

    /// Whether the node waits for what it sent in this job.
    pub(super) fn awaits(&self, job: JobId) -> bool {
        self.memory.in_flight.contains_key(&job)
    }

    /// The node sent these, and waits for their place in the log.
    pub(super) fn sent(&mut self, job: JobId, role: Role, events: Vec<Event>, now_ms: u64) {
        self.memory.in_flight.insert(job, (role, job::Deed::Submit(events), now_ms));
    }

    /// What it sent long ago, and waits for in vain.
    pub(super) fn late(&self, now_ms: u64) -> Vec<JobId> {
        let late = |since_ms: u64| since_ms.saturating_add(ATTEMPT_MS) <= now_ms;
        self.memory.in_flight.iter().filter(|(_, (_, _, since))| late(*since)).map(|(job, _)| *job).collect()
    }

    /// Keeps nothing of a job that needs nothing more of it.
    pub(super) fn forget(&mut self, job: JobId) {
        self.disk.replicas.remove(&job);
        self.disk.runs.remove(&job);
        self.disk.ended.insert(job);
        self.memory.policies.remove(&job);
        self.memory.in_flight.remove(&job);
    }

    /// The log of a job went on.
    pub(super) fn heard(&mut self, job: JobId) {
        self.memory.in_flight.remove(&job);
        if let Some(policy) = self.memory.policies.get_mut(&job) {
            policy.heard();
        }
    }

    /// Gives up what was sent long ago. Returns the other jobs that may go on then.
    pub(super) fn give_up(&mut self, job: JobId, moment: Moment) -> Vec<JobId> {
        let Memory { capacity, policies, in_flight, .. } = &mut self.memory;
        let Some((role, deed, _)) = in_flight.remove(&job) else { return Vec::new() };
        let Some(policy) = policies.get_mut(&job) else { return Vec::new() };
        policy.failed((role, &deed), true, (job, moment), capacity)
    }

    /// What a run of the job gives here. A noisy job prints something else each time.
    pub(super) fn result(&self, job: &Job, chance: &mut Chance) -> Result<Opening, FailureKind> {
        if chance.permille(30) {
            return Err(FailureKind::Engine);
        }
        let noisy = job.spec.command == ["noisy"];
        let lies = self.temper == Temper::Faker;
        let text = if noisy || lies { chance.bytes().to_vec() } else { job.id.as_bytes().to_vec() };
        let base = if lies { 200_000 } else { 20_000 };
        let kib = u32::try_from(base + chance.within(0..200)).unwrap_or(u32::MAX);
        let fingerprint =
            Fingerprint { w: [kib; 10], q: [kib; 10], cpu_ms: chance.within(1000..1010), faults: 0 };
        Ok(Opening {
            result_hash: Digest::sha256(text),
            output_root: Digest::new(chance.bytes()),
            exit_code: 0,
            fingerprint: FingerprintWord::pack(&fingerprint, job.deal.method),
            summary: SummaryWord::VOID,
            salt: Digest::new(chance.bytes()),
        })
    }

    /// What a node of this temper makes of what it should propose.
    pub(super) fn twist(&self, event: Event) -> Option<Event> {
        match (self.temper, event) {
            (Temper::Absent, Event::Committed { .. } | Event::FailureReported { .. }) => None,
            (Temper::Mute, Event::BidAccepted { .. }) => None,
            (Temper::Withholder, Event::SecretPublished { .. }) => None,
            (Temper::Silent, Event::Revealed { .. }) => None,
            (Temper::Garbler, Event::Committed { .. }) => {
                Some(Event::Committed { commitment: Digest::new([0xaa; 32]) })
            }
            (_, event) => Some(event),
        }
    }

    /// What a node of this temper proposes besides.
    pub(super) fn meddle(&self, job: &Job, chance: &mut Chance) -> Option<Event> {
        match self.temper {
            Temper::Hasty => {
                let opening = *self.disk.runs.get(&job.id)?.as_ref().ok()?;
                Some(Event::Revealed { seat: job.seat_of(self.id())?, opening })
            }
            Temper::Meddler => Some(match chance.within(0..8) {
                0 => Event::BidAccepted { node: self.id() },
                1 => Event::Expired,
                2 => Event::VerdictPosted {
                    openings: Vec::new(),
                    accepted: job.seat_of(self.id()).into_iter().collect::<SeatSet>(),
                },
                3 => Event::Cancelled,
                4 => Event::Ticked,
                5 => Event::Stopped,
                6 => Event::Committed { commitment: Digest::new(chance.bytes()) },
                _ => Event::BidPlaced { price: Amount::ZERO },
            }),
            Temper::Honest
            | Temper::Faker
            | Temper::Absent
            | Temper::Silent
            | Temper::Garbler
            | Temper::Mute
            | Temper::Withholder => None,
        }
    }
}

fn limits(job: &Job) -> ComputeLimits {
    ComputeLimits {
        max_bond: Amount::MAX,
        ask: Ask::ALL,
        max_resources: job.spec.resources,
        max_timeout: Span::from_secs(3600),
        max_run: Span::from_secs(7200),
        min_reveal: MIN_REVEAL,
        max_reveal: Span::from_secs(3600),
        min_price: Amount::ZERO,
    }
}
