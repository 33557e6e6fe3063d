//! A job whose requester shows this node two histories of it.

use std::{sync::Arc, time::Duration};

use assay::{
    api::{ApiConfig, types::JobView},
    domain::{Action, BidStatus, Event, LogDomain, NodeId, SignedAction},
    executor::{FakeExecutor, Script},
    network::NoBlobs,
    node::{Obstacle, wall_clock},
    scheduler::libp2p::{
        announce::Announcement,
        entry::Entry,
        sequence::{Place, Sequencer},
    },
};

use super::{dir, peer};
use crate::{
    libp2p::{node::submission, stranger::Stranger},
    town::{PATIENCE, client_with, deal},
};

/// The log with another answer of its requester to the bid of a node.
fn answered(stranger: &Stranger, log: &Sequencer, event: Event) -> Entry {
    let (mut log, domain) = (log.clone(), LogDomain::default());
    let action = Action {
        job: log.job_log().job().id,
        revision: log.job_log().job().revision,
        sequence: log.job_log().next_sequence(stranger.id()),
        seen: log.job_log().head(),
        event,
    };
    let signature = stranger.key.sign(action.signing_digest(domain));
    match log.append(wall_clock(), SignedAction { action, signature }) {
        Ok(Place::New(entry)) => *entry,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_sits_in_a_forked_job_warns_of_it() {
    let executor = Arc::new(FakeExecutor::new(|_| Script::printing("x")));
    let mut node = peer(1, 1, executor, &[], dir()).await;
    let mut liar = Stranger::join(&node.address().await, Arc::new(NoBlobs)).await;
    let mut log = liar.sequencer(wall_clock(), submission(&liar.key, deal(1, 1), 0));
    let (job, first) = (log.job_log().job().id, log.job_log().entry(1).unwrap().clone());
    let addresses = liar.network.status().borrow().listening.clone();
    liar.network.publish(Announcement { entry: first, addresses }.encode()).await.unwrap();
    liar.order_next(&mut log, wall_clock()).await;
    let me: NodeId = node.handle.id();
    node.when(job, |job| job.bids.get(&me).is_some_and(|bid| bid.status == BidStatus::Standing)).await;

    for event in [Event::BidAccepted { node: me }, Event::BidRejected { node: me }] {
        liar.push(me, &answered(&liar, &log, event)).await;
    }
    let api = assay::api::serve(&mut node.handle, ApiConfig::default()).await.unwrap();
    let client = client_with(&node.handle.node().token_file()).build().unwrap();
    let url = format!("http://{api}/api/v1/jobs/{job}");
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let told = async {
        loop {
            let view: JobView = client.get(&url).send().await.unwrap().json().await.unwrap();
            // On a busy machine it may also say, first, that the requester does not answer.
            let mut warnings = view.warnings.into_iter();
            if let Some(warning) = warnings.find(|warning| warning.obstacle == Obstacle::BrokenLog) {
                break warning;
            }
            looks.tick().await;
        }
    };
    let told = tokio::time::timeout(PATIENCE, told).await.expect("it is told in time");
    assert_eq!(told.job, Some(job));
    assert!(told.message.contains(&liar.id().to_string()), "{told:?}");
    node.end().await;
}
