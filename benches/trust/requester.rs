//! What the simulation runs: many jobs of one or more requesters, each with a memory of its own.

use assay::policy::trust::TrustTerms;

use super::{
    others::{Classic, IExec},
    ours::Ours,
    world::{Kind, NODES, Totals, World},
};

/// Who has jobs run, and decides what to believe.
pub(super) trait Requester {
    /// Has one job run.
    fn job(&mut self, world: &mut World, number: usize, totals: &mut Totals);
}

/// By which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// `policy::trust` with its defaults.
    Trust,
    /// So many seats for every job.
    Fixed(usize),
    /// BOINC's.
    Boinc,
    /// BOINC's, where a node can tell that it is alone.
    BoincPublic,
    /// iExec's, with the trust asked for.
    IExec(u16),
}

/// All rules, as the table names them.
pub(super) const RULES: [(Rule, &str); 7] = [
    (Rule::Trust, "Assay, `policy::trust`"),
    (Rule::Fixed(3), "fixed N = 3"),
    (Rule::Fixed(5), "fixed N = 5"),
    (Rule::Boinc, "BOINC"),
    (Rule::BoincPublic, "BOINC, seats public"),
    (Rule::IExec(100), "iExec, trust 100"),
    (Rule::IExec(10_000), "iExec, trust 10000"),
];

/// One world, all its jobs.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Who lies.
    pub(super) kind: Kind,
    /// How many of a thousand.
    pub(super) liars: usize,
    /// How many requesters share the jobs in turn. They tell each other nothing.
    pub(super) requesters: usize,
    /// How many jobs.
    pub(super) jobs: usize,
}

/// Runs a scene. The same scene under the same rule always ends the same.
pub(super) fn simulate(rule: Rule, scene: Scene) -> Totals {
    let Scene { kind, liars, requesters, jobs } = scene;
    let mut world = World::new(kind, liars.min(NODES), 777 + liars as u64 + 10 * kind as u64);
    let mut requesters: Vec<Box<dyn Requester>> = (0..requesters).map(|_| requester(rule)).collect();
    let count = requesters.len();
    let mut totals = Totals { jobs: jobs as u64, ..Totals::default() };
    for number in 0..jobs {
        requesters[number % count].job(&mut world, number, &mut totals);
    }
    totals
}

fn requester(rule: Rule) -> Box<dyn Requester> {
    match rule {
        Rule::Trust => Box::new(Ours::new(TrustTerms::default())),
        Rule::Fixed(seats) => Box::new(Classic::fixed(seats)),
        Rule::Boinc => Box::new(Classic::boinc(false)),
        Rule::BoincPublic => Box::new(Classic::boinc(true)),
        Rule::IExec(trust) => Box::new(IExec::new(trust.into())),
    }
}
