//! A job whose requester signed two histories, as the user of a node sees it that found them.

use std::fs;

use assay::{
    domain::{Action, Amount, Deal, Digest, Event, JobId, LogDomain, SignedAction, Spec},
    identity::NodeKey,
    node::wall_clock,
    scheduler::libp2p::{
        entry::Entry,
        sequence::{Place, Sequencer},
    },
    store::{DataDir, Db, EventLog, NewEntry},
};
use serde_json::Value;

use super::{User, devstack::Nodes};

const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: assay::domain::NodeId::ZERO };

fn signed(author: &NodeKey, action: Action) -> SignedAction {
    SignedAction { signature: author.sign(action.signing_digest(DOMAIN)), action }
}

/// The log with a bid of a new node.
fn bid(sequencer: &mut Sequencer) -> Entry {
    let (bidder, log) = (NodeKey::generate().unwrap(), sequencer.job_log());
    let (job, event) = (log.job(), Event::BidPlaced { price: Amount::ZERO });
    let action = Action { job: job.id, revision: job.revision, sequence: 0, seen: Digest::ZERO, event };
    match sequencer.append(wall_clock(), signed(&bidder, action)).unwrap() {
        Place::New(entry) => *entry,
        Place::Known(height) => panic!("known at {height}"),
    }
}

/// Stores what a node stores that was shown two histories of a stranger's job, and returns the job.
fn store_fork(data: &std::path::Path) -> JobId {
    let (liar, deal, spec) = (NodeKey::generate().unwrap(), Deal::default(), Spec::sample().to_document());
    let revision = deal.revision();
    let job = DOMAIN.job_id(liar.node_id(), 0, Spec::hash_document(&spec), revision);
    let event = Event::Submitted { deal, spec, nonce: 0 };
    let action = Action { job, revision, sequence: 0, seen: Digest::ZERO, event };
    let action = signed(&liar, action);
    let mut shown = Sequencer::open(liar, DOMAIN, None, wall_clock(), action).unwrap();
    let mut other = shown.clone();
    bid(&mut shown);
    let contradiction = bid(&mut other).encode();
    let entries = shown.job_log().entries_after(0).iter().map(|entry| NewEntry {
        job,
        height: entry.height,
        entry_hash: entry.hash(DOMAIN),
        author: shown.job_log().author_at(entry.height),
        bytes: entry.encode(),
    });
    let db = Db::open(&DataDir::open(data).unwrap()).unwrap();
    let entries: Vec<NewEntry> = entries.collect();
    EventLog::new(db).append_until_fault(&entries, Some((job, &contradiction))).unwrap();
    job
}

#[test]
fn a_fork_is_named_listed_and_exported_however_often_the_node_starts() {
    let user = User::new();
    let job = store_fork(&user.home.path().join("data")).to_string();
    let serve = ["serve", "--slots", "0", "--api", "127.0.0.1:0", "--data-dir", "data"];
    for _ in 0..2 {
        let _node = Nodes::start(&user, &serve);
        let list = user.run(&["job", "list"]);
        assert!(list.stdout.contains("open (forked)"), "{}{}", list.stdout, list.stderr);
        let list: Value =
            serde_json::from_str(&user.run(&["job", "list", "--output", "json"]).stdout).unwrap();
        assert_eq!(list["jobs"][0]["fault"], "two_histories");
        let described = user.run(&["job", "describe", &job]).stdout;
        assert!(described.contains("signed two histories, which part at entry 2"), "{described}");
        assert!(described.contains(&format!("assay verdict export {job}")), "{described}");

        let exported = user.run(&["verdict", "export", &job]);
        assert_eq!(exported.code, 0, "{}", exported.stderr);
        fs::write(user.home.path().join("log.json"), exported.stdout).unwrap();
        let checked = user.run(&["verdict", "check", "--file", "log.json"]);
        assert_eq!(checked.code, 125, "{}", checked.stderr);
        assert!(checked.stdout.contains("FORKED"), "{}", checked.stdout);
    }
}
