mod holders;
mod together;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    domain::{Deal, Facts, Job, Resources},
    policy::{
        Purses,
        fixture::{LIMITS, accept, at, bid, commit, deal, node, open_of, opening, then},
    },
};

const ME: u8 = 0;

const FOLLOWED: LogTrust = LogTrust::Requester { clock_agrees: true, suspended: false };

/// One node's `Capacity`, and the time.
struct Desk {
    capacity: Capacity,
    secs: u64,
    known: BTreeSet<NodeId>,
}

impl Desk {
    fn new(slots: usize) -> Self {
        Self { capacity: Capacity::new(slots), secs: 1000, known: BTreeSet::new() }
    }

    fn moment(&self) -> Moment {
        Moment { now: at(self.secs), elapsed_ms: self.secs * 1000 }
    }

    fn decide(&mut self, job: &Job, execution: Execution<'_>) -> Decision {
        let view = ComputeView {
            me: node(ME),
            job,
            moment: self.moment(),
            heard_ms: 0,
            rank: 0,
            limits: &LIMITS,
            can_run: true,
            facts: Facts::MONEYLESS,
            sisters: &[],
            purses: Purses::FULL,
            pace: Pace::QUICK,
            execution,
            log: FOLLOWED,
            knows_requester: self.known.contains(&job.requester),
        };
        let before = self.capacity.clone();
        let decision = self.capacity.next(&view);
        self.assert_shares(&before);
        decision
    }

    fn ask(&mut self, job: &Job) -> ComputeStep {
        self.decide(job, Execution::None).step
    }

    /// Asks about the job, and bids if that is the answer.
    fn bids(&mut self, job: &mut Job) -> bool {
        let places = matches!(self.ask(job), ComputeStep::Submit(Event::BidPlaced { .. }));
        if places {
            bid(job, ME, self.secs);
            assert!(matches!(self.ask(job), ComputeStep::Wait(_)));
        }
        places
    }

    fn later(&mut self, secs: u64) {
        self.secs += secs;
    }
}

/// One seat; a run must begin at once, or its timeout may not fit.
fn alone() -> Deal {
    let timeout = Span::from_secs(1800);
    Deal {
        concurrency: 1,
        confidence: 1,
        timeout,
        run: Deal::run_for(timeout),
        open: Span::from_secs(86_400),
        ..deal()
    }
}

fn requester(index: u8) -> NodeId {
    node(0xe0 + index)
}

fn job(nonce: u64) -> Job {
    open_of(requester(0), nonce, 1000 + nonce, alone())
}

fn withdraws(step: &ComputeStep) -> bool {
    matches!(step, ComputeStep::Submit(Event::BidWithdrawn))
}

fn reports(step: &ComputeStep) -> bool {
    matches!(step, ComputeStep::Submit(Event::FailureReported { kind: FailureKind::Interrupted }))
}

#[test]
fn an_own_run_takes_a_slot_that_nothing_needs_and_gives_it_back() {
    let (mut desk, mut first, mut second) = (Desk::new(1), job(0), job(1));
    assert!(desk.bids(&mut first));
    assert!(!desk.capacity.begin_own_run(Resources::default(), desk.moment()), "the slot is promised");
    desk.later(FIRM_MS / 1000);
    assert!(desk.capacity.begin_own_run(Resources::default(), desk.moment()));
    assert!(!desk.bids(&mut second), "the only slot is taken");
    assert!(!desk.capacity.begin_own_run(Resources::default(), desk.moment()));
    assert_eq!(desk.capacity.end_own_run(desk.moment()), [second.id]);
    assert!(desk.bids(&mut second));
}

#[test]
fn a_paused_node_withdraws_its_bids_runs_what_it_has_a_seat_for_and_bids_again_when_resumed() {
    let (mut desk, mut standing, mut seated, mut new) = (Desk::new(2), job(0), job(1), job(2));
    assert!(desk.bids(&mut standing) && desk.bids(&mut seated));
    desk.capacity.pause(true);
    accept(&mut seated, ME, desk.secs);
    assert_eq!(desk.ask(&seated), ComputeStep::Run, "a seat is worked off");
    assert!(withdraws(&desk.ask(&standing)));
    assert!(!desk.bids(&mut new));
    assert!(!desk.capacity.begin_own_run(Resources::default(), desk.moment()));
    assert_eq!(desk.capacity.obligations(), Obligations { bids: 1, seats: 1, openings: 0 });
    then(&mut standing, node(ME), desk.secs, Event::BidWithdrawn).unwrap();
    assert!(!desk.bids(&mut standing));
    assert_eq!(desk.capacity.obligations(), Obligations { bids: 0, seats: 1, openings: 0 });
    desk.capacity.pause(false);
    assert!(desk.bids(&mut standing), "the pause is no fault of the job");
}

