//! Which code is at the address of a contract, and of its rare steps.

use alloy_primitives::Address;
use assay::scheduler::contract::ContractReader;
use serde_json::json;

use super::chain::Chain;

async fn is_ours(chain: &Chain) -> bool {
    let urls = std::slice::from_ref(&chain.anvil.rpc_url);
    ContractReader::connect(urls, chain.deployed.contract, None).await.unwrap().code().is_ours
}

#[tokio::test]
async fn a_contract_is_ours_only_with_our_rare_steps() {
    let chain = Chain::start(None).await;
    assert!(is_ours(&chain).await);
    let scheduler = Address::from(chain.deployed.contract);
    // A contract is created with the nonce 1, and makes its rare steps at once.
    let rare = scheduler.create(1).to_string();
    let kept = chain.rpc("eth_getCode", &json!([rare, "latest"]));
    for changed in ["0x", "0x00"] {
        chain.rpc("anvil_setCode", &json!([rare, changed]));
        assert!(!is_ours(&chain).await, "{changed}");
    }
    chain.rpc("anvil_setCode", &json!([rare, kept]));
    assert!(is_ours(&chain).await);
}
