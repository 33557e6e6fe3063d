//! One simulated node: what it is like, what it holds, and what its policies make of that.

use std::collections::{BTreeMap, BTreeSet};

use assay::{
    domain::{
        Amount, Ask, Deal, Digest, Event, Facts, FailureKind, Fingerprint, FingerprintWord, Job, JobId,
        NodeId, Opening, SeatSet, Span,
    },
    identity::NodeKey,
    policy::{
        Moment, Wake,
        capacity::{Capacity, Decision},
        compute::{self, BidLimits, ComputeStep, ComputeView, Execution},
        requester::{self, RequesterStep, RequesterView, Standing},
        verifier::{self, VerifierStep, VerifierView},
    },
};

use super::{chance::Chance, replica::Replica};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Temper {
    Honest,
    /// Commits and reveals a made-up result.
    Liar,
    /// Takes seats and never commits.
    Idler,
    /// Commits and never reveals.
    Secretive,
    /// Commits to what it cannot open.
    Garbler,
    /// Reveals at once, whether commits are closed or not.
    Hasty,
    /// Proposes what it has no right to.
    Meddler,
    /// Submits jobs and answers no bid.
    Mute,
}

impl Temper {
    pub(super) const BAD: [Self; 6] =
        [Self::Liar, Self::Idler, Self::Secretive, Self::Garbler, Self::Hasty, Self::Meddler];
}

/// What a node wants to have done.
#[derive(Debug)]
pub(super) enum Deed {
    Propose(Vec<Event>),
    Run,
    Stop,
    FollowUp(Box<Deal>),
    Wake(Wake),
    /// Ask about another job.
    Ring(JobId),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) key: NodeKey,
    pub(super) temper: Temper,
    pub(super) skew_secs: i64,
    pub(super) slots: usize,
    pub(super) up: bool,
    /// Counts starts: what was set off before a crash does not reach the process after it.
    pub(super) life: u32,
    pub(super) disk: Disk,
    pub(super) memory: Memory,
}

/// What survives a crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) replicas: BTreeMap<JobId, Replica>,
    pub(super) runs: BTreeMap<JobId, Result<Opening, FailureKind>>,
    /// Submissions decided on, by the job they make.
    pub(super) submissions: BTreeMap<JobId, Event>,
}

/// What does not.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) capacity: Capacity,
    heard_ms: BTreeMap<JobId, u64>,
    ranks: BTreeMap<JobId, usize>,
    due_since_ms: BTreeMap<JobId, u64>,
    pub(super) running: BTreeSet<JobId>,
    /// Whether the logs were read since the start: before that a node acts on nothing.
    pub(super) caught_up: bool,
    /// Wake-ups that are set: by job, in milliseconds.
    pub(super) wakes: BTreeSet<(JobId, u64)>,
}

/// What the world tells a node beside its logs.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) members: &'a [NodeId],
    pub(super) moment: Moment,
    pub(super) facts: Facts,
    pub(super) orders_log: bool,
    pub(super) followed_up: bool,
}

impl Memory {
    fn new(slots: usize) -> Self {
        Self {
            capacity: Capacity::new(slots),
            heard_ms: BTreeMap::new(),
            ranks: BTreeMap::new(),
            due_since_ms: BTreeMap::new(),
            running: BTreeSet::new(),
            caught_up: false,
            wakes: BTreeSet::new(),
        }
    }
}

impl Node {
    pub(super) fn new(key: NodeKey, temper: Temper, skew_secs: i64, slots: usize) -> Self {
        let (disk, memory) = (Disk::default(), Memory::new(slots));
        Self { key, temper, skew_secs, slots, up: true, life: 0, disk, memory }
    }

    /// The process ends without a word.
    pub(super) fn crash(&mut self) {
        self.up = false;
        self.memory = Memory::new(self.slots);
    }

    pub(super) fn id(&self) -> NodeId {
        self.key.node_id()
    }

