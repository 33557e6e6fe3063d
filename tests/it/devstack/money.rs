//! What a job on a contract does to everybody's money, to the wei, and what of it a user is told.

use std::collections::BTreeMap;

use assay::{
    api::types::{JobView, LogEntry, MoneyView},
    devstack::chain::{DEPOSIT, LocalChain},
    domain::{Amount, Deal, JobState, NodeId},
    scheduler::{
        Anchor,
        contract::{ChainClient, ChainConfig},
    },
};
use serde_json::{Value, json};

use super::{ASK, Network};
use crate::contract::chain::{ETHER, rpc};

const PRICE: u128 = ETHER;
/// No multiple of the others, so that no two mistakes make up for each other.
const BOND: u128 = 3 * ETHER + 7;
const KEEPER_FEE: u128 = ETHER / 100 + 1;

/// What becomes of a seat's bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Back, with what the node asked for.
    Paid,
    /// Back.
    Returned,
    /// Nobody's.
    Burnt,
    /// Nobody's, with what the requester locked for the seat.
    BurntForBoth,
}

pub(super) fn deal() -> Deal {
    let amount = |wei| Amount::new(wei).unwrap();
    Deal { price: amount(PRICE), bond: amount(BOND), keeper_fee: amount(KEEPER_FEE), ..Deal::default() }
}

/// The contract has of every party what the fates of the seats leave it, holds exactly that and what is burnt, and the
/// node tells the same.
pub(super) async fn went_where_it_should(
    network: &Network,
    chain: &LocalChain,
    view: &JobView,
    fate: impl Fn(NodeId) -> Fate,
) {
    let deposit = i128::try_from(DEPOSIT.units()).unwrap();
    let [most, price, bond, fee] =
        [PRICE, PRICE * u128::from(ASK) / 100, BOND, KEEPER_FEE].map(|wei| i128::try_from(wei).unwrap());
    let (mut gains, mut burnt) = (BTreeMap::<NodeId, i128>::new(), 0);
    for seat in &view.seats {
        let gain = match fate(seat.node) {
            Fate::Paid => price,
            Fate::Returned => 0,
            Fate::Burnt | Fate::BurntForBoth => -bond,
        };
        let burnt_escrow = if fate(seat.node) == Fate::BurntForBoth { most } else { 0 };
        *gains.entry(seat.node).or_default() += gain;
        *gains.entry(view.requester).or_default() -= gain.max(0) + burnt_escrow;
        burnt += burnt_escrow - gain.min(0);
    }
    if view.state != JobState::Cancelled {
        *gains.entry(view.requester).or_default() -= fee;
        *gains.entry(view.ended_by.unwrap()).or_default() += fee;
    }
    let client = client(chain).await;
    let mut total = 0;
    for node in network.stack.nodes() {
        let free = i128::try_from(client.reader().account(node.id).await.unwrap().free.units()).unwrap();
        assert_eq!(free - deposit, gains.get(&node.id).copied().unwrap_or_default(), "{}", node.id);
        total += free;
    }
    assert_eq!(i128::try_from(client.reader().burnt().await.unwrap().units()).unwrap(), burnt);
    client.shutdown().await;
    let held = wei(&rpc(chain.rpc_url(), "eth_getBalance", &json!([chain.deployed().contract, "latest"])));
    assert_eq!(held, total + burnt, "the contract holds what it owes and what is burnt");
    assert_eq!(held, deposit * i128::try_from(network.stack.nodes().len()).unwrap(), "nobody withdrew");
    told(view.money.as_ref().expect("the job has a price"), &gains, burnt);
}

/// What the node says of the money is what happened.
fn told(money: &MoneyView, gains: &BTreeMap<NodeId, i128>, burnt: i128) {
    let units = |amount: Amount| i128::try_from(amount.units()).unwrap();
    let told =
        money.parties.iter().map(|party| (party.node, units(party.paid.unwrap()) - units(party.locked)));
    assert_eq!(told.collect::<BTreeMap<_, _>>(), *gains);
    assert_eq!(units(money.burnt.unwrap()), burnt);
}

/// Every entry of the log is told with its transaction, and what that took is what the chain says.
pub(super) async fn every_step_is_on_the_chain(network: &Network, chain: &LocalChain, view: &JobView) {
    let get = async |path: &str| {
        network.http.get(network.url(&format!("jobs/{}/{path}", view.job))).send().await.unwrap()
    };
    let anchors: Vec<Anchor> = get("anchors").await.json().await.unwrap();
    let log: Vec<LogEntry> = get("log").await.json().await.unwrap();
    assert!(anchors.iter().map(|anchor| anchor.height).eq(log.iter().map(|entry| entry.height)));
    let head = wei(&rpc(chain.rpc_url(), "eth_blockNumber", &json!([])));
    for (anchor, entry) in anchors.iter().zip(&log) {
        let cost = anchor.cost.expect("the chain is there");
        let receipt = rpc(chain.rpc_url(), "eth_getTransactionReceipt", &json!([anchor.transaction]));
        assert_eq!(wei(&receipt["blockNumber"]), i128::from(anchor.block));
        assert_eq!(wei(&receipt["gasUsed"]), i128::from(cost.gas_used));
        let fee = wei(&receipt["gasUsed"]) * wei(&receipt["effectiveGasPrice"]);
        assert_eq!(i128::try_from(cost.fee.units()).unwrap(), fee);
        assert_eq!(receipt["from"], json!(cost.payer));
        let is_party = cost.payer == view.requester || view.seats.iter().any(|seat| seat.node == cost.payer);
        assert!(is_party, "{:?} of {} was sent by {}", entry.event, entry.author, cost.payer);
        assert!(i128::from(anchor.block + anchor.confirmations) <= head);
    }
}

async fn client(chain: &LocalChain) -> ChainClient {
    let config = ChainConfig {
        rpc_urls: vec![chain.rpc_url().to_owned()],
        contract: chain.deployed().contract,
        chain_id: None,
        confirmations: None,
        max_fee_per_gas: None,
    };
    ChainClient::connect(&config, &chain.accounts()[0].key).await.unwrap()
}

fn wei(hex: &Value) -> i128 {
    i128::from_str_radix(hex.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