#[test]
fn a_fresh_bid_is_a_promise_and_an_old_one_is_none() {
    let (mut desk, mut first, mut second) = (Desk::new(1), job(0), job(1));
    assert!(desk.bids(&mut first));
    assert!(!desk.bids(&mut second), "the slot is promised");
    let ComputeStep::Wait(wake) = desk.ask(&second) else { panic!("it waits") };
    assert_eq!(wake.elapsed_ms, Some(1_000_000 + FIRM_MS), "by then the promise is loose");
    desk.later(FIRM_MS / 1000);
    let Decision { step, ring } = desk.decide(&first, Execution::None);
    assert!(matches!(step, ComputeStep::Wait(_)), "the bid stands for as long as the job is open");
    assert_eq!(ring, [second.id]);
    assert!(desk.bids(&mut second));
}

#[test]
fn the_oldest_job_gets_the_slot_whichever_was_asked_about_last() {
    let mut desk = Desk::new(1);
    let (mut blocking, jobs) = (job(0), [job(3), job(1), job(2)]);
    assert!(desk.bids(&mut blocking));
    jobs.iter().for_each(|job| assert!(matches!(desk.ask(job), ComputeStep::Wait(_))));
    then(&mut blocking, requester(0), desk.secs, Event::BidRejected { node: node(ME) }).unwrap();
    assert_eq!(desk.decide(&blocking, Execution::None).ring, [jobs[1].id]);
}

#[test]
fn who_holds_least_comes_first() {
    let mut desk = Desk::new(2);
    let (mut first, second) = (job(0), job(1));
    let other = open_of(requester(1), 0, 1900, alone());
    assert!(desk.bids(&mut first));
    let mut third = job(2);
    assert!(desk.bids(&mut third), "nobody else is there");
    for job in [&second, &other] {
        assert!(matches!(desk.ask(job), ComputeStep::Wait(_)));
    }
    then(&mut first, requester(0), desk.secs, Event::BidRejected { node: node(ME) }).unwrap();
    assert_eq!(desk.decide(&first, Execution::None).ring, [other.id], "though it is the younger one");
}

#[test]
fn who_leaves_bids_unanswered_comes_last_and_gets_half() {
    let mut desk = Desk::new(4);
    let mut air: Vec<Job> = (0..12).map(job).collect();
    assert_eq!(air.iter_mut().map(|job| usize::from(desk.bids(job))).sum::<usize>(), 4);
    desk.later(FIRM_MS / 1000);
    let fresh = air.iter_mut().skip(4).map(|job| usize::from(desk.bids(job))).sum::<usize>();
    assert_eq!(fresh, 2);
    let mut others: Vec<Job> = (0..3).map(|n| open_of(requester(1), n, 2000 + n, alone())).collect();
    assert_eq!(
        others.iter_mut().map(|job| usize::from(desk.bids(job))).sum::<usize>(),
        2,
        "the rest of the slots"
    );
}

#[test]
fn an_unreachable_requester_gives_its_place_to_others() {
    let (mut desk, dead, live) = (Desk::new(1), job(0), open_of(requester(1), 0, 1500, alone()));
    assert!(matches!(desk.ask(&dead), ComputeStep::Submit(Event::BidPlaced { .. })));
    assert!(matches!(desk.ask(&live), ComputeStep::Wait(_)));
    let moment = desk.moment();
    assert_eq!(desk.capacity.bid_failed(dead.id, moment), [live.id]);
    assert!(matches!(desk.ask(&dead), ComputeStep::Wait(_)));
    assert!(matches!(desk.ask(&live), ComputeStep::Submit(Event::BidPlaced { .. })));
}

