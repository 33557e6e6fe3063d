use alloy::primitives::Bytes;

use super::*;
use crate::domain::Amount;

fn node(index: u32) -> NodeId {
    let mut bytes = [0; 20];
    bytes[16..].copy_from_slice(&index.to_be_bytes());
    NodeId::new(bytes)
}

fn nodes(indices: impl IntoIterator<Item = u32>) -> Vec<NodeId> {
    indices.into_iter().map(node).collect()
}

fn free(units: u128) -> Funds {
    Funds { free: Amount::new(units).unwrap(), paid: Amount::ZERO }
}

fn log(event: &impl SolEvent) -> Log {
    let inner = alloy::primitives::Log { data: event.encode_log_data(), ..Default::default() };
    Log { inner, ..Log::default() }
}

#[test]
fn new_accounts_are_asked_for_before_old_ones_and_few_at_a_time() {
    let (book, start) = (FundsBook::default(), Instant::now());
    nodes(0..200).into_iter().for_each(|node| book.learn(node, free(1), start));
    let later = start + OLD.max(200 * BETWEEN);
    assert_eq!(book.due(nodes([200]), nodes(0..200), start), nodes([200]), "none is old");
    let due = book.due(nodes(0..200), nodes(200..300), later);
    assert_eq!(due, nodes(200..264), "in the order given, and those that are known wait");
    nodes(200..300).into_iter().for_each(|node| book.learn(node, free(1), later));
    assert_eq!(book.due(Vec::new(), nodes(0..300), later).len(), 0, "more accounts are asked for less often");
    let old = start + OLD.max(300 * BETWEEN);
    assert_eq!(book.due(Vec::new(), nodes(0..300), old), nodes(0..64));
}

#[test]
fn an_account_is_asked_for_once_however_many_jobs_it_bids_on() {
    let book = FundsBook::default();
    let due = book.due(nodes([1, 2]), nodes([2, 1, 3, 3, 1]), Instant::now());
    assert_eq!(due, nodes([1, 2, 3]));
}

#[test]
fn new_terms_of_a_job_may_have_changed_the_account_of_its_requester_alone() {
    let (book, now) = (FundsBook::default(), Instant::now());
    nodes(0..200).into_iter().for_each(|node| book.learn(node, free(1), now));
    let job = JobId::new([9; 32]);
    let log = log(&abi::DealUpdated { job: job.into(), terms: Bytes::new() });
    let requester_of = |asked| (asked == job).then_some(node(7));
    book.touch([log].iter(), requester_of);
    assert_eq!(book.due(Vec::new(), nodes(0..200), now), nodes([7]));
}

#[test]
fn an_event_that_is_read_while_a_question_is_under_way_has_it_asked_again() {
    for is_known in [false, true] {
        let (book, start) = (FundsBook::default(), Instant::now());
        let due = |now| book.due(Vec::new(), nodes([1]), now);
        if is_known {
            book.learn(node(1), free(1), start);
        }
        let asked_at = if is_known { start + OLD } else { start };
        assert_eq!(due(asked_at), nodes([1]));
        let deposited = abi::Deposited { account: node(1).into(), amount: alloy::primitives::U256::ONE };
        book.touch([log(&deposited)].iter(), |_| None);
        book.learn(node(1), free(1), start);
        assert_eq!(due(asked_at), nodes([1]), "the answer may be older than the event");
        let again = Instant::now() + OLD;
        book.learn(node(1), free(2), again);
        assert_eq!((due(again), book.of(node(1))), (Vec::new(), Some(free(2))));
    }
}

#[test]
fn money_that_was_spent_of_late_still_covers_the_offers_that_spent_it() {
    let (book, start) = (FundsBook::default(), Instant::now());
    let has = |now| book.lately(node(1), now).map(Amount::units);
    assert_eq!(has(start), None);
    let after = |secs| start + Duration::from_secs(secs);
    for (secs, units) in [(0, 10), (5, 7), (10, 4), (20, 4), (30, 1), (40, 3)] {
        book.learn(node(1), free(units), after(secs));
    }
    assert_eq!(has(after(40)), Some(10));
    assert_eq!(has(start + LATELY + Duration::from_secs(5)), Some(7));
    assert_eq!(has(start + LATELY + Duration::from_secs(20)), Some(4));
    assert_eq!(has(start + LATELY + Duration::from_secs(100)), Some(3), "what it has now");
    assert_eq!(book.of(node(1)), Some(free(3)), "a bond needs money that is there");
}

#[test]
fn questions_about_many_keys_keep_no_new_one_out() {
    let book = FundsBook::default();
    let count = u32::try_from(MAX_ASKED).unwrap();
    nodes(0..=count).into_iter().for_each(|node| book.ask(node));
    let due = book.due(Vec::new(), Vec::new(), Instant::now());
    assert_eq!((due.len(), due.contains(&node(count))), (MAX_ASKED, true));
}
