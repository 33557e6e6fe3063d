//! Properties of every policy in every job: it proposes nothing that the rules refuse at that time, and every
//! wait ends.

use proptest::prelude::*;

use super::{
    ComputeLimits, Moment, Purses, Wake,
    compute::{self, ComputeStep, ComputeView, Execution, LogTrust, RANK_STEP_MS},
    fixture::{REQUESTER, deal, node, open, opening, stamped},
    requester::{self, RequesterStep, RequesterView, Standing},
    verifier::{self, FALLBACK_STEP_MS, VerifierStep, VerifierView},
};
use crate::{
    domain::{
        Acceptance, Amount, Ask, Deal, Digest, Event, Facts, FailureKind, Job, JobState, NodeId, Opening,
        Pace, Span, Tally,
    },
    rules,
};

/// Somebody's attempt to change a job, `wait` seconds after the one before.
#[derive(Debug, Clone, Copy)]
struct Try {
    what: u8,
    who: u8,
    wait: u8,
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let one = (0..24_u8, 0..6_u8, prop_oneof![8 => Just(0_u8), 4 => 1..20_u8, 1 => any::<u8>()]);
    proptest::collection::vec(one.prop_map(|(what, who, wait)| Try { what, who, wait }), 0..60)
}

fn deals() -> impl Strategy<Value = Deal> {
    let terms = (1..4_u8, 1..4_u8, any::<bool>(), any::<bool>(), prop_oneof![Just(0_u8), Just(7)]);
    terms.prop_map(|(n, m, first_come, deterministic, escalation_limit)| Deal {
        concurrency: n,
        confidence: m.min(n),
        acceptance: if first_come { Acceptance::FirstCome } else { Acceptance::Requester },
        deterministic,
        escalation_limit,
        ..deal()
    })
}

/// Nodes 4 and 5 lie, each in its own way.
fn result(who: u8) -> Opening {
    let lie = Digest::new([who; 32]);
    Opening { result_hash: if who < 4 { opening(who).result_hash } else { lie }, ..opening(who) }
}

fn event(job: &Job, Try { what, who, .. }: Try) -> (NodeId, Event) {
    let (me, bidder) = (node(who), node(who));
    match what {
        0..6 => (me, Event::BidPlaced { price: Amount::ZERO }),
        6..11 => (REQUESTER, Event::BidAccepted { node: bidder }),
        11 => (me, Event::BidWithdrawn),
        12 => (REQUESTER, Event::BidRejected { node: bidder }),
        13 => {
            (REQUESTER, Event::DealUpdated { deal: Deal { tolerance_kib: who.into(), ..job.deal.clone() } })
        }
        14 => (me, Event::FailureReported { kind: FailureKind::Memory }),
        15..19 => {
            let seat = job.seat_of(me).unwrap_or_default();
            let commitment = result(who).commitment(job.domain, job.id, seat, me);
            (me, Event::Committed { commitment })
        }
        19..22 => {
            let seat = job.seat_of(me).unwrap_or_default();
            (me, Event::Revealed { seat, opening: result(who) })
        }
        22 => (REQUESTER, Event::Ticked),
        _ => (REQUESTER, Event::Remarked { node: bidder, remark: String::new() }),
    }
}

/// Asserts that the log takes `events` of `author` at `now`, one after the other.
fn assert_allowed(job: &Job, author: NodeId, now: u64, events: &[Event]) {
    events.iter().fold(job.clone(), |job, event| {
        rules::transition(&job, &stamped(&job, author, now, event.clone()))
            .unwrap_or_else(|rejection| panic!("{event:?} at {now}: {rejection:?} in {job:?}"))
    });
}