#[test]
fn short_runs_may_queue_where_every_promise_can_be_kept() {
    let short = Deal { timeout: Span::from_secs(10), run: Span::from_secs(75), ..alone() };
    let mut jobs: Vec<Job> = (0..20).map(|n| open_of(requester(0), n, 1000 + n, short.clone())).collect();
    let mut desk = Desk::new(1);
    // 75 - 10 - 20 s remain to begin in, and each run before takes at most 10 s.
    assert_eq!(jobs.iter_mut().map(|job| usize::from(desk.bids(job))).sum::<usize>(), 5);
    assert_eq!(desk.capacity.firm(desk.moment().elapsed_ms), 5);
}

#[test]
fn a_seat_of_a_job_that_lacks_others_holds_no_slot() {
    let pair = Deal { concurrency: 2, confidence: 2, acceptance: Acceptance::FirstCome, ..alone() };
    let (mut desk, mut half, mut whole) = (Desk::new(1), open_of(requester(0), 0, 1000, pair), job(1));
    assert!(desk.bids(&mut half));
    assert!(half.seat_of(node(ME)).is_some());
    desk.later(FIRM_MS / 1000);
    assert!(desk.bids(&mut whole));
    accept(&mut whole, ME, desk.secs);
    assert_eq!(desk.ask(&whole), ComputeStep::Run);
    assert!(matches!(desk.decide(&whole, Execution::Running).step, ComputeStep::Wait(_)));
    bid(&mut half, 1, desk.secs);
    assert!(matches!(desk.ask(&half), ComputeStep::Wait(_)), "it runs, and this node's seat queues");
    let result = opening(ME);
    let Decision { step, ring } = desk.decide(&whole, Execution::Finished(&result));
    assert!(matches!(step, ComputeStep::Submit(Event::Committed { .. })));
    assert_eq!(ring, [half.id], "a run that ended frees its slot before its commitment is ordered");
    assert_eq!(desk.ask(&half), ComputeStep::Run);
}

/// A node whose only slot is busy, with an unanswered bid in another job.
fn busy_with_a_loose_bid() -> (Desk, Job, Job) {
    let (mut desk, mut loose, mut long) = (Desk::new(1), job(0), open_of(requester(1), 0, 1000, alone()));
    assert!(desk.bids(&mut loose));
    desk.later(FIRM_MS / 1000);
    assert!(desk.bids(&mut long));
    accept(&mut long, ME, desk.secs);
    assert_eq!(desk.ask(&long), ComputeStep::Run);
    desk.decide(&long, Execution::Running);
    (desk, loose, long)
}

#[test]
fn a_bid_that_cannot_be_honoured_is_taken_back_and_made_again_once_there_is_room() {
    let (mut desk, mut loose, long) = busy_with_a_loose_bid();
    assert!(matches!(desk.ask(&loose), ComputeStep::Wait(_)), "a run may end at any time");
    desk.later(BUSY_MS / 1000);
    assert!(withdraws(&desk.ask(&loose)));
    assert!(withdraws(&desk.ask(&loose)), "until the log says so");
    then(&mut loose, node(ME), desk.secs, Event::BidWithdrawn).unwrap();
    assert!(matches!(desk.ask(&loose), ComputeStep::Wait(_)));
    desk.decide(&long, Execution::Failed(FailureKind::Engine));
    assert!(!desk.bids(&mut loose), "not before the pause is over");
    desk.later(FIRST_PAUSE_MS / 1000);
    assert!(desk.bids(&mut loose));
}

#[test]
fn a_bid_that_could_be_honoured_stands() {
    let (mut desk, mut loose) = (Desk::new(1), job(0));
    let short = Deal { timeout: Span::from_secs(40), run: Span::from_secs(400), ..alone() };
    let mut running = open_of(requester(1), 0, 1000, short);
    assert!(desk.bids(&mut loose));
    desk.later(FIRM_MS / 1000);
    assert!(desk.bids(&mut running));
    accept(&mut running, ME, desk.secs);
    desk.ask(&running);
    desk.later(BUSY_MS / 1000);
    assert!(matches!(desk.ask(&loose), ComputeStep::Wait(_)), "the run ends within ten seconds");
}

