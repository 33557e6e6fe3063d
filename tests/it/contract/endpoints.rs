//! Endpoints that leave events out, take few blocks at a time, or are busy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay::{
    domain::{Amount, Event},
    scheduler::{
        Scheduler,
        contract::{ChainConfig, ContractReader, history, locked},
    },
    store::Db,
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{
    chain::{Chain, Member, PATIENCE},
    faulty::{Fault, Faulty},
    long_deal,
};

async fn reader_of(chain: &Chain, endpoint: &Faulty) -> Member {
    let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
    chain.member_with(config, chain.funded_key(), Db::in_memory().unwrap()).await
}

/// A few jobs, some of them with a bid.
async fn play(chain: &Chain, jobs: u64) -> Member {
    let (member, node) = (chain.member().await, chain.member().await);
    for nonce in 0..jobs {
        let submission = member.submission(&long_deal(), nonce);
        let (job, revision) = (submission.action.job, submission.action.revision);
        member.scheduler.submit(submission).await.unwrap();
        if nonce % 2 == 0 {
            node.read_until(usize::try_from(nonce + nonce / 2 + 1).unwrap()).await;
            node.act(job, revision, Event::BidPlaced { price: Amount::ZERO }).await;
            member.read_until(usize::try_from(nonce + nonce / 2 + 2).unwrap()).await;
        }
    }
    member
}

/// Whoever reads through the endpoint has what the chain has.
async fn assert_reads_all(chain: &Chain, endpoint: &Faulty, member: &Member) {
    let expected = member.read().await;
    let reader = reader_of(chain, endpoint).await;
    reader.read_until(expected.len()).await;
    assert_eq!(reader.read().await, expected, "every event once, in the same order");
    let job = expected[0].stamped.job;
    let urls = [endpoint.url.clone()];
    let first = chain.deployed.receipt.block;
    let history = history(&urls, chain.deployed.contract, first, job).await.unwrap();
    let of_job = expected.iter().filter(|item| item.stamped.job == job).count();
    assert_eq!(history.jobs[0].1.len(), of_job, "the same for a checker without a node");
    let contract = ContractReader::connect(&urls, chain.deployed.contract, None).await.unwrap();
    assert_eq!(locked(&contract, first, member.id()).await.unwrap(), Amount::ZERO);
}

#[tokio::test]
async fn an_endpoint_that_answers_with_no_logs_hides_no_event() {
    let chain = Chain::start(None).await;
    let member = play(&chain, 3).await;
    let empty = |method: &str, _: &Value| match method {
        "eth_getLogs" => Fault::result(json!([])),
        _ => Fault::None,
    };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, empty).await;
    assert_reads_all(&chain, &endpoint, &member).await;
}

#[tokio::test]
async fn an_endpoint_without_block_receipts_is_asked_for_each() {
    let chain = Chain::start(None).await;
    let member = play(&chain, 2).await;
    let old = |method: &str, _: &Value| match method {
        "eth_getLogs" => Fault::result(json!([])),
        "eth_getBlockReceipts" => Fault::Error(-32601, "the method does not exist"),
        _ => Fault::None,
    };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, old).await;
    assert_reads_all(&chain, &endpoint, &member).await;
}

#[tokio::test]
async fn an_endpoint_that_leaves_some_logs_out_or_adds_others_is_not_believed() {
    let chain = Chain::start(None).await;
    let member = play(&chain, 4).await;
    let every_other: fn(Value) -> Value =
        |logs| json!(logs.as_array().unwrap().iter().step_by(2).collect::<Vec<_>>());
    let twice: fn(Value) -> Value =
        |logs| json!(logs.as_array().unwrap().iter().flat_map(|log| [log, log]).collect::<Vec<_>>());
    let foreign: fn(Value) -> Value = |mut logs| {
        let mut others = logs.as_array().unwrap().clone();
        for log in &mut others {
            log["address"] = json!(format!("{:#042x}", 7));
        }
        let mut later = others.clone();
        for log in &mut later {
            log["blockNumber"] = json!("0xffff");
        }
        logs.as_array_mut().unwrap().extend(others.into_iter().chain(later));
        logs
    };
    for alter in [every_other, twice, foreign] {
        let rule = move |method: &str, _: &Value| match method {
            "eth_getLogs" => Fault::Altered(Arc::new(alter)),
            _ => Fault::None,
        };
        let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
        assert_reads_all(&chain, &endpoint, &member).await;
    }
}

