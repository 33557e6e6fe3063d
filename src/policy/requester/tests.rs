use super::*;
use crate::{
    domain::{Amount, BidStatus, FailureKind, Funds, Opening, Pace, Tally},
    policy::{
        compute::has_enough_bids,
        fixture::{
            REQUESTER, accept, at, bid, commit, deal, moment, node, open, open_of, opening, reveal, running,
            then,
        },
    },
};

const NEWCOMER: &dyn Fn(NodeId) -> Standing = &|_| Standing {
    tally: Tally { accepted: 0, rejected: 0, failed: 0, absent: 0 },
    level: Level::Untrusted,
};

fn view(job: &Job, secs: u64) -> RequesterView<'_> {
    RequesterView {
        job,
        moment: moment(secs),
        opened_ms: 1_000_000,
        pace: Pace::QUICK,
        reputation: NEWCOMER,
        purses: Purses::FULL,
        secret: Digest::new([5; 32]),
        members: 10,
        orders_log: false,
        followed_up: false,
        is_auto: false,
    }
}

fn accepted(step: RequesterStep) -> Vec<NodeId> {
    let RequesterStep::Submit(events) = step else { panic!("{step:?} submits nothing") };
    let node = |event| match event {
        Event::BidAccepted { node } => node,
        other => panic!("{other:?} accepts nothing"),
    };
    events.into_iter().map(node).collect()
}

fn after(secs: u64) -> RequesterStep {
    RequesterStep::Wait(Wake::after(at(secs)))
}

#[test]
fn too_few_bids_are_waited_for_and_then_the_job_expires() {
    let mut job = open(deal());
    bid(&mut job, 0, 1000);
    bid(&mut job, 1, 1000);
    assert_eq!(next(&view(&job, 1050)), after(1100));
    assert_eq!(next(&view(&job, 1101)), RequesterStep::Submit(vec![Event::Expired]));
}

#[test]
fn seats_are_filled_once_twice_n_have_bid_or_all_or_the_window_is_over() {
    let mut job = open(deal());
    (0..3).for_each(|index| bid(&mut job, index, 1000));
    let waits = RequesterStep::Wait(Wake::after(at(1100)).or_at(1_000_500));
    assert_eq!(next(&view(&job, 1000)), waits);
    assert_eq!(accepted(next(&view(&job, 1001))).len(), 3, "the window is over");
    assert_eq!(accepted(next(&RequesterView { members: 3, ..view(&job, 1000) })).len(), 3, "all have bid");
    let slow = RequesterView { pace: Pace::MAINNET, ..view(&job, 1050) };
    let slow_at = |secs| RequesterView { moment: moment(secs), ..slow };
    let last_call = Wake::after(at(1040)).or_at(1_060_000);
    assert_eq!(next(&slow_at(1040)), RequesterStep::Wait(last_call), "five blocks, and as long to accept");
    assert_eq!(accepted(next(&slow_at(1041))).len(), 3, "the job is open for 100 s alone");
    let offer = RequesterView { orders_log: true, ..slow_at(1001) };
    assert_eq!(accepted(next(&offer)).len(), 3, "bids for an offer need no block");
    (3..6).for_each(|index| bid(&mut job, index, 1000));
    assert_eq!(accepted(next(&view(&job, 1000))).len(), 3, "2N have bid");
}

#[test]
fn a_skipped_bid_is_made_up_for() {
    let mut job = open(deal());
    (0..4).for_each(|index| bid(&mut job, index, 1000));
    then(&mut job, node(3), 1001, Event::BidWithdrawn).unwrap();
    then(&mut job, REQUESTER, 1001, Event::BidAccepted { node: node(3) }).unwrap();
    assert_eq!(job.bids[&node(3)].status, BidStatus::Skipped);
    accept(&mut job, 0, 1001);
    let rest = accepted(next(&view(&job, 1001)));
    assert!(rest.len() == 2 && !rest.contains(&node(0)) && !rest.contains(&node(3)), "{rest:?}");
}

