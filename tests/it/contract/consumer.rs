//! What a node asks the contracts that asked for jobs, and what it pays to deliver to them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use assay::{
    domain::{Amount, Job},
    scheduler::{
        BackendError, Scheduler as _,
        contract::{ChainConfig, DeliveryError},
    },
    store::Db,
};
use serde_json::json;
use tokio::time::{interval, timeout};

use super::{
    chain::{Chain, Member, PATIENCE, fold},
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

/// A contract that takes everything, and does this in a transaction that is under way when it is told to.
async fn deliver_and_change(chain: &Chain, code: &str) -> (DeliveryError, Member) {
    let (requester, deliverer) = (chain.member().await, chain.member().await);
    let job = job_of(&requester).await;
    chain.rpc("anvil_setCode", &json!([requester.id(), PENDING_WITHOUT_FEE]));
    assert_eq!(deliverer.scheduler.fee_for(&job).await, Ok(Some(Amount::ZERO)), "it waits for a result");
    chain.rpc("evm_setAutomine", &json!([false]));
    let delivering = deliverer.scheduler.deliver(&job, &[], (0, b"42"), Amount::ZERO, |_, _, _| true);
    let changing = async {
        let mut ticks = interval(Duration::from_millis(50));
        while chain.rpc("txpool_status", &json!([]))["pending"] == "0x0" {
            ticks.tick().await;
        }
        chain.rpc("anvil_setCode", &json!([requester.id(), code]));
        chain.rpc("evm_mine", &json!([]));
    };
    let (delivered, ()) = timeout(PATIENCE, async { tokio::join!(delivering, changing) }).await.unwrap();
    chain.rpc("evm_setAutomine", &json!([true]));
    (delivered.unwrap_err(), requester)
}

/// Counts down from 2,000, for some 26 gas each, and answers three words that say: pending, no matter until when, no fee.
const PENDING_WITHOUT_FEE: &str = "0x6107d05b6001900380600357600160005260606000f3";

#[tokio::test]
async fn a_transaction_that_a_contract_undoes_is_told_from_an_estimate_that_it_refuses() {
    let chain = Chain::start(None).await;
    // Burns whatever gas it gets.
    let (burnt, requester) = deliver_and_change(&chain, "0xfe").await;
    let consumer = requester.id();
    assert!(
        matches!(&burnt, DeliveryError::Undone { consumer: by, gas, .. } if *by == consumer && *gas > 21_000),
        "{burnt:?}"
    );
    // Has its result, and so reverts at once.
    let (late, requester) = deliver_and_change(&chain, "0x60006000fd").await;
    let consumer = requester.id();
    assert!(matches!(&late, DeliveryError::Late { consumer: by, .. } if *by == consumer), "{late:?}");
    // Reverts too, but has burnt more than a look at its request takes: it counts down as before.
    let (burnt, _) = deliver_and_change(&chain, "0x6107d05b600190038060035760006000fd").await;
    assert!(matches!(&burnt, DeliveryError::Undone { gas, .. } if *gas > 70_000), "{burnt:?}");
}

#[tokio::test]
async fn a_contract_cannot_tell_an_estimate_from_a_transaction_by_the_price_of_gas() {
    let chain = Chain::start(None).await;
    let (requester, deliverer) = (chain.member().await, chain.member().await);
    let job = job_of(&requester).await;
    // Burns all gas, if gas has a price.
    chain.rpc("anvil_setCode", &json!([requester.id(), "0x3a600557005bfe"]));
    let refused = deliverer.scheduler.deliver(&job, &[], (0, b"42"), Amount::ZERO, |_, _, _| true).await;
    assert!(matches!(refused, Err(DeliveryError::Refused { .. })), "{refused:?}");
    let sent = chain.rpc("eth_getTransactionCount", &json!([deliverer.id(), "latest"]));
    assert_eq!(sent, "0x0", "nothing was sent, so it cost nothing");
}