#[test]
fn a_seat_without_a_slot_is_handed_over_while_another_bid_can_have_it() {
    for reserve in [true, false] {
        let (mut desk, mut loose, long) = busy_with_a_loose_bid();
        if reserve {
            bid(&mut loose, 1, desk.secs);
        }
        accept(&mut loose, ME, desk.secs);
        let hand_over = loose.refill_by().minus(Pace::QUICK.report_margin);
        assert_eq!(desk.ask(&loose), ComputeStep::Wait(Wake::after(hand_over)));
        desk.secs = hand_over.as_secs() + 1;
        assert_eq!(reports(&desk.ask(&loose)), reserve);
        if reserve {
            continue;
        }
        desk.secs = loose.commit_by.minus(Pace::QUICK.report_margin).as_secs();
        assert!(matches!(desk.ask(&loose), ComputeStep::Wait(_)), "nobody else can have it");
        let ring = desk.decide(&long, Execution::Failed(FailureKind::Engine)).ring;
        assert_eq!(ring, [loose.id], "a run that takes less than its timeout may still be in time");
        assert_eq!(desk.ask(&loose), ComputeStep::Run);
    }
}

#[test]
fn a_seat_that_never_got_a_slot_is_reported_before_commitments_are_due() {
    let (mut desk, mut loose, _long) = busy_with_a_loose_bid();
    accept(&mut loose, ME, desk.secs);
    desk.secs = loose.commit_by.minus(Pace::QUICK.report_margin).as_secs() + 1;
    assert!(reports(&desk.ask(&loose)));
}

/// Two seats: one too late for a whole run, and one given `later` seconds after it. Whether the late one gets the slot that
/// is free at last.
fn the_late_seat_goes_first(later: u64) -> bool {
    let mut desk = Desk::new(1);
    let short = || Deal { timeout: Span::from_secs(100), run: Span::from_secs(400), ..alone() };
    let mut jobs: Vec<Job> = (0..3).map(|index| open_of(requester(index), 0, 1000, short())).collect();
    for job in &mut jobs {
        assert!(desk.bids(job));
    }
    let [mut blocker, mut late, mut timely] = <[Job; 3]>::try_from(jobs).unwrap();
    accept(&mut blocker, ME, desk.secs);
    assert_eq!(desk.ask(&blocker), ComputeStep::Run);
    desk.decide(&blocker, Execution::Running);
    accept(&mut late, ME, desk.secs);
    assert!(matches!(desk.ask(&late), ComputeStep::Wait(_)));
    desk.later(later);
    accept(&mut timely, ME, desk.secs);
    assert!(matches!(desk.ask(&timely), ComputeStep::Wait(_)));
    desk.later(290 - later);
    let freed = desk.decide(&blocker, Execution::Failed(FailureKind::Engine));
    let [chosen] = *freed.ring else { panic!("one slot is free: {freed:?}") };
    chosen == late.id
}

#[test]
fn a_seat_that_is_late_goes_before_one_that_can_wait_and_after_one_that_cannot() {
    assert!(the_late_seat_goes_first(285));
    assert!(!the_late_seat_goes_first(30));
}

#[test]
fn a_node_that_drains_takes_nothing_on_and_finishes_what_runs() {
    let (mut desk, mut loose, mut long) = busy_with_a_loose_bid();
    let fresh = job(7);
    assert!(matches!(desk.ask(&fresh), ComputeStep::Wait(_)));
    let asked = desk.capacity.leave(Leaving::Draining);
    assert!([loose.id, long.id].iter().all(|job| asked.contains(job)), "{asked:?}");
    assert!(withdraws(&desk.ask(&loose)));
    then(&mut loose, node(ME), desk.secs, Event::BidWithdrawn).unwrap();
    assert!(matches!(desk.ask(&loose), ComputeStep::Wait(_)));
    assert!(matches!(desk.decide(&long, Execution::Running).step, ComputeStep::Wait(_)));
    assert_eq!(desk.capacity.obligations(), Obligations { bids: 0, seats: 1, openings: 0 });
    desk.capacity.leave(Leaving::GivingUp);
    assert!(reports(&desk.decide(&long, Execution::Running).step));
    let report = Event::FailureReported { kind: FailureKind::Interrupted };
    then(&mut long, node(ME), desk.secs, report).unwrap();
    assert_eq!(desk.decide(&long, Execution::Failed(FailureKind::Interrupted)).step, ComputeStep::Done);
    assert_eq!(desk.capacity.obligations(), Obligations::default());
}

