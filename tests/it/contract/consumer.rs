//! What a node asks the contracts that asked for jobs, and what it pays to deliver to them.

use std::sync::atomic::{AtomicU64, Ordering};

use assay::{
    domain::{Amount, Job},
    scheduler::{
        BackendError, Scheduler as _,
        contract::{ChainConfig, DeliveryError},
    },
    store::Db,
};
use serde_json::json;

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
    assert_eq!(member.scheduler.is_rostered(job.id).await, Ok(false), "its seats have slots");
}

#[tokio::test]
async fn a_contract_that_burns_gas_gets_no_transaction_and_one_that_does_not_pay_no_more_gas_than_was_checked()
 {
    let chain = Chain::start(None).await;
    let (requester, deliverer) = (chain.member().await, chain.member().await);
    let job = job_of(&requester).await;
    let checked = AtomicU64::new(0);
    let pays = |_: Amount, gas: u64, _: u128| {
        checked.store(gas, Ordering::SeqCst);
        true
    };
    let fee = Amount::new(1).unwrap();
    let deliver = || deliverer.scheduler.deliver(&job, &[], (0, b"42"), fee, pays);
    // Counts down from 100,000, for some 26 gas each.
    chain.rpc("anvil_setCode", &json!([requester.id(), "0x620186a05b600190038060045700"]));
    let burnt = deliver().await;
    assert!(
        matches!(burnt, Err(DeliveryError::TooMuchGas { gas, most, .. }) if gas > 2_600_000 && most < 1_100_000),
        "{burnt:?}"
    );
    let sent = || chain.rpc("eth_getTransactionCount", &json!([deliverer.id(), "latest"]));
    assert_eq!(sent(), "0x0");
    // Takes anything, and pays nothing.
    chain.rpc("anvil_setCode", &json!([requester.id(), "0x00"]));
    let unpaid = DeliveryError::Unpaid { consumer: requester.id(), fee };
    assert_eq!(deliver().await, Err(unpaid));
    assert_eq!(sent(), "0x1");
    let block = chain.rpc("eth_getBlockByNumber", &json!(["latest", true]));
    let limit = format!("{:#x}", checked.load(Ordering::SeqCst));
    assert_eq!(block["transactions"][0]["gas"], limit, "the fee was weighed against all that may burn");
}
