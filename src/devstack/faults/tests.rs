//! Bad schedulers on a real log, and what the tests of bad executors share.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    domain::{
        Action, Amount, Deal, Digest, Event, JobId, LogDomain, NodeId, Opening, Seed, SignedAction, Span,
        Spec, Timestamp,
    },
    executor::{FakeExecutor, RunRequest, Script},
    rules::Rejection,
    scheduler::{
        Cursor, Scheduler, SubmitError, entries,
        local::{LocalLog, LocalScheduler},
    },
    store::STDOUT,
};

pub(super) fn request(node: u8, result_dir: &Path) -> RunRequest {
    RunRequest {
        job: JobId::new([9; 32]),
        node: NodeId::new([node; 20]),
        seed: Seed::of(JobId::new([9; 32])),
        spec: Spec::sample(),
        timeout: Span::from_secs(60),
        inputs: Vec::new(),
        result_dir: result_dir.to_owned(),
        scratch: result_dir.to_owned(),
        begin_within: Span::from_secs(0),
        patience: Span::from_secs(0),
    }
}

pub(super) fn stdout(result_dir: &Path) -> Vec<u8> {
    fs::read(result_dir.join(STDOUT)).unwrap()
}

/// A job of one requester and two nodes that has come to where both may commit.
struct Stage {
    log: Arc<LocalLog>,
    job: JobId,
    revision: Digest,
    sequences: BTreeMap<NodeId, u64>,
}

const DOMAIN: LogDomain = LogDomain { chain_id: 0, contract: NodeId::ZERO };

fn key(byte: u8) -> NodeKey {
    NodeKey::from_bytes(&[byte; 32]).unwrap()
}

fn opening(byte: u8) -> Opening {
    Opening {
        result_hash: Digest::new([byte; 32]),
        output_root: Digest::new([byte; 32]),
        ..Opening::sample(byte)
    }
}

impl Stage {
    /// Seat 0 is the node with key 2, seat 1 the one with key 3.
    async fn set() -> Self {
        let log = LocalLog::new(DOMAIN, Timestamp::from_secs(1000));
        let deal = Deal { concurrency: 2, ..Deal::default() };
        let (document, revision) = (Spec::sample().to_document(), deal.revision());
        let job = DOMAIN.job_id(key(1).node_id(), 0, Spec::hash_document(&document), revision);
        let mut stage = Self { log, job, revision, sequences: BTreeMap::new() };
        stage.act(1, Event::Submitted { deal, spec: document, nonce: 0 }).await;
        for bidder in [2, 3] {
            stage.act(bidder, Event::BidPlaced { price: Amount::ZERO }).await;
            stage.act(1, Event::BidAccepted { node: key(bidder).node_id() }).await;
        }
        stage
    }

    fn join(&self, byte: u8) -> LocalScheduler {
        self.log.join(key(byte).node_id())
    }

    fn sign(&mut self, byte: u8, event: Event) -> SignedAction {
        let sequence = self.sequences.entry(key(byte).node_id()).or_default();
        let (job, revision, seen) = (self.job, self.revision, Digest::ZERO);
        let action = Action { job, revision, sequence: *sequence, seen, event };
        *sequence += 1;
        SignedAction { signature: key(byte).sign(action.signing_digest(DOMAIN)), action }
    }

    async fn act(&mut self, byte: u8, event: Event) {
        let action = self.sign(byte, event);
        self.join(byte).submit(action).await.unwrap();
    }

    fn commitment(&self, byte: u8, seat: u8) -> Event {
        let commitment = opening(byte).commitment(DOMAIN, self.job, seat, key(byte).node_id());
        Event::Committed { commitment }
    }

    fn corrupt(&self, fault: Fault, byte: u8) -> Seams {
        let scheduler = Arc::new(self.join(byte));
        let executor = Arc::new(FakeExecutor::new(|_| Script::printing("")));
        corrupt(fault, Seams { scheduler, executor }, &key(byte), CancellationToken::new())
    }
}

#[tokio::test]
async fn a_silent_node_commits_and_does_not_reveal() {
    let mut stage = Stage::set().await;
    let silent = stage.corrupt(Fault::Silent, 3).scheduler;
    let commit = stage.sign(3, stage.commitment(3, 1));
    silent.submit(commit).await.unwrap();
    stage.act(2, stage.commitment(2, 0)).await;
    let reveal = stage.sign(3, Event::Revealed { seat: 1, opening: opening(3) });
    assert!(silent.submit(reveal).await.is_err_and(|error| error.is_retryable()));
    assert!(stage.log.ledger().get(stage.job).unwrap().revealed.is_empty());
}

#[tokio::test]
async fn a_copied_commitment_cannot_be_opened() {
    let mut stage = Stage::set().await;
    let copycat = stage.corrupt(Fault::Copycat, 3).scheduler;
    stage.act(2, stage.commitment(2, 0)).await;
    // As its node does, it reads along; until the end of what there is.
    let heard = entries(copycat.events(Cursor(0))).take(6).collect::<Vec<_>>().await;
    assert!(heard.iter().all(Result::is_ok));
    let commit = stage.sign(3, stage.commitment(3, 1));
    copycat.submit(commit).await.unwrap();
    let job = stage.log.ledger().get(stage.job).unwrap().clone();
    assert_eq!(job.seats[0].status, job.seats[1].status, "the commitment is a copy");

    stage.act(2, Event::Revealed { seat: 0, opening: opening(2) }).await;
    let heard = entries(copycat.events(Cursor(6))).take(2).collect::<Vec<_>>().await;
    assert!(heard.iter().all(Result::is_ok));
    let job = stage.log.ledger().get(stage.job).unwrap().clone();
    assert_eq!(job.revealed.iter().collect::<Vec<_>>(), [0]);
    // What it sent, sent again: the rules say why it has no place.
    let copy = stage.sign(3, Event::Revealed { seat: 1, opening: opening(2) });
    let refused = stage.join(3).submit(copy).await;
    assert_eq!(refused, Err(SubmitError::Rejected(Rejection::BadOpening)));
}
