//! The backends side by side: one random sequence of steps through all of them, compared after every step.
//!
//! The answer to each step must be the same, and then the job: state, deadlines, bids, seats, counters, verdict;
//! where there is a contract, also what it has stored, and where there is money, everybody's balance. `local` is
//! what the others are held to. A failure names seed and step; the same seed gives the same keys and steps.
//!
//! # Where backends differ
//!
//! This is the whole list, [`Difference`]; whatever else differs is a defect.

mod batch;
mod script;
mod sides;
mod stored;
mod whole;

pub(crate) use stored::abi;

use std::{collections::BTreeMap, time::Duration};

use assay::{
    domain::{Amount, Event, EventKind, Facts, Job, JobState, NodeId, Span, Stamped, Timestamp},
    identity::NodeKey,
    rules::{self, Rejection},
    scheduler::EnvelopeRefusal,
};
use script::{Move, Script};
use sides::{Act, Answer, Kind, Side, Step, unrevealed};

const PATIENCE: Duration = Duration::from_secs(20);

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A requester, nodes, and somebody who is on no allow-list.
const REQUESTER: usize = 0;
const NODES: usize = 7;
const STRANGER: usize = NODES + 1;

/// Most steps of a job.
const MOST_STEPS: usize = 90;

/// Steps that are tried on a job after its end.
const STEPS_AFTER: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// `libp2p` refuses a commitment after the entry that closed commits before the rules see it.
    CommitsClosed,
    /// And an opening, or a verdict, before that entry.
    OpeningTooEarly,
    /// And an opening by a node that takes no part, if that has not read so far: it reads a few seconds later.
    NotReadYet,
    /// And a verdict with an opening that its node has not revealed, which elsewhere may come with it.
    NotRevealed,
    /// No chain needs ticks: the contract has no call for one, and its backend answers for the rules.
    NoTicks,
    /// A backend of a network cannot know whether there is a job that it has not heard of.
    UnknownJob,
}

impl Difference {
    const ALL: [Self; 6] = [
        Self::CommitsClosed,
        Self::OpeningTooEarly,
        Self::NotReadYet,
        Self::NotRevealed,
        Self::NoTicks,
        Self::UnknownJob,
    ];

    const fn refusal(self) -> Option<EnvelopeRefusal> {
        match self {
            Self::CommitsClosed => Some(EnvelopeRefusal::CommitsClosed),
            Self::OpeningTooEarly | Self::NotReadYet => Some(EnvelopeRefusal::WrongSeen),
            Self::NotRevealed => Some(EnvelopeRefusal::NotRevealed),
            Self::NoTicks | Self::UnknownJob => None,
        }
    }

    /// What `libp2p` checks before the rules, given the job as its requester holds it.
    fn of_libp2p(side: &Side, step: &Step, event: &Event) -> Option<Self> {
        let (job, id) = (side.job(step.job)?, side.job_id(step.job));
        let (is_closed, has_log) = (side.is_closed(id), side.follows(step.who, id));
        match event {
            Event::Committed { .. } if is_closed => Some(Self::CommitsClosed),
            Event::Revealed { .. } | Event::VerdictPosted { .. } if !is_closed => Some(Self::OpeningTooEarly),
            Event::Revealed { .. } if !has_log => Some(Self::NotReadYet),
            Event::VerdictPosted { openings, .. } if unrevealed(job, openings) => Some(Self::NotRevealed),
            _ => None,
        }
    }
}

/// How far the generator came: without this a test that does nothing would pass.
#[derive(Debug, Default)]
struct Reach {
    taken: BTreeMap<EventKind, usize>,
    rejected: BTreeMap<Rejection, usize>,
    differed: BTreeMap<Difference, usize>,
    ended: BTreeMap<JobState, usize>,
    first_come: usize,
    skipped_bids: usize,
    refilled: usize,
    follow_ups: usize,
}

struct World {
    sides: Vec<Side>,
    script: Script,
    now: Timestamp,
    reach: Reach,
    /// The steps of the job at hand, for whoever reads a failure.
    done: Vec<String>,
}

fn keys(seed: u64) -> Vec<NodeKey> {
    let mut chance = assay::sim::chance::Chance::new(seed);
    (0..=STRANGER).map(|_| NodeKey::from_bytes(&chance.bytes()).unwrap()).collect()
}

/// The first side is the one that the others are held to.
const LOCAL: usize = 0;

impl World {
    async fn new(seed: u64, with_money: bool) -> Self {
        let keys = keys(seed);
        let contract = Side::contract(&keys).await;
        // With the contract's domain, so that the ids of jobs are its own.
        let mut sides = vec![Side::local(&keys, contract.domain())];
        if !with_money {
            sides.push(Side::libp2p(&keys).await);
        }
        sides.push(contract);
        let ids = keys.iter().map(NodeKey::node_id).collect();
        let script = Script::new(seed, ids, with_money);
        let mut world = Self { sides, script, now: START, reach: Reach::default(), done: Vec::new() };
        // A chain's clock goes on until it is stopped.
        world.wait(START.plus(Span::from_secs(60))).await;
        if with_money {
            for who in 0..=STRANGER {
                // Some nodes cannot pay many bonds.
                let units = [1_000_000, 5000, 5000, 5000, 400, 5000, 150, 30, 0][who];
                for side in &world.sides {
                    if units > 0 {
                        side.deposit(who, Amount::new(units).unwrap()).await;
                    }
                }
            }
        }
        world
    }

