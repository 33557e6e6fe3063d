//! Jobs on a simulated network, replayed from a seed: what the protocol promises in any weather.
//!
//! `ASSAY_SIM_SEED` replays the one run that a failure names; `ASSAY_SIM_RUNS` says how many seeds to try.

mod cheats;
mod sweeps;

use std::{cell::RefCell, collections::BTreeSet};

use assay::{
    domain::{Audit, AuditStage, Deal, JobState},
    rules::owes_first_wave,
    sim::{BadNodes, Fault, Order, Setup, Temper, Weather, World, chance::Chance, deal, kept, simulate},
};

/// Slots and money of a node.
const MEANS: (usize, u128) = (2, 1_000);

/// Long enough for a job, its follow-up, and everybody who may have to step in.
const HORIZON_MS: u64 = 1_500_000;

/// Runs `run` with each seed, and says which one before it does.
#[expect(clippy::print_stdout, reason = "who sees a run fail must know its seed")]
fn for_seeds(name: &str, runs: u64, run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("ASSAY_SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("ASSAY_SIM_RUNS").unwrap_or(runs),
    };
    for seed in seeds {
        println!("{name}: ASSAY_SIM_SEED={seed}");
        run(seed);
    }
}

/// Eight nodes, at most three of them bad, and three jobs of two requesters.
fn world(seed: u64, order: Order, weather: Weather) -> World {
    let mut chance = Chance::new(!seed);
    let bad = usize::try_from(chance.within(0..4)).unwrap();
    let mut tempers = vec![Temper::Honest; 8];
    for temper in &mut tempers[2..2 + bad] {
        *temper = chance.pick(&Temper::BAD);
    }
    let mut world = World::new(seed, order, weather, &tempers, MEANS);
    for index in 0..3 {
        let (n, m) = chance.pick(&[(1, 1), (3, 2), (3, 3), (5, 3), (5, 5)]);
        let mut terms = deal(order, n, m);
        terms.escalation_limit = chance.pick(&[0, 7]);
        if n < 5 && chance.permille(400) {
            terms.audit = Some(Audit::requested(chance.pick(&[500, 1000]), chance.pick(&[1, 2])));
        }
        let command = chance.pick(&["pure", "noisy"]);
        terms.deterministic = command == "pure" && chance.permille(300);
        world.want(chance.within(0..20_000), index % 2, terms, command);
    }
    world
}

fn ends_well(name: &str, runs: u64, order: Order, weather: Weather) {
    let stages = RefCell::new(BTreeSet::new());
    for_seeds(name, runs, |seed| {
        let mut world = world(seed, order, weather);
        assert_eq!(world.run(HORIZON_MS), Ok(true), "not every job is over everywhere: {:?}", world.truth());
        world.truth().jobs().for_each(|job| assert_eq!(kept(&world, job), Ok(()), "{job:?}"));
        stages.borrow_mut().extend(world.truth().jobs().map(|job| job.audit));
    });
    let (stages, is_replay) = (stages.into_inner(), std::env::var_os("ASSAY_SIM_SEED").is_some());
    assert!(
        is_replay || runs < 60 || stages.len() == AuditStage::ALL.len(),
        "audits end in each way: {stages:?}"
    );
}

#[test]
fn jobs_end_well_on_a_calm_network() {
    ends_well("calm", 60, Order::Neutral, Weather::CALM);
}

#[test]
fn jobs_end_well_in_a_storm_with_crashes() {
    ends_well("storm", 60, Order::Neutral, Weather::STORM);
}

#[test]
fn jobs_end_well_where_requesters_order_on_a_calm_network() {
    ends_well("calm requesters", 4, Order::Requester, Weather::CALM);
}

#[test]
fn jobs_end_well_where_requesters_order_in_a_storm_with_crashes() {
    ends_well("stormy requesters", 4, Order::Requester, Weather::STORM);
}

#[test]
fn a_requester_that_withholds_the_secret_of_its_audit_sees_no_result_and_owes_the_first_wave() {
    for (seed, order) in (1..=4).flat_map(|seed| [(seed, Order::Neutral), (seed, Order::Requester)]) {
        let mut tempers = vec![Temper::Honest; 6];
        tempers[0] = Temper::Withholder;
        let mut world = World::new(seed, order, Weather::CALM, &tempers, MEANS);
        let audit = Some(Audit::requested(500, 2));
        world.want(0, 0, Deal { audit, ..deal(order, 1, 1) }, "pure");
        assert_eq!(world.run(HORIZON_MS), Ok(true), "the job is not over everywhere: {:?}", world.truth());
        let job = world.truth().jobs().next().expect("it was submitted");
        assert_eq!((job.audit, job.revealed.len()), (AuditStage::Undrawn, 0), "{order:?}");
        // A run may fail here, and then there is no commitment to draw over.
        assert!(
            job.committed.is_empty() || (job.state == JobState::Failed && owes_first_wave(job)),
            "{job:?}"
        );
        assert!(job.ended_at > job.reveal_by || job.committed.is_empty(), "it has all its time: {job:?}");
    }
}

#[test]
fn a_job_whose_requester_never_returns_is_over_for_everybody_by_its_deadlines() {
    for_seeds("gone", 4, |seed| {
        let mut world = World::new(seed, Order::Requester, Weather::CALM, &[Temper::Honest; 6], MEANS);
        world.want(0, 0, deal(Order::Requester, 3, 2), "pure");
        let leaves_ms = Chance::new(!seed).within(0..45_000);
        world.crash(leaves_ms, 0, 2 * HORIZON_MS);
        let longest_ms = 1000 * (30 + 150 + 60 + 10);
        world.run(longest_ms).unwrap();
        let id = world.truth().jobs().next().expect("it was submitted").id;
        for node in 1..6 {
            assert!(world.has_nothing_to_do(node, id), "node {node} still waits: {:?}", world.truth());
        }
    });
}

#[test]
fn every_promise_is_kept_in_every_weather() {
    for_seeds("everything", 12, |seed| {
        let order = if seed % 4 == 0 { Order::Requester } else { Order::Neutral };
        let bad = BadNodes { count: 2, temper: None };
        let setup =
            Setup { bad, jobs: if order == Order::Neutral { 10 } else { 3 }, ..Setup::new(seed, order) };
        assert_eq!(setup.faults.len(), Fault::ALL.len());
        simulate(&setup).unwrap_or_else(|violation| panic!("{violation:?}"));
    });
}
