//! Why a node has a seat in a job or none: the path of its bid, as far as others can see it.
//!
//! The log says who bid and who was chosen. What a node that did not bid says of itself tells why not. Nobody vouches for that, so
//! only hints follow from it.

use serde::{Deserialize, Serialize};

use super::{Purses, admission::Declined, compute::has_enough_bids, requester::Standing, trust::Level};
use crate::domain::{BidStatus, Exceeded, FailureKind, Job, JobState, NodeId, Offer, SeatStatus, Timestamp};

/// What is known of a node and a job.
#[derive(Debug, Clone, Copy)]
pub struct OutlookView<'a> {
    /// The job according to the log.
    pub job: &'a Job,
    /// The time.
    pub now: Timestamp,
    /// The node.
    pub node: NodeId,
    /// Whether it is online, as far as this node knows.
    pub is_known: bool,
    /// What it says that it takes on.
    pub offer: Option<&'a Offer>,
    /// What the job's requester remembers of it; `None` for the job of another requester.
    pub standing: Option<Standing>,
    /// What each bidder has.
    pub purses: Purses<'a>,
    /// Why its operator keeps it from bidding; empty for other nodes, of which this one does not know.
    pub declined: &'a [Declined],
    /// Why it could not run the job when it last looked; `None` for other nodes, of which this one does not know.
    pub found: Option<&'a str>,
}

/// Where a node is on the way to a seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "node", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// It has a seat.
    Seated,
    /// It had a seat, and reported that its run gave no result.
    Failed {
        /// Why.
        kind: FailureKind,
    },
    /// Its bid stands, and waits for the bids of others or for a seat that becomes free.
    Waits,
    /// Its bid stands, but counts for nothing: it lacks the money for its bond.
    Unfunded,
    /// Its bid stands, but goes after all others: too many of its results were bad.
    GoesLast,
    /// Its bid stands, but the requester has banned it.
    Banned,
    /// It took its bid back: it has no room now.
    Withdrew,
    /// The requester declined its bid.
    Declined,
    /// Its bid could not be taken: it could not lock the bond, or another rule was against it.
    Skipped,
    /// The deal does not admit it.
    NotAllowed,
    /// The job asks for more than it says that it gives.
    Refuses {
        /// What the job asks too much of.
        exceeded: Vec<Exceeded>,
    },
    /// It runs another platform than the job needs.
    OtherPlatform {
        /// The node's, such as `linux/arm64`.
        platform: String,
    },
    /// It is not connected.
    Away,
    /// Its operator keeps it from bidding. Only the node itself knows.
    Declines {
        /// Why.
        reasons: Vec<Declined>,
    },
    /// It looked, and cannot run the job now. Only the node itself knows.
    CannotRun {
        /// Why.
        reason: String,
    },
    /// It says nothing of what it takes on; nodes that only submit jobs do not.
    Silent,
    /// It has not bid because enough others have.
    NotNeeded,
    /// It takes such jobs by what it says, but has not bid: its slots are busy, the price is too low, it cannot get an input or
    /// the image, or the image or the requester is against it.
    NoBid,
    /// It has not bid, and the job takes no bids any more.
    TooLate,
}

/// Where a node is on the way to a seat in a job.
pub fn outlook(view: &OutlookView<'_>) -> Outlook {
    let job = view.job;
    if let Some(seat) = job.seat_of(view.node) {
        return match job.seats[usize::from(seat)].status {
            SeatStatus::Failed(kind) => Outlook::Failed { kind },
            SeatStatus::Accepted | SeatStatus::Committed(_) | SeatStatus::Revealed(_) => Outlook::Seated,
        };
    }
    match job.bids.get(&view.node).filter(|bid| bid.epoch == job.epoch).map(|bid| bid.status) {
        Some(BidStatus::Standing) => with_bid(view),
        Some(BidStatus::Withdrawn) => Outlook::Withdrew,
        Some(BidStatus::Rejected) => Outlook::Declined,
        Some(BidStatus::Skipped) => Outlook::Skipped,
        // Its seat went to another node after a failure.
        Some(BidStatus::Seated(_)) => Outlook::TooLate,
        None => without_bid(view),
    }
}

/// A standing bid, as its requester weighs it.
fn with_bid(view: &OutlookView<'_>) -> Outlook {
    if view.purses.back(view.job, view.node) == Some(false) {
        return Outlook::Unfunded;
    }
    match view.standing {
        Some(Standing { level: Level::Banned, .. }) => Outlook::Banned,
        Some(standing) if standing.is_below_floor() => Outlook::GoesLast,
        Some(_) | None => Outlook::Waits,
    }
}