    fn job(&self, job: usize) -> Option<&Job> {
        self.sides[LOCAL].job(job)
    }

    async fn run(mut self, seed: u64, jobs: usize) -> Reach {
        for number in 0..jobs {
            self.done = vec![format!("seed {seed}, job {number}")];
            let bad = self.script.bad_job(number.saturating_sub(1));
            self.take(&bad).await;
            let submission = self.script.new_job(number);
            self.take(&submission).await;
            assert!(self.job(number).is_some(), "a valid job is taken: {:?}", self.done);
            self.play(number).await;
        }
        self.reach
    }

    async fn play(&mut self, number: usize) {
        let mut left = MOST_STEPS;
        while left > 0 {
            left -= 1;
            let job = self.job(number).unwrap().clone();
            if job.state.is_terminal() {
                left = left.min(STEPS_AFTER);
            }
            match self.script.next(number, &job, self.now) {
                Move::Wait(at) => self.wait(at).await,
                Move::Take(step) => self.take(&step).await,
            }
        }
        for side in &mut self.sides {
            side.everybody_agrees(number, self.now).await;
        }
        let job = self.job(number).unwrap();
        let (state, refilled) =
            (job.state, job.bids.values().filter(|bid| is_seated(bid.status)).count() > job.seats.len());
        let job = job.clone();
        self.script.ended(number, &job);
        *self.reach.ended.entry(state).or_default() += 1;
        self.reach.refilled += usize::from(refilled);
    }

    async fn wait(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
        self.done.push(format!("at {}", self.now));
        for side in &self.sides {
            side.set_now(self.now).await;
        }
    }

    async fn take(&mut self, step: &Step) {
        let (_, _, event) = self.sides[LOCAL].event(step);
        self.done.push(format!("{} {step:?}", self.now));
        self.tick_before(step, &event).await;
        let differs = self.libp2p().and_then(|side| Difference::of_libp2p(side, step, &event));
        let only_elsewhere = differs.is_some() && would_be_taken(&self.sides[LOCAL], step, self.now);
        let mut expected = None;
        for index in 0..self.sides.len() {
            if only_elsewhere && !matches!(self.sides[index].kind, Kind::Libp2p { .. }) {
                continue;
            }
            let is_tick = event == Event::Ticked && would_be_taken(&self.sides[index], step, self.now);
            let answer = self.sides[index].take(step).await;
            let difference = match (&self.sides[index].kind, &expected) {
                (Kind::Local(_), _) | (Kind::Contract { .. }, None) => None,
                (_, Some(Answer::Rejected(Rejection::NoSuchJob))) => Some(Difference::UnknownJob),
                (Kind::Libp2p { .. }, _) => differs,
                (Kind::Contract { .. }, Some(_)) => is_tick.then_some(Difference::NoTicks),
            };
            let as_agreed = match (difference, &answer) {
                (Some(difference), Answer::Refused(refusal)) => difference.refusal() == Some(*refusal),
                (Some(difference), Answer::NotOrdered(_)) => difference.refusal().is_none(),
                (Some(Difference::NotReadYet), answer) => expected.as_ref() == Some(answer),
                (Some(_), _) => false,
                (None, answer) => expected.as_ref().is_none_or(|expected| expected == answer),
            };
            let name = self.sides[index].name();
            assert!(as_agreed, "{name} says {answer:?} and not {expected:?}: {:#?}", self.done);
            if let Some(difference) = difference {
                *self.reach.differed.entry(difference).or_default() += 1;
            }
            if index == LOCAL {
                self.done.push(format!("{answer:?}"));
                expected = Some(answer);
            }
        }
        if let Some(answer) = expected {
            self.note(step, &event, &answer);
            self.compare(step.job, answer == Answer::Taken);
        }
    }

    /// Before anything is opened, the requester that orders a log writes down that commits are closed.
    async fn tick_before(&mut self, step: &Step, event: &Event) {
        let opens = matches!(event, Event::Revealed { .. } | Event::VerdictPosted { .. });
        let now = self.now;
        let is_due = |job: &Job| job.state_at(now).0 == JobState::Revealing && job.state == JobState::Running;
        let is_due = self.libp2p().and_then(|side| side.job(step.job)).is_some_and(is_due);
        if opens && is_due {
            let tick =
                Step { who: REQUESTER, job: step.job, knows_deal: true, act: Act::Plain(Event::Ticked) };
            Box::pin(self.take(&tick)).await;
        }
    }

    fn libp2p(&self) -> Option<&Side> {
        self.sides.iter().find(|side| matches!(side.kind, Kind::Libp2p { .. }))
    }

