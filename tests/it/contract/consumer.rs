//! What a node asks the contracts that asked for jobs, and what it pays to deliver to them.

use assay::{
    domain::Job,
    scheduler::{BackendError, Scheduler as _, contract::ChainConfig},
    store::Db,
};

use super::{
    chain::{Chain, Member, fold},
    faulty::{Fault, Faulty},
    long_deal,
};

/// A job of `member`, as its log has it.
async fn job_of(member: &Member) -> Job {
    let submission = member.submission(&long_deal(), 0);
    let id = submission.action.job;
    member.scheduler.submit(submission).await.unwrap();
    member.read_until(1).await;
    fold(member, &member.read().await).get(id).unwrap().clone()
}

#[tokio::test]
async fn an_endpoint_that_answers_with_an_error_does_not_settle_a_delivery() {
    let chain = Chain::start(None).await;
    let rule = |method: &str, _: &_| match method {
        "eth_call" => Fault::Error(-32000, "missing trie node"),
        _ => Fault::None,
    };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
    endpoint.set_faulty(false);
    let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
    let member = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
    let job = job_of(&member).await;
    endpoint.set_faulty(true);
    let asked = member.scheduler.fee_for(&job).await;
    assert!(
        matches!(&asked, Err(BackendError::Chain { reason }) if reason.contains("missing trie node")),
        "{asked:?}"
    );
    endpoint.set_faulty(false);
    let asked = member.scheduler.fee_for(&job).await;
    assert_eq!(asked, Ok(None), "an account without code waits for nothing");
}
