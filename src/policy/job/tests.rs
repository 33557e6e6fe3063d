use super::*;
use crate::{
    domain::{Amount, Pace, Span},
    policy::fixture::{
        LIMITS, REQUESTER, accept, bid, commit, deal, moment, node, open, opening, reveal, running,
    },
};

/// One node's view of one job, and what it decides across jobs.
struct Desk {
    me: NodeId,
    policy: JobPolicy,
    capacity: Capacity,
    limits: Option<ComputeLimits>,
    is_admitted: bool,
}

impl Desk {
    fn new(me: NodeId, secs: u64) -> Self {
        let (policy, capacity) = (JobPolicy::new(moment(secs)), Capacity::new(1));
        Self { me, policy, capacity, limits: Some(LIMITS), is_admitted: true }
    }

    fn answer(&mut self, job: &Job, secs: u64, execution: Execution<'_>) -> Answer {
        let view = JobView {
            me: self.me,
            job,
            moment: moment(secs),
            followed_up: false,
            members: &[],
            sisters: &[],
            facts: Facts::MONEYLESS,
            log: LogTrust::Requester { clock_agrees: true, suspended: false },
            pace: Pace::QUICK,
            execution,
            limits: self.limits.as_ref(),
            is_admitted: self.is_admitted,
            knows_requester: false,
            reputation: &|_| Standing::default(),
            purses: Purses::FULL,
            secret: Digest::ZERO,
            is_auto: false,
        };
        self.policy.next(&view, &mut self.capacity)
    }

    fn ask(&mut self, job: &Job, secs: u64) -> Turn {
        self.answer(job, secs, Execution::None).turn
    }

    fn fails(&mut self, (role, deed): (Role, Deed), may_pass: bool, job: &Job, secs: u64) {
        let at = (job.id, moment(secs));
        self.policy.failed((role, &deed), may_pass, at, &mut self.capacity);
    }
}

fn bids() -> Deed {
    Deed::Submit(vec![Event::BidPlaced { price: Amount::ZERO }])
}

fn is_bid(turn: &Turn) -> bool {
    *turn == Turn::Act(Role::Compute, bids())
}

#[test]
fn a_node_looks_whether_a_job_can_run_here_before_it_bids_and_once() {
    let (mut desk, job) = (Desk::new(node(0), 1000), open(deal()));
    assert_eq!(desk.ask(&job, 1000), Turn::Act(Role::Compute, Deed::Check));
    desk.policy.checked(Fitness::Fits, (job.id, moment(1000)), &mut desk.capacity);
    assert!(is_bid(&desk.ask(&job, 1000)));
}

#[test]
fn a_job_that_the_operator_does_not_admit_gets_no_bid_and_a_seat_in_it_is_worked_off() {
    let mut desk = Desk { is_admitted: false, ..Desk::new(node(0), 1000) };
    assert_eq!(desk.ask(&open(deal()), 1000), Turn::Done);
    // It got the seat before the operator changed the settings.
    assert_eq!(desk.ask(&running(), 1010), Turn::Act(Role::Compute, Deed::Run));
}

#[test]
fn a_job_that_never_runs_here_gets_no_bid_and_one_that_cannot_now_is_looked_at_again() {
    let job = open(deal());
    let mut desk = Desk::new(node(0), 1000);
    desk.ask(&job, 1000);
    desk.policy.checked(Fitness::Unfit, (job.id, moment(1000)), &mut desk.capacity);
    assert_eq!(desk.ask(&job, 1000), Turn::Done);

    let mut desk = Desk::new(node(0), 1000);
    desk.ask(&job, 1000);
    desk.policy.checked(Fitness::NotNow, (job.id, moment(1000)), &mut desk.capacity);
    let Turn::Wait(wake) = desk.ask(&job, 1001) else { panic!("it waits") };
    assert_eq!(wake.elapsed_ms, Some(1_005_000));
    assert_eq!(desk.ask(&job, 1005), Turn::Act(Role::Compute, Deed::Check));
}

