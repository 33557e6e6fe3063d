use super::*;
use crate::domain::{Signature, Spec};

const REQUESTER: NodeId = NodeId::new([1; 20]);
const NODE: NodeId = NodeId::new([2; 20]);
const NOW: Timestamp = Timestamp::from_secs(1000);
const UNTIL: Timestamp = Timestamp::from_secs(1100);

fn submission(nonce: u64, deal: Deal) -> SignedAction {
    let (spec, revision) = (Spec::sample().to_document(), deal.revision());
    let job = LogDomain::default().job_id(REQUESTER, nonce, Spec::hash_document(&spec), revision);
    let event = Event::Submitted { deal, spec, nonce };
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    SignedAction { action, signature: Signature::new([7; 65]) }
}

fn bid(submitted: &SignedAction, seen: Digest) -> SignedAction {
    let event = Event::BidPlaced { price: Amount::ZERO };
    let action = Action { seen, event, ..submitted.action.clone() };
    SignedAction { action, signature: Signature::new([8; 65]) }
}

fn open(drafts: &Drafts, nonce: u64, is_own: bool) -> Result<SignedAction, Refusal> {
    let submitted = submission(nonce, Deal::default());
    let by = if is_own {
        OfferOf::Me { asked: BTreeSet::from([REQUESTER, NODE]) }
    } else {
        OfferOf::Other { free: None }
    };
    drafts.open(LogDomain::default(), &submitted, REQUESTER, (NOW, UNTIL), by).map(|()| submitted)
}

#[test]
fn a_requester_offers_no_more_than_its_money_covers() {
    let (drafts, amount) = (Drafts::default(), |units| Amount::new(units).unwrap());
    let deal = Deal { price: amount(2), bond: amount(2), keeper_fee: amount(4), ..Deal::default() };
    let offer = |nonce, free: Option<u128>| {
        let (submitted, by) = (submission(nonce, deal.clone()), OfferOf::Other { free: free.map(amount) });
        drafts.open(LogDomain::default(), &submitted, REQUESTER, (NOW, UNTIL), by)
    };
    assert_eq!(offer(0, None), Err(Refusal::Unread));
    assert_eq!(offer(0, Some(9)), Err(Refusal::Unfunded), "three prices and the fee");
    assert_eq!(offer(0, Some(10)), Ok(()));
    assert_eq!(offer(1, Some(19)), Err(Refusal::Unfunded), "two such offers");
    assert_eq!(offer(1, Some(20)), Ok(()));
    assert_eq!(drafts.parties(), [REQUESTER; 2], "its money is looked at while its offers stand");
}

#[test]
fn nobody_asks_what_a_requester_has_for_an_offer_that_finds_no_place() {
    let (drafts, unit) = (Drafts::default(), Amount::new(1).unwrap());
    let deal = Deal { price: unit, bond: unit, ..Deal::default() };
    let offer = |nonce, free| {
        let (submitted, by) = (submission(nonce, deal.clone()), OfferOf::Other { free });
        drafts.open(LogDomain::default(), &submitted, REQUESTER, (NOW, UNTIL), by)
    };
    let places = u64::try_from(MAX_OFFERS_OF_ONE).unwrap();
    assert!((0..places).all(|nonce| offer(nonce, Some(Amount::MAX)) == Ok(())));
    assert_eq!(offer(places, None), Err(Refusal::Full), "not unread");
}

#[test]
fn offers_without_an_escrow_take_half_of_the_places() {
    let drafts = Drafts::default();
    let offer = |index: usize| {
        let requester = NodeId::new([u8::try_from(index / MAX_OFFERS_OF_ONE).unwrap() + 9; 20]);
        let (deal, spec) = (Deal::default(), Spec::sample().to_document());
        let (nonce, revision) = (u64::try_from(index).unwrap(), deal.revision());
        let job = LogDomain::default().job_id(requester, nonce, Spec::hash_document(&spec), revision);
        let event = Event::Submitted { deal, spec, nonce };
        let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
        let submitted = SignedAction { action, signature: Signature::new([7; 65]) };
        let by = OfferOf::Other { free: None };
        drafts.open(LogDomain::default(), &submitted, requester, (NOW, UNTIL), by)
    };
    assert!((0..MAX_FREE_OFFERS).all(|index| offer(index) == Ok(())));
    assert_eq!(offer(MAX_FREE_OFFERS), Err(Refusal::Full));
}

