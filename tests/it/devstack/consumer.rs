//! A contract that asks: it pays for a job, nodes run it, and a node that it never heard of brings it the result.

mod prize;

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_sol_types::{SolCall, SolValue as _};
use assay::{
    devstack::{DEFAULT_SLOTS, chain::LocalChain},
    domain::{Action, Amount, Digest, Event, JobId, LogDomain, NodeId, Spec},
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor as _},
    identity::NodeKey,
};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::{HINT, Network, On, PATIENCE};
use crate::contract::chain::{ETHER, rpc};

const PRICE_BUYER: &str = include_str!("../../../contracts/artifacts/PriceBuyer.json");

const NODES: usize = 3;

/// What an accepted node earns, in wei.
const PAY: u128 = ETHER / 500;

/// The price of an option by four thousand random paths of 25 steps up or down, in hundredths; by the formula it is about 7.8. The
/// paths follow from the job's seed.
const PROGRAM: &str = r#"awk -v seed="$ASSAY_SEED32" 'BEGIN { srand(seed)
for (i = 0; i < 4000; i++) { s = 100; for (k = 0; k < 25; k++) s *= rand() < 0.49 ? 1.04 : 0.9615
if (s > 100) sum += s - 100 }
printf "%d\n", 100 * sum / 4000 }'"#;

/// The deliveries of `AssayConsumer`: of a job whose seats have slots, and of one whose seats are one hash.
const FULFIL: &str =
    "fulfil(bytes32,(uint8,address,uint96,(bytes32,bytes32,int32,bytes32,bytes32,bytes32))[],int32,bytes)";
const FULFIL_ROSTERED: &str = "fulfilRostered(bytes32,bytes32,uint256,(uint8,address,uint96,(bytes32,bytes32,int32,bytes32,bytes32,bytes32))[],int32,bytes)";

mod abi {
    alloy_sol_types::sol! {
        struct Signed {
            uint64 sequence;
            bytes32 seen;
            bytes32 r;
            bytes32 vs;
        }

        struct SignedBid {
            address node;
            uint96 price;
            Signed signed;
        }

        function ask() external returns (bytes32 job);
        function askSigned(SignedBid[] calldata bids) external returns (bytes32 job);
        function nextJob() external view returns (bytes32 job);
        function signedTerms() external view;
        function price() external view returns (uint256 price);
        function pending() external view returns (bytes32 job);
        function jobs(bytes32 job) external view returns (uint8 state, uint256 revealBy, uint256 head, bytes32 root);
    }
}

/// Nodes, and an account of somebody who runs none.
async fn network(bad: &str) -> Network {
    let engine = DockerExecutor::connect(DEFAULT_SOCKET).await.expect(HINT);
    Network::with(On::Contract, NODES, DEFAULT_SLOTS, bad, Arc::new(engine), 1).await
}

/// A contract of an example, on a chain whose last account deployed it.
struct Consumer<'a> {
    chain: &'a LocalChain,
    owner: NodeId,
    address: Value,
}

impl<'a> Consumer<'a> {
    async fn deploy(chain: &'a LocalChain, artifact: &str, parameters: Vec<u8>, value: u128) -> Self {
        let artifact: Value = serde_json::from_str(artifact).unwrap();
        let mut code = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
        code.extend(parameters);
        let owner = chain.accounts().last().unwrap().key.node_id();
        let (code, value) = (hex::encode_prefixed(code), format!("{value:#x}"));
        let receipt = mined(chain, &json!([{ "from": owner, "data": code, "value": value }])).await;
        Self { chain, owner, address: receipt["contractAddress"].clone() }
    }

    /// The example that buys a price.
    async fn price_buyer(chain: &'a LocalChain) -> Self {
        let engine = DockerExecutor::connect(DEFAULT_SOCKET).await.expect(HINT);
        let image = engine.resolve("assay/demo:1").await.expect(HINT);
        let spec = Spec::builder(image).image_name("assay/demo:1").command(["sh", "-c", PROGRAM]);
        let spec = spec.public_result(true).build().unwrap().to_document();
        let scheduler = Address::from(chain.deployed().contract);
        let parameters = (scheduler, Bytes::from(spec), U256::from(PAY)).abi_encode_params();
        Self::deploy(chain, PRICE_BUYER, parameters, ETHER / 10).await
    }

    async fn send(&self, call: impl SolCall) -> Value {
        self.pay(call, 0).await
    }

    /// Sends a call with so many wei; the receipt.
    async fn pay(&self, call: impl SolCall, value: u128) -> Value {
        let (data, value) = (hex::encode_prefixed(call.abi_encode()), format!("{value:#x}"));
        let (from, to) = (self.owner, &self.address);
        mined(self.chain, &json!([{ "from": from, "to": to, "data": data, "value": value }])).await
    }

    fn read<C: SolCall>(&self, call: &C) -> C::Return {
        read(self.chain, &self.address, call)
    }

    /// The price that was delivered, once it was.
    async fn priced(&self) -> U256 {
        let priced = async {
            let mut ticks = interval(Duration::from_millis(100));
            loop {
                let price = self.read(&abi::priceCall {});
                if !price.is_zero() {
                    return price;
                }
                ticks.tick().await;
            }
        };
        timeout(PATIENCE, priced).await.expect("a node delivers the price in time")
    }