#[test]
fn a_node_looks_ever_more_seldom_whether_a_job_can_run_here_whatever_its_log_says() {
    // Open far longer than all the pauses.
    let job = open(Deal { open: Span::from_secs(1_000_000), ..deal() });
    let mut desk = Desk::new(node(0), 1000);
    let (mut now, mut pauses) = (1000, Vec::new());
    for _ in 0..10 {
        assert_eq!(desk.ask(&job, now), Turn::Act(Role::Compute, Deed::Check));
        desk.policy.checked(Fitness::NotNow, (job.id, moment(now)), &mut desk.capacity);
        desk.policy.heard();
        let Turn::Wait(wake) = desk.ask(&job, now) else { panic!("it waits") };
        let due = wake.elapsed_ms.unwrap() / 1000;
        pauses.push(due - now);
        now = due;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    // Room on this machine is looked for as soon as at first: that asks nobody.
    for _ in 0..3 {
        assert_eq!(desk.ask(&job, now), Turn::Act(Role::Compute, Deed::Check));
        desk.policy.checked(Fitness::NoRoom, (job.id, moment(now)), &mut desk.capacity);
        let Turn::Wait(wake) = desk.ask(&job, now) else { panic!("it waits") };
        assert_eq!(wake.elapsed_ms, Some((now + 5) * 1000));
        now += 5;
    }
}

#[test]
fn an_action_that_failed_is_tried_again_later_and_at_once_after_news() {
    let (mut desk, job) = (Desk::new(node(0), 1000), open(deal()));
    desk.policy.checked(Fitness::Fits, (job.id, moment(1000)), &mut desk.capacity);
    assert!(is_bid(&desk.ask(&job, 1000)));
    desk.fails((Role::Compute, bids()), true, &job, 1000);
    let Turn::Wait(wake) = desk.ask(&job, 1000) else { panic!("it waits") };
    assert_eq!(wake.elapsed_ms, Some(1_000_200));
    assert!(is_bid(&desk.ask(&job, 1001)));
    desk.fails((Role::Compute, bids()), true, &job, 1001);
    desk.policy.heard();
    assert!(is_bid(&desk.ask(&job, 1001)));
}

#[test]
fn a_bid_that_came_too_late_is_not_sent_again_soon() {
    let (mut desk, job) = (Desk::new(node(0), 1000), open(deal()));
    desk.policy.checked(Fitness::Fits, (job.id, moment(1000)), &mut desk.capacity);
    desk.ask(&job, 1000);
    desk.fails((Role::Compute, bids()), false, &job, 1000);
    assert!(matches!(desk.ask(&job, 1009), Turn::Wait(_)));
    assert!(is_bid(&desk.ask(&job, 1010)));
}

#[test]
fn one_role_that_waits_for_another_try_keeps_no_other_role_waiting() {
    // The requester runs jobs too, and its own acceptances do not arrive.
    let mut job = open(deal());
    let mut desk = Desk::new(REQUESTER, 1000);
    (0..6).for_each(|index| bid(&mut job, index, 1001));
    let Turn::Act(Role::Requester, deed) = desk.ask(&job, 1001) else { panic!("it accepts") };
    desk.fails((Role::Requester, deed), true, &job, 1001);
    let Turn::Wait(wake) = desk.ask(&job, 1001) else { panic!("it waits") };
    assert_eq!(wake.elapsed_ms, Some(1_001_200));
    assert!(matches!(desk.ask(&job, 1002), Turn::Act(Role::Requester, Deed::Submit(_))));
    // The deadline passes meanwhile, and ends the job.
    assert!(matches!(desk.ask(&job, 1101), Turn::Act(Role::Requester, Deed::Submit(_))));
}

#[test]
fn a_run_of_a_job_that_is_over_is_stopped() {
    let mut job = running();
    let mut desk = Desk::new(node(0), 1010);
    assert_eq!(desk.ask(&job, 1010), Turn::Act(Role::Compute, Deed::Run));
    assert!(!desk.answer(&job, 1011, Execution::Running).stops_run);
    crate::policy::fixture::then(&mut job, REQUESTER, 1012, Event::Stopped).unwrap();
    let answer = desk.answer(&job, 1012, Execution::Running);
    assert!(answer.stops_run);
    assert_eq!(answer.turn, Turn::Done);
}

#[test]
fn who_computes_for_nobody_neither_bids_nor_verifies_jobs_of_others() {
    let mut job = running();
    let mut desk = Desk { limits: None, ..Desk::new(node(9), 1000) };
    assert_eq!(desk.ask(&open(deal()), 1000), Turn::Done);
    (0..3).for_each(|index| commit(&mut job, index, 1020));
    (0..3).for_each(|index| reveal(&mut job, index, 1030));
    assert_eq!(desk.ask(&job, 1030), Turn::Done);
    assert!(matches!(Desk::new(REQUESTER, 1000).ask(&job, 1030), Turn::Act(Role::Verifier, Deed::Submit(_))));
}

#[test]
fn whoever_is_not_in_charge_verifies_only_when_nobody_did_for_a_while() {
    let mut job = running();
    let mut desk = Desk::new(node(0), 1000);
    (0..3).for_each(|index| commit(&mut job, index, 1020));
    (0..3).for_each(|index| reveal(&mut job, index, 1030));
    let opening = opening(0);
    let mut ask = |secs| desk.answer(&job, secs, Execution::Finished(&opening)).turn;
    let Turn::Wait(wake) = ask(1030) else { panic!("it waits") };
    assert_eq!(wake.elapsed_ms, Some(1_030_000 + verifier::FALLBACK_STEP_MS));
    // Counts from when it was due, not from the question on.
    assert!(matches!(ask(1033), Turn::Wait(other) if other == wake));
    assert!(matches!(ask(1035), Turn::Act(Role::Verifier, Deed::Submit(_))));
}

#[test]
fn a_bid_that_was_taken_is_answered_by_waiting() {
    let mut job = open(deal());
    let mut desk = Desk::new(node(0), 1000);
    desk.policy.checked(Fitness::Fits, (job.id, moment(1000)), &mut desk.capacity);
    assert!(is_bid(&desk.ask(&job, 1000)));
    bid(&mut job, 0, 1000);
    desk.policy.succeeded(Role::Compute);
    assert!(matches!(desk.ask(&job, 1000), Turn::Wait(_)));
    (1..3).for_each(|index| bid(&mut job, index, 1001));
    (0..3).for_each(|index| accept(&mut job, index, 1001));
    assert_eq!(desk.ask(&job, 1001), Turn::Act(Role::Compute, Deed::Run));
}
