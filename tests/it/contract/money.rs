//! Transactions whose answers are lost: what happened is told, and nothing happens twice.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use assay::{
    domain::{Amount, Digest},
    scheduler::{
        BackendError, Scheduler,
        contract::{ChainClient, ChainConfig, MoneyError, deploy},
    },
    store::Db,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    chain::{Chain, ETHER, PATIENCE},
    faulty::{Fault, Faulty},
    long_deal,
};

fn faults() -> [Fault; 4] {
    [Fault::Lost(502), Fault::Lost(504), Fault::Garbage, Fault::Cut]
}

/// Something goes wrong with the first transaction that is sent, or with every one.
fn at_sending(fault: Fault, always: bool) -> impl Fn(&str, &Value) -> Fault + Send + Sync + 'static {
    let is_done = AtomicBool::new(false);
    move |method: &str, _: &Value| match method {
        "eth_sendRawTransaction" if always || !is_done.swap(true, Ordering::SeqCst) => fault.clone(),
        _ => Fault::None,
    }
}

#[tokio::test]
async fn a_deposit_whose_answer_is_lost_is_made_once_and_told_so() {
    let chain = Chain::start(None).await;
    for (fault, always) in faults().into_iter().flat_map(|fault| [(fault.clone(), false), (fault, true)]) {
        let endpoint = Faulty::start(&chain.anvil.rpc_url, at_sending(fault, always)).await;
        let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
        let key = chain.funded_key();
        let told = Arc::new(Mutex::new(Vec::<Digest>::new()));
        let notice = {
            let told = Arc::clone(&told);
            Arc::new(move |hash| told.lock().unwrap().push(hash))
        };
        let client = ChainClient::connect_telling(&config, &key, notice).await.unwrap();
        let amount = Amount::new(ETHER).unwrap();
        let receipt = timeout(PATIENCE, client.deposit(amount)).await.unwrap().unwrap();
        assert_eq!(*told.lock().unwrap(), [receipt.transaction], "told before it was sent");
        assert_eq!(client.reader().account(key.node_id()).await.unwrap().free, amount);
        let half = Amount::new(ETHER / 2).unwrap();
        timeout(PATIENCE, client.withdraw(half)).await.unwrap().unwrap();
        assert_eq!(client.reader().account(key.node_id()).await.unwrap().free, half);
        assert_eq!(chain.rpc("eth_getTransactionCount", &json!([key.node_id(), "latest"])), json!("0x2"));
    }
}

#[tokio::test]
async fn a_deployment_whose_answer_is_lost_is_made_once() {
    let chain = Chain::start(None).await;
    for fault in faults() {
        let endpoint = Faulty::start(&chain.anvil.rpc_url, at_sending(fault, true)).await;
        let key = chain.funded_key();
        let urls = [endpoint.url.clone()];
        let deployed = deploy(&urls, None, &key);
        let deployed = timeout(PATIENCE, deployed).await.unwrap().unwrap();
        assert_eq!(deployed.chain_id, 31337);
        assert_eq!(chain.rpc("eth_getTransactionCount", &json!([key.node_id(), "latest"])), json!("0x1"));
    }
    assert!(deploy(&["http://127.0.0.1:1".to_owned()], None, &chain.funded_key()).await.is_err());
}

#[tokio::test]
async fn a_job_whose_submission_is_answered_with_an_error_is_there_once() {
    let chain = Chain::start(None).await;
    for fault in faults() {
        let endpoint = Faulty::start(&chain.anvil.rpc_url, at_sending(fault, true)).await;
        let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
        let member = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
        let submitted = member.scheduler.submit(member.submission(&long_deal(), 0));
        timeout(PATIENCE, submitted).await.unwrap().unwrap();
        let own = member.read().await.into_iter().filter(|item| item.stamped.author == member.id()).count();
        assert_eq!(own, 1);
    }
}

#[tokio::test]
async fn what_nobody_can_tell_is_said_to_be_unknown_with_its_hash() {
    let chain = Chain::start(None).await;
    // The transaction is taken; from then on the endpoint says nothing that makes sense.
    let is_sent = AtomicBool::new(false);
    let rule = move |method: &str, _: &Value| {
        if method == "eth_sendRawTransaction" {
            is_sent.store(true, Ordering::SeqCst);
            return Fault::Lost(502);
        }
        if is_sent.load(Ordering::SeqCst) { Fault::Refused(404, None) } else { Fault::None }
    };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
    let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
    let key = chain.funded_key();
    let client = ChainClient::connect(&config, &key).await.unwrap();
    let answer = timeout(3 * PATIENCE, client.deposit(Amount::new(ETHER).unwrap())).await.unwrap();
    let Err(MoneyError::Chain(BackendError::Unconfirmed { transaction, .. })) = answer else {
        panic!("{answer:?}")
    };
    let receipt = chain.rpc("eth_getTransactionReceipt", &json!([transaction]));
    assert_eq!(receipt["status"], json!("0x1"), "the hash is that of the transaction");
}

#[tokio::test]
async fn deposits_of_one_key_by_several_programs_at_once_are_all_made() {
    let chain = Chain::start(None).await;
    let key = chain.funded_key();
    let amount = Amount::new(ETHER).unwrap();
    // Each as a process would: a client of its own, with nothing shared but the key.
    let deposits = (0..4).map(|_| async {
        let client = ChainClient::connect(&chain.config(), &key).await.unwrap();
        client.deposit(amount).await.unwrap().transaction
    });
    let made = timeout(PATIENCE, join_all(deposits)).await.unwrap();
    let distinct: std::collections::BTreeSet<Digest> = made.iter().copied().collect();
    assert_eq!(distinct.len(), 4, "each reports a transaction of its own: {made:?}");
    let client = ChainClient::connect(&chain.config(), &key).await.unwrap();
    assert_eq!(client.reader().account(key.node_id()).await.unwrap().free.units(), 4 * ETHER);
}