    /// The deliveries that were sent to it by calls of this form, and whether each did anything.
    fn deliveries(&self, form: &str) -> Vec<bool> {
        let url = self.chain.rpc_url();
        let head = rpc(url, "eth_blockNumber", &json!([]));
        let head: U256 = head.as_str().unwrap().parse().unwrap();
        let blocks = (0..=head.to::<u64>()).map(|number| {
            rpc(url, "eth_getBlockByNumber", &json!([format!("{number:#x}"), true]))["transactions"].clone()
        });
        let sent: Vec<Value> = blocks.flat_map(|block| block.as_array().unwrap().clone()).collect();
        let form = hex::encode_prefixed(&keccak256(form)[..4]);
        let to_it = sent
            .iter()
            .filter(|sent| sent["to"] == self.address && sent["input"].as_str().unwrap().starts_with(&form));
        to_it
            .map(|sent| rpc(url, "eth_getTransactionReceipt", &json!([sent["hash"]]))["status"] == "0x1")
            .collect()
    }
}

fn read<C: SolCall>(chain: &LocalChain, contract: &Value, call: &C) -> C::Return {
    C::abi_decode_returns(&answer(chain, contract, call)).unwrap()
}

fn answer(chain: &LocalChain, contract: &Value, call: &impl SolCall) -> Vec<u8> {
    let data = hex::encode_prefixed(call.abi_encode());
    let answer = rpc(chain.rpc_url(), "eth_call", &json!([{ "to": contract, "data": data }, "latest"]));
    hex::decode(answer.as_str().unwrap()).unwrap()
}

/// Sends a transaction of an unlocked account; its receipt.
async fn mined(chain: &LocalChain, transaction: &Value) -> Value {
    let hash = rpc(chain.rpc_url(), "eth_sendTransaction", transaction);
    let mined = async {
        let mut ticks = interval(Duration::from_millis(50));
        loop {
            let receipt = rpc(chain.rpc_url(), "eth_getTransactionReceipt", &json!([hash]));
            if !receipt.is_null() {
                return receipt;
            }
            ticks.tick().await;
        }
    };
    let receipt = timeout(PATIENCE, mined).await.expect("a transaction is mined in time");
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    receipt
}

/// A bid of this node for a job to come: a bid that stays valid until the last second of a u64.
fn signed_bid(chain: &LocalChain, key: &NodeKey, job: B256, revision: B256) -> abi::SignedBid {
    let until = B256::from(U256::from(u64::MAX));
    let price = Amount::new(PAY).unwrap();
    let action = Action {
        job: JobId::from(job),
        revision: Digest::from(revision),
        sequence: 0,
        seen: Digest::from(until),
        event: Event::BidPlaced { price },
    };
    let deployed = chain.deployed();
    let domain = LogDomain { chain_id: deployed.chain_id, contract: deployed.contract };
    let signature = key.sign(action.signing_digest(domain));
    let [r @ .., v] = signature.as_bytes();
    let (r, s) = r.split_at(32);
    let mut vs = B256::from_slice(s);
    vs.0[0] |= u8::from(*v == 28) << 7;
    let signed = abi::Signed { sequence: 0, seen: until, r: B256::from_slice(r), vs };
    abi::SignedBid { node: key.node_id().into(), price: PAY.try_into().unwrap(), signed }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_buys_a_price_from_three_nodes_of_which_one_lies() {
    let network = network("1:faker").await;
    let chain = network.chain.as_ref().unwrap();
    let buyer = Consumer::price_buyer(chain).await;
    buyer.send(abi::askCall {}).await;
    let price = buyer.priced().await;
    assert!((U256::from(650)..U256::from(920)).contains(&price), "{price}");
    assert!(buyer.read(&abi::pendingCall {}).is_zero());
    // All three nodes deliver: they took turns, so that one paid for gas, and no other.
    assert_eq!(buyer.deliveries(FULFIL), [true]);
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_buys_a_price_with_bids_that_three_nodes_have_signed() {
    let network = network("0").await;
    let chain = network.chain.as_ref().unwrap();
    let buyer = Consumer::price_buyer(chain).await;
    let job = buyer.read(&abi::nextJobCall {});
    // The terms as they are answered are what their revision is the hash of.
    let revision = keccak256(answer(chain, &buyer.address, &abi::signedTermsCall {}));
    let bids =
        chain.accounts().iter().take(NODES).map(|account| signed_bid(chain, &account.key, job, revision));
    let mut bids: Vec<abi::SignedBid> = bids.collect();
    bids.sort_by_key(|bid| bid.node);
    buyer.send(abi::askSignedCall { bids }).await;
    let price = buyer.priced().await;
    assert!((U256::from(650)..U256::from(920)).contains(&price), "{price}");
    // A node that could not wait for the others gave the seats slots: then it is a job like any other.
    let scheduler = json!(chain.deployed().contract);
    let is_rostered = read(chain, &scheduler, &abi::jobsCall { job }).head.bit(11);
    let (by_slots, by_hash) = (buyer.deliveries(FULFIL), buyer.deliveries(FULFIL_ROSTERED));
    let expected = if is_rostered { (vec![], vec![true]) } else { (vec![true], vec![]) };
    assert_eq!((by_slots, by_hash), expected, "rostered: {is_rostered}");
    network.stop().await;
}
