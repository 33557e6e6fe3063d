//! Who may ask a node, and what those who may not can hold.

use std::time::Duration;

use assay::{
    api::types::{ErrorCode, ErrorReply, Health, NodeInfo},
    domain::JobId,
    tls::http_client,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::{read, request, submit};
use crate::town::{Citizen, PATIENCE, Town, deal, end, printing};

/// More connections than the API keeps of those who have not shown the token, several times over.
const CROWD: usize = 300;

/// What a client that knows the address and nothing else is answered.
async fn answer_to_a_stranger(node: &Citizen, method: &str, path: &str) -> (u16, Vec<u8>) {
    let http = http_client().no_proxy().timeout(PATIENCE).build().unwrap();
    let request = http.request(method.parse().unwrap(), node.url(path));
    node.ask(request.header("content-type", "application/json").body("{}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_health_is_answered_without_the_token() {
    let town = Town::new();
    let a = town.node(1, 1, printing("x")).await;
    let job = submit(&a, &request(deal(1, 1))).await;
    a.ended(job).await;
    let node = a.id();
    let before = a.get("jobs").await;
    for (method, path) in [
        ("GET", "node".to_owned()),
        ("GET", "nodes".to_owned()),
        ("GET", "jobs".to_owned()),
        ("POST", "jobs".to_owned()),
        ("POST", "blobs".to_owned()),
        ("GET", format!("jobs/{job}")),
        ("GET", format!("jobs/{job}/events")),
        ("GET", format!("jobs/{job}/log")),
        ("GET", format!("jobs/{job}/anchors")),
        ("POST", format!("jobs/{job}/cancel")),
        ("POST", format!("jobs/{job}/deal")),
        ("GET", format!("jobs/{job}/results")),
        ("GET", format!("jobs/{job}/results/{node}/archive")),
        ("GET", format!("jobs/{job}/output")),
        ("GET", format!("jobs/{}", JobId::ZERO)),
        ("DELETE", "jobs".to_owned()),
        ("GET", "nothing".to_owned()),
        ("GET", "openapi.json".to_owned()),
        ("GET", "health/".to_owned()),
        ("GET", "health/../jobs".to_owned()),
        ("GET", format!("jobs/{job}/plot")),
        ("POST", "tickets".to_owned()),
    ] {
        let (status, body) = answer_to_a_stranger(&a, method, &path).await;
        let reply: ErrorReply = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, 401, "{method} {path}");
        assert!(reply.error.hint.unwrap().contains("ASSAY_API_TOKEN_FILE"), "{method} {path}");
    }
    assert_eq!(a.get("jobs").await, before, "nobody changed anything");
    let health: Health = read(answer_to_a_stranger(&a, "GET", "health").await);
    assert!(health.alive);
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_node_alone() {
    let town = Town::new();
    let (a, b) = (town.node(1, 0, printing("")).await, town.node(2, 0, printing("")).await);
    assert_eq!(a.ask(b.http().get(a.url("node"))).await.0, 401);
    assert_eq!(a.ask(a.http().get(a.url("node"))).await.0, 200);
    end(a.handle).await;
    end(b.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_requests_keep_nobody_out() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(a.api).await.unwrap();
        stream.write_all(b"GET /api/v1/node HTTP/1.1\r\nHost: 127.0.0.1").await.unwrap();
        crowd.push(stream);
    }
    let info: NodeInfo = read(a.get("node").await);
    assert_eq!(info.id, a.id());
    // The oldest had to give way, though it never ended its request, and is told to ask again.
    let mut answer = String::new();
    timeout(PATIENCE, crowd[0].read_to_string(&mut answer)).await.expect("the API hangs up").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nretry-after: 1\r\n"), "{head}");
    let reply: ErrorReply = serde_json::from_str(body).unwrap();
    assert_eq!(reply.error.code, ErrorCode::Busy);
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_token_is_answered_while_strangers_come_without_a_pause() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let (api, mut strangers) = (a.api, JoinSet::new());
    for _ in 0..CROWD {
        strangers.spawn(async move {
            loop {
                let mut stream = TcpStream::connect(api).await.unwrap();
                let _ = stream.write_all(b"GET /api/v1/node HTTP/1.1\r\nHost: 127.0.0.1").await;
                // Comes back as soon as it is sent away.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    for _ in 0..3 {
        let asked = a.http().get(a.url("node")).header("connection", "close");
        assert_eq!(a.ask(asked).await.0, 200);
    }
    drop(strangers);
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_not_waited_for() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let mut stream = TcpStream::connect(a.api).await.unwrap();
    stream.write_all(b"GET /api/v1/node HTTP/1.1\r\nHost: 127.0.0.1\r\nX-").await.unwrap();
    let mut answer = Vec::new();
    // A stream that is closed has an end.
    let closed = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the API hangs up");
    assert!(closed.is_ok(), "{closed:?}");
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_ends_is_not_waited_for() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let body = reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let (status, body) = a.post("jobs", body).await;
    assert_eq!(status, 408, "{}", String::from_utf8_lossy(&body));
    end(a.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_of_our_own_clients_may_ask_at_once() {
    let town = Town::new();
    let a = town.node(1, 0, printing("")).await;
    let (ask, client) = (a.url("node"), a.http());
    let answers = (0..CROWD).map(|_| async {
        // A connection each, as processes have.
        client.get(&ask).header("connection", "close").send().await.unwrap().status().as_u16()
    });
    let answers = timeout(Duration::from_secs(30), futures::future::join_all(answers)).await.unwrap();
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    end(a.handle).await;
}
