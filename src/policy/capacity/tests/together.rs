//! What all containers together may take.

use super::*;
use crate::{domain::Spec, policy::fixture::open_spec};

/// A job whose container may take that much.
fn of(nonce: u64, resources: Resources) -> Job {
    let spec = Spec { resources, ..Spec::sample() };
    open_spec(&spec, requester(0), nonce, 1000 + nonce, alone())
}

#[test]
fn containers_together_take_no_more_than_the_operator_gives_whatever_slots_are_free() {
    let large = Resources { memory_bytes: 3 << 30, ..Resources::default() };
    let mut desk = Desk::new(4);
    desk.capacity = desk.capacity.within(Together { memory_bytes: Some(4 << 30), ..Together::default() });
    let (mut first, mut second, mut small) = (of(0, large), of(1, large), of(2, Resources::default()));
    assert!(desk.bids(&mut first));
    assert!(!desk.bids(&mut second), "three slots are free, and one gibibyte");
    assert!(!desk.capacity.begin_own_run(large, desk.moment()));
    accept(&mut first, ME, desk.secs);
    assert_eq!(desk.ask(&first), ComputeStep::Run);
    then(&mut second, requester(0), desk.secs, Event::Cancelled).unwrap();
    desk.ask(&second);
    assert!(desk.bids(&mut small));

    // Two bids that became loose are accepted at the same time: the second run waits for the first.
    let mut desk = Desk::new(4);
    desk.capacity = desk.capacity.within(Together { memory_bytes: Some(4 << 30), ..Together::default() });
    let (mut first, mut second) = (of(0, large), of(1, large));
    assert!(desk.bids(&mut first));
    desk.later(FIRM_MS / 1000);
    desk.ask(&first);
    assert!(desk.bids(&mut second));
    accept(&mut first, ME, desk.secs);
    accept(&mut second, ME, desk.secs);
    assert_eq!(desk.ask(&first), ComputeStep::Run);
    assert!(matches!(desk.ask(&second), ComputeStep::Wait(_)));
    let ring = desk.decide(&first, Execution::Failed(FailureKind::Engine)).ring;
    assert_eq!(ring, [second.id]);
    assert_eq!(desk.ask(&second), ComputeStep::Run);
}

#[test]
fn a_seat_that_is_larger_than_a_lowered_bound_runs_alone_rather_than_never() {
    let sized = |nonce, gib: u64| of(nonce, Resources { memory_bytes: gib << 30, ..Resources::default() });
    let mut desk = Desk::new(4);
    let (mut small, mut large) = (sized(0, 1), sized(1, 3));
    assert!(desk.bids(&mut small) && desk.bids(&mut large));
    accept(&mut small, ME, desk.secs);
    accept(&mut large, ME, desk.secs);
    desk.capacity = Capacity::new(4).within(Together { memory_bytes: Some(2 << 30), ..Together::default() });
    assert_eq!(desk.ask(&small), ComputeStep::Run);
    assert!(matches!(desk.ask(&large), ComputeStep::Wait(_)), "it waits for the run before");
    let ring = desk.decide(&small, Execution::Failed(FailureKind::Engine)).ring;
    assert_eq!(ring, [large.id]);
    assert_eq!(desk.ask(&large), ComputeStep::Run);
}

#[test]
fn a_job_that_never_fits_keeps_no_other_from_a_bid_or_an_own_run() {
    // Each limit is within the bound, and their sum is not.
    let wide = Resources { disk_bytes: 6 << 30, scratch_bytes: 6 << 30, ..Resources::default() };
    let mut desk = Desk::new(4);
    desk.capacity = desk.capacity.within(Together { disk_bytes: Some(8 << 30), ..Together::default() });
    let (mut never, mut other) = (of(0, wide), job(1));
    assert!(!desk.bids(&mut never));
    assert!(desk.bids(&mut other), "the younger job overtakes it");
    assert!(!desk.capacity.could_ever_run(wide) && desk.capacity.could_ever_run(Resources::default()));
}
