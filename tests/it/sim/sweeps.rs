//! Many jobs at once on few slots: all of them come to their turn, whoever else asks for how much.

use assay::{
    domain::{Amount, Deal, FailureKind, Job, JobState, NodeId, Span},
    sim::{Order, Temper, Weather, World, chance::Chance, deal},
};

use super::for_seeds;

/// What a node has to begin with.
const DEPOSIT: u128 = 1_000;

const HOUR_MS: u64 = 3_600_000;

/// As patient as a user who leaves a sweep running over night, with runs of at most 40 s.
fn patient(order: Order, concurrency: u8, confidence: u8) -> Deal {
    Deal { open: Span::from_secs(20 * 3600), ..deal(order, concurrency, confidence) }
}

/// At no price: it locks nothing.
fn free(deal: Deal) -> Deal {
    Deal { price: Amount::ZERO, bond: Amount::ZERO, ..deal }
}

fn jobs_of(world: &World, requester: usize) -> Vec<&Job> {
    let id = world.nodes()[requester].id();
    world.truth().jobs().filter(|job| job.requester == id).collect()
}

/// Every job had its turn: it was decided, unless a run failed for a reason that is no matter of capacity.
fn assert_all_ran(jobs: &[&Job], wanted: usize, weather: Weather) {
    assert_eq!(jobs.len(), wanted);
    for job in jobs {
        let engines = job.failures[usize::from(FailureKind::Engine.index())];
        let ended = match job.state {
            JobState::Verified => true,
            // Or a crash cut runs off when there was no time to begin them again.
            JobState::Failed => engines > 0 || weather.crash_every_ms > 0,
            JobState::Open
            | JobState::Running
            | JobState::Revealing
            | JobState::Inconclusive
            | JobState::Cancelled
            | JobState::Expired => false,
        };
        assert!(ended, "{job:?}");
    }
}

/// Reports of nodes that had promised what they could not keep.
fn broken_promises(jobs: &[&Job]) -> usize {
    jobs.iter().map(|job| usize::from(job.failures[usize::from(FailureKind::Interrupted.index())])).sum()
}

fn seats_of(world: &World, node: NodeId) -> usize {
    world.truth().jobs().filter(|job| job.seat_of(node).is_some()).count()
}

fn sweep(name: &str, runs: u64, order: Order, weather: Weather, most_jobs: u64) {
    for_seeds(name, runs, |seed| {
        let mut chance = Chance::new(!seed);
        let nodes = usize::try_from(chance.within(2..7)).unwrap();
        let slots = usize::try_from(chance.within(1..5)).unwrap();
        let mut world = World::new(seed, order, weather, &vec![Temper::Honest; nodes], (slots, DEPOSIT));
        let wanted = chance.within(10..most_jobs);
        let mut of = [0, 0];
        for _ in 0..wanted {
            let n = u8::try_from(chance.within(1..u64::try_from(nodes + 1).unwrap())).unwrap();
            let requester = usize::try_from(chance.within(0..2)).unwrap();
            of[requester] += 1;
            let at_ms = chance.pick(&[0, 0, 0, 5_000, 20_000]);
            world.want(at_ms, requester, patient(order, n, 1), "pure");
        }
        world.run(8 * HOUR_MS).unwrap();
        for (requester, wanted) in of.into_iter().enumerate() {
            let jobs = jobs_of(&world, requester);
            assert_all_ran(&jobs, wanted, weather);
        }
    });
}

#[test]
fn every_job_of_a_sweep_is_run() {
    sweep("sweep", 6, Order::Neutral, Weather::CALM, 50);
}

#[test]
fn every_job_of_a_sweep_is_run_in_a_storm_with_crashes() {
    sweep("stormy sweep", 4, Order::Neutral, Weather::STORM, 40);
}

#[test]
fn every_job_of_a_sweep_is_run_where_requesters_order() {
    sweep("requesters' sweep", 1, Order::Requester, Weather::CALM, 20);
}

/// Jobs that nobody fills, before five that are wanted.
fn air(name: &str, runs: u64, order: Order, air: impl Fn(&mut World)) {
    for_seeds(name, runs, |seed| {
        let mut chance = Chance::new(!seed);
        let slots = usize::try_from(chance.within(1..4)).unwrap();
        let mut tempers = vec![Temper::Honest; 6];
        tempers[0] = Temper::Mute;
        let mut world = World::new(seed, order, Weather::CALM, &tempers, (slots, DEPOSIT));
        air(&mut world);
        for _ in 0..5 {
            let n = chance.pick(&[1, 3, 5]);
            let hasty = Deal { open: Span::from_secs(600), ..patient(order, n, 1) };
            world.want(5_000, 1, hasty, "pure");
        }
        let is_hasty = |job: &&Job| job.deal.open == Span::from_secs(600);
        let wanted = |world: &World| world.truth().jobs().filter(is_hasty).count() == 5;
        let over = |world: &World| world.truth().jobs().filter(is_hasty).all(|job| job.state.is_terminal());
        world.run_to(HOUR_MS, |world| wanted(world) && over(world)).unwrap();
        assert_all_ran(&world.truth().jobs().filter(is_hasty).collect::<Vec<_>>(), 5, Weather::CALM);
    });
}

#[test]
fn who_answers_no_bid_keeps_no_slot_from_others() {
    air("mute", 3, Order::Neutral, |world| {
        (0..30).for_each(|_| world.want(0, 0, patient(Order::Neutral, 3, 2), "pure"));
    });
}

#[test]
fn jobs_for_more_nodes_than_there_are_keep_no_slot_from_others() {
    air("too many", 3, Order::Neutral, |world| {
        (0..30).for_each(|_| world.want(0, 1, free(patient(Order::Neutral, 31, 2)), "pure"));
    });
}

#[test]
fn a_requester_that_died_with_open_jobs_keeps_no_slot_from_others() {
    air("dead", 1, Order::Requester, |world| {
        (0..10).for_each(|_| world.want(0, 0, patient(Order::Requester, 3, 2), "pure"));
        world.crash(300, 0, 100 * HOUR_MS);
    });
}

#[test]
fn jobs_that_are_long_wait_for_each_other_and_promises_are_kept() {
    for_seeds("long", 3, |seed| {
        let tempers = [Temper::Honest; 5];
        let mut world = World::new(seed, Order::Neutral, Weather::CALM, &tempers, (1, DEPOSIT));
        for _ in 0..20 {
            // No second run fits behind one that takes its timeout.
            let long = Deal { run: Span::from_secs(100), ..patient(Order::Neutral, 3, 1) };
            world.want(0, 0, long, "pure");
        }
        world.run(8 * HOUR_MS).unwrap();
        let jobs = jobs_of(&world, 0);
        assert_all_ran(&jobs, 20, Weather::CALM);
        assert_eq!(broken_promises(&jobs), 0);
        for node in 0..5 {
            assert!(seats_of(&world, world.nodes()[node].id()) > 3, "the work is shared");
        }
    });
}
