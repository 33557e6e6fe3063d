//! Parties that say one thing to some and another to others, that say it again, or that are gone.

use assay::{domain::Opening, store::EndedJob};

use super::*;

/// What a member's backend says to something that `author` signed, as told by `from`.
fn told(to: &Member, from: &Member, action: &SignedAction) -> Vec<u8> {
    to.scheduler.answer(from.id(), &[[2].as_slice(), &encode_action(action)].concat())
}

fn bid(node: &Member, job: JobId, seen: Digest, price: u128) -> SignedAction {
    signed(node, job, 0, seen, Event::BidPlaced { price: Amount::new(price).unwrap() })
}

async fn committed(node: &Member, job: JobId, seat: u8, opening: &Opening) -> SignedAction {
    let (known, seen) = when(node, job, |_| true).await;
    let commitment = opening.commitment(known.domain, job, seat, node.id());
    signed(node, job, 1, seen, Event::Committed { commitment })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_beside_the_chain_counts_from_its_author_alone_and_once() {
    let town = Town::start().await;
    let [first, second, _] = &town.nodes[..] else { panic!("three nodes") };
    let (job, submitted) = town.offer();
    let (_, seen) = when(first, job, |_| true).await;
    let own = bid(first, job, seen, PRICE);
    assert_eq!(told(&town.requester, second, &own), REFUSED, "nobody brings another's bid");
    assert_eq!(told(second, first, &own), REFUSED, "a bid is for the requester");
    assert_eq!(told(&town.requester, first, &own), TAKEN);
    assert_eq!(told(&town.requester, first, &bid(first, job, seen, 1)), REFUSED, "a second bid");
    town.fill(job, submitted).await;

    let submission = town.requester.submission(&deal(), 0);
    assert_eq!(offered(first, &town.requester, &submission, 60).await, REFUSED, "the job is there already");
    let other = committed(second, job, 1, &opening(1, &[])).await;
    assert_eq!(told(first, &town.requester, &other), REFUSED, "a requester shows nobody other commitments");
    let early = Event::Revealed { seat: 1, opening: opening(1, &[]) };
    let early = signed(second, job, 2, seen, early);
    for party in [&town.requester, first] {
        assert_eq!(told(party, second, &early), LATER, "no opening is gathered while a seat may commit");
    }
    assert_eq!(town.transactions(job).await, 1, "nothing but the submission");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_signs_two_commitments_is_held_to_the_one_that_is_on_the_chain() {
    let town = Town::start().await;
    let job = town.run().await;
    let liar = &town.nodes[0];
    let other = Opening { exit_code: 1, ..opening(0, &[]) };
    let (one, two) = (committed(liar, job, 0, &opening(0, &[])).await, committed(liar, job, 0, &other).await);
    assert_eq!(told(&town.requester, liar, &one), TAKEN);
    for seat in &town.nodes[1..] {
        assert_eq!(told(seat, liar, &two), TAKEN);
    }
    for seat in 1..3 {
        let committed = town.commit(seat, job).await;
        assert!(is_under_way(&committed) || committed.is_ok(), "{committed:?}");
    }
    let (_, seen) = when(liar, job, |job| job.state == JobState::Revealing).await;
    // Its node has done one thing by now: what the requester brought.
    let opens = |opening| signed(liar, job, 2, seen, Event::Revealed { seat: 0, opening });
    assert_eq!(
        liar.scheduler.submit(opens(other)).await,
        Err(SubmitError::Rejected(Rejection::BadOpening)),
        "the other one opens nothing"
    );
    for seat in 0..3 {
        let opened = town.open(seat, job).await;
        assert!(is_under_way(&opened), "{opened:?}");
    }
    when(&town.requester, job, |job| job.state == JobState::Verified).await;
    assert_eq!(town.transactions(job).await, 3);
    assert_eq!(town.free().await, [FEE, BOND + PRICE, BOND + PRICE, BOND + PRICE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_requester_from_the_commitments_on_the_seats_post_the_verdict() {
    let town = Town::start().await;
    let job = town.run().await;
    for seat in 0..3 {
        let committed = town.commit(seat, job).await;
        assert!(is_under_way(&committed) || committed.is_ok(), "{committed:?}");
    }
    when(&town.requester, job, |job| job.state == JobState::Revealing).await;
    town.leave(&town.requester);
    for seat in 0..3 {
        town.open(seat, job).await.unwrap_err();
    }
    when(&town.requester, job, |job| job.state == JobState::Verified).await;
    assert_eq!(town.transactions(job).await, 3);
    assert_eq!(town.free().await, [0, BOND + PRICE + FEE, BOND + PRICE, BOND + PRICE], "the first seat was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_of_a_job_that_ended_revives_it_neither_in_memory_nor_on_the_disk() {
    let town = Town::start().await;
    let (node, requester) = (&town.nodes[0], &town.requester);
    // Submitted plainly, as no offer reaches anybody.
    town.nodes.iter().for_each(|node| town.leave(node));
    let submission = requester.submission(&town.deal, 0);
    let job = submission.action.job;
    requester.scheduler.submit(submission.clone()).await.unwrap();
    requester.act(job, town.deal.revision(), Event::Cancelled).await;
    let (over, _) = when(node, job, |job| job.state == JobState::Cancelled).await;
    assert_eq!(offered(node, requester, &submission, 60).await, REFUSED);
    let row = EndedJob {
        job,
        height: 2,
        requester: over.requester,
        parent: None,
        state: over.state.name().to_owned(),
        submitted_at: over.submitted_at,
        ended_at: over.ended_at,
        member_of: None,
        is_honest: true,
        summary: Vec::new(),
    };
    assert_eq!(node.scheduler.retire(vec![row]).await.unwrap(), [job]);
    assert_eq!(offered(node, requester, &submission, 60).await, REFUSED, "it left memory");
}
