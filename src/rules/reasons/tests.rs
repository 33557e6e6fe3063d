//! A copied commitment is told apart from one that was never opened.

use super::*;
use crate::{
    domain::{Amount, Deal, Event, Facts, JobState, LogDomain, NodeId, Spec, Stamped, Timestamp},
    rules::{open, transition},
    verdict::Rule,
};

const REQUESTER: NodeId = NodeId::new([0xee; 20]);

fn node(index: u8) -> NodeId {
    NodeId::new([index; 20])
}

fn opening(index: u8) -> Opening {
    Opening::sample(index)
}

/// Five seats: two runs with one output, a copy of the first, one that was not opened, one that never came.
fn decided() -> Job {
    let (domain, deal, spec) =
        (LogDomain::default(), Deal { concurrency: 5, ..Deal::default() }, Spec::sample().to_document());
    let id = domain.job_id(REQUESTER, 0, Spec::hash_document(&spec), deal.revision());
    let stamped = |author, at, event| Stamped {
        job: id,
        author,
        at: Timestamp::from_secs(at),
        revision: deal.revision(),
        facts: Facts::MONEYLESS,
        event,
    };
    let submitted = Event::Submitted { deal: deal.clone(), spec, nonce: 0 };
    let mut job = open(domain, None, &stamped(REQUESTER, 1000, submitted)).unwrap();
    let mut then = |author, at, event| job = transition(&job, &stamped(author, at, event)).unwrap();
    (0..5).for_each(|index| then(node(index), 1001, Event::BidPlaced { price: Amount::ZERO }));
    (0..5).for_each(|index| then(REQUESTER, 1002, Event::BidAccepted { node: node(index) }));
    let commitment = |index| opening(index).commitment(domain, id, index, node(index));
    for (index, commitment) in
        [(0, commitment(0)), (1, commitment(1)), (2, commitment(0)), (3, commitment(9))]
    {
        then(node(index), 1003, Event::Committed { commitment });
    }
    let late = 1002 + u64::from(deal.run.as_secs()) + 1;
    (0..2)
        .for_each(|index| then(node(index), late, Event::Revealed { seat: index, opening: opening(index) }));
    job
}

#[test]
fn a_seat_that_sent_the_commitment_of_another_is_named_a_copy_of_it() {
    let job = decided();
    assert_eq!(job.state_at(job.seats_changed_at).0, JobState::Revealing);
    let reasons = reasons_of(&job);
    assert_eq!(
        reasons[2..],
        [SeatReason::Copied { of: 0 }, SeatReason::NotRevealed, SeatReason::NotCommitted]
    );
    let SeatReason::Compared(reason) = reasons[0] else { panic!("{reasons:?}") };
    assert_eq!((reason.alike, reason.rule), (2, Rule::Ball), "two of five are no majority");
}
