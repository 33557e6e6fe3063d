use super::*;
use crate::domain::{Amount, Deal, Event, Facts, FailureKind, LogDomain, Spec, Stamped, Timestamp};

const ME: NodeId = NodeId::new([0xEE; 20]);
const OTHER: NodeId = NodeId::new([0xDD; 20]);
const FACTS: Facts = Facts { funded: true, paid: Amount::MAX, sat_in_parent: false, bids_bounded: true };

fn node(index: u32) -> NodeId {
    let mut bytes = [0; 20];
    bytes[16..].copy_from_slice(&index.to_be_bytes());
    NodeId::new(bytes)
}

/// A job of one seat that asks for a bond.
struct Script<'a> {
    ledger: &'a mut Ledger,
    requester: NodeId,
    submitted: Stamped<Event>,
}

impl<'a> Script<'a> {
    fn submit(ledger: &'a mut Ledger, requester: NodeId, nonce: u64) -> Self {
        let unit = Amount::new(1).unwrap();
        let deal = Deal { price: unit, bond: unit, concurrency: 1, confidence: 1, ..Deal::default() };
        let (spec, revision) = (Spec::sample().to_document(), deal.revision());
        let job = LogDomain::default().job_id(requester, nonce, Spec::hash_document(&spec), revision);
        let event = Event::Submitted { deal, spec, nonce };
        let at = Timestamp::from_secs(1000);
        let submitted = Stamped { job, author: requester, at, revision, facts: FACTS, event };
        ledger.apply(&submitted).unwrap();
        Self { ledger, requester, submitted }
    }

    fn then(&mut self, author: NodeId, event: Event) {
        self.ledger.apply(&Stamped { author, event, ..self.submitted.clone() }).unwrap();
    }

    fn bids(&mut self, nodes: impl IntoIterator<Item = u32>) {
        for index in nodes {
            self.then(node(index), Event::BidPlaced { price: Amount::ZERO });
        }
    }

    fn accept(&mut self, index: u32) {
        self.then(self.requester, Event::BidAccepted { node: node(index) });
    }
}

#[test]
fn bids_on_one_job_keep_no_other_job_waiting_and_own_jobs_come_first() {
    let mut ledger = Ledger::new(LogDomain::default());
    let crowd = 1000;
    Script::submit(&mut ledger, OTHER, 0).bids(10..10 + crowd);
    Script::submit(&mut ledger, OTHER, 1).bids([1, 2, 10]);
    Script::submit(&mut ledger, ME, 0).bids([3, 4, 11]);
    let order = bidders(&ledger, ME);
    assert_eq!(order[..3], [node(3), node(4), node(11)]);
    assert!(order[3..9].contains(&node(1)) && order[3..9].contains(&node(2)), "{:?}", &order[..9]);
    let all: std::collections::BTreeSet<NodeId> = order.into_iter().collect();
    let expected = [1, 2, 3, 4].into_iter().chain(10..10 + crowd).map(node).collect();
    assert_eq!(all, expected, "nobody is left out");
}

#[test]
fn bids_matter_while_a_seat_is_free() {
    let mut ledger = Ledger::new(LogDomain::default());
    let mut script = Script::submit(&mut ledger, OTHER, 0);
    script.bids([1, 2]);
    script.accept(1);
    assert_eq!(bidders(script.ledger, ME), [], "its only seat is taken");
    script.then(node(1), Event::FailureReported { kind: FailureKind::Timeout });
    assert_eq!(bidders(script.ledger, ME), [node(2)], "the seat is free again");
}
