//! A chain that takes blocks back.

use std::sync::Arc;

use assay::{
    scheduler::{
        BackendError, Cursor, LogUpdate, Scheduler,
        contract::{ContractConfig, ContractScheduler, StartError},
    },
    store::{DataDir, Db},
};
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use super::{
    chain::{Chain, Member, PATIENCE},
    long_deal, until,
};

#[tokio::test]
async fn readers_are_told_how_far_the_log_goes_back_and_what_follows() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    let first = member.submission(&long_deal(), 0);
    member.scheduler.submit(first).await.unwrap();
    member.scheduler.submit(member.submission(&long_deal(), 1)).await.unwrap();
    let before = member.read().await;
    let mut updates = member.scheduler.events(Cursor(0));
    let mut next = async || timeout(PATIENCE, updates.next()).await.unwrap().unwrap().unwrap();
    for _ in 0..3 {
        next().await;
    }
    chain.rpc("anvil_reorg", &json!([1, []]));
    let rewound = loop {
        match next().await {
            LogUpdate::CaughtUp => {}
            update => break update,
        }
    };
    assert_eq!(rewound, LogUpdate::Rewound { to: before[0].cursor });
    let LogUpdate::Entry(again) = next().await else { panic!("the submission is sent again") };
    assert_eq!(again.stamped.job, before[1].stamped.job, "the same job");
    assert!(again.entry != before[1].entry && again.cursor > before[1].cursor, "in another block");
    member.scheduler.submit(member.submission(&long_deal(), 2)).await.unwrap();
    assert_eq!(member.read().await.len(), 3, "the next nonce is right");
}

async fn restart(member: Member, chain: &Chain, dir: &std::path::Path) -> Result<Member, StartError> {
    let key = member.key.clone();
    member.running.shutdown().await;
    drop(member);
    let db = Db::open(&DataDir::open(dir).unwrap()).unwrap();
    let config = ContractConfig {
        chain: chain.config(),
        first_block: chain.deployed.receipt.block,
        db: db.clone(),
        key: key.clone(),
        clock: Arc::new(|| assay::domain::Timestamp::ZERO),
    };
    let (scheduler, running) = ContractScheduler::start(config).await?;
    Ok(Member { key, scheduler, running, db })
}

#[tokio::test]
async fn another_chain_behind_the_endpoint_is_named_at_once() {
    let (chain, mut other) = (Chain::start(Some(1_900_000_000)).await, Chain::start(None).await);
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&DataDir::open(dir.path()).unwrap()).unwrap();
    let member = chain.member_with(chain.config(), chain.funded_key(), db).await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    member.read_until(1).await;
    // The same address and chain id, on the chain of another genesis.
    other.deployed.contract = chain.deployed.contract;
    let error = restart(member, &other, dir.path()).await.err().unwrap();
    assert!(matches!(error, StartError::Log(BackendError::OtherChain { .. })), "{error:?}");
}

#[tokio::test]
async fn a_chain_that_went_back_is_followed_from_where_it_is_now() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    let snapshot = chain.rpc("evm_snapshot", &json!([]));
    for nonce in 1..4 {
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
    }
    assert_eq!(member.read().await.len(), 4);
    chain.rpc("evm_revert", &json!([snapshot]));
    // What went with the blocks is sent again.
    let mut entries = member.scheduler.events(Cursor(0));
    let four = async {
        let mut held = 0;
        while held < 4 {
            match entries.next().await.unwrap().unwrap() {
                LogUpdate::Entry(_) => held += 1,
                LogUpdate::Rewound { .. } => held = 1,
                LogUpdate::CaughtUp | LogUpdate::Forgotten(_) => {}
            }
        }
    };
    timeout(PATIENCE, four).await.unwrap();
    let is_mined = || chain.rpc("eth_getTransactionCount", &json!([member.id(), "latest"])) == json!("0x4");
    until(is_mined).await;
    member.scheduler.submit(member.submission(&long_deal(), 4)).await.unwrap();
    assert_eq!(member.read().await.len(), 5);
}
