//! The cases. A backend has no tests of the rules of its own: they stand here.
#![expect(missing_docs, reason = "the name of a case says what it asserts")]

use crate::{
    domain::{
        Amount, BidStatus, Deal, Digest, Event, FailureKind, JobState, SeatOpening, SeatSet, SeatStatus,
        Signature, SignedAction, Span,
    },
    rules::Rejection,
    scheduler::{Cursor, EnvelopeRefusal, EventStream, LogUpdate, SubmitError, entries},
    store::EndedJob,
};
use futures::StreamExt;

use super::world::{self, REQUESTER, STRANGER, World, opening};

fn bid() -> Event {
    Event::BidPlaced { price: Amount::ZERO }
}

fn verdict(openings: &[u8], accepted: u32) -> Event {
    let openings = openings.iter().map(|seat| SeatOpening { seat: *seat, opening: opening(*seat) }).collect();
    Event::VerdictPosted { openings, accepted: SeatSet::from_bits(accepted) }
}

pub async fn a_job_runs_from_submission_to_verdict(mut world: World) {
    world.run(Deal::default()).await;
    assert_eq!(world.job().state, JobState::Running);
    world.commit_all().await;
    assert_eq!(world.job().state, JobState::Revealing);
    // Whoever has an opening may carry it.
    for (seat, carrier) in [(0, 1), (1, REQUESTER), (2, 1)] {
        world.act(carrier, Event::Revealed { seat, opening: opening(seat) }).await;
    }
    world.refused(2, verdict(&[], 0b111), Rejection::VerdictMismatch).await;
    world.act(2, verdict(&[], 0b011)).await;
    assert_eq!(world.job().state, JobState::Verified);
    for node in 1..=3 {
        assert_eq!(world.job_of(node), world.job(), "every follower folds the same job");
    }
    world.refused(1, Event::Expired, Rejection::WrongState).await;
}

pub async fn openings_may_come_with_the_verdict(mut world: World) {
    world.run(Deal::default()).await;
    world.commit_all().await;
    world.act(1, Event::Revealed { seat: 0, opening: opening(0) }).await;
    world.openings_refused(REQUESTER, verdict(&[1], 0b011), Rejection::OpeningsMissing).await;
    world.openings_refused(REQUESTER, verdict(&[2, 1], 0b011), Rejection::OpeningsOutOfOrder).await;
    if !world.takes_openings_with_the_verdict() {
        for seat in 1..3 {
            world.act(usize::from(seat) + 1, Event::Revealed { seat, opening: opening(seat) }).await;
        }
    }
    world.act(REQUESTER, verdict(&[0, 1, 2], 0b011)).await;
    assert_eq!(world.job().state, JobState::Verified);
}

pub async fn the_same_action_again_has_the_same_place(mut world: World) {
    world.submit(Deal::default()).await;
    let action = world.sign(1, bid());
    let first = world.send(1, action.clone()).await.expect("a bid is taken");
    world.parties[REQUESTER].read_one().await;
    assert_eq!(world.send(1, action.clone()).await, Ok(first));
    world.act(2, bid()).await;
    assert_eq!(world.send(1, action).await, Ok(first));
    assert_eq!(world.job().bids.len(), 2);
}

pub async fn envelopes_are_checked_before_the_rules(mut world: World) {
    world.submit(Deal::default()).await;
    let good = world.sign(1, bid());
    let skipped = world.resign(1, crate::domain::Action { sequence: 7, ..good.action.clone() });
    let wrong = SubmitError::Refused(EnvelopeRefusal::WrongSequence { expected: 0 });
    assert_eq!(world.send(1, skipped).await, Err(wrong));
    let forged = SignedAction { signature: Signature::new([0; 65]), action: good.action };
    assert_eq!(world.send(1, forged).await, Err(SubmitError::Refused(EnvelopeRefusal::BadSignature)));
    assert!(world.job().bids.is_empty());
}

pub async fn only_the_requester_chooses_and_ends(mut world: World) {
    world.submit(Deal::default()).await;
    world.act(1, bid()).await;
    let node = world.id(1);
    for event in [
        Event::BidAccepted { node },
        Event::BidRejected { node },
        Event::Cancelled,
        Event::DealUpdated { deal: Deal::default() },
        Event::Remarked { node, remark: "slow".to_owned() },
    ] {
        world.refused(STRANGER, event, Rejection::NotRequester).await;
    }
    world.act(REQUESTER, Event::Remarked { node, remark: "slow".to_owned() }).await;
    world.act(REQUESTER, Event::BidRejected { node }).await;
    world.refused(REQUESTER, Event::BidAccepted { node }, Rejection::BidNotStanding).await;
    world.act(REQUESTER, Event::Cancelled).await;
    assert_eq!(world.job().state, JobState::Cancelled);
    world.refused(2, bid(), Rejection::WrongState).await;
}