    /// What this node's policies want for `job`, in the order in which it is to be done.
    pub(super) fn decide(&mut self, job: JobId, around: &Surroundings<'_>) -> Vec<Deed> {
        let me = self.id();
        let elapsed_ms = around.moment.elapsed_ms;
        let heard_ms = *self.memory.heard_ms.entry(job).or_insert(elapsed_ms);
        let Some(replica) = self.disk.replicas.get(&job) else { return Vec::new() };
        let (held, moment) = (replica.job(), around.moment);
        let ranks = &mut self.memory.ranks;
        let rank = *ranks.entry(job).or_insert_with(|| compute::rank(job, me, around.members));
        let mut deeds = Vec::new();

        let limits = limits(held);
        let execution = match self.disk.runs.get(&job) {
            Some(Ok(opening)) => Execution::Finished(opening),
            Some(Err(kind)) => Execution::Failed(*kind),
            None if self.memory.running.contains(&job) => Execution::Running,
            None => Execution::None,
        };
        let log = replica.trust();
        let facts = around.facts;
        let view =
            ComputeView { me, job: held, moment, heard_ms, rank, limits: &limits, facts, execution, log };
        let Decision { step, ring } = self.memory.capacity.next(&view);
        deeds.extend(ring.into_iter().map(Deed::Ring));
        match step {
            ComputeStep::Wait(wake) => deeds.push(Deed::Wake(wake)),
            ComputeStep::Submit(event) => deeds.push(Deed::Propose(vec![event])),
            ComputeStep::Run => deeds.push(Deed::Run),
            ComputeStep::Done => deeds.push(Deed::Stop),
        }
        if held.requester == me {
            deeds.push(request(held, around, heard_ms));
        }
        let due = verifier::is_due(held, moment.now);
        let due_since_ms = if due {
            *self.memory.due_since_ms.entry(job).or_insert(elapsed_ms)
        } else {
            self.memory.due_since_ms.remove(&job);
            elapsed_ms
        };
        let in_charge = held.requester == me;
        match verifier::next(&VerifierView { job: held, moment, rank, in_charge, due_since_ms }) {
            VerifierStep::Wait(wake) => deeds.push(Deed::Wake(wake)),
            VerifierStep::Submit(event) => deeds.push(Deed::Propose(vec![event])),
            VerifierStep::Done => {}
        }
        deeds
    }

    /// What a run of the job gives here. A noisy job prints something else each time.
    pub(super) fn result(&self, job: &Job, chance: &mut Chance) -> Result<Opening, FailureKind> {
        if chance.permille(30) {
            return Err(FailureKind::Engine);
        }
        let noisy = job.spec.command == ["noisy"];
        let lies = self.temper == Temper::Liar;
        let text = if noisy || lies { chance.bytes().to_vec() } else { job.id.as_bytes().to_vec() };
        let base = if lies { 200_000 } else { 20_000 };
        let kib = u32::try_from(base + chance.within(0..200)).unwrap();
        let fingerprint = Fingerprint { w: [kib; 10], q: [kib; 10], cpu_ms: chance.within(1000..1010) };
        Ok(Opening {
            result_hash: Digest::sha256(text),
            output_root: Digest::new(chance.bytes()),
            exit_code: 0,
            fingerprint: FingerprintWord::pack(&fingerprint, job.deal.method),
            salt: Digest::new(chance.bytes()),
        })
    }

    /// What a node of this temper makes of what it should propose.
    pub(super) fn twist(&self, event: Event) -> Option<Event> {
        match (self.temper, event) {
            (Temper::Idler, Event::Committed { .. } | Event::FailureReported { .. }) => None,
            (Temper::Mute, Event::BidAccepted { .. }) => None,
            (Temper::Secretive, Event::Revealed { .. }) => None,
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
                Some(Event::Revealed { opening })
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
            | Temper::Liar
            | Temper::Idler
            | Temper::Secretive
            | Temper::Garbler
            | Temper::Mute => None,
        }
    }
}

fn request(job: &Job, around: &Surroundings<'_>, opened_ms: u64) -> Deed {
    let reputation = |_| Standing::default();
    let view = RequesterView {
        job,
        moment: around.moment,
        opened_ms,
        reputation: &reputation,
        secret: Digest::new([9; 32]),
        members: around.members.len() + 1,
        orders_log: around.orders_log,
        followed_up: around.followed_up,
    };
    match requester::next(&view) {
        RequesterStep::Wait(wake) => Deed::Wake(wake),
        RequesterStep::Submit(events) => Deed::Propose(events),
        RequesterStep::Escalate(deal) => Deed::FollowUp(deal),
        RequesterStep::Done => Deed::Wake(Wake::NEVER),
    }
}

fn limits(job: &Job) -> BidLimits {
    BidLimits {
        max_bond: Amount::MAX,
        ask: Ask::ALL,
        max_resources: job.spec.resources,
        max_timeout: Span::from_secs(3600),
        max_run: Span::from_secs(7200),
        max_reveal: Span::from_secs(3600),
        can_run: true,
    }
}
