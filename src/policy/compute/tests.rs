use super::*;
use crate::{
    domain::{Amount, Ask, Deal, Funds, Resources},
    policy::fixture::{
        self, REQUESTER, accept, at, bid, commit, deal, moment, node, open, opening, reveal, running, then,
    },
};

const LIMITS: ComputeLimits = ComputeLimits {
    max_timeout: Span::from_secs(3600),
    max_run: Span::from_secs(3600),
    min_reveal: Span::from_secs(60),
    max_reveal: Span::from_secs(3600),
    ..fixture::LIMITS
};

const FOLLOWED: LogTrust = LogTrust::Requester { clock_agrees: true, suspended: false };

fn view(job: &Job, me: u8, secs: u64) -> ComputeView<'_> {
    ComputeView {
        me: node(me),
        job,
        moment: moment(secs),
        heard_ms: 1_000_000,
        rank: 0,
        limits: &LIMITS,
        can_run: true,
        facts: Facts::MONEYLESS,
        sisters: &[],
        purses: Purses::FULL,
        pace: Pace::QUICK,
        execution: Execution::None,
        log: LogTrust::Neutral,
        knows_requester: false,
    }
}

fn after(secs: u64) -> ComputeStep {
    ComputeStep::Wait(Wake::after(at(secs)))
}

fn places_bid(view: &ComputeView<'_>) -> bool {
    matches!(next(view), ComputeStep::Submit(Event::BidPlaced { .. }))
}

#[test]
fn rank_counts_the_members_before_this_node() {
    let members: Vec<NodeId> = (0..20).map(node).collect();
    let mut ranks: Vec<usize> = members.iter().map(|me| rank(JobId::ZERO, *me, &members)).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, (0..20).collect::<Vec<_>>());
}

#[test]
fn the_first_twice_n_bid_at_once_and_each_further_group_a_step_later() {
    let job = open(deal());
    for (rank, turn_ms) in [(0, 1_000_000), (5, 1_000_000), (6, 1_000_100), (11, 1_000_100), (12, 1_000_200)]
    {
        let turn = |elapsed_ms| Moment { now: at(1000), elapsed_ms };
        assert!(places_bid(&ComputeView { rank, moment: turn(turn_ms), ..view(&job, 0, 1000) }), "{rank}");
        if turn_ms > 1_000_000 {
            let early = ComputeView { rank, moment: turn(turn_ms - 1), ..view(&job, 0, 1000) };
            assert_eq!(next(&early), ComputeStep::Wait(Wake::after(at(1100)).or_at(turn_ms)));
        }
    }
}

#[test]
fn nobody_bids_once_twice_n_bids_fit() {
    let mut job = open(deal());
    (1..6).for_each(|index| bid(&mut job, index, 1000));
    assert!(places_bid(&view(&job, 0, 1000)));
    bid(&mut job, 6, 1000);
    assert_eq!(next(&view(&job, 0, 1000)), after(1100));
    then(&mut job, node(6), 1001, Event::BidWithdrawn).unwrap();
    assert!(places_bid(&view(&job, 0, 1001)), "a place is free again");
}

#[test]
fn bids_without_the_money_for_their_bond_keep_nobody_from_bidding() {
    let money = |units| Amount::new(units).unwrap();
    let mut job = open(Deal { price: money(5), bond: money(10), ..deal() });
    (1..7).for_each(|index| bid(&mut job, index, 1000));
    let limits = ComputeLimits { max_bond: money(10), ..LIMITS };
    let has = |free| move |_| free;
    let bids = |free: Option<u128>| {
        let funds = has(free.map(|free| Funds { free: money(free), paid: money(0) }));
        places_bid(&ComputeView { limits: &limits, purses: Purses(&funds), ..view(&job, 0, 1000) })
    };
    assert!(!bids(Some(10)), "2N bids are enough");
    assert!(bids(Some(9)), "none of them can take a seat");
    assert!(!bids(None), "nobody knows yet");
}

