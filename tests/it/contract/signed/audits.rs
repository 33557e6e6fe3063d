//! An audited job on the signed path: one transaction more, for the draw.

use assay::{
    domain::{Audit, AuditSecret, AuditStage, Digest, Event, EventKind, JobState, Spec},
    scheduler::Scheduler as _,
};
use futures::future::join_all;

use super::{BOND, FEE, PRICE, Town, is_under_way, opening, signed_under, when};

/// Whether a job of this nonce would be drawn. Nodes get seats by their ids.
fn is_drawn(town: &Town, audit: Audit, secret: AuditSecret, nonce: u64) -> bool {
    let domain = town.requester.scheduler.domain();
    let spec = Spec::hash_document(&Spec::sample().to_document());
    let job = domain.job_id(town.requester.id(), nonce, spec, town.deal.revision());
    let commitment = |(seat, node)| opening(seat, &[]).commitment(domain, job, seat, node);
    audit.draws(secret, (0..).zip(town.nodes.iter().map(|node| node.id())).map(commitment))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audited_job_that_is_spared_takes_four_transactions() {
    let mut town = Town::start().await;
    let secret = AuditSecret::of(Digest::new([5; 32]), 0);
    let audit = Audit { secret_hash: secret.hash(), ..Audit::requested(500, 2) };
    town.deal.audit = Some(audit);
    // The escrow covers the second wave too.
    town.fund_requester(2 * PRICE).await;
    town.nonce = (0..).find(|nonce| !is_drawn(&town, audit, secret, *nonce)).unwrap();
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
    assert_eq!(town.transactions(job).await, 4);
    assert_eq!(town.requester.scheduler.is_rostered(job).await, Ok(true), "nothing was unpacked");
    let paid = vec![BOND + PRICE; 3];
    assert_eq!(town.free().await, [vec![FEE + 2 * PRICE], paid].concat());

    let log = town.requester.read().await.into_iter().filter(|item| item.stamped.job == job);
    let draws = log.filter(|item| item.stamped.event.kind() == EventKind::SecretPublished).count();
    assert_eq!(draws, 1);
}