pub async fn an_update_voids_every_earlier_bid(mut world: World) {
    world.submit(Deal::default()).await;
    world.act(1, bid()).await;
    let stale = world.sign(2, bid());
    world.act(REQUESTER, Event::DealUpdated { deal: Deal { tolerance_kib: 7, ..Deal::default() } }).await;
    assert_eq!(world.send(2, stale).await, Err(SubmitError::Rejected(Rejection::WrongRevision)));
    let node = world.id(1);
    world.act(REQUESTER, Event::BidAccepted { node }).await;
    assert_eq!(world.job().bids[&node].status, BidStatus::Skipped);
    world.act(1, bid()).await;
    world.act(REQUESTER, Event::BidAccepted { node }).await;
    assert_eq!(world.job().seats.len(), 1);
    let deal = Deal::default();
    world.refused(REQUESTER, Event::DealUpdated { deal }, Rejection::SeatsTaken).await;
}

pub async fn a_withdrawn_bid_is_passed_over(mut world: World) {
    world.submit(Deal::default()).await;
    world.act(1, bid()).await;
    world.refused(1, bid(), Rejection::AlreadyBid).await;
    world.act(1, Event::BidWithdrawn).await;
    let node = world.id(1);
    world.act(REQUESTER, Event::BidAccepted { node }).await;
    assert_eq!(world.job().bids[&node].status, BidStatus::Skipped);
    assert!(world.job().seats.is_empty());
}

pub async fn a_node_that_took_its_bid_back_may_bid_again(mut world: World) {
    world.submit(Deal::default()).await;
    let node = world.id(1);
    world.act(1, bid()).await;
    world.act(1, Event::BidWithdrawn).await;
    world.refused(1, Event::BidWithdrawn, Rejection::BidNotStanding).await;
    world.act(1, bid()).await;
    assert_eq!(world.job().bids[&node].status, BidStatus::Standing);
    world.refused(1, bid(), Rejection::AlreadyBid).await;
    world.act(1, Event::BidWithdrawn).await;
    world.act(REQUESTER, Event::BidAccepted { node }).await;
    world.act(1, bid()).await;
    world.act(REQUESTER, Event::BidAccepted { node }).await;
    assert_eq!(world.job().seats[0].node, node, "a bid that was passed over is made anew too");
    world.act(2, bid()).await;
    world.act(REQUESTER, Event::BidRejected { node: world.id(2) }).await;
    world.refused(2, bid(), Rejection::AlreadyBid).await;
}

pub async fn a_failed_seat_goes_to_another_node_while_there_is_time(mut world: World) {
    world.submit(Deal::default()).await;
    for node in 1..=4 {
        world.act(node, bid()).await;
    }
    for node in 1..=3 {
        world.act(REQUESTER, Event::BidAccepted { node: world.id(node) }).await;
    }
    world.act(1, Event::FailureReported { kind: FailureKind::Engine }).await;
    world.refused(1, world.commitment(1, 0), Rejection::SeatFailed).await;
    world.act(REQUESTER, Event::BidAccepted { node: world.id(4) }).await;
    assert_eq!(world.job().seat_of(world.id(4)), Some(0));
    world.refused(1, world.commitment(1, 0), Rejection::NotSeatHolder).await;
    world.act(2, Event::FailureReported { kind: FailureKind::Timeout }).await;
    world.wait_until(world.job().refill_by().plus(Span::from_secs(1)));
    let node = world.id(1);
    world.refused(REQUESTER, Event::BidAccepted { node }, Rejection::DeadlinePassed).await;
    world.act(4, world.commitment(4, 0)).await;
    world.act(3, world.commitment(3, 2)).await;
    assert_eq!(world.job().state, JobState::Revealing, "the last seat that could commit has");
}

pub async fn deadlines_end_what_nobody_does(mut world: World) {
    world.run(Deal::default()).await;
    world.refused(STRANGER, Event::Expired, Rejection::DeadlineNotReached).await;
    world.act(1, world.commitment(1, 0)).await;
    world.wait_until(world.job().commit_by.plus(Span::from_secs(1)));
    world.refused(2, world.commitment(2, 1), Rejection::DeadlinePassed).await;
    world.act(STRANGER, Event::Expired).await;
    assert_eq!(world.job().state, JobState::Failed);
}

