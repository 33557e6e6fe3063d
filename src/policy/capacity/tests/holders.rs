//! What one party holds while others wait.

use super::*;
use crate::policy::capacity::{holders::Holders, places::Tally};

impl Desk {
    /// Asserts that whoever starts may: it holds no more than its part, or nobody else waits. No free slot idles except for
    /// somebody who may go first, or for lack of what all containers may take together.
    pub(super) fn assert_shares(&self, before: &Capacity) {
        let now_ms = self.secs * 1000;
        let kept = self.capacity.tally(now_ms).into_owned();
        let tally = Tally { from_ms: kept.from_ms, ..self.capacity.count_up(now_ms) };
        assert_eq!(kept, tally, "what is kept differs from what there is");
        let places = || self.capacity.places.iter();
        let queued = || places().filter(|(_, place)| place.stage.is_queued());
        if self.capacity.running() < self.capacity.slots {
            for (job, place) in queued() {
                let waits =
                    self.capacity.lets_others_go(place, &tally) || !self.capacity.may_run(place, &tally);
                assert!(waits, "{job} could begin");
            }
        }
        let has_slot = |place: Option<&Place>| place.is_some_and(|place| place.stage.has_slot());
        let begun =
            places().filter(|(job, place)| has_slot(Some(place)) && !has_slot(before.places.get(**job)));
        for (_, place) in begun {
            let own = |other: &Place| other.requester == place.requester;
            let held = places().filter(|(_, other)| own(other) && other.stage.has_slot()).count();
            let others = queued().filter(|(_, other)| !own(other)).count();
            let most = Holders::most(self.capacity.slots);
            assert!(held <= most || others == 0, "{held} of {} while {others} wait", self.capacity.slots);
        }
    }

    /// Starts what the node has a slot for.
    fn runs(&mut self, job: &Job) -> bool {
        let begins = self.ask(job) == ComputeStep::Run;
        if begins {
            self.decide(job, Execution::Running);
        }
        begins
    }

    /// Ends the run of a job; returns the jobs that may go on.
    fn ends(&mut self, job: &Job) -> Vec<JobId> {
        self.decide(job, Execution::Failed(FailureKind::Timeout)).ring
    }
}

/// Four slots with runs of these requesters, and two waiting seats of the last one, whose bids had become loose.
fn crowded(requesters: [u8; 4]) -> (Desk, Vec<Job>) {
    let mut desk = Desk::new(4);
    let of = |index: u8| requesters[usize::from(index.min(3))];
    let mut jobs: Vec<Job> = (0..6_u8)
        .map(|index| open_of(requester(of(index)), index.into(), 1000 + u64::from(index), alone()))
        .collect();
    for held in jobs.chunks_mut(4) {
        held.iter_mut().for_each(|job| assert!(desk.bids(job)));
        desk.later(FIRM_MS / 1000);
    }
    for job in &mut jobs {
        accept(job, ME, desk.secs);
    }
    let running: Vec<bool> = jobs.iter().map(|job| desk.runs(job)).collect();
    assert_eq!(running, [true, true, true, true, false, false]);
    (desk, jobs)
}

fn of_other() -> Job {
    open_of(requester(9), 0, 1100, alone())
}

#[test]
fn a_requester_that_holds_all_slots_leaves_the_next_one_to_whoever_waits() {
    let (mut desk, jobs) = crowded([0; 4]);
    let mut other = of_other();
    assert!(!desk.bids(&mut other), "every slot is taken for long");
    assert_eq!(desk.ends(&jobs[0]), [other.id], "before two seats that wait for longer");
    assert!(desk.bids(&mut other));
    assert!(!desk.runs(&jobs[4]) && !desk.runs(&jobs[5]));
    accept(&mut other, ME, desk.secs);
    assert!(desk.runs(&other));
    assert_eq!(desk.ends(&jobs[1]), [jobs[4].id], "below its part it goes on");
}

#[test]
fn a_slot_that_nobody_else_wants_is_used() {
    let (mut desk, jobs) = crowded([0; 4]);
    assert_eq!(desk.ends(&jobs[0]), [jobs[4].id]);
    assert!(desk.runs(&jobs[4]));
}

#[test]
fn a_slot_waits_for_an_unanswered_bid_no_longer_than_it_is_fresh() {
    let (mut desk, jobs) = crowded([0; 4]);
    let mut other = of_other();
    assert!(!desk.bids(&mut other));
    desk.ends(&jobs[0]);
    assert!(desk.bids(&mut other));
    let ComputeStep::Wait(wake) = desk.ask(&jobs[4]) else { panic!("it lets the other go first") };
    assert_eq!(wake.elapsed_ms, Some(desk.secs * 1000 + FIRM_MS));
    desk.later(FIRM_MS / 1000);
    assert!(desk.runs(&jobs[4]));
}

#[test]
fn strangers_of_many_keys_leave_a_slot_to_a_requester_that_is_known() {
    let (mut desk, jobs) = crowded([0, 1, 2, 3]);
    // Among jobs that came together, the lower id bids first: here the known requester came first.
    let (mut stranger, mut known) = (open_of(requester(8), 0, 1101, alone()), of_other());
    assert!(!desk.bids(&mut stranger));
    assert_eq!(desk.ends(&jobs[0]), [jobs[4].id], "each of them holds one, like the stranger that comes");
    assert!(desk.runs(&jobs[4]));
    desk.known.insert(known.requester);
    assert!(!desk.bids(&mut known));
    assert!(desk.ends(&jobs[1]).contains(&known.id));
    assert!(desk.bids(&mut known) && !desk.runs(&jobs[5]));
    accept(&mut known, ME, desk.secs);
    assert!(desk.runs(&known));
}

#[test]
fn what_one_requester_is_promised_ahead_leaves_room_for_others() {
    let mut desk = Desk::new(4);
    // Each slot has time for two runs in a row.
    let timeout = Span::from_secs(1000);
    let long = Deal { timeout, run: Span::from_secs(2100), ..alone() };
    let mut jobs: Vec<Job> = (0..12).map(|nonce| open_of(requester(0), nonce, 1000, long.clone())).collect();
    let promised = jobs.iter_mut().filter_map(|job| desk.bids(job).then_some(())).count();
    assert_eq!(promised, 6, "as many as three slots can run, one after the other");
    let mut other = open_of(requester(1), 0, 1000, long);
    desk.known.insert(other.requester);
    assert!(desk.bids(&mut other), "the fourth slot is free in time");
}

#[test]
fn at_a_node_with_one_slot_requesters_take_turns() {
    let mut desk = Desk::new(1);
    let job_of = |index: u8, nonce| open_of(requester(index), nonce, 1000 + nonce, alone());
    let [mut first, mut second, mut third] = [job_of(0, 0), job_of(0, 1), job_of(1, 2)];
    for job in [&mut first, &mut second, &mut third] {
        assert!(desk.bids(job));
        desk.later(FIRM_MS / 1000);
        // The bid is loose, but not forgotten.
    }
    for job in [&mut first, &mut second, &mut third] {
        accept(job, ME, desk.secs);
    }
    assert!(desk.runs(&first) && !desk.runs(&second) && !desk.runs(&third));
    assert_eq!(desk.ends(&first), [third.id], "though the other seat is the older one");
    assert!(desk.runs(&third));
    assert_eq!(desk.ends(&third), [second.id]);
}