#[test]
fn a_bid_is_taken_until_the_second_that_it_names_while_the_offer_stands() {
    let drafts = Drafts::default();
    let submitted = open(&drafts, 0, true).unwrap();
    let job = submitted.action.job;
    let (good, other) = (bid(&submitted, name(UNTIL)), bid(&submitted, name(NOW)));
    assert_eq!(drafts.add(&other, NODE, NOW), Err(Refusal::WrongSeen));
    assert_eq!(drafts.add(&good, NODE, UNTIL.plus(Span::from_secs(1))), Err(Refusal::Closed));
    assert_eq!(drafts.add(&good, NODE, UNTIL), Ok(()));
    assert_eq!(drafts.add(&good, NODE, UNTIL), Ok(()), "the same again");
    let again = SignedAction { signature: Signature::new([9; 65]), ..good.clone() };
    assert_eq!(drafts.add(&again, NODE, NOW), Err(Refusal::Rejected(Rejection::AlreadyBid)));
    let draft = drafts.close(job).unwrap();
    assert!(drafts.close(job).is_none(), "its transaction is on its way");
    assert_eq!(draft.bids, BTreeMap::from([(NODE, good.clone())]));
    assert_eq!(drafts.add(&good, REQUESTER, NOW), Err(Refusal::Closed));
    drafts.give_up(job);
    assert!(drafts.holds(job), "its transaction is on its way");
    drafts.end(job);
    assert!(!drafts.holds(job));
}

#[test]
fn only_nodes_that_were_asked_bid_for_an_own_offer_and_each_once() {
    let drafts = Drafts::default();
    let submitted = open(&drafts, 0, true).unwrap();
    let good = bid(&submitted, name(UNTIL));
    for stranger in 3..=u8::MAX {
        let refused = Err(Refusal::Rejected(Rejection::NotAllowed));
        assert_eq!(drafts.add(&good, NodeId::new([stranger; 20]), NOW), refused);
    }
    for _ in 0..2 {
        assert_eq!(drafts.add(&good, NODE, NOW), Ok(()));
        assert_eq!(drafts.add(&good, REQUESTER, NOW), Ok(()), "its own node");
    }
    let draft = drafts.close(submitted.action.job).unwrap();
    assert_eq!(draft.bids.keys().copied().collect::<Vec<_>>(), [REQUESTER, NODE]);
    assert_eq!(draft.job.bids.len(), 2);
}

#[test]
fn a_reader_is_told_every_entry_once_and_when_the_draft_is_no_more() {
    let drafts = Drafts::default();
    let submitted = open(&drafts, 0, false).unwrap();
    let mut told = BTreeMap::new();
    let mut next = |drafts: &Drafts| match drafts.next(&mut told) {
        Some(DraftUpdate::Entry(item)) => Some((item.stamped.author, item.entry)),
        Some(DraftUpdate::Forgotten(job)) => {
            assert_eq!(job, submitted.action.job);
            Some((NodeId::ZERO, Digest::ZERO))
        }
        None => None,
    };
    assert_eq!(next(&drafts), Some((REQUESTER, name(UNTIL))));
    assert_eq!(next(&drafts), None);
    drafts.add(&bid(&submitted, name(UNTIL)), NODE, NOW).unwrap();
    assert_eq!(next(&drafts), Some((NODE, name(UNTIL))));
    // Ended and begun again, unseen.
    drafts.expire(UNTIL.plus(Span::from_secs(1)));
    open(&drafts, 0, false).unwrap();
    assert_eq!(next(&drafts), Some((NodeId::ZERO, Digest::ZERO)));
    assert_eq!(next(&drafts), Some((REQUESTER, name(UNTIL))));
    assert_eq!(next(&drafts), None);
}

#[test]
fn offers_of_strangers_are_bounded_and_own_ones_are_not_refused() {
    let drafts = Drafts::default();
    let of_one = u64::try_from(MAX_OFFERS_OF_ONE).unwrap();
    (0..of_one).for_each(|nonce| drop(open(&drafts, nonce, false).unwrap()));
    assert_eq!(open(&drafts, of_one, false), Err(Refusal::Full));
    assert!(open(&drafts, of_one, true).is_ok());
    drafts.expire(UNTIL.plus(Span::from_secs(1)));
    assert!(open(&drafts, of_one + 1, false).is_ok());
}

#[test]
fn only_deals_that_the_contract_takes_signed_bids_for_are_offered() {
    let audit = Some(crate::domain::Audit::from_word([7; 32]));
    for deal in [Deal::default(), Deal { audit, ..Deal::default() }] {
        assert!(may_be_offered(&deal), "{deal:?}");
    }
    for deal in [
        Deal { parent: Some(JobId::ZERO), ..Deal::default() },
        Deal { acceptance: Acceptance::FirstCome, ..Deal::default() },
        Deal { min_paid: Amount::new(1).unwrap(), ..Deal::default() },
    ] {
        assert!(!may_be_offered(&deal), "{deal:?}");
    }
}