/// Takes at most so many blocks at a time, and refuses more in its own way.
fn few_at_a_time(most: u64, refusal: Fault) -> impl Fn(&str, &Value) -> Fault + Send + Sync + 'static {
    let number = |block: &Value| u64::from_str_radix(block.as_str()?.strip_prefix("0x")?, 16).ok();
    move |method, params| match (number(&params[0]["fromBlock"]), number(&params[0]["toBlock"])) {
        (Some(from), Some(to)) if method == "eth_getLogs" && to - from >= most => refusal.clone(),
        _ => Fault::None,
    }
}

#[tokio::test]
async fn an_endpoint_that_takes_few_blocks_at_a_time_is_asked_for_as_few() {
    let chain = Chain::start(None).await;
    let (member, blocks) = (play(&chain, 2).await, 1100);
    chain.mine(blocks).await;
    member.scheduler.submit(member.submission(&long_deal(), 2)).await.unwrap();
    // As providers say it; the last words are also those for too many requests.
    let refusals = [
        (999, Fault::Error(-32602, "query exceeds max block range 999")),
        (500, Fault::Refused(413, None)),
        (10, Fault::Error(-32005, "limit exceeded")),
    ];
    for (most, refusal) in refusals {
        let endpoint = Faulty::start(&chain.anvil.rpc_url, few_at_a_time(most, refusal)).await;
        assert_reads_all(&chain, &endpoint, &member).await;
        // A follower, a checker, and a wallet each read all of it.
        let least = 3 * blocks / most;
        let asked = u64::try_from(endpoint.calls("eth_getLogs")).unwrap();
        assert!(asked < 3 * least + 60, "{most}: {asked} questions");
    }
}

#[tokio::test]
async fn a_live_endpoint_that_goes_blind_for_a_while_loses_and_breaks_nothing() {
    let chain = Chain::start(None).await;
    let blind = |method: &str, _: &Value| match method {
        "eth_getLogs" => Fault::result(json!([])),
        "eth_getBlockReceipts" => Fault::result(json!([])),
        _ => Fault::None,
    };
    let endpoint = Faulty::start(&chain.anvil.rpc_url, blind).await;
    endpoint.set_faulty(false);
    let reader = reader_of(&chain, &endpoint).await;
    let member = chain.member().await;
    member.scheduler.submit(member.submission(&long_deal(), 0)).await.unwrap();
    reader.read_until(1).await;
    endpoint.set_faulty(true);
    for nonce in 1..4 {
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
    }
    let asked = endpoint.calls("eth_getLogs");
    super::until(|| endpoint.calls("eth_getLogs") > asked + 3).await;
    assert_eq!(reader.read().await.len(), 1, "what cannot be checked is not taken for nothing");
    endpoint.set_faulty(false);
    reader.read_until(4).await;
    assert_eq!(reader.read().await, member.read().await);
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again_later_whoever_asks() {
    let chain = Chain::start(None).await;
    let member = play(&chain, 1).await;
    for (status, after) in [(429, Some(1)), (429, None), (503, None), (500, None)] {
        let asked = AtomicUsize::new(0);
        let rule = move |_: &str, _: &Value| match asked.fetch_add(1, Ordering::SeqCst) % 9 {
            0 => Fault::Refused(status, after),
            _ => Fault::None,
        };
        let endpoint = Faulty::start(&chain.anvil.rpc_url, rule).await;
        assert_reads_all(&chain, &endpoint, &member).await;
        let config = ChainConfig { rpc_urls: vec![endpoint.url.clone()], ..chain.config() };
        let key = chain.funded_key();
        let client = assay::scheduler::contract::ChainClient::connect(&config, &key).await.unwrap();
        let amount = Amount::new(5).unwrap();
        timeout(PATIENCE, client.deposit(amount)).await.unwrap().unwrap();
        assert_eq!(client.reader().account(key.node_id()).await.unwrap().free, amount);
    }
}

/// Answers whatever it is asked with pieces that never end, at once or one every so often.
struct Endless {
    url: String,
    sent: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Endless {
    async fn start(piece: &'static [u8], every: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    let mut question = [0; 4096];
                    let _ = stream.read(&mut question).await;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n";
                    let mut ticks = every.map(tokio::time::interval);
                    let mut next = head.as_bytes();
                    while stream.write_all(next).await.is_ok() {
                        count.fetch_add(next.len(), Ordering::SeqCst);
                        next = piece;
                        if let Some(ticks) = &mut ticks {
                            ticks.tick().await;
                        }
                    }
                });
            }
        });
        Self { url, sent, _server: server }
    }
}

