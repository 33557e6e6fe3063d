//! Transactions whose answers are lost, and the way to a chain, as a user sees them. Needs Anvil.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{Seen, wallet::Rich};
use crate::contract::{
    chain::rpc,
    faulty::{Fault, Faulty},
};

const ONE_ETHER: &str = "1000000000000000000";

/// Every transaction is taken, and every answer to one is lost.
pub(super) fn loses_answers(method: &str, _: &Value) -> Fault {
    if method == "eth_sendRawTransaction" { Fault::Lost(502) } else { Fault::None }
}

/// The hash that was told before the transaction was sent.
fn told(seen: &Seen) -> Value {
    let (_, rest) = seen.stderr.split_once("sending transaction ").expect("the hash is told");
    json!(rest[..66])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_through_an_endpoint_that_loses_answers_is_done_once() {
    let mut rich = Rich::new().await;
    let endpoint = Faulty::start(&rich.anvil.rpc_url, loses_answers).await;
    rich.user.set.push(("ASSAY_RPC_URL", endpoint.url.clone()));
    let run = |rich: &Rich, words: &[&str]| {
        let seen = rich.user.run(&[words, &["--output", "json"]].concat()).assert(0);
        let done = seen.json();
        assert_eq!(done["transaction"], told(&seen), "told before it was sent, and no other was");
        done
    };
    let deployed = run(&rich, &["contract", "deploy"]);
    rich.user.set.push(("ASSAY_CONTRACT", deployed["contract"].as_str().unwrap().to_owned()));
    let deposited = run(&rich, &["wallet", "deposit", "1ether"]);
    assert_eq!(deposited["free"], ONE_ETHER, "once, not twice");
    let withdrawn = run(&rich, &["wallet", "withdraw", "1ether"]);
    assert_eq!(withdrawn["free"], "0");
    assert_eq!(rich.sent(), 3);
    assert_eq!(endpoint.calls("eth_sendRawTransaction"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_deposits_with_one_key_at_the_same_time_are_four() {
    let mut rich = Rich::new().await;
    rich.deploy();
    let deposit = || {
        let mut command = rich.user.command(&["wallet", "deposit", "1ether", "--output", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let started: Vec<_> = (0..4).map(|_| deposit()).collect();
    let done = started.into_iter().map(|child| Seen::new(&child.wait_with_output().unwrap()).assert(0));
    let made: BTreeSet<String> = done.map(|seen| seen.json()["transaction"].to_string()).collect();
    assert_eq!(made.len(), 4, "each reports a transaction of its own");
    let balance = rich.user.run(&["wallet", "balance", "--output", "json"]).assert(0).json();
    assert_eq!(balance["free"], "4000000000000000000");
    assert_eq!(rich.sent(), 5, "the deployment and four deposits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_which_nothing_is_known_ends_with_126_and_its_hash() {
    let mut rich = Rich::new().await;
    rich.deploy();
    let is_sent = AtomicBool::new(false);
    let silent = move |method: &str, _: &Value| {
        if method == "eth_sendRawTransaction" {
            is_sent.store(true, Ordering::SeqCst);
            return Fault::Lost(502);
        }
        if is_sent.load(Ordering::SeqCst) { Fault::Refused(404, None) } else { Fault::None }
    };
    let endpoint = Faulty::start(&rich.anvil.rpc_url, silent).await;
    let seen = rich.user.run(&["wallet", "deposit", "1ether", "--rpc-url", &endpoint.url]).assert(126);
    let hash = told(&seen);
    seen.says(&[
        &format!("it is unknown whether transaction {} was taken", hash.as_str().unwrap()),
        "find out before you send it again",
    ]);
    let receipt = rpc(&rich.anvil.rpc_url, "eth_getTransactionReceipt", &json!([hash]));
    assert_eq!(receipt["status"], json!("0x1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gas_above_the_fee_cap_is_not_paid() {
    let mut rich = Rich::new().await;
    rich.deploy();
    let before = rich.sent();
    let refused = rich.user.run(&["wallet", "deposit", "1ether", "--max-fee", "1wei"]).assert(125);
    refused.says(&["more than the fee cap of 1 wei", "hint: wait until gas is cheaper", "--max-fee"]);
    assert_eq!(rich.sent(), before, "nothing was sent");
    rich.user.run(&["wallet", "deposit", "1ether", "--max-fee", "100gwei"]).assert(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_on_this_machine_is_asked_without_a_proxy() {
    let mut rich = Rich::new().await;
    rich.deploy();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        rich.user.set.push((name, proxy.clone()));
    }
    let port = rich.anvil.rpc_url.rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "localhost"] {
        rich.user.run(&["contract", "info", "--rpc-url", &format!("http://{host}:{port}")]).assert(0);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "a proxy has another loopback than this machine");
    let elsewhere = ["contract", "info", "--rpc-url", "http://chain.invalid"];
    rich.user.run(&elsewhere).assert(124);
    assert!(asked.load(Ordering::SeqCst) > 0, "the proxy is used for other machines");
}
