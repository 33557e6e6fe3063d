//! Which nodes another one remembers for keeping their promises.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use assay::{
    domain::{Chunk, ChunkRequest, Deal, JobState, Method, NodeId, Offer, Spec},
    node::{Transfer, TransferError},
};
use futures::future::BoxFuture;

use super::end_all;
use crate::town::{Town, deal, printing};

/// Notes who goes before strangers.
#[derive(Debug, Default)]
struct Remembers(Mutex<BTreeSet<NodeId>>);

impl Transfer for Remembers {
    fn fetch_chunk(&self, from: NodeId, _: ChunkRequest) -> BoxFuture<'_, Result<Chunk, TransferError>> {
        let reason = "it serves nothing".to_owned();
        Box::pin(std::future::ready(Err(TransferError::Unreachable { from, reason })))
    }

    fn befriend(&self, node: NodeId) {
        self.0.lock().unwrap().insert(node);
    }

    fn offers(&self) -> BTreeMap<NodeId, Offer> {
        BTreeMap::new()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_whose_results_are_accepted_go_before_strangers_and_liars_do_not() {
    let (town, remembers) = (Town::new(), Arc::new(Remembers::default()));
    let requester = town.requester(1, Arc::clone(&remembers) as _).await;
    let [one, two] = [town.node(2, 1, printing("x")).await, town.node(3, 1, printing("x")).await];
    let liar = town.node(4, 1, printing("made up")).await;
    let terms = Deal { method: Method::Hash, ..deal(3, 2) };
    let (job, _) = requester.node().submit_job(Spec::sample(), terms).await.unwrap();
    assert_eq!(requester.ended(job).await.state, JobState::Verified);
    let kept = BTreeSet::from([one.id(), two.id()]);
    assert_eq!(*remembers.0.lock().unwrap(), kept);

    // After a restart too, though its log has no job of theirs.
    let (elsewhere, remembers) = (Town::new(), Arc::new(Remembers::default()));
    let requester = elsewhere.resettle(&town, 1, requester, Arc::clone(&remembers) as _).await;
    assert_eq!(*remembers.0.lock().unwrap(), kept);
    end_all([requester, one, two, liar]).await;
}
