//! Logs that fill up, and requesters that choose.

use super::*;
use crate::{
    domain::{Action, Amount, Deal, Span, Spec},
    store::Db,
};

const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

fn first_entry(key: &NodeKey, at: Timestamp, nonce: u64) -> Entry {
    let spec = Spec {
        image: format!("sha256:{}", "a".repeat(64)),
        image_name: "demo".to_owned(),
        entrypoint: Vec::new(),
        command: vec!["true".to_owned()],
        environment: Default::default(),
        working_directory: None,
        inputs: Vec::new(),
        resources: Default::default(),
    };
    let (document, deal) = (spec.to_document(), Deal::default());
    let revision = deal.revision();
    let job = DOMAIN.job_id(key.node_id(), nonce, Spec::hash_document(&document), revision);
    let event = Event::Submitted { deal, spec: document, nonce };
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    let signature = key.sign(action.signing_digest(DOMAIN));
    Entry::sign(key, DOMAIN, (1, Digest::ZERO), at, SignedAction { action, signature })
}

#[test]
fn jobs_whose_requester_has_gone_keep_no_place_for_ever() {
    let logs = Logs::open(key(1), DOMAIN, EventLog::new(Db::in_memory().unwrap())).unwrap();
    let stranger = key(2);
    let count = u64::try_from(MAX_JOBS_OF_REQUESTER).unwrap();
    for nonce in 0..count {
        logs.adopt(START, first_entry(&stranger, START, nonce)).unwrap();
    }
    let one_more = first_entry(&stranger, START, count);
    assert!(matches!(logs.adopt(START, one_more), Err(AdoptError::TooMany)));
    let over_by = logs.view(first_entry(&stranger, START, 0).job()).unwrap().over_by;
    let later = over_by.plus(Span::from_secs(1));
    logs.adopt(later, first_entry(&stranger, later, count)).unwrap();
}

#[test]
fn a_requester_chooses_from_twice_its_seats_on_until_it_accepts() {
    let logs = Logs::open(key(1), DOMAIN, EventLog::new(Db::in_memory().unwrap())).unwrap();
    let submission = first_entry(&key(1), START, 0).action;
    let (job, revision) = (submission.action.job, submission.action.revision);
    logs.sequence(START, submission).unwrap();
    let act = |author: &NodeKey, sequence, event| {
        let seen = logs.lock().jobs[&job].chain().head();
        let action = Action { job, revision, sequence, seen, event };
        let signature = author.sign(action.signing_digest(DOMAIN));
        logs.sequence(START, SignedAction { action, signature }).unwrap();
    };
    let seats = Deal::default().concurrency;
    for bidder in 0..2 * seats {
        assert!(!logs.is_choosing(job), "after {bidder} bids");
        act(&key(10 + bidder), 0, Event::BidPlaced { price: Amount::ZERO });
    }
    for seat in 0..seats {
        assert_eq!(logs.is_choosing(job), seat == 0, "before acceptance {seat}");
        act(&key(1), u64::from(seat) + 1, Event::BidAccepted { node: key(10 + seat).node_id() });
    }
    assert!(!logs.is_choosing(job));
    assert!(!logs.is_choosing(JobId::ZERO));
}