#[test]
fn a_node_that_drains_reports_the_seats_that_it_has_not_begun() {
    let (mut desk, mut queued, _long) = busy_with_a_loose_bid();
    accept(&mut queued, ME, desk.secs);
    assert!(matches!(desk.ask(&queued), ComputeStep::Wait(_)));
    desk.capacity.leave(Leaving::Draining);
    assert!(reports(&desk.ask(&queued)));
}

#[test]
fn a_commitment_is_owed_until_it_is_opened() {
    let (mut desk, mut pair) =
        (Desk::new(1), open_of(requester(0), 0, 1000, Deal { concurrency: 2, confidence: 2, ..alone() }));
    assert!(desk.bids(&mut pair));
    bid(&mut pair, 1, desk.secs);
    for index in [ME, 1] {
        accept(&mut pair, index, desk.secs);
    }
    assert_eq!(desk.ask(&pair), ComputeStep::Run);
    commit(&mut pair, ME, desk.secs);
    let result = opening(ME);
    desk.decide(&pair, Execution::Finished(&result));
    assert_eq!(desk.capacity.obligations(), Obligations { bids: 0, seats: 0, openings: 1 });
    assert_eq!(desk.capacity.running(), 0);
}

/// A step in one of several jobs, this many seconds after the last.
#[derive(Debug, Clone, Copy)]
struct Happening {
    job: usize,
    what: u8,
    wait: u64,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let wait = prop_oneof![4 => Just(0_u64), 3 => 1..12_u64, 1 => 20..400_u64];
    let one = (0..8_usize, 0..10_u8, wait).prop_map(|(job, what, wait)| Happening { job, what, wait });
    proptest::collection::vec(one, 0..200)
}

#[derive(Debug, Clone)]
struct Known {
    job: Job,
    execution: Execution<'static>,
    withdrawals: u32,
}

proptest! {
    /// Whatever requesters and runs do, these hold: no more runs than slots, no more for one party than its part while
    /// others wait, no more firm promises than allowed, and only logarithmically many withdrawals in time.
    #[test]
    fn slots_promises_and_withdrawals_are_bounded(slots in 1..6_usize, knows in 0..2_usize, happenings in happenings()) {
        let mut desk = Desk::new(slots);
        desk.known.extend((0..knows).map(|_| requester(0)));
        let mut known: Vec<Known> = (0..8)
            .map(|n| Known {
                job: open_of(requester(u8::try_from(n % 3).unwrap()), n, 1000, alone()),
                execution: Execution::None,
                withdrawals: 0,
            })
            .collect();
        for Happening { job, what, wait } in happenings {
            desk.later(wait);
            let held = &mut known[job];
            match what {
                0..3 if held.job.standing_bids().count() > 0 && held.job.state == JobState::Open => {
                    // Refused once the job takes no more bids.
                    let (by, event) = (held.job.requester, Event::BidAccepted { node: node(ME) });
                    let _ = then(&mut held.job, by, desk.secs, event);
                }
                3..5 if matches!(held.execution, Execution::Running) => {
                    held.execution = Execution::Failed(FailureKind::Engine);
                }
                _ => {}
            }
            let mut ask = vec![job];
            while let Some(next) = ask.pop() {
                let Known { job, execution, withdrawals } = &mut known[next];
                let Decision { step, ring } = desk.decide(job, *execution);
                match step {
                    ComputeStep::Submit(event) => {
                        *withdrawals += u32::from(event == Event::BidWithdrawn);
                        then(job, node(ME), desk.secs, event).unwrap();
                        desk.decide(job, *execution);
                    }
                    ComputeStep::Run => {
                        *execution = Execution::Running;
                        desk.decide(job, *execution);
                    }
                    ComputeStep::Wait(_) | ComputeStep::Done => {}
                }
                ask.extend(ring.into_iter().map(|id| known.iter().position(|held| held.job.id == id).unwrap()));
            }
            prop_assert!(desk.capacity.running() <= slots);
            let pauses = (desk.secs - 1000) * 1000 / FIRST_PAUSE_MS;
            for held in &known {
                prop_assert!(u64::from(held.withdrawals) <= u64::from((2 * pauses + 1).ilog(3)) + 1, "{held:?}");
            }
        }
    }
}
