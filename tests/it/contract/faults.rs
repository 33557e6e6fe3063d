//! The contract backend where chain and endpoints do not do as they should, and on jobs submitted in another way.

use std::net::SocketAddr;

use alloy_primitives::{Address, B256, Bytes, Uint, hex};
use alloy_sol_types::SolCall;
use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    domain::{Action, Amount, Digest, Event, JobState, SeatOpening, SeatSet, Spec},
    scheduler::{Scheduler, contract::ChainConfig},
    store::Db,
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{
    chain::{Chain, Member, PATIENCE, fold, opening},
    long_deal, until,
};
use crate::differential::abi;

/// What waits in Anvil's pool for the next block, from this member: nonce and fee.
fn waiting(chain: &Chain, member: &Member) -> Vec<(String, u128)> {
    let pool = chain.rpc("txpool_content", &json!([]));
    let own = pool["pending"].as_object().into_iter().flatten();
    let own = own.filter(|(address, _)| address.parse::<Address>().unwrap() == Address::from(member.id()));
    own.flat_map(|(_, by_nonce)| by_nonce.as_object().unwrap())
        .map(|(nonce, transaction)| {
            let fee = transaction["maxFeePerGas"].as_str().unwrap();
            (nonce.clone(), u128::from_str_radix(fee.trim_start_matches("0x"), 16).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_transaction_that_no_block_takes_is_sent_again_for_more_and_mined_once() {
    let chain = Chain::start(None).await;
    let member = chain.member().await;
    chain.rpc("evm_setAutomine", &json!([false]));
    let (scheduler, action) = (member.scheduler.clone(), member.submission(&long_deal(), 0));
    let mut submitted = JoinSet::new();
    submitted.spawn(async move { scheduler.submit(action).await });
    until(|| !waiting(&chain, &member).is_empty()).await;
    let first = waiting(&chain, &member);
    until(|| waiting(&chain, &member) != first).await;
    let dearer = waiting(&chain, &member);
    assert_eq!((dearer.len(), &dearer[0].0), (1, &first[0].0), "it takes the place of the first");
    assert!(dearer[0].1 > first[0].1, "{first:?} {dearer:?}");
    chain.rpc("evm_mine", &json!([]));
    timeout(PATIENCE, submitted.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!(member.read().await.len(), 1);
    assert_eq!(chain.rpc("eth_getTransactionCount", &json!([member.id(), "latest"])), json!("0x1"));
    chain.rpc("evm_setAutomine", &json!([true]));
    member.scheduler.submit(member.submission(&long_deal(), 1)).await.unwrap();
    assert_eq!(member.read().await.len(), 2, "the next nonce is right");
}

/// A way to the chain that can be cut: every connection of the time before ends.
struct Proxy {
    address: SocketAddr,
    cuts: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, cut) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inward, _)) = listener.accept().await {
                let (to, mut cut) = (to.clone(), cut.clone());
                cut.mark_unchanged();
                connections.spawn(async move {
                    let Ok(mut outward) = TcpStream::connect(&to).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut inward, &mut outward) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts, _tasks: tasks }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_again_and_again_loses_and_doubles_no_event() {
    let chain = Chain::start(None).await;
    let proxy = Proxy::start(chain.anvil.rpc_url.strip_prefix("http://").unwrap().to_owned()).await;
    let config = ChainConfig { rpc_urls: vec![format!("ws://{}", proxy.address)], ..chain.config() };
    let cut_off = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
    let other = chain.member().await;
    for nonce in 0..12 {
        other.scheduler.submit(other.submission(&long_deal(), nonce)).await.unwrap();
        if nonce % 3 == 0 {
            proxy.cuts.send_modify(|cuts| *cuts += 1);
        }
    }
    let own = timeout(PATIENCE, cut_off.scheduler.submit(cut_off.submission(&long_deal(), 0))).await.unwrap();
    own.unwrap();
    other.read_until(13).await;
    assert_eq!(cut_off.read().await, other.read().await, "every event once, in the same order");
}

#[tokio::test]
async fn an_endpoint_that_lags_is_left_for_the_next_and_nothing_is_lost() {
    let chain = Chain::start(None).await;
    let other = chain.member().await;
    other.scheduler.submit(other.submission(&long_deal(), 0)).await.unwrap();
    // It is asked first, answers everything, and knows nothing of what happens from now on.
    let fork_of = Some(chain.anvil.rpc_url.clone());
    let lagging = Anvil::start(AnvilOptions { fork_of, ..AnvilOptions::default() }).await.unwrap();
    let rpc_urls = vec![lagging.rpc_url.clone(), chain.anvil.rpc_url.clone()];
    let config = ChainConfig { rpc_urls, ..chain.config() };
    let member = chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await;
    member.read_until(1).await;
    for nonce in 1..4 {
        other.scheduler.submit(other.submission(&long_deal(), nonce)).await.unwrap();
    }
    member.read_until(4).await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    other.read_until(5).await;
    assert_eq!(member.read().await, other.read().await, "every event once, in the same order");
}

/// A signature as in EIP-2098: r, then s with the parity of y in the top bit.
fn compact(signature: &[u8]) -> (B256, B256) {
    let (mut vs, parity) = (B256::from_slice(&signature[32..64]), signature[64] - 27);
    vs.0[0] |= parity << 7;
    (B256::from_slice(&signature[..32]), vs)
}

/// The terms in the newest block, which submits a job.
fn submitted_terms(chain: &Chain) -> Bytes {
    let block = chain.rpc("eth_getBlockByNumber", &json!(["latest", true]));
    let input = hex::decode(block["transactions"][0]["input"].as_str().unwrap()).unwrap();
    abi::submitCall::abi_decode(&input).unwrap().terms
}

#[tokio::test]
async fn a_job_submitted_with_signed_bids_is_followed_unpacked_and_decided() {
    let chain = Chain::start(None).await;
    let requester = chain.member().await;
    let mut nodes = [chain.member().await, chain.member().await, chain.member().await];
    nodes.sort_by_key(Member::id);
    let (deal, document) = (long_deal(), Spec::sample().to_document());
    let (domain, revision) = (requester.scheduler.domain(), deal.revision());
    let job = domain.job_id(requester.id(), 0, Spec::hash_document(&document), revision);
    let bids = nodes.iter().map(|node| {
        let event = Event::BidPlaced { price: Amount::ZERO };
        // The second until which the bid is valid: the last there is.
        let seen = Digest::new([0xFF; 32]);
        let action = Action { job, revision, sequence: 0, seen, event };
        let signature = node.key.sign(action.signing_digest(domain));
        let (r, vs) = compact(signature.as_bytes());
        let signed = abi::Signed { sequence: 0, seen: seen.into(), r, vs };
        abi::SignedBid { node: node.id().into(), price: Uint::ZERO, signed }
    });
    // The terms as the contract takes them, from a job that was submitted as usual.
    requester.scheduler.submit(requester.submission(&deal, 1)).await.unwrap();
    let terms = submitted_terms(&chain);
    let call = abi::submitSignedCall { terms, spec: document.into(), nonce: 0, bids: bids.collect() };
    chain.rpc("anvil_impersonateAccount", &json!([requester.id()]));
    let data = hex::encode_prefixed(call.abi_encode());
    let contract = chain.deployed.contract;
    chain.rpc("eth_sendTransaction", &json!([{ "from": requester.id(), "to": contract, "data": data }]));
    // Both submissions, three bids and their acceptance.
    for node in &nodes {
        node.read_until(8).await;
    }
    for (seat, node) in (0_u8..).zip(&nodes) {
        let commitment = opening(seat, &[2]).commitment(domain, job, seat, node.id());
        node.act(job, revision, Event::Committed { commitment }).await;
    }
    for (seat, node) in (0_u8..).zip(&nodes).take(2) {
        node.act(job, revision, Event::Revealed { seat, opening: opening(seat, &[2]) }).await;
    }
    let openings = vec![SeatOpening { seat: 2, opening: opening(2, &[2]) }];
    requester.read_until(13).await;
    requester
        .act(job, revision, Event::VerdictPosted { openings, accepted: SeatSet::from_bits(0b011) })
        .await;
    let items = requester.read().await;
    assert_eq!(fold(&requester, &items).get(job).unwrap().state, JobState::Verified);
    assert_eq!(items.len(), 14, "what unpacks the seats is no entry of the log");
}