#[test]
fn a_node_without_the_bond_or_the_record_waits_for_it() {
    let money = |units| Amount::new(units).unwrap();
    let job = open(Deal { price: money(5), bond: money(10), min_paid: money(3), ..deal() });
    let limits = ComputeLimits { max_bond: money(10), ..LIMITS };
    let step = |funded, paid| {
        let facts = Facts { funded, paid: money(paid), ..Facts::MONEYLESS };
        next(&ComputeView { limits: &limits, facts, ..view(&job, 0, 1000) })
    };
    assert!(matches!(step(true, 3), ComputeStep::Submit(Event::BidPlaced { .. })));
    assert_eq!((step(false, 3), step(true, 2)), (after(1100), after(1100)));
}

#[test]
fn a_slow_chain_gets_time_for_its_transactions_but_no_more_than_half_of_what_the_deal_spares() {
    let job = running();
    let margins = [Pace::QUICK, Pace::ROLLUP, Pace::MAINNET].map(|pace| report_margin(&job, pace).as_secs());
    assert_eq!(margins, [20, 40, 120]);
    let tight = open(Deal { run: Span::from_secs(160), ..deal() });
    assert_eq!(report_margin(&tight, Pace::MAINNET).as_secs(), 30, "of 60 s");
}

#[test]
fn a_node_bids_only_for_what_it_takes_on() {
    let money = |units| Amount::new(units).unwrap();
    let job = open(Deal { price: money(5), bond: money(10), ..deal() });
    let limits = ComputeLimits { max_bond: money(10), ask: Ask::Amount(money(5)), ..LIMITS };
    let bids =
        |limits: &ComputeLimits, facts| places_bid(&ComputeView { limits, facts, ..view(&job, 0, 1000) });
    let known = Facts::MONEYLESS;
    assert!(bids(&limits, known));
    assert!(!bids(&ComputeLimits { max_bond: money(9), ..limits }, known));
    assert!(!bids(&ComputeLimits { ask: Ask::Amount(money(6)), ..limits }, known));
    let share =
        ComputeView { limits: &ComputeLimits { ask: Ask::Percent(80), ..limits }, ..view(&job, 0, 1000) };
    assert_eq!(next(&share), ComputeStep::Submit(Event::BidPlaced { price: money(4) }));
    let view_of = ComputeView { limits: &limits, facts: known, can_run: false, ..view(&job, 0, 1000) };
    assert!(!places_bid(&view_of));
    assert!(!bids(&ComputeLimits { max_timeout: Span::from_secs(99), ..limits }, known));
    assert!(!bids(&ComputeLimits { max_run: Span::from_secs(399), ..limits }, known));
    assert!(!bids(&ComputeLimits { max_reveal: Span::from_secs(59), ..limits }, known));
    assert!(!bids(&ComputeLimits { min_reveal: Span::from_secs(61), ..limits }, known));
    assert!(!bids(&ComputeLimits { min_price: money(6), ..limits }, known));
    assert!(bids(&ComputeLimits { min_price: money(5), ..limits }, known));
    let small = Resources { memory_bytes: 1 << 20, ..limits.max_resources };
    let idle = |run| open(Deal { timeout: Span::from_secs(1), run: Span::from_secs(run), ..deal() });
    let bound = ComputeLimits { max_run: Span::from_secs(u32::MAX), ..LIMITS };
    let binds = |run| places_bid(&ComputeView { limits: &bound, ..view(&idle(run), 0, 1000) });
    assert!(binds(3602) && !binds(3603), "a run of a second binds no bond for a month");
    assert!(!bids(&ComputeLimits { max_resources: small, ..limits }, known));
    assert!(!bids(&limits, Facts { sat_in_parent: true, ..known }));
    assert!(!bids(&limits, Facts { funded: false, ..known }));
}

#[test]
fn a_node_bids_only_where_the_deal_admits_it() {
    let listed = open(Deal { allow_list: vec![node(0)], ..deal() });
    assert!(places_bid(&view(&listed, 0, 1000)));
    assert_eq!(next(&view(&listed, 1, 1000)), ComputeStep::Done);
    let proven = open(Deal { min_paid: Amount::new(2).unwrap(), ..deal() });
    assert_eq!(next(&view(&proven, 0, 1000)), after(1100));
    let facts = Facts { paid: Amount::new(2).unwrap(), ..Facts::MONEYLESS };
    assert!(places_bid(&ComputeView { facts, ..view(&proven, 0, 1000) }));
}