pub async fn who_ends_a_job_in_anothers_stead_reads_what_follows(mut world: World) {
    world.run(Deal::default()).await;
    world.wait_until(world.job().commit_by.plus(Span::from_secs(1)));
    world.act(STRANGER, Event::Expired).await;
    world.act(REQUESTER, Event::Remarked { node: world.id(1), remark: "slow".to_owned() }).await;
    let told = |who: usize| world.parties[who].read.last().map(|item| item.entry);
    assert_eq!(told(STRANGER), told(REQUESTER), "it has no bid, and hears of the job as bidders do");
}

pub async fn who_does_not_reveal_does_not_stop_a_verdict(mut world: World) {
    world.run(Deal::default()).await;
    world.commit_all().await;
    for seat in 0..2 {
        world.act(usize::from(seat) + 1, Event::Revealed { seat, opening: opening(seat) }).await;
    }
    world.refused(REQUESTER, verdict(&[], 0b011), Rejection::OpeningsMissing).await;
    world.wait_until(world.job().reveal_by.plus(Span::from_secs(1)));
    world.refused(3, Event::Revealed { seat: 2, opening: opening(2) }, Rejection::DeadlinePassed).await;
    world.refused(REQUESTER, Event::Expired, Rejection::VerdictDue).await;
    world.openings_refused(REQUESTER, verdict(&[2], 0b011), Rejection::OpeningTooLate).await;
    world.act(REQUESTER, verdict(&[], 0b011)).await;
    let verdict = world.job().verdict.as_ref().expect("the job has a verdict");
    assert_eq!((verdict.accepted.bits(), verdict.absent.bits()), (0b011, 0b100));
}

pub async fn a_copied_commitment_cannot_be_opened(mut world: World) {
    world.run(Deal::default()).await;
    let copied = world.commitment(1, 0);
    world.act(1, copied.clone()).await;
    world.act(2, world.commitment(2, 1)).await;
    world.act(3, copied).await;
    world.act(1, Event::Revealed { seat: 0, opening: opening(0) }).await;
    world.refused(3, Event::Revealed { seat: 2, opening: opening(0) }, Rejection::BadOpening).await;
    assert!(matches!(world.job().seats[2].status, SeatStatus::Committed(_)));
}

pub async fn a_requester_may_stop_a_running_job(mut world: World) {
    world.run(Deal::default()).await;
    world.refused(1, Event::Stopped, Rejection::NotRequester).await;
    world.act(REQUESTER, Event::Stopped).await;
    assert_eq!(world.job().state, JobState::Cancelled);
    world.refused(1, world.commitment(1, 0), Rejection::WrongState).await;
}

pub async fn readers_get_every_entry_in_order_from_any_cursor(mut world: World) {
    world.run(Deal::default()).await;
    world.commit_all().await;
    let requester = &world.parties[REQUESTER];
    let expected: Vec<Digest> = requester.read.iter().map(|item| item.entry).collect();
    for (skipped, item) in requester.read.iter().enumerate() {
        let after = if skipped == 0 { Cursor(0) } else { requester.read[skipped - 1].cursor };
        let rest = entries(requester.scheduler.events(after)).take(expected.len() - skipped);
        let rest: Vec<Digest> = rest.map(|item| item.expect("the log is whole").entry).collect().await;
        assert_eq!(rest, expected[skipped..], "after {after:?}, before {:?}", item.cursor);
    }
    for node in 1..=3 {
        let of_node: Vec<Digest> = world.parties[node].read.iter().map(|item| item.entry).collect();
        assert_eq!(of_node, expected, "node {node} reads the same entries in the same order");
    }
}

/// Reads to the end of the history: the entries before it.
async fn history(updates: &mut EventStream) -> Vec<Digest> {
    let mut read = Vec::new();
    loop {
        match world::next_update(updates).await {
            LogUpdate::Entry(item) => read.push(item.entry),
            LogUpdate::CaughtUp => return read,
            LogUpdate::Forgotten(job) => panic!("{job} is forgotten though there is room"),
            LogUpdate::Rewound { .. } => panic!("nothing is taken back here"),
        }
    }
}

