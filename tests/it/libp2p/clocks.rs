//! Nodes whose clocks differ, and who is told.

use assay::{
    domain::{Span, Timestamp},
    scheduler::{Scheduler as _, Trouble},
};

use super::node::{Node, PATIENCE, START, Setup, TestClock};

fn clock_at(at: Timestamp) -> TestClock {
    let clock = TestClock::new();
    clock.set(at);
    clock
}

const FIVE_MINUTES: Span = Span::from_secs(300);

/// Waits until each node is told so much of its clock: by how many seconds it is ahead, of how many peers, of all.
async fn told(nodes: &[&Node], expected: &[Option<(i64, usize, usize)>]) {
    let of = |node: &Node| match &*node.scheduler.troubles() {
        [] => None,
        [Trouble::ClockOfPeers { seconds, peers, of }] => Some((*seconds, *peers, *of)),
        others => panic!("{others:?}"),
    };
    let now = || nodes.iter().map(|node| of(node)).collect::<Vec<_>>();
    let is_so = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        while now() != expected {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, is_so).await.is_ok(), "told {:?} and not {expected:?}", now());
}

#[tokio::test]
async fn a_clock_five_minutes_off_is_told_on_both_sides_until_it_is_set() {
    for requester_is_ahead in [true, false] {
        let (early, late) = (clock_at(START), clock_at(START.plus(FIVE_MINUTES)));
        let (here, there) = if requester_is_ahead { (&late, &early) } else { (&early, &late) };
        let mut requester = Node::start(Setup::new(here, &[])).await;
        let node = Node::start(Setup::new(there, &[requester.address().await])).await;
        requester.submit(super::deal(), 0).await;
        let (ahead, behind) = (Some((300, 1, 1)), Some((-300, 1, 1)));
        let expected = if requester_is_ahead { [ahead, behind] } else { [behind, ahead] };
        told(&[&requester, &node], &expected).await;
        let text = node.scheduler.troubles()[0].to_string();
        let side = if requester_is_ahead { "behind that" } else { "ahead of that" };
        assert_eq!(text, format!("this machine's clock is 300 s {side} of its only peer"));
        early.set(late.now());
        told(&[&requester, &node], &[None, None]).await;
    }
}

#[tokio::test]
async fn a_clock_that_differs_from_all_others_is_the_wrong_one() {
    let (right, wrong) = (clock_at(START), clock_at(START.plus(FIVE_MINUTES)));
    let requester = Node::start(Setup::new(&wrong, &[])).await;
    let mut known = vec![requester.address().await];
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = Node::start(Setup::new(&right, &known)).await;
        known.push(node.address().await);
        nodes.push(node);
    }
    told(&[&requester, &nodes[0], &nodes[1], &nodes[2]], &[Some((300, 3, 3)), None, None, None]).await;
    let text = requester.scheduler.troubles()[0].to_string();
    assert_eq!(text, "this machine's clock is 300 s ahead of those of all its 3 peers");
}
