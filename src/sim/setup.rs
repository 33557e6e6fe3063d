//! What to simulate, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chance::Chance,
    promises::{in_time, kept},
    temper::{BadNodes, Temper},
    weather::{Fault, Weather},
    world::{Counts, Law, Order, Violation, World, deal},
};
use crate::domain::{Audit, Deal, JobState, Span};

/// The time that a seat of a job takes on average, in milliseconds.
const SEAT_MS: u64 = 25_000;

/// How often promises about time are looked at, in milliseconds.
const SLICE_MS: u64 = 60_000;

/// What to simulate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Everything follows from it.
    pub seed: u64,
    /// Who orders the logs.
    pub order: Order,
    /// Nodes, the first two of which submit jobs; at least 3.
    pub nodes: usize,
    /// Jobs that a node runs at once.
    pub slots: usize,
    /// Jobs to submit. Their terms vary.
    pub jobs: usize,
    /// Bad nodes among those that only compute.
    pub bad: BadNodes,
    /// What goes wrong.
    pub faults: BTreeSet<Fault>,
    /// When to stop, in milliseconds.
    pub until_ms: u64,
}

impl Setup {
    /// Ten jobs among ten nodes of which one is bad, in every weather.
    pub fn new(seed: u64, order: Order) -> Self {
        Self {
            seed,
            order,
            nodes: 10,
            slots: 2,
            jobs: 10,
            bad: BadNodes { count: 1, temper: None },
            faults: Fault::ALL.into(),
            until_ms: 24 * 3_600_000,
        }
    }

    fn tempers(&self) -> Vec<Temper> {
        let kinds = (0..self.bad.count)
            .map(|index| self.bad.temper.unwrap_or(Temper::BAD[index % Temper::BAD.len()]));
        let mut tempers = vec![Temper::Honest; self.nodes];
        for (temper, kind) in tempers.iter_mut().skip(2).zip(kinds) {
            *temper = kind;
        }
        tempers
    }

    /// The world as it begins.
    pub fn world(&self) -> World {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let deposit = 1_000 + 400 * u128::from(count(self.jobs));
        let weather = Weather::of(&self.faults);
        let mut world = World::new(self.seed, self.order, weather, &self.tempers(), (self.slots, deposit));
        let mut chance = Chance::new(self.seed.rotate_left(32));
        // As fast as the nodes can run them, so that some wait for others.
        let capacity = count(self.nodes).saturating_mul(count(self.slots)).max(1);
        let within_ms = 1 + (3 * SEAT_MS).saturating_mul(count(self.jobs)) / capacity;
        for index in 0..self.jobs {
            let (n, m) = chance.pick(&[(1, 1), (3, 2), (3, 3), (5, 3), (5, 5)]);
            let mut terms = Deal { open: Span::from_secs(3600), ..deal(self.order, n, m) };
            terms.escalation_limit = chance.pick(&[0, 7]);
            if n < 5 && chance.permille(400) {
                terms.audit = Some(Audit::requested(chance.pick(&[500, 1000]), chance.pick(&[1, 2])));
            }
            let command = chance.pick(&["pure", "noisy"]);
            terms.deterministic = command == "pure" && chance.permille(300);
            world.want(chance.within(0..within_ms), index % 2, terms, command);
        }
        world
    }
}

/// What came of a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Jobs that were submitted, follow-ups included.
    pub jobs: usize,
    /// Jobs that are not over, or not submitted, because the simulation stopped before.
    pub unfinished: usize,
    /// How many of them are in which state at the end.
    pub ended: BTreeMap<JobState, usize>,
    /// Seats of accepted results, of rejected ones, and of those that never came.
    pub judged: [usize; 3],
    /// How long it took, in virtual milliseconds.
    pub took_ms: u64,
    /// Times in which something was wrong with a node.
    pub outages: usize,
    /// What it took.
    pub counts: Counts,
}

/// Simulates to the end, and checks every promise.
///
/// # Errors
/// The first promise that was not kept.
pub fn simulate(setup: &Setup) -> Result<Report, Violation> {
    simulate_under(setup, None).map_err(|(_, violation)| violation)
}

/// The same, where jobs must obey one more law at every step. On failure it returns the world as it was then, too.
///
/// # Errors
/// The first promise that was not kept.
pub fn simulate_under(setup: &Setup, law: Option<Law>) -> Result<Report, (Box<World>, Violation)> {
    let mut world = Box::new(setup.world());
    if let Some(law) = law {
        world.obey(law);
    }
    loop {
        let slice_ms = setup.until_ms.min(world.now_ms().saturating_add(SLICE_MS));
        match world.run(slice_ms).and_then(|is_over| in_time(&world).map(|()| is_over)) {
            Ok(is_over) if is_over || slice_ms == setup.until_ms => break,
            Ok(_) => {}
            Err(violation) => return Err((world, violation)),
        }
    }
    let broken =
        world.truth().jobs().filter(|job| job.state.is_terminal()).find_map(|job| kept(&world, job).err());
    if let Some(violation) = broken {
        return Err((world, violation));
    }
    let mut report = Report {
        jobs: 0,
        unfinished: world.unfinished(),
        ended: BTreeMap::new(),
        judged: [0; 3],
        took_ms: world.now_ms(),
        outages: world.outages().len(),
        counts: world.counts(),
    };
    for job in world.truth().jobs() {
        report.jobs += 1;
        *report.ended.entry(job.state).or_default() += 1;
        if let Some(verdict) = &job.verdict {
            let sets = [verdict.accepted, verdict.rejected, verdict.absent];
            report.judged.iter_mut().zip(sets).for_each(|(sum, seats)| *sum += usize::from(seats.len()));
        }
    }
    Ok(report)
}
