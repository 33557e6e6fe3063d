//! An audited job on the signed path: one transaction more, for the draw.

use alloy_primitives::Address;
use assay::{
    domain::{Audit, AuditSecret, AuditStage, Digest, Event, EventKind, JobId, JobState, Spec},
    scheduler::Scheduler as _,
};
use futures::future::join_all;
use serde_json::json;

use super::{BOND, Chain, FEE, PRICE, Town, is_under_way, opening, signed_under, when};

/// Whether a job of this nonce would be drawn. Nodes get seats by their ids.
fn is_drawn(town: &Town, audit: Audit, secret: AuditSecret, nonce: u64) -> bool {
    let domain = town.requester.scheduler.domain();
    let spec = Spec::hash_document(&Spec::sample().to_document());
    let job = domain.job_id(town.requester.id(), nonce, spec, town.deal.revision());
    let commitment = |(seat, node)| opening(seat, &[]).commitment(domain, job, seat, node);
    audit.draws(secret, (0..).zip(town.nodes.iter().map(|node| node.id())).map(commitment))
}

/// Runs an audited job that is spared, up to its verdict.
async fn spared(town: &mut Town) -> JobId {
    let secret = AuditSecret::of(Digest::new([5; 32]), 0);
    let audit = Audit { secret_hash: secret.hash(), ..Audit::requested(500, 2) };
    town.deal.audit = Some(audit);
    // The escrow covers the second wave too.
    town.fund_requester(2 * PRICE).await;
    town.nonce = (0..).find(|nonce| !is_drawn(town, audit, secret, *nonce)).unwrap();
    let job = town.run().await;
    for committed in join_all((0..3).map(|seat| town.commit(seat, job))).await {
        assert!(is_under_way(&committed) || committed.is_ok(), "{committed:?}");
    }
    let (known, seen) = when(&town.requester, job, |job| job.state == JobState::Revealing).await;
    assert_eq!(known.audit, AuditStage::Undrawn);
    let (event, own) = (Event::SecretPublished { secret }, 4);
    let published = signed_under(&town.deal, &town.requester, job, own, seen, event);
    town.requester.scheduler.submit(published).await.unwrap();
    for node in &town.nodes {
        when(node, job, |job| job.audit == AuditStage::Spared).await;
    }
    for opened in join_all((0..3).map(|seat| town.open(seat, job))).await {
        assert!(is_under_way(&opened) || opened.is_ok(), "{opened:?}");
    }
    when(&town.requester, job, |job| job.state == JobState::Verified).await;
    let paid = vec![BOND + PRICE; 3];
    assert_eq!(town.free().await, [vec![FEE + 2 * PRICE], paid].concat());
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audited_job_that_is_spared_takes_four_transactions() {
    let mut town = Town::start().await;
    let job = spared(&mut town).await;
    assert_eq!(town.transactions(job).await, 4);
    assert_eq!(town.requester.scheduler.is_rostered(job).await, Ok(true), "nothing was unpacked");

    let log = town.requester.read().await.into_iter().filter(|item| item.stamped.job == job);
    let draws = log.filter(|item| item.stamped.event.kind() == EventKind::SecretPublished).count();
    assert_eq!(draws, 1);
}

/// Another build may lack the call that draws without slots.
#[tokio::test(flavor = "multi_thread")]
async fn on_another_build_of_the_contract_the_seats_get_slots_before_the_draw() {
    let chain = Chain::start(None).await;
    let rare = Address::from(chain.deployed.contract).create(1).to_string();
    let code = chain.rpc("eth_getCode", &json!([rare, "latest"]));
    // A byte behind the code that nothing reaches.
    chain.rpc("anvil_setCode", &json!([rare, format!("{}00", code.as_str().unwrap())]));
    let config = chain.config();
    let mut town = Town::on(chain, 3, config).await;
    let job = spared(&mut town).await;
    assert_eq!(town.requester.scheduler.is_rostered(job).await, Ok(false));
}