fn without_bid(view: &OutlookView<'_>) -> Outlook {
    let (job, deal) = (view.job, &view.job.deal);
    let takes_bids = match job.state_at(view.now).0 {
        JobState::Open => view.now <= job.open_by,
        JobState::Running => view.now <= job.refill_by() && !job.refillable().is_empty(),
        JobState::Revealing
        | JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => false,
    };
    if !deal.allow_list.is_empty() && deal.allow_list.binary_search(&view.node).is_err() {
        return Outlook::NotAllowed;
    }
    let Some(offer) = view.offer else {
        return if view.is_known { Outlook::Silent } else { Outlook::Away };
    };
    if !offer.is_for(job.spec.platform.as_deref()) {
        return Outlook::OtherPlatform { platform: offer.platform.clone() };
    }
    let exceeded: Vec<Exceeded> = offer.exceeded(&job.spec.resources, deal).collect();
    if !exceeded.is_empty() {
        return Outlook::Refuses { exceeded };
    }
    if !takes_bids {
        return Outlook::TooLate;
    }
    if !view.declined.is_empty() {
        return Outlook::Declines { reasons: view.declined.to_vec() };
    }
    if let Some(reason) = view.found {
        return Outlook::CannotRun { reason: reason.to_owned() };
    }
    if has_enough_bids(job, view.purses) { Outlook::NotNeeded } else { Outlook::NoBid }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Amount, Deal, Event, Limit, Resources, Span, Spec, Tally},
        policy::fixture::{REQUESTER, at, deal, node, open, open_spec, then},
    };

    fn offer() -> Offer {
        Offer {
            slots: 1,
            platform: "linux/amd64".to_owned(),
            resources: Resources { memory_bytes: 4 << 30, ..Resources::default() },
            timeout: Span::from_secs(3600),
            run: Span::from_secs(7200),
            shortest_reveal: Span::default(),
            reveal: Span::from_secs(600),
            bond: Amount::MAX,
            price: Amount::ZERO,
        }
    }

    fn after(job: &Job, author: NodeId, secs: u64, event: Event) -> Job {
        let mut job = job.clone();
        then(&mut job, author, secs, event).unwrap();
        job
    }

    fn of(job: &Job, offer: Option<&Offer>, standing: Option<Standing>) -> Outlook {
        outlook(&OutlookView {
            job,
            now: at(1001),
            node: node(1),
            is_known: true,
            offer,
            standing,
            purses: Purses::FULL,
            declined: &[],
            found: None,
        })
    }

    #[test]
    fn a_node_without_a_bid_is_explained_by_the_deal_and_by_what_it_says_of_itself() {
        let job = open(deal());
        assert_eq!(of(&job, Some(&offer()), None), Outlook::NoBid);
        assert_eq!(of(&job, None, None), Outlook::Silent);
        let away = OutlookView {
            job: &job,
            now: at(1001),
            node: node(1),
            is_known: false,
            offer: None,
            standing: None,
            purses: Purses::FULL,
            declined: &[],
            found: None,
        };
        assert_eq!(outlook(&away), Outlook::Away);
        let others = open(Deal { allow_list: vec![node(2)], ..deal() });
        assert_eq!(of(&others, Some(&offer()), None), Outlook::NotAllowed);
        let small = Offer { resources: Resources { memory_bytes: 1, ..Resources::default() }, ..offer() };
        let Outlook::Refuses { exceeded } = of(&job, Some(&small), None) else { panic!("it gives one byte") };
        assert_eq!(exceeded.iter().map(|exceeded| exceeded.limit).collect::<Vec<_>>(), [Limit::Memory]);
        let arm = Spec { platform: Some("linux/arm64".to_owned()), ..Spec::sample() };
        let elsewhere = open_spec(&arm, REQUESTER, 0, 1000, deal());
        let platform = "linux/amd64".to_owned();
        assert_eq!(of(&elsewhere, Some(&offer()), None), Outlook::OtherPlatform { platform });
        let reasons = [Declined::Paused, Declined::Image];
        let kept = OutlookView { offer: Some(&offer()), is_known: true, declined: &reasons, ..away };
        assert_eq!(outlook(&kept), Outlook::Declines { reasons: reasons.to_vec() });
        let lacks = OutlookView { offer: Some(&offer()), is_known: true, found: Some("answers 404"), ..away };
        assert_eq!(outlook(&lacks), Outlook::CannotRun { reason: "answers 404".to_owned() });
        let late = OutlookView { now: at(1101), offer: Some(&offer()), is_known: true, ..away };
        assert_eq!(outlook(&late), Outlook::TooLate, "bids are over");
    }

    #[test]
    fn a_bid_is_explained_by_its_fate_and_by_what_the_requester_remembers() {
        let bid = Event::BidPlaced { price: Amount::ZERO };
        let job = after(&open(deal()), node(1), 1001, bid.clone());
        assert_eq!(of(&job, Some(&offer()), None), Outlook::Waits);
        let banned = Standing { level: Level::Banned, ..Standing::default() };
        assert_eq!(of(&job, Some(&offer()), Some(banned)), Outlook::Banned);
        let bad =
            Standing { tally: Tally { accepted: 1, rejected: 1, ..Tally::default() }, ..Standing::default() };
        assert_eq!(of(&job, Some(&offer()), Some(bad)), Outlook::GoesLast);
        let gone = after(&job, node(1), 1002, Event::BidWithdrawn);
        assert_eq!(of(&gone, Some(&offer()), None), Outlook::Withdrew);
        let declined = after(&job, REQUESTER, 1002, Event::BidRejected { node: node(1) });
        assert_eq!(of(&declined, Some(&offer()), None), Outlook::Declined);
        let seated = after(&job, REQUESTER, 1002, Event::BidAccepted { node: node(1) });
        assert_eq!(of(&seated, Some(&offer()), None), Outlook::Seated);
        let many = (2..=9).fold(open(deal()), |job, index| after(&job, node(index), 1001, bid.clone()));
        assert_eq!(of(&many, Some(&offer()), None), Outlook::NotNeeded);
    }
}