#[test]
fn a_bid_that_is_not_known_to_have_its_bond_is_not_chosen() {
    let amount = |units| Amount::new(units).unwrap();
    let mut job = open(Deal { price: amount(5), bond: amount(5), ..deal() });
    (0..6).for_each(|index| bid(&mut job, index, 1000));
    let funds = |id: NodeId| match id {
        id if id == node(0) => None,
        id => Some(Funds { free: amount(if id < node(3) { 4 } else { 5 }), paid: Amount::ZERO }),
    };
    let mut chosen = accepted(next(&RequesterView { purses: Purses(&funds), ..view(&job, 1001) }));
    chosen.sort_unstable();
    assert_eq!(chosen, [3, 4, 5].map(node));
    let nobody = |_| None;
    assert_eq!(next(&RequesterView { purses: Purses(&nobody), ..view(&job, 1001) }), after(1100));
}

#[test]
fn bids_are_drawn_by_a_secret_lot_whatever_they_ask_for() {
    let price = |units| Amount::new(units).unwrap();
    let mut job = open(Deal { price: price(9), bond: price(9), ..deal() });
    for (index, units) in [(0, 9), (1, 1), (2, 9), (3, 1), (4, 9), (5, 9)] {
        then(&mut job, node(index), 1000, Event::BidPlaced { price: price(units) }).unwrap();
    }
    let mut seats = [0; 6];
    for seed in 0..=u8::MAX {
        let chosen = accepted(next(&RequesterView { secret: Digest::new([seed; 32]), ..view(&job, 1000) }));
        for (index, seats) in (0..).zip(&mut seats) {
            *seats += u32::from(chosen.contains(&node(index)));
        }
    }
    // 256 draws of three among six. A low price gives no better chance. The lots are fixed, so the outcome never varies.
    assert!(seats.iter().all(|count| (100..=156).contains(count)), "{seats:?}");
}

#[test]
fn each_job_has_a_lot_of_its_own() {
    let mut seats = [0; 6];
    for nonce in 0..256 {
        let mut job = open_of(REQUESTER, nonce, 1000, deal());
        (0..6).for_each(|index| bid(&mut job, index, 1000));
        let chosen = accepted(next(&view(&job, 1000)));
        for (index, seats) in (0..).zip(&mut seats) {
            *seats += u32::from(chosen.contains(&node(index)));
        }
    }
    // One requester, 256 jobs of three seats each, six nodes: nobody is the first of them all.
    assert!(seats.iter().all(|count| (100..=156).contains(count)), "{seats:?}");
}

#[test]
fn strangers_are_taken_for_want_of_the_circle_where_this_node_decides_how_many_run_a_job() {
    let strangers = |id: NodeId| {
        let level = if id < node(3) { Level::Stranger } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    };
    let job = |nonce| {
        let mut job = open_of(REQUESTER, nonce, 1000, deal());
        (0..5).for_each(|index| bid(&mut job, index, 1000));
        job
    };
    let chosen = |job: &Job, is_auto| {
        accepted(next(&RequesterView { is_auto, reputation: &strangers, ..view(job, 1001) }))
    };
    let auto = chosen(&job(0), true);
    assert!(auto.contains(&node(3)) && auto.contains(&node(4)) && auto.len() == 3, "{auto:?}");
    let fixed = (0..256).filter(|nonce| {
        let fixed = chosen(&job(*nonce), false);
        fixed.contains(&node(3)) && fixed.contains(&node(4))
    });
    assert!(fixed.count() < 128, "three of ten draws of three among five hold a given two");
}

#[test]
fn a_node_below_the_floor_is_taken_only_for_want_of_others() {
    let bad = |id| {
        let rejected = if id == node(0) { 2 } else { 1 };
        Standing { tally: Tally { accepted: 4, rejected, ..Tally::default() }, ..NEWCOMER(id) }
    };
    let mut job = open(deal());
    (0..3).for_each(|index| bid(&mut job, index, 1000));
    let chosen = accepted(next(&RequesterView { reputation: &bad, ..view(&job, 1001) }));
    assert_eq!(chosen[2], node(0), "nobody else is there");
    bid(&mut job, 3, 1001);
    let chosen = accepted(next(&RequesterView { reputation: &bad, ..view(&job, 1001) }));
    assert!(!chosen.contains(&node(0)), "{chosen:?}");
}