fn assert_ends(job: &Job, moment: Moment, wake: Wake) {
    let Wake { deadline, elapsed_ms } = wake;
    assert!(deadline.is_none_or(|deadline| deadline >= moment.now), "{wake:?} is over in {job:?}");
    assert!(elapsed_ms.is_none_or(|at| at > moment.elapsed_ms), "{wake:?} is over in {job:?}");
    // Past the deadline of reveals, time no longer decides who ends the job.
    let (state, reveal_by) = job.state_at(moment.now);
    let bounded = deadline.is_some() || elapsed_ms.is_some();
    assert!(bounded || (state == JobState::Revealing && moment.now > reveal_by), "{job:?} waits for ever");
}

/// Places in the order of bidders; a step is 2N ranks wide, N at most 3.
const RANKS: [usize; 5] = [0, 1, 5, 13, 500];

fn ask_compute(job: &Job, who: u8, moment: Moment, now: u64) {
    let willing = ComputeLimits {
        max_bond: Amount::MAX,
        ask: Ask::ALL,
        max_resources: job.spec.resources,
        max_timeout: Span::from_secs(u32::MAX),
        max_run: Span::from_secs(u32::MAX),
        min_reveal: Span::from_secs(0),
        max_reveal: Span::from_secs(u32::MAX),
        min_price: Amount::ZERO,
    };
    let result = result(who);
    let runs = [
        Execution::None,
        Execution::Running,
        Execution::Finished(&result),
        Execution::Failed(FailureKind::Disk),
    ];
    let trust = |clock_agrees, suspended| LogTrust::Requester { clock_agrees, suspended };
    let logs = [LogTrust::Neutral, trust(true, false), trust(false, false), trust(true, true)];
    let (me, facts) = (node(who), Facts::MONEYLESS);
    let view = ComputeView {
        me,
        job,
        moment,
        heard_ms: 0,
        rank: 0,
        limits: &willing,
        can_run: true,
        facts,
        sisters: &[],
        purses: Purses::FULL,
        pace: Pace::QUICK,
        execution: runs[0],
        log: logs[0],
        knows_requester: false,
    };
    for (execution, log) in runs.iter().flat_map(|run| logs.map(|log| (*run, log))) {
        for can_run in [true, false] {
            match compute::next(&ComputeView { execution, log, can_run, ..view }) {
                ComputeStep::Wait(wake) => assert_ends(job, moment, wake),
                ComputeStep::Submit(event) => {
                    assert_ne!(log, logs[3], "a suspended node submits {event:?}");
                    let bids = matches!(event, Event::BidPlaced { .. });
                    assert!(can_run || !bids, "a node bids for what it cannot run");
                    assert_allowed(job, me, now, &[event]);
                }
                ComputeStep::Run => {
                    assert_eq!(job.state, JobState::Running);
                    assert!(job.seat_of(me).is_some(), "{job:?}");
                }
                ComputeStep::Done => {}
            }
        }
    }
    for heard_ms in [0, moment.elapsed_ms.saturating_sub(150), moment.elapsed_ms] {
        assert_turns(&ComputeView { heard_ms, ..view });
    }
}

/// A node bids exactly when its turn has come, by its rank and by when it heard of the job.
fn assert_turns(first: &ComputeView<'_>) {
    let ComputeView { job, moment, heard_ms, .. } = *first;
    let is_bid = |step: &ComputeStep| matches!(step, ComputeStep::Submit(Event::BidPlaced { .. }));
    let bids = compute::next(&ComputeView { heard_ms: 0, rank: 0, ..*first });
    for rank in RANKS {
        let step = compute::next(&ComputeView { rank, ..*first });
        let groups = u64::try_from(rank / job.wanted_bids()).unwrap();
        let turn_ms = heard_ms + groups * RANK_STEP_MS;
        if !is_bid(&bids) {
            assert_eq!(step, bids, "a rank decides nothing but when to bid");
        } else if moment.elapsed_ms >= turn_ms {
            assert_eq!(step, bids, "the turn of rank {rank} has come");
        } else {
            let ComputeStep::Wait(wake) = step else { panic!("rank {rank} does not wait: {step:?}") };
            assert_eq!(wake.elapsed_ms, Some(turn_ms));
            assert_ends(job, moment, wake);
        }
    }
}

