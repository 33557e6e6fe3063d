//! Second waves on real containers: a lie is outvoted by nodes that were asked after it, and a job that is spared ends with
//! its first wave.

use assay::{
    api::types::{JobView, Judgement, Replication, SubmitRequest},
    domain::{Audit, AuditStage, Deal, JobId, JobState, Method},
    policy::trust::Level,
};

use super::{
    Network, On, TIMEOUT,
    money::{self, Fate},
    request,
};

/// A job of this many seats, and two more if it is drawn, to its end.
async fn audited(network: &Network, concurrency: u8, permille: u16) -> JobView {
    let audit = Some(Audit::requested(permille, 2));
    let deal = Deal { audit, method: Method::Hash, ..network.deal(concurrency, TIMEOUT) };
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

/// A job whose requester's node decides how many run it, of this many seats until it does.
async fn of_replication(network: &Network, concurrency: u8, replication: Replication) -> JobId {
    let deal = Deal { method: Method::Hash, ..network.deal(concurrency, TIMEOUT) };
    network.post(&SubmitRequest { replication, ..request("echo hello", deal) }).await
}

/// The requester's own node sits in the first ten jobs, and is none of those that it trusts.
async fn nodes_that_earned_trust_run_a_job_alone_unless_its_audit_is_drawn(on: On, jobs: usize) {
    let network = Network::start(on, 3, "0").await;
    let mut first = Vec::new();
    for _ in 0..10 {
        first.push(of_replication(&network, 3, Replication::Fixed).await);
    }
    for job in first {
        let view = network.ended(job).await;
        assert_eq!((view.state, view.seats.len()), (JobState::Verified, 3), "{view:?}");
    }
    for _ in 0..jobs {
        let view = network.ended(of_replication(&network, 3, Replication::Auto).await).await;
        let plan =
            view.replication.as_ref().and_then(|replication| replication.plan).expect("its node decided");
        assert_eq!((plan.level, plan.known, plan.trusted), (Level::Trusted, 2, 2), "{plan:?}");
        // Traces of real containers may disagree, and each time one does, the chance doubles.
        let chances = [100, 200, 400, 800];
        assert!(chances.contains(&plan.wave.audit_permille), "{plan:?}");
        assert_eq!((plan.wave.seats, plan.wave.audit_seats), (1, 2));
        assert_eq!(view.deal.concurrency, 1, "a trusted node bid in time");
        assert_ne!(view.seats[0].node, network.stack.nodes()[0].id, "its own node has not earned that");
        // Whether the draw falls is chance: nobody can foresee it. Both ends are as they should be.
        let (asked, agreed) = match view.audit {
            AuditStage::Spared => (1, 1),
            AuditStage::Drawn => (3, 3),
            AuditStage::None | AuditStage::Undrawn => panic!("{view:?}"),
        };
        let accepted = view.verdict.as_ref().map_or(0, |verdict| verdict.accepted.len());
        assert_eq!(
            (view.state, usize::from(view.asked), view.seats.len()),
            (JobState::Verified, asked, asked)
        );
        assert_eq!((accepted, network.output(view.job).await.as_str()), (agreed, "hello\n"));
        if let Some(chain) = &network.chain {
            crate::verifiers::both_agree(chain.rpc_url(), chain.deployed().contract, view.job).await;
        }
    }
    network.stop().await;
}

#[tokio::test]
async fn nodes_that_earned_trust_run_a_job_alone_unless_its_audit_is_drawn_on_libp2p() {
    nodes_that_earned_trust_run_a_job_alone_unless_its_audit_is_drawn(On::Libp2p, 4).await;
}

#[tokio::test]
async fn nodes_that_earned_trust_run_a_job_alone_unless_its_audit_is_drawn_on_a_contract() {
    nodes_that_earned_trust_run_a_job_alone_unless_its_audit_is_drawn(On::Contract, 1).await;
}