#[test]
fn newcomers_are_above_the_floor_and_one_bad_result_of_five_is_too() {
    let is_below = |tally| Standing { tally, ..Standing::default() }.is_below_floor();
    let below = |accepted, rejected| {
        let ways = [
            Tally { accepted, rejected, ..Tally::default() },
            Tally { accepted, failed: rejected, ..Tally::default() },
            Tally { accepted, absent: rejected, ..Tally::default() },
        ]
        .map(is_below);
        assert!(ways.windows(2).all(|pair| pair[0] == pair[1]), "whichever way it breaks its word");
        ways[0]
    };
    assert!(!below(0, 0) && !below(4, 1));
    assert!(below(0, 1) && below(3, 1) && below(u32::MAX, u32::MAX - 1));
}

#[test]
fn a_failed_seat_is_filled_again_while_a_whole_run_fits() {
    let mut job = running();
    assert_eq!(next(&view(&job, 1100)), after(1410));
    then(&mut job, node(1), 1100, Event::FailureReported { kind: FailureKind::Disk }).unwrap();
    assert_eq!(accepted(next(&view(&job, 1250))), [node(3)]);
    assert_eq!(next(&view(&job, 1251)), after(1410));
    accept(&mut job, 3, 1250);
    then(&mut job, node(3), 1250, Event::FailureReported { kind: FailureKind::Disk }).unwrap();
    assert_eq!(next(&view(&job, 1250)), after(1250), "no bid is left");
}

#[test]
fn only_who_orders_the_log_writes_down_that_commits_are_closed() {
    let mut job = running();
    (0..2).for_each(|index| commit(&mut job, index, 1100));
    assert_eq!(next(&RequesterView { orders_log: true, ..view(&job, 1410) }), after(1410));
    let tick = RequesterStep::Submit(vec![Event::Ticked]);
    assert_eq!(next(&RequesterView { orders_log: true, ..view(&job, 1411) }), tick);
    assert_eq!(next(&view(&job, 1411)), after(1470));
    then(&mut job, REQUESTER, 1411, Event::Ticked).unwrap();
    assert_eq!(next(&RequesterView { orders_log: true, ..view(&job, 1411) }), after(1470));
}

#[test]
fn a_job_without_a_quorum_expires() {
    let mut job = running();
    commit(&mut job, 0, 1100);
    assert_eq!(next(&view(&job, 1411)), RequesterStep::Submit(vec![Event::Expired]));
    (1..3).for_each(|index| commit(&mut job, index, 1100));
    reveal(&mut job, 0, 1100);
    assert_eq!(next(&view(&job, 1161)), RequesterStep::Submit(vec![Event::Expired]));
}

#[test]
fn an_inconclusive_job_is_followed_up_once_if_the_deal_asks() {
    let differing = |index: u8| Opening { result_hash: Digest::new([index; 32]), ..opening(index) };
    for limit in [0, 5] {
        let mut job = open(Deal { escalation_limit: limit, ..deal() });
        (0..3).for_each(|index| bid(&mut job, index, 1000));
        (0..3).for_each(|index| accept(&mut job, index, 1000));
        for (seat, index) in (0..3).enumerate() {
            let seat = u8::try_from(seat).unwrap();
            let commitment = differing(index).commitment(job.domain, job.id, seat, node(index));
            then(&mut job, node(index), 1001, Event::Committed { commitment }).unwrap();
        }
        for index in 0..3 {
            then(&mut job, node(index), 1001, Event::Revealed { seat: index, opening: differing(index) })
                .unwrap();
        }
        let accepted = crate::domain::SeatSet::EMPTY;
        then(&mut job, REQUESTER, 1001, Event::VerdictPosted { openings: vec![], accepted }).unwrap();
        assert_eq!(job.state, JobState::Inconclusive);
        let followed_up = RequesterView { followed_up: true, ..view(&job, 1002) };
        assert_eq!(next(&followed_up), RequesterStep::Done);
        match next(&view(&job, 1002)) {
            RequesterStep::Escalate(deal) => {
                assert_eq!((deal.concurrency, deal.parent, limit), (5, Some(job.id), 5));
            }
            step => assert_eq!((step, limit), (RequesterStep::Done, 0)),
        }
    }
}