#[test]
fn a_new_deal_is_bid_for_again() {
    let mut job = open(deal());
    bid(&mut job, 0, 1000);
    assert_eq!(next(&view(&job, 0, 1000)), after(1100));
    then(&mut job, REQUESTER, 1001, Event::DealUpdated { deal: Deal { tolerance_kib: 1, ..deal() } })
        .unwrap();
    assert!(places_bid(&view(&job, 0, 1001)));
}

#[test]
fn a_bid_that_was_taken_back_is_made_again() {
    let mut job = open(deal());
    bid(&mut job, 0, 1000);
    then(&mut job, node(0), 1001, Event::BidWithdrawn).unwrap();
    assert!(places_bid(&view(&job, 0, 1001)));
    then(&mut job, REQUESTER, 1001, Event::BidAccepted { node: node(0) }).unwrap();
    assert_eq!(job.bids[&node(0)].status, BidStatus::Skipped);
    assert!(places_bid(&view(&job, 0, 1001)), "an acceptance that crossed the withdrawal changes nothing");
}

#[test]
fn a_failed_seat_is_bid_for_while_a_whole_run_fits() {
    let mut job = running();
    assert_eq!(next(&view(&job, 9, 1100)), ComputeStep::Done, "every seat is filled");
    then(&mut job, node(1), 1100, Event::FailureReported { kind: FailureKind::Disk }).unwrap();
    assert!(places_bid(&view(&job, 9, 1100)));
    let last = job.refill_by().as_secs();
    assert!(places_bid(&view(&job, 9, last)));
    assert_eq!(next(&view(&job, 9, last + 1)), ComputeStep::Done);
    bid(&mut job, 7, 1101);
    assert_eq!(next(&view(&job, 9, 1101)), after(last), "two bids stand for it, should one node be gone");
    then(&mut job, REQUESTER, 1102, Event::BidAccepted { node: node(7) }).unwrap();
    assert_eq!(next(&view(&job, 9, 1102)), ComputeStep::Done);
}

#[test]
fn a_bid_that_came_to_nothing_is_done_with() {
    let mut job = open(deal());
    bid(&mut job, 0, 1000);
    assert_eq!(next(&view(&job, 0, 1101)), ComputeStep::Done, "nobody filled the seats");
    then(&mut job, REQUESTER, 1001, Event::BidRejected { node: node(0) }).unwrap();
    assert_eq!(next(&view(&job, 0, 1001)), ComputeStep::Done);
    let job = running();
    assert_eq!(next(&view(&job, 3, 1250)), after(1250), "a seat may fail while a whole run fits");
    assert_eq!(next(&view(&job, 3, 1251)), ComputeStep::Done);
    assert_eq!(next(&view(&job, 4, 1020)), ComputeStep::Done, "too late to bid");
}

#[test]
fn work_starts_only_when_every_seat_is_filled() {
    let mut job = open(deal());
    (0..3).for_each(|index| bid(&mut job, index, 1000));
    accept(&mut job, 0, 1001);
    accept(&mut job, 1, 1001);
    assert_eq!(next(&view(&job, 0, 1001)), after(1100));
    accept(&mut job, 2, 1002);
    assert_eq!(next(&view(&job, 0, 1002)), ComputeStep::Run);
}

#[test]
fn a_run_that_cannot_end_in_time_is_reported_while_that_counts() {
    let job = running();
    assert_eq!(job.commit_by, at(1410));
    let in_executor = |secs| next(&ComputeView { execution: Execution::Running, ..view(&job, 0, secs) });
    let report = ComputeStep::Submit(Event::FailureReported { kind: FailureKind::Interrupted });
    assert_eq!(in_executor(1100), after(1390));
    assert_eq!(in_executor(1391), report);
    assert_eq!(next(&view(&job, 0, 1391)), report, "no start without time left");
    assert_eq!(in_executor(1411), ComputeStep::Done);
}

