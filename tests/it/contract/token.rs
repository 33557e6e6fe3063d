//! A contract that counts in a token: money goes in and out of it, and a job is paid in it.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use alloy_sol_types::SolValue as _;
use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    domain::{Amount, Asset, Deal, JobState, NodeId, Token},
    scheduler::contract::{ChainClient, ContractReader, Deployed, Placement, deploy_everywhere},
};
use serde_json::{Value, json};

use super::{
    chain::{Chain, ETHER, rpc},
    faulty::{Fault, Faulty},
    funds::{Api, deposit, host},
    long_deal,
};

const ARTIFACT: &str = include_str!("../../../contracts/artifacts/Token.json");

/// Where the token is.
pub(crate) const TOKEN: NodeId = NodeId::new([0x70; 20]);

/// Puts the token of the contracts' tests on a chain: it is called TEST and has six decimals.
pub(crate) fn place_token(url: &str) {
    let artifact: Value = serde_json::from_str(ARTIFACT).unwrap();
    rpc(url, "anvil_setCode", &json!([TOKEN, artifact["code"]]));
}

/// Lets somebody have so much of it.
pub(crate) fn give_tokens(url: &str, owner: NodeId, units: u128) {
    let artifact: Value = serde_json::from_str(ARTIFACT).unwrap();
    let slot = U256::from(artifact["balances"].as_u64().unwrap());
    let place = keccak256((Address::from(owner), slot).abi_encode());
    rpc(url, "anvil_setStorageAt", &json!([TOKEN, place, B256::from(U256::from(units))]));
}

fn amount(units: u128) -> Amount {
    Amount::new(units).unwrap()
}

/// A chain whose contract counts in the token.
async fn start() -> Chain {
    let anvil = Anvil::start(AnvilOptions::default()).await.expect("these tests need Anvil");
    place_token(&anvil.rpc_url);
    let urls = [anvil.rpc_url.clone()];
    let (key, notice) = (&anvil.accounts[0].key, Arc::new(|_| {}));
    let placement = deploy_everywhere(&urls, None, key, Some(TOKEN), None, notice).await.unwrap();
    Chain { deployed: made(placement), anvil }
}

fn made(placement: Placement) -> Deployed {
    match placement {
        Placement::Made { deployed, .. } => deployed,
        Placement::Known { contract, .. } => panic!("{contract} was there already"),
    }
}

async fn free(reader: &ContractReader, party: NodeId) -> u128 {
    reader.account(party).await.unwrap().free.units()
}

#[tokio::test]
async fn a_contract_says_what_it_counts_in_and_is_checked_with_it() {
    let chain = start().await;
    let config = chain.config();
    let reader = ContractReader::connect(&config.rpc_urls, config.contract, None).await.unwrap();
    assert_eq!(reader.asset(), &Asset::Token(Token::new(TOKEN, "TEST", 6)));
    assert!(reader.code().is_ours, "the asset is a part of the code");
    let key = &chain.anvil.accounts[0].key;
    let ether = deploy_everywhere(&config.rpc_urls, None, key, None, None, Arc::new(|_| {})).await.unwrap();
    let other = ContractReader::connect(&config.rpc_urls, made(ether).contract, None).await.unwrap();
    assert_eq!(other.asset(), &Asset::Ether);
    assert!(other.code().is_ours);
}

#[tokio::test]
async fn a_contract_that_knows_no_asset_counts_in_ether_however_its_client_says_so() {
    let chain = Chain::start(None).await;
    let asked = hex::encode(keccak256("asset()"))[..8].to_owned();
    let endpoint = Faulty::start(&chain.anvil.rpc_url, move |method, params| {
        let is_asked = method == "eth_call" && params.to_string().contains(&asked);
        if is_asked { Fault::Error(-32000, "execution reverted") } else { Fault::None }
    });
    let endpoint = endpoint.await;
    let urls = [endpoint.url.clone()];
    let reader = ContractReader::connect(&urls, chain.deployed.contract, None).await.unwrap();
    assert_eq!(reader.asset(), &Asset::Ether);
}

#[tokio::test]
async fn tokens_go_in_and_out_and_the_contract_may_take_no_more_than_that() {
    let chain = start().await;
    let key = chain.funded_key();
    let owner = key.node_id();
    give_tokens(&chain.anvil.rpc_url, owner, 100);
    let client = ChainClient::connect(&chain.config(), &key).await.unwrap();
    client.deposit(amount(60)).await.unwrap();
    client.deposit(amount(30)).await.unwrap();
    assert_eq!(free(client.reader(), owner).await, 90);
    assert!(client.deposit(amount(11)).await.is_err(), "it has no more than ten");
    client.withdraw(amount(50)).await.unwrap();
    assert_eq!(free(client.reader(), owner).await, 40);
    // What it was allowed in vain is in the way of no other deposit.
    client.deposit(amount(60)).await.unwrap();
    assert_eq!(free(client.reader(), owner).await, 100);
    assert_eq!(client.reader().holding(owner).await.unwrap(), U256::ZERO);
    assert_eq!(client.reader().holding(chain.deployed.contract).await.unwrap(), U256::from(100));
    client.shutdown().await;
}

#[tokio::test]
async fn a_job_is_paid_in_the_token_and_gas_in_ether() {
    const PRICE: u128 = 1_500_000;
    let chain = start().await;
    let dir = tempfile::tempdir().unwrap();
    let keys = [(); 3].map(|()| chain.funded_key());
    for key in &keys {
        give_tokens(&chain.anvil.rpc_url, key.node_id(), ETHER);
        deposit(&chain, key, 2 * PRICE).await;
    }
    let nodes = [host(&chain, dir.path(), &keys[1], 1).await, host(&chain, dir.path(), &keys[2], 1).await];
    let requester = host(&chain, dir.path(), &keys[0], 0).await;
    let api = Api::of(&requester);
    let (price, concurrency, confidence) = (amount(PRICE), 2, 2);
    let deal = Deal { price, bond: price, concurrency, confidence, ..long_deal() };
    let job = api.submit(deal).await;
    let view = api.when(job, |view| view.state == JobState::Verified).await;
    assert_eq!(view.asset, Asset::Token(Token::new(TOKEN, "TEST", 6)));
    let config = chain.config();
    let reader = ContractReader::connect(&config.rpc_urls, config.contract, None).await.unwrap();
    assert_eq!(free(&reader, keys[0].node_id()).await, 0);
    for key in &keys[1..] {
        assert_eq!(free(&reader, key.node_id()).await, 3 * PRICE);
    }
    assert_eq!(reader.holding(config.contract).await.unwrap(), U256::from(6 * PRICE));
    assert_eq!(reader.ether(config.contract).await.unwrap(), U256::ZERO);
    for host in nodes.into_iter().chain([requester]) {
        host.stop_token().cancel();
        host.join().await.unwrap();
    }
}