/// A job of one seat that this node chose for a trusted node, with an audit.
fn for_trusted() -> Job {
    let audit = Some(crate::domain::Audit::requested(100, 2));
    open(Deal { concurrency: 1, confidence: 1, audit, ..deal() })
}

#[test]
fn only_a_trusted_node_runs_a_job_alone() {
    let trusts = |id: NodeId| {
        let level = if id == node(3) { Level::Trusted } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    };
    let mut job = for_trusted();
    (0..3).for_each(|index| bid(&mut job, index, 1000));
    let auto =
        |job: &Job, secs| next(&RequesterView { is_auto: true, reputation: &trusts, ..view(job, secs) });
    let declines = (0..3).map(|index| Event::BidRejected { node: node(index) }).collect();
    assert_eq!(auto(&job, 1001), RequesterStep::Submit(declines), "trusted ones may bid then");
    assert_eq!(accepted(next(&view(&job, 1001))).len(), 1, "a user's own choice is for any node");
    bid(&mut job, 3, 1001);
    assert_eq!(accepted(auto(&job, 1001)), [node(3)]);
}

#[test]
fn a_job_for_trusted_nodes_is_offered_to_all_once_enough_others_have_waited_long_enough() {
    let auto = |job: &Job, secs| next(&RequesterView { is_auto: true, ..view(job, secs) });
    let mut job = for_trusted();
    bid(&mut job, 0, 1000);
    assert_eq!(auto(&job, 1031), after(1100), "others may still bid");
    bid(&mut job, 1, 1000);
    let few = RequesterView { is_auto: true, members: 2, ..view(&job, 1031) };
    assert_eq!(next(&few), after(1100), "three nodes are needed");
    assert!(has_enough_bids(&job, Purses::FULL), "nodes give no more bids");
    let RequesterStep::Submit(events) = auto(&job, 1031) else { panic!("nothing changes") };
    let [Event::DealUpdated { deal }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((deal.concurrency, deal.confidence, deal.audit), (3, 2, None));
    then(&mut job, REQUESTER, 1031, events[0].clone()).unwrap();
    (0..3).for_each(|index| bid(&mut job, index, 1032));
    assert_eq!(accepted(auto(&job, 1033)).len(), 3);
}

/// Plays a job among so many nodes, which bid in their order while the job wants bids, and the
/// requester acts. Returns the job once it does something other than to decline, and that step.
fn played(
    mut job: Job,
    (nodes, opened_ms): (u8, u64),
    reputation: &dyn Fn(NodeId) -> Standing,
) -> (Job, RequesterStep) {
    loop {
        let mut silent = (0..nodes).filter(|index| !job.bids.contains_key(&node(*index))).collect::<Vec<_>>();
        while !has_enough_bids(&job, Purses::FULL) && !silent.is_empty() {
            bid(&mut job, silent.remove(0), 1001);
        }
        let members = usize::from(nodes);
        let step = next(&RequesterView { is_auto: true, opened_ms, reputation, members, ..view(&job, 1001) });
        let declines = |event: &Event| matches!(event, Event::BidRejected { .. });
        match step {
            RequesterStep::Submit(events) if events.iter().all(declines) => {
                events.into_iter().for_each(|event| then(&mut job, REQUESTER, 1001, event).unwrap());
            }
            step => return (job, step),
        }
    }
}

fn trusting(trusted: [u8; 2]) -> impl Fn(NodeId) -> Standing {
    move |id| {
        let level = if trusted.map(node).contains(&id) { Level::Trusted } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    }
}

#[test]
fn two_trusted_nodes_of_ten_come_to_bid_though_others_were_faster() {
    // Seven of ten have bid when four are left for the second wave beside the first seat.
    for first in 0..10 {
        let (job, step) = played(for_trusted(), (10, 1_000_000), &trusting([first, 9]));
        let declined = job.bids.values().filter(|bid| bid.status == BidStatus::Rejected).count();
        match first {
            0..7 => assert_eq!(accepted(step), [node(first)], "{declined} declined"),
            _ => {
                assert_eq!(step, RequesterStep::Wait(Wake::after(job.open_by).or_at(1_030_000)));
                assert_eq!(declined, 5);
            }
        }
    }
}

#[test]
fn the_circle_comes_to_bid_though_strangers_were_faster() {
    let circle = |id: NodeId| {
        let level = if id < node(20) { Level::Stranger } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    };
    let (job, step) = played(open(deal()), (23, 1_000_800), &circle);
    let mut chosen = accepted(step);
    chosen.sort_unstable();
    assert_eq!(chosen, [20, 21, 22].map(node));
    let declined = job.bids.values().filter(|bid| bid.status == BidStatus::Rejected).count();
    assert!(declined <= 20, "{declined} of 23 declined");
    let (_, step) = played(open(deal()), (20, 1_000_800), &circle);
    assert_eq!(accepted(step).len(), 3, "strangers stay for all seats");
}

#[test]
fn a_job_whose_bidders_were_declined_is_still_offered_to_all() {
    let (mut job, _) = played(for_trusted(), (10, 1_000_000), NEWCOMER);
    let late = RequesterView { is_auto: true, ..view(&job, 1031) };
    let RequesterStep::Submit(events) = next(&late) else { panic!("nothing changes") };
    assert!(matches!(events.as_slice(), [Event::DealUpdated { .. }]), "{events:?}");
    then(&mut job, REQUESTER, 1031, events[0].clone()).unwrap();
    (0..6).for_each(|index| bid(&mut job, index, 1032));
    assert_eq!(accepted(next(&RequesterView { is_auto: true, ..view(&job, 1032) })).len(), 3);
}

#[test]
fn nodes_that_the_deal_admits_are_left_for_a_second_wave() {
    let deal = Deal { allow_list: (0..5).map(node).collect(), ..for_trusted().deal.clone() };
    let mut job = open(deal);
    (0..2).for_each(|index| bid(&mut job, index, 1000));
    let step = next(&RequesterView { is_auto: true, ..view(&job, 1001) });
    assert_eq!(step, RequesterStep::Wait(Wake::after(job.open_by).or_at(1_030_000)), "five of ten may bid");
}

#[test]
fn on_a_slow_chain_no_bid_is_declined_for_want_of_trusted_ones() {
    let mut job = for_trusted();
    (0..2).for_each(|index| bid(&mut job, index, 1000));
    let slow = RequesterView { is_auto: true, pace: Pace::MAINNET, ..view(&job, 1001) };
    assert_eq!(next(&slow), RequesterStep::Wait(Wake::after(job.open_by).or_at(1_060_000)));
}

#[test]
fn banned_bidders_do_not_keep_others_from_bidding() {
    let bans = |id: NodeId| {
        let level = if id < node(6) { Level::Banned } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    };
    let mut job = open(deal());
    (0..6).for_each(|index| bid(&mut job, index, 1000));
    let slow = RequesterView { reputation: &bans, pace: Pace::MAINNET, ..view(&job, 1001) };
    let RequesterStep::Submit(events) = next(&slow) else { panic!("the job is stuck") };
    assert_eq!(events.len(), 6);
    events.into_iter().for_each(|event| then(&mut job, REQUESTER, 1001, event).unwrap());
    assert!(!has_enough_bids(&job, Purses::FULL));
}

#[test]
fn a_banned_node_gets_no_seat() {
    let bans = |id: NodeId| {
        let level = if id == node(0) { Level::Banned } else { Level::Untrusted };
        Standing { level, ..Standing::default() }
    };
    let mut job = open(deal());
    (0..3).for_each(|index| bid(&mut job, index, 1000));
    let step = |job: &Job| next(&RequesterView { reputation: &bans, ..view(job, 1001) });
    assert_eq!(step(&job), after(1100));
    bid(&mut job, 3, 1001);
    let chosen = accepted(step(&job));
    assert!(chosen.len() == 3 && !chosen.contains(&node(0)), "{chosen:?}");
}

#[test]
fn a_view_does_not_print_its_secret() {
    let job = open(deal());
    let secret = Digest::new([0xab; 32]);
    let text = format!("{:?}", RequesterView { secret, ..view(&job, 1000) });
    assert!(!text.contains(&secret.to_string()), "{text}");
}