#[tokio::test]
async fn each_transaction_asks_for_its_nonce_and_the_fees_once() {
    let chain = Chain::start(None).await;
    let asked = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let count = Arc::clone(&asked);
    let endpoint = Faulty::start(&chain.anvil.rpc_url, move |method, params| {
        // What is in blocks is asked for as often as it takes.
        let is_next = method == "eth_getTransactionCount" && params[1] == "pending";
        count[0].fetch_add(is_next.into(), Ordering::SeqCst);
        count[1].fetch_add((method == "eth_feeHistory").into(), Ordering::SeqCst);
        Fault::None
    })
    .await;
    let member = reader_of(&chain, &endpoint).await;
    for nonce in 0..3 {
        member.scheduler.submit(member.submission(&long_deal(), nonce)).await.unwrap();
    }
    assert_eq!(asked.each_ref().map(|count| count.load(Ordering::SeqCst)), [3, 3]);
}

#[tokio::test]
async fn an_endpoint_whose_answer_does_not_end_is_left_for_the_next() {
    let chain = Chain::start(None).await;
    let contract = chain.deployed.contract;
    let flood = Endless::start(&[b' '; 64 << 10], None).await;
    let alone = timeout(PATIENCE, ContractReader::connect(std::slice::from_ref(&flood.url), contract, None))
        .await
        .unwrap();
    let error = format!("{:?}", alone.unwrap_err());
    assert!(error.contains("longer than 32 MiB"), "{error}");
    // What the sockets between hold comes on top.
    let sent = flood.sent.load(Ordering::SeqCst);
    assert!((32 << 20..64 << 20).contains(&sent), "{sent} bytes were taken");
    let drip = Endless::start(b" ", Some(Duration::from_millis(100))).await;
    for bad in [flood.url, drip.url] {
        let urls = [bad, chain.anvil.rpc_url.clone()];
        timeout(PATIENCE, ContractReader::connect(&urls, contract, None)).await.unwrap().unwrap();
    }
}

/// Over a WebSocket, answers a question with `head`, and then `piece` again and again.
async fn endless_socket(head: Vec<u8>, piece: Vec<u8>) -> (String, Arc<AtomicUsize>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let (sent, mut server) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    let count = Arc::clone(&sent);
    server.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let _ = socket.next().await;
            let mut next = &head;
            while socket.get_mut().write_all(next).await.is_ok() {
                count.fetch_add(next.len(), Ordering::SeqCst);
                next = &piece;
            }
        }
    });
    (url, sent, server)
}

/// A frame of text that a server sends: its first byte, the length that it claims, and its bytes.
fn frame(first: u8, claimed: u64, bytes: usize) -> Vec<u8> {
    [&[first, 127][..], &claimed.to_be_bytes(), &vec![b' '; bytes]].concat()
}

#[tokio::test]
async fn an_answer_over_a_websocket_that_does_not_end_is_left_for_the_next() {
    const PIECE: usize = 64 << 10;
    let chain = Chain::start(None).await;
    let contract = chain.deployed.contract;
    let one_frame = (frame(0x81, 1 << 40, 0), vec![b' '; PIECE]);
    let (first, more) = (frame(0x01, PIECE as u64, PIECE), frame(0x00, PIECE as u64, PIECE));
    for (head, piece) in [one_frame, (first, more)] {
        let (url, sent, _server) = endless_socket(head, piece).await;
        let urls = [url, chain.anvil.rpc_url.clone()];
        timeout(PATIENCE, ContractReader::connect(&urls, contract, None)).await.unwrap().unwrap();
        // What the sockets between hold comes on top.
        let sent = sent.load(Ordering::SeqCst);
        assert!(sent < 64 << 20, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn an_endpoint_that_cuts_a_websocket_is_asked_again() {
    let chain = Chain::start(None).await;
    let upstream = chain.anvil.ws_url.strip_prefix("ws://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let _ = socket.next().await;
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut upstream = TcpStream::connect(upstream).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut upstream).await;
    });
    let urls = [url];
    let reader = ContractReader::connect(&urls, chain.deployed.contract, None);
    timeout(PATIENCE, reader).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_busy_endpoint_is_left_for_the_next_at_once() {
    let chain = Chain::start(None).await;
    let busy = Faulty::start(&chain.anvil.rpc_url, |_, _| Fault::Refused(429, Some(60))).await;
    let rpc_urls = vec![busy.url.clone(), chain.anvil.rpc_url.clone()];
    let reader = ContractReader::connect(&rpc_urls, chain.deployed.contract, None);
    timeout(Duration::from_secs(15), reader).await.expect("nobody waits a minute").unwrap();
}