fn ask_requester(job: &Job, moment: Moment, now: u64) {
    let tally = |id: NodeId| Tally { failed: u32::from(id == node(0)), ..Tally::default() };
    let reputation = |id: NodeId| Standing { tally: tally(id), ..Standing::default() };
    let windows = [1_000_000, moment.elapsed_ms];
    let cases = windows.iter().flat_map(|opened_ms| [0, 2, 6].map(|members| (*opened_ms, members)));
    let cases = cases.flat_map(|case| [false, true].map(|orders_log| (case, orders_log)));
    let cases = cases.flat_map(|case| [false, true].map(|followed_up| (case, followed_up)));
    for ((((opened_ms, members), orders_log), followed_up), is_auto) in
        cases.flat_map(|case| [false, true].map(|is_auto| (case, is_auto)))
    {
        let view = RequesterView {
            job,
            moment,
            opened_ms,
            pace: Pace::QUICK,
            reputation: &reputation,
            purses: Purses::FULL,
            secret: Digest::new([members; 32]),
            members: members.into(),
            orders_log,
            followed_up,
            is_auto,
        };
        match requester::next(&view) {
            RequesterStep::Wait(wake) => assert_ends(job, moment, wake),
            RequesterStep::Submit(events) => {
                assert!(!events.is_empty(), "{job:?}");
                assert_allowed(job, REQUESTER, now, &events);
            }
            RequesterStep::Escalate(deal) => {
                assert!(!followed_up);
                assert_eq!((deal.validate(), deal.parent), (Ok(()), Some(job.id)));
            }
            RequesterStep::Done => assert!(job.state.is_terminal(), "{job:?}"),
        }
    }
}

fn ask_verifier(job: &Job, moment: Moment, now: u64) {
    let waited = [0, FALLBACK_STEP_MS - 1, FALLBACK_STEP_MS, 3 * FALLBACK_STEP_MS];
    for (rank, waited_ms) in RANKS.iter().flat_map(|rank| waited.map(|waited_ms| (*rank, waited_ms))) {
        let due_since_ms = moment.elapsed_ms - waited_ms;
        let turn_ms = (u64::try_from(rank).unwrap() + 1) * FALLBACK_STEP_MS;
        for in_charge in [false, true] {
            let view = VerifierView { job, moment, rank, in_charge, due_since_ms };
            match verifier::next(&view) {
                VerifierStep::Wait(wake) => {
                    assert_ends(job, moment, wake);
                    let is_turn = in_charge || waited_ms >= turn_ms;
                    assert!(!(is_turn && verifier::is_due(job, moment.now)), "{rank} misses its turn");
                }
                VerifierStep::Submit(event) => {
                    assert!(in_charge || waited_ms >= turn_ms, "{rank} goes before its turn");
                    assert_allowed(job, node(9), now, &[event]);
                }
                VerifierStep::Done => assert!(job.state.is_terminal(), "{job:?}"),
            }
        }
    }
    assert_eq!(job.is_overdue(moment.now), {
        let expiry = stamped(job, node(9), now, Event::Expired);
        rules::transition(job, &expiry).is_ok()
    });
}

proptest! {
    #[test]
    fn no_policy_submits_what_the_rules_refuse(deal in deals(), tries in tries()) {
        let (mut job, mut now) = (open(deal), 1000);
        for step in tries {
            now += u64::from(step.wait);
            let (author, event) = event(&job, step);
            if let Ok(next) = rules::transition(&job, &stamped(&job, author, now, event)) {
                job = next;
            }
            let moment = super::fixture::moment(now);
            (0..6).for_each(|who| ask_compute(&job, who, moment, now));
            ask_requester(&job, moment, now);
            ask_verifier(&job, moment, now);
        }
    }
}