    fn note(&mut self, step: &Step, event: &Event, answer: &Answer) {
        let job = self.job(step.job).cloned();
        match answer {
            Answer::Taken => {
                *self.reach.taken.entry(event.kind()).or_default() += 1;
                let job = job.expect("a job that took a step is there");
                let node = if let Event::BidAccepted { node } = event { *node } else { NodeId::ZERO };
                let is_skipped =
                    job.bids.get(&node).is_some_and(|bid| bid.status == assay::domain::BidStatus::Skipped);
                let takes_seat = matches!(event, Event::BidPlaced { .. })
                    && job.seat_of(self.sides[LOCAL].id(step.who)).is_some();
                let follows_up = matches!(event, Event::Submitted { .. }) && job.deal.parent.is_some();
                self.reach.skipped_bids += usize::from(is_skipped);
                self.reach.first_come += usize::from(takes_seat);
                self.reach.follow_ups += usize::from(follows_up);
            }
            Answer::Rejected(rejection) => *self.reach.rejected.entry(*rejection).or_default() += 1,
            Answer::Refused(_) | Answer::NotOrdered(_) => panic!("local says {answer:?}: {:#?}", self.done),
        }
        let refusal = if let Answer::Rejected(rejection) = answer { Some(*rejection) } else { None };
        self.script.note(event.kind(), refusal);
    }

    fn compare(&self, number: usize, has_changed: bool) {
        let Some(job) = self.job(number) else { return };
        let expected = self.sides[LOCAL].view(number, self.now);
        for side in &self.sides[1..] {
            let found = side.view(number, self.now);
            assert_eq!(found, expected, "{}: {:#?}", side.name(), self.done);
        }
        if !has_changed {
            return;
        }
        let (Kind::Local(log), Some(contract)) = (&self.sides[LOCAL].kind, self.sides.last()) else { return };
        let Kind::Contract { chain, .. } = &contract.kind else { return };
        let parties: Vec<NodeId> = (0..=STRANGER).map(|who| contract.id(who)).collect();
        stored::same_job(chain, job, &parties, self.now);
        let ledger = log.ledger();
        if ledger.accounts().is_used() {
            stored::same_money(chain, &ledger, &parties);
        }
        ledger.assert_invariants();
    }
}

/// Whether the rules take the step where there is no money.
fn would_be_taken(side: &Side, step: &Step, at: Timestamp) -> bool {
    let ((job, revision, event), author) = (side.event(step), side.id(step.who));
    let stamped = Stamped { job, author, at, revision, facts: Facts::MONEYLESS, event };
    side.job(step.job).is_some_and(|job| rules::transition(job, &stamped).is_ok())
}

const fn is_seated(status: assay::domain::BidStatus) -> bool {
    matches!(status, assay::domain::BidStatus::Seated(_))
}

impl Reach {
    /// Everything was seen that can be; what was seen how often is told, for whoever reads the output.
    #[expect(clippy::print_stderr, reason = "what a run reached is worth reading")]
    fn assert_whole(&self, with_money: bool) {
        eprintln!("{self:#?}");
        let may_lack = |rejection: &&Rejection| match rejection {
            // For 1024 bids it takes as many parties: the rules' own tests have them.
            Rejection::TooManyBids => true,
            Rejection::NotFunded | Rejection::TooLittlePaid => !with_money,
            _ => false,
        };
        let rejections = Rejection::ALL.iter().filter(|rejection| !may_lack(rejection));
        let unseen: Vec<_> = rejections.filter(|rejection| !self.rejected.contains_key(rejection)).collect();
        assert!(unseen.is_empty(), "refusals that no step met: {unseen:?}");
        let unseen: Vec<_> =
            EventKind::ALL.into_iter().filter(|kind| !self.taken.contains_key(kind)).collect();
        assert!(unseen.is_empty(), "kinds of events that were never taken: {unseen:?}");
        let of_contract = [Difference::NoTicks, Difference::UnknownJob];
        let differences = if with_money { of_contract.as_slice() } else { &Difference::ALL };
        for difference in differences {
            assert!(self.differed.contains_key(difference), "{difference:?} was never met: is it one?");
        }
        for state in JobState::ALL.into_iter().filter(|state| state.is_terminal()) {
            assert!(self.ended.contains_key(&state), "no job ended {state}");
        }
        let rare = [self.first_come, self.skipped_bids, self.refilled, self.follow_ups];
        assert!(
            rare.iter().all(|count| *count > 0),
            "first come, skipped, filled again, follow-ups: {rare:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_backends_answer_alike_without_money() {
    World::new(1, false).await.run(1, 40).await.assert_whole(false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_and_contract_answer_alike_and_move_the_same_money() {
    World::new(4, true).await.run(4, 28).await.assert_whole(true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_a_job_without_a_bid_reads_the_remark_that_follows() {
    // The keeper of its ninth job is on no list of bidders, and the requester remarks on a node after the end.
    World::new(6, false).await.run(6, 9).await;
}
