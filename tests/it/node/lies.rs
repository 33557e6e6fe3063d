//! Nodes that do not serve the result they revealed.

use std::{collections::BTreeMap, sync::Arc};

use assay::{
    domain::{
        Action, Amount, Chunk, ChunkRequest, Digest, Event, FingerprintWord, Input, InputKind, JobId,
        JobState, NodeId, Offer, Opening, SignedAction, Spec, SummaryWord,
    },
    node::{FetchError, RequestError, Transfer, TransferError},
    scheduler::Scheduler as _,
    store::{Limits, pack},
};
use futures::future::BoxFuture;

use crate::town::{Citizen, Town, deal, end, key_of};

/// Serves the same bytes to everybody for everything.
#[derive(Debug)]
struct Serves(Vec<u8>);

impl Transfer for Serves {
    fn fetch_chunk(&self, _: NodeId, _: ChunkRequest) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        let total_bytes = u64::try_from(self.0.len()).unwrap();
        Box::pin(std::future::ready(Ok(Chunk { total_bytes, bytes: self.0.clone() })))
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        BTreeMap::new()
    }
}

/// A result that prints `stdout`, as an archive.
fn archive_of(stdout: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("outputs")).unwrap();
    for (name, content) in [("stdout", stdout), ("stderr", ""), ("exit_code", "0\n"), ("trace.csv", "")] {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let mut archive = Vec::new();
    pack(dir.path(), &mut archive, &Limits::with_bytes(1 << 20)).unwrap();
    archive
}

/// A verified job of a hand-made node that revealed `opening`, at a requester that fetches content this way.
async fn job_of_a_liar(opening: Opening, transfer: Arc<dyn Transfer>) -> (Citizen, JobId, NodeId) {
    let town = Town::new();
    let requester = town.requester(1, transfer).await;
    let key = key_of(9);
    let (liar, scheduler) = (key.node_id(), town.log.join(key.node_id()));
    let (job, _) = requester.node().submit_job(Spec::sample(), deal(1, 1)).await.unwrap();
    let mut sequence = 0;
    let mut say = async |event| {
        let known = town.log.ledger();
        let revision = known.get(job).unwrap().revision;
        let action = Action { job, revision, sequence, seen: Digest::ZERO, event };
        let signature = key.sign(action.signing_digest(scheduler.domain()));
        scheduler.submit(SignedAction { action, signature }).await.unwrap();
        sequence += 1;
    };
    say(Event::BidPlaced { price: Amount::ZERO }).await;
    requester.when(job, |job| job.state == JobState::Running).await;
    say(Event::Committed { commitment: opening.commitment(scheduler.domain(), job, 0, liar) }).await;
    say(Event::Revealed { seat: 0, opening }).await;
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    (requester, job, liar)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_serves_another_result_than_it_revealed_is_found_out() {
    let archive = archive_of("made up later");
    let opening = Opening {
        result_hash: Digest::sha256("what it claimed to have"),
        output_root: Digest::sha256(&archive),
        exit_code: 0,
        fingerprint: FingerprintWord::VOID,
        summary: SummaryWord::VOID,
        salt: Digest::ZERO,
    };
    // The archive is the one it named, and its content not what the verdict was about.
    let (requester, job, liar) = job_of_a_liar(opening, Arc::new(Serves(archive.clone()))).await;
    for _again in 0..2 {
        let fetched = requester.node().result_of(job, liar).await;
        assert!(
            matches!(fetched, Err(RequestError::Fetch(FetchError::OtherResult { from, .. })) if from == liar)
        );
    }
    let (_, log) = requester.get(&format!("jobs/{job}/log")).await;
    assert!(String::from_utf8(log).unwrap().contains("remarked"), "the requester says so in the log");
    end(requester.handle).await;

    // It named what the requester has itself, and sends nothing: what the requester has does not stand in for it,
    // and is not lost over the lie.
    let (requester, job, liar) = job_of_a_liar(opening, Arc::new(Serves(Vec::new()))).await;
    let upload = requester.http().post(requester.url("blobs")).body(archive.clone());
    assert_eq!(requester.ask(upload).await.0, 200);
    for _again in 0..2 {
        let fetched = requester.node().result_of(job, liar).await;
        assert!(matches!(fetched, Err(RequestError::Fetch(FetchError::Unpack { .. }))), "{fetched:?}");
    }
    let own = Input {
        digest: opening.output_root,
        bytes: archive.len().try_into().unwrap(),
        target: "/in".to_owned(),
        kind: InputKind::Directory,
        url: None,
    };
    requester.node().submit_job(Spec { inputs: vec![own], ..Spec::sample() }, deal(1, 1)).await.unwrap();
    end(requester.handle).await;

    // The archive is not even the one it named.
    let other = Opening { output_root: Digest::sha256("another archive"), ..opening };
    let (requester, job, liar) = job_of_a_liar(other, Arc::new(Serves(archive))).await;
    let fetched = requester.node().result_of(job, liar).await;
    assert!(matches!(fetched, Err(RequestError::Fetch(FetchError::Unpack { .. }))), "{fetched:?}");
    end(requester.handle).await;
}

/// Promises an archive, and sends it byte by byte.
#[derive(Debug)]
struct Dribbles;

impl Transfer for Dribbles {
    fn fetch_chunk(&self, _: NodeId, _: ChunkRequest) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        Box::pin(std::future::ready(Ok(Chunk { total_bytes: 1 << 30, bytes: vec![0] })))
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        BTreeMap::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dribbles_its_result_is_not_waited_for() {
    let opening = Opening {
        result_hash: Digest::ZERO,
        output_root: Digest::sha256("an archive"),
        exit_code: 0,
        fingerprint: FingerprintWord::VOID,
        summary: SummaryWord::VOID,
        salt: Digest::ZERO,
    };
    let (requester, job, liar) = job_of_a_liar(opening, Arc::new(Dribbles)).await;
    let fetched = requester.node().result_of(job, liar).await;
    let Err(RequestError::Fetch(FetchError::Short { received, .. })) = fetched else { panic!("{fetched:?}") };
    assert_eq!(received, 0);
    end(requester.handle).await;
}
