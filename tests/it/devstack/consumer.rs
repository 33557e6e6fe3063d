//! A contract that asks: it pays for a job, nodes run it, and a node that it never heard of brings it the result.

use std::time::Duration;

use alloy_primitives::{Address, Bytes, U256, hex, keccak256};
use alloy_sol_types::SolValue as _;
use assay::{
    devstack::chain::LocalChain,
    domain::{NodeId, Spec},
    executor::{DEFAULT_SOCKET, DockerExecutor, Executor as _},
};
use serde_json::{Value, json};
use tokio::time::{interval, timeout};

use super::{HINT, Network, On, PATIENCE};
use crate::contract::chain::{ETHER, rpc};

const ARTIFACT: &str = include_str!("../../../contracts/artifacts/PriceBuyer.json");

/// What an accepted node earns, in wei.
const PAY: u128 = ETHER / 500;

/// The price of an option by four thousand random paths of 25 steps up or down, in hundredths; by the formula it is about 7.8. The
/// paths follow from the job's seed.
const PROGRAM: &str = r#"awk -v seed="$ASSAY_SEED32" 'BEGIN { srand(seed)
for (i = 0; i < 4000; i++) { s = 100; for (k = 0; k < 25; k++) s *= rand() < 0.49 ? 1.04 : 0.9615
if (s > 100) sum += s - 100 }
printf "%d\n", 100 * sum / 4000 }'"#;

/// The contract of the example, on a chain whose first account deployed it.
struct Buyer<'a> {
    chain: &'a LocalChain,
    owner: NodeId,
    address: Value,
}

impl<'a> Buyer<'a> {
    async fn deploy(chain: &'a LocalChain, spec: &[u8]) -> Self {
        let artifact: Value = serde_json::from_str(ARTIFACT).unwrap();
        let mut code = hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap();
        let scheduler = Address::from(chain.deployed().contract);
        code.extend((scheduler, Bytes::copy_from_slice(spec), U256::from(PAY)).abi_encode_params());
        let owner = chain.accounts()[0].key.node_id();
        let (code, value) = (hex::encode_prefixed(code), format!("{:#x}", ETHER / 10));
        let receipt = mined(chain, &json!([{ "from": owner, "data": code, "value": value }])).await;
        Self { chain, owner, address: receipt["contractAddress"].clone() }
    }

    async fn ask(&self) {
        let call = json!([{ "from": self.owner, "to": self.address, "data": selector("ask()") }]);
        mined(self.chain, &call).await;
    }

    fn number(&self, function: &str) -> U256 {
        let call = json!([{ "to": self.address, "data": selector(function) }, "latest"]);
        rpc(self.chain.rpc_url(), "eth_call", &call).as_str().unwrap().parse().unwrap()
    }

    /// The transactions that were sent to it, and whether each did anything.
    fn deliveries(&self) -> Vec<bool> {
        let url = self.chain.rpc_url();
        let head = rpc(url, "eth_blockNumber", &json!([]));
        let head: U256 = head.as_str().unwrap().parse().unwrap();
        let blocks = (0..=head.to::<u64>()).map(|number| {
            rpc(url, "eth_getBlockByNumber", &json!([format!("{number:#x}"), true]))["transactions"].clone()
        });
        let sent: Vec<Value> = blocks.flat_map(|block| block.as_array().unwrap().clone()).collect();
        let fulfil = selector(
            "fulfil(bytes32,(uint8,address,uint96,(bytes32,bytes32,int32,bytes32,bytes32,bytes32))[],int32,bytes)",
        );
        let to_it = sent.iter().filter(|sent| {
            sent["to"] == self.address && sent["input"].as_str().unwrap().starts_with(&fulfil)
        });
        to_it
            .map(|sent| rpc(url, "eth_getTransactionReceipt", &json!([sent["hash"]]))["status"] == "0x1")
            .collect()
    }
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

fn selector(function: &str) -> String {
    hex::encode_prefixed(&keccak256(function)[..4])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_buys_a_price_from_three_nodes_of_which_one_lies() {
    let network = Network::start(On::Contract, 3, "1:faker").await;
    let chain = network.chain.as_ref().unwrap();
    let engine = DockerExecutor::connect(DEFAULT_SOCKET).await.expect(HINT);
    let image = engine.resolve("assay/demo:1").await.expect(HINT);
    let spec = Spec::builder(image).image_name("assay/demo:1").command(["sh", "-c", PROGRAM]);
    let spec = spec.public_result(true).build().unwrap();
    let buyer = Buyer::deploy(chain, &spec.to_document()).await;
    buyer.ask().await;
    let priced = async {
        let mut ticks = interval(Duration::from_millis(100));
        while buyer.number("price()").is_zero() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, priced).await.expect("a node delivers the price in time");
    let price = buyer.number("price()");
    assert!((U256::from(650)..U256::from(920)).contains(&price), "{price}");
    assert!(buyer.number("pending()").is_zero());
    // All three nodes deliver: they took turns, so that one paid for gas, and no other.
    assert_eq!(buyer.deliveries(), [true]);
    network.stop().await;
}