pub async fn readers_are_told_once_where_the_history_ends(mut world: World) {
    let scheduler = world.parties[REQUESTER].scheduler.clone();
    let mut from_nothing = scheduler.events(Cursor(0));
    assert_eq!(history(&mut from_nothing).await, [], "an empty log has no history");
    world.submit(Deal::default()).await;
    for node in 1..=3 {
        world.act(node, bid()).await;
    }
    let read: Vec<_> = world.parties[REQUESTER].read.iter().map(|item| (item.cursor, item.entry)).collect();
    let expected: Vec<Digest> = read.iter().map(|(_, entry)| *entry).collect();
    let cursors = std::iter::once(Cursor(0)).chain(read.iter().map(|(cursor, _)| *cursor));
    let mut readers: Vec<EventStream> = cursors.map(|after| scheduler.events(after)).collect();
    for (skipped, reader) in readers.iter_mut().enumerate() {
        assert_eq!(history(reader).await, expected[skipped..], "after {skipped} entries");
    }
    let news: Vec<Digest> = {
        for node in 1..=3 {
            world.act(REQUESTER, Event::BidAccepted { node: world.id(node) }).await;
        }
        world.parties[REQUESTER].read[expected.len()..].iter().map(|item| item.entry).collect()
    };
    for reader in &mut readers {
        for entry in &news {
            let update = world::next_update(reader).await;
            assert!(matches!(&update, LogUpdate::Entry(item) if item.entry == *entry), "{update:?}");
        }
    }
    for entry in expected.iter().chain(&news) {
        let update = world::next_update(&mut from_nothing).await;
        assert!(matches!(&update, LogUpdate::Entry(item) if item.entry == *entry), "{update:?}");
    }
}

pub async fn actions_on_an_unknown_job_are_refused(mut world: World) {
    let _unsent = world.submission(Deal::default());
    let unknown = world.unknown_job();
    for who in [1, STRANGER] {
        assert_eq!(world.send(who, world.sign(who, bid())).await, Err(unknown.clone()), "by {who}");
    }
    // Nothing of it is in the log: what is read first is another job.
    world.submit(Deal { tolerance_kib: 9, ..Deal::default() }).await;
    assert_eq!(world.parties[1].read.len(), 1);
}

/// What a store keeps of the job as `who` has read it, were its log so long.
fn row(world: &World, who: usize, height: usize) -> EndedJob {
    let job = world.job_of(who);
    EndedJob {
        job: job.id,
        height: height.try_into().expect("a short log"),
        requester: job.requester,
        parent: None,
        state: job.state.name().to_owned(),
        submitted_at: job.submitted_at,
        ended_at: job.ended_at,
        member_of: None,
        is_honest: false,
        summary: Vec::new(),
    }
}

/// A backend without a disk retires nothing.
pub async fn a_retired_job_is_read_from_the_disk_alone(mut world: World) {
    world.run(Deal::default()).await;
    let scheduler = |world: &World, who: usize| world.parties[who].scheduler.clone();
    let length = world.parties[REQUESTER].read.len();
    let early = scheduler(&world, REQUESTER).retire(vec![row(&world, REQUESTER, length)]).await;
    assert_eq!(early.expect("the store works"), [], "it can still change");
    world.act(REQUESTER, Event::Stopped).await;
    for who in [REQUESTER, 1] {
        let (scheduler, job) = (scheduler(&world, who), world.job);
        let short = scheduler.retire(vec![row(&world, who, length)]).await;
        assert_eq!(short.expect("the store works"), [], "its log goes on");
        let retired = scheduler.retire(vec![row(&world, who, length + 1)]).await.expect("the store works");
        if retired.is_empty() {
            return;
        }
        assert_eq!(retired, [job]);
        let mut reader = scheduler.events(Cursor(0));
        assert_eq!(history(&mut reader).await, [], "party {who} has no live job");
        let stored: Vec<_> =
            scheduler.log_of(job).into_iter().map(|item| item.expect("it is whole")).collect();
        assert_eq!(stored, world.parties[who].read);
    }
    world.refused(1, world.commitment(1, 0), Rejection::WrongState).await;
    world.refused(REQUESTER, Event::Stopped, Rejection::WrongState).await;
    // What may follow an end brings the job back.
    let remark = Event::Remarked { node: world.id(1), remark: "too dear".to_owned() };
    world.act(REQUESTER, remark).await;
    for who in [REQUESTER, 1] {
        let mut reader = scheduler(&world, who).events(Cursor(0));
        let expected: Vec<Digest> = world.parties[who].read.iter().map(|item| item.entry).collect();
        assert_eq!(history(&mut reader).await, expected, "party {who} has the job again");
    }
}