/// Otherwise the node would report itself as interrupted because its requester did not send something.
#[test]
fn a_node_waits_for_inputs_no_longer_than_leaves_the_run_its_whole_timeout() {
    for timeout in [1, 5, 60, 3600] {
        let run = Span::from_secs(timeout + 60);
        let mut job = open(Deal { timeout: Span::from_secs(timeout), run, ..deal() });
        (0..3).for_each(|index| bid(&mut job, index, 1001));
        (0..3).for_each(|index| accept(&mut job, index, 1010));
        let last = start_by(&job, Pace::QUICK).as_secs();
        assert_eq!(last, 1010 + 60 - 20);
        for late in [0, timeout] {
            let held = ComputeView { execution: Execution::Running, ..view(&job, 0, last + u64::from(late)) };
            assert!(matches!(next(&held), ComputeStep::Wait(_)), "{timeout} {late}");
        }
    }
}

#[test]
fn a_finished_run_is_committed_and_a_failed_one_reported() {
    let mut job = running();
    let result = opening(0);
    let finished = Execution::Finished(&result);
    let commitment = result.commitment(job.domain, job.id, 0, node(0));
    let step = next(&ComputeView { execution: finished, ..view(&job, 0, 1100) });
    assert_eq!(step, ComputeStep::Submit(Event::Committed { commitment }));
    let failed = Execution::Failed(FailureKind::Memory);
    let step = next(&ComputeView { execution: failed, ..view(&job, 0, 1100) });
    assert_eq!(step, ComputeStep::Submit(Event::FailureReported { kind: FailureKind::Memory }));
    then(&mut job, node(0), 1100, Event::FailureReported { kind: FailureKind::Memory }).unwrap();
    assert_eq!(next(&ComputeView { execution: failed, ..view(&job, 0, 1100) }), ComputeStep::Done);
}

#[test]
fn a_commitment_is_opened_only_when_no_seat_can_commit_any_more() {
    let mut job = running();
    let result = opening(0);
    let step = |job: &Job, secs| {
        next(&ComputeView { execution: Execution::Finished(&result), ..view(job, 0, secs) })
    };
    commit(&mut job, 0, 1100);
    assert_eq!(step(&job, 1100), after(1410));
    commit(&mut job, 1, 1100);
    assert_eq!(step(&job, 1410), after(1410), "seat 2 may still commit");
    assert_eq!(step(&job, 1411), after(1430), "its commitment may be on its way");
    assert_eq!(step(&job, 1431), ComputeStep::Submit(Event::Revealed { seat: 0, opening: result }));
    assert_eq!(step(&job, 1471), ComputeStep::Done, "too late to reveal");
    commit(&mut job, 2, 1200);
    assert_eq!(step(&job, 1200), ComputeStep::Submit(Event::Revealed { seat: 0, opening: result }));
    reveal(&mut job, 0, 1200);
    assert_eq!(step(&job, 1200), ComputeStep::Done);
}

#[test]
fn on_a_neutral_log_a_failed_seat_is_dead_once_no_new_holder_can_be_on_its_way() {
    let mut job = running();
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    then(&mut job, node(2), 1100, Event::FailureReported { kind: FailureKind::Engine }).unwrap();
    let result = opening(0);
    let step = |job: &Job, secs| {
        next(&ComputeView { execution: Execution::Finished(&result), ..view(job, 0, secs) })
    };
    assert_eq!(step(&job, 1250), after(1250));
    assert_eq!(step(&job, 1251), after(1270), "node 3 may have got the seat");
    assert!(reveals(&step(&job, 1271)));
    then(&mut job, REQUESTER, 1251, Event::Remarked { node: node(2), remark: String::new() }).unwrap();
    assert!(reveals(&step(&job, 1251)), "an entry from after the deadline: none from before is missing");
}

