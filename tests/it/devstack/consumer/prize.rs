//! A contest that nodes judge: programs answer about a file that nobody knew, and none of them prints its own score.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue as _;
use assay::domain::Digest;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerConfig, ContainerCreateBody},
    query_parameters::{
        CommitContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptions, RemoveImageOptions,
    },
};

use super::*;
use crate::web::{Web, content};

const PRIZE: &str = include_str!("../../../../contracts/artifacts/Prize.json");

/// How near the answer is to the length of the file. What is no number is as far as can be.
const JUDGE: &str = r#"answer=$(printf "$(echo "$ANSWER" | sed 's/../\\x&/g')")
case $answer in *[!0-9]*|'') echo 0; exit ;; esac
off=$(($(wc -c < /input) - answer)); off=${off#-}
echo $((off < 1000000 ? 1000000 - off : 0))"#;

/// Reads the file to its end; would win if programs printed their own scores.
const PROGRAMS: [&str; 2] = ["wc -c < /input", "echo 999999999"];

mod abi {
    alloy_sol_types::sol! {
        function enter(string calldata image) external payable returns (uint256 entry);
        function cost() external view returns (uint256);
        function reveal(string calldata url, uint64 bytes) external;
        function advance(uint256 entry) external returns (bytes32 job);
        function entries(uint256 entry)
            external
            view
            returns (address author, uint8 step, uint256 score, string memory image, bytes memory answer);
        function award() external;
        event Won(uint256 indexed entry, address indexed author, uint256 score);
    }
}

/// `Prize.Step`.
const JUDGE_IS_NEXT: u8 = 2;
const DONE: u8 = 4;

/// The demo image with these commands, each an image of its own that goes with this.
struct Images {
    engine: Docker,
    ids: Vec<String>,
}

impl Images {
    async fn of(scripts: impl IntoIterator<Item = &str>) -> Self {
        let host = std::env::var("DOCKER_HOST").ok();
        let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or(DEFAULT_SOCKET);
        let engine = Docker::connect_with_unix(socket, 60, API_DEFAULT_VERSION).unwrap();
        let body = ContainerCreateBody { image: Some("assay/demo:1".to_owned()), ..Default::default() };
        let created = engine.create_container(None::<CreateContainerOptions>, body).await.expect(HINT).id;
        let mut ids = Vec::new();
        for script in scripts {
            let command = ["sh", "-c", script].map(str::to_owned).to_vec();
            let config = ContainerConfig { cmd: Some(command), ..Default::default() };
            let options = CommitContainerOptionsBuilder::default().container(&created).build();
            ids.push(engine.commit_container(options, config).await.unwrap().id);
        }
        engine.remove_container(&created, None::<RemoveContainerOptions>).await.unwrap();
        Self { engine, ids }
    }

    async fn remove(self) {
        for id in self.ids {
            self.engine.remove_image(&id, None::<RemoveImageOptions>, None).await.unwrap();
        }
    }
}

impl Consumer<'_> {
    /// Waits until all entries are at this step.
    async fn at_step(&self, step: u8) {
        let reached = async {
            let mut ticks = interval(Duration::from_millis(100));
            for entry in 0..PROGRAMS.len() {
                while self.read(&abi::entriesCall { entry: U256::from(entry) }).step != step {
                    ticks.tick().await;
                }
            }
        };
        timeout(PATIENCE, reached).await.expect("nodes run and deliver all entries in time");
    }

    async fn advance_all(&self) {
        for entry in 0..PROGRAMS.len() {
            self.send(abi::advanceCall { entry: U256::from(entry) }).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_answer_wins_a_prize_and_not_the_program_that_prints_the_highest_number() {
    let (network, web) = (network("0").await, Web::start());
    let chain = network.chain.as_ref().unwrap();
    let images = Images::of(PROGRAMS.into_iter().chain([JUDGE])).await;
    let judge = images.ids.last().unwrap();
    // Until all have entered, time stands still.
    rpc(chain.rpc_url(), "anvil_setBlockTimestampInterval", &json!([0]));
    let block = rpc(chain.rpc_url(), "eth_getBlockByNumber", &json!(["latest", false]));
    let now: U256 = block["timestamp"].as_str().unwrap().parse().unwrap();
    let scheduler = Address::from(chain.deployed().contract);
    let input = B256::from(Digest::sha256(content()));
    let by = (now, now + U256::from(3600));
    let parameters = (scheduler, judge.clone(), input, by.0, by.1, U256::from(ETHER)).abi_encode_params();
    let prize = Consumer::deploy(chain, PRIZE, parameters, ETHER).await;
    let cost: u128 = prize.read(&abi::costCall {}).to();
    for image in &images.ids[..PROGRAMS.len()] {
        prize.pay(abi::enterCall { image: image.clone() }, cost).await;
    }
    rpc(chain.rpc_url(), "anvil_removeBlockTimestampInterval", &json!([]));
    // The next block is later, however soon it comes.
    rpc(chain.rpc_url(), "evm_increaseTime", &json!([1]));
    let bytes = content().len().try_into().unwrap();
    prize.send(abi::revealCall { url: web.url("/file"), bytes }).await;
    prize.advance_all().await;
    prize.at_step(JUDGE_IS_NEXT).await;
    prize.advance_all().await;
    prize.at_step(DONE).await;
    let score = |entry| prize.read(&abi::entriesCall { entry: U256::from(entry) }).score;
    assert_eq!([0, 1].map(score), [1_000_000_u64, 0].map(U256::from));
    let receipt = prize.send(abi::awardCall {}).await;
    let logs = receipt["logs"].as_array().unwrap();
    let won = <abi::Won as alloy_sol_types::SolEvent>::SIGNATURE_HASH;
    let won = logs.iter().find(|log| log["topics"][0] == json!(won)).expect("somebody won");
    assert_eq!(won["topics"][1], json!(B256::ZERO), "the first entry");
    images.remove().await;
    network.stop().await;
}
