//! Second waves on real containers: a lie is outvoted by nodes that were asked after it, and a job that is spared ends with
//! its first wave.

use assay::{
    api::types::{JobView, Judgement},
    domain::{Audit, AuditStage, Deal, JobState, Method, Span},
};

use super::{
    Network, On,
    money::{self, Fate},
    request,
};

/// A job of this many seats, and two more if it is drawn, to its end.
async fn audited(network: &Network, concurrency: u8, permille: u16) -> JobView {
    let audit = Some(Audit::requested(permille, 2));
    let deal = Deal { audit, method: Method::Hash, ..network.deal(concurrency, Span::from_secs(1)) };
    network.ended(network.post(&request("echo hello", deal)).await).await
}

async fn a_liar_is_outvoted_by_the_second_wave(on: On) {
    let network = Network::start(on, 4, "1:faker").await;
    // Every node sits, the liar in one wave or the other.
    let view = audited(&network, 2, 1000).await;
    assert_eq!((view.audit, view.asked, view.quorum, view.seats.len()), (AuditStage::Drawn, 4, 3, 4));
    let (honest, liars) = network.judgements(&view);
    assert_eq!((view.state, honest), (JobState::Verified, vec![Judgement::Accepted; 3]), "{view:?}");
    assert_eq!(liars, [Judgement::Rejected]);
    assert_eq!(network.output(view.job).await, "hello\n");
    if let Some(chain) = &network.chain {
        let liars = network.bad_nodes();
        let fate = |node| if liars.contains(&node) { Fate::Returned } else { Fate::Paid };
        money::went_where_it_should(&network, chain, &view, fate).await;
        crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, view.job).await;
    }
    network.stop().await;
}

#[tokio::test]
async fn a_liar_is_outvoted_by_the_second_wave_on_libp2p() {
    a_liar_is_outvoted_by_the_second_wave(On::Libp2p).await;
}

#[tokio::test]
async fn a_liar_is_outvoted_by_the_second_wave_on_a_contract() {
    a_liar_is_outvoted_by_the_second_wave(On::Contract).await;
}

async fn a_rare_audit_mostly_spares_a_job(on: On) {
    let network = Network::start(on, 3, "0").await;
    let view = audited(&network, 1, 1).await;
    // One job in a thousand is drawn, which is as it should be.
    let seats = if view.audit == AuditStage::Drawn { 3 } else { 1 };
    assert_ne!(view.audit, AuditStage::Undrawn);
    assert_eq!((view.state, view.seats.len(), usize::from(view.asked)), (JobState::Verified, seats, seats));
    if let Some(chain) = &network.chain {
        money::went_where_it_should(&network, chain, &view, |_| Fate::Paid).await;
        crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, view.job).await;
    }
    network.stop().await;
}

#[tokio::test]
async fn a_rare_audit_mostly_spares_a_job_on_libp2p() {
    a_rare_audit_mostly_spares_a_job(On::Libp2p).await;
}

#[tokio::test]
async fn a_rare_audit_mostly_spares_a_job_on_a_contract() {
    a_rare_audit_mostly_spares_a_job(On::Contract).await;
}