fn followed(job: &Job, secs: u64, log: LogTrust) -> ComputeStep {
    let result = opening(0);
    next(&ComputeView { execution: Execution::Finished(&result), log, ..view(job, 0, secs) })
}

fn reveals(step: &ComputeStep) -> bool {
    matches!(step, ComputeStep::Submit(Event::Revealed { .. }))
}

#[test]
fn where_the_requester_orders_only_an_entry_closes_commits() {
    let mut job = running();
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    assert_eq!(followed(&job, 1411, FOLLOWED), after(1470), "past the deadline, but no entry says so");
    then(&mut job, REQUESTER, 1411, Event::Ticked).unwrap();
    assert!(reveals(&followed(&job, 1411, FOLLOWED)));
}

#[test]
fn a_tick_that_this_nodes_clock_contradicts_opens_nothing() {
    let mut job = running();
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    then(&mut job, REQUESTER, 1411, Event::Ticked).unwrap();
    assert_eq!(followed(&job, 1400, FOLLOWED), after(1410), "closed too early");
    let off = LogTrust::Requester { clock_agrees: false, suspended: false };
    assert_eq!(followed(&job, 1412, off), after(1470));
}

#[test]
fn the_last_commitment_closes_without_a_clock() {
    let mut job = running();
    (0..3).for_each(|index| commit(&mut job, index, 1100));
    let off = LogTrust::Requester { clock_agrees: false, suspended: false };
    assert!(reveals(&followed(&job, 1090, off)));
}

#[test]
fn a_dead_seat_closes_only_when_this_nodes_clock_says_it_is_dead() {
    let mut job = running();
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    then(&mut job, node(2), 1251, Event::FailureReported { kind: FailureKind::Engine }).unwrap();
    assert_eq!(job.state, JobState::Revealing);
    assert_eq!(followed(&job, 1250, FOLLOWED), after(1250), "a seat that can be filled again can commit");
    assert!(reveals(&followed(&job, 1251, FOLLOWED)));
}

#[test]
fn a_node_never_opens_what_the_log_does_not_hold() {
    let mut job = running();
    (1..3).for_each(|index| commit(&mut job, index, 1100));
    then(&mut job, REQUESTER, 1411, Event::Ticked).unwrap();
    assert_eq!(followed(&job, 1411, FOLLOWED), ComputeStep::Done, "its commitment was dropped");

    let mut job = running();
    let foreign = Event::Committed { commitment: Digest::new([9; 32]) };
    then(&mut job, node(0), 1100, foreign).unwrap();
    (1..3).for_each(|index| commit(&mut job, index, 1100));
    assert_eq!(followed(&job, 1100, FOLLOWED), ComputeStep::Done, "its commitment was replaced");
}

#[test]
fn a_suspended_node_does_nothing() {
    let suspended = LogTrust::Requester { clock_agrees: true, suspended: true };
    let mut job = running();
    assert_eq!(followed(&job, 1100, suspended), after(1410));
    (0..3).for_each(|index| commit(&mut job, index, 1100));
    assert_eq!(followed(&job, 1100, suspended), after(1160));
    let open = open(deal());
    assert_eq!(next(&ComputeView { log: suspended, ..view(&open, 0, 1000) }), after(1100));
}

#[test]
fn a_job_whose_requester_is_gone_is_done_with() {
    let mut job = running();
    assert_eq!(followed(&job, 1411, FOLLOWED), ComputeStep::Done, "nobody committed");
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    assert_eq!(followed(&job, 1471, FOLLOWED), ComputeStep::Done, "nobody said that commits are closed");
}

#[test]
fn on_a_neutral_log_a_doomed_job_still_gets_its_commitment() {
    let mut job = running();
    for index in 1..3 {
        then(&mut job, node(index), 1251, Event::FailureReported { kind: FailureKind::Engine }).unwrap();
    }
    assert!(job.is_overdue(at(1251)));
    let result = opening(0);
    let step = next(&ComputeView { execution: Execution::Finished(&result), ..view(&job, 0, 1251) });
    assert!(matches!(step, ComputeStep::Submit(Event::Committed { .. })), "or its bond would burn");
}
