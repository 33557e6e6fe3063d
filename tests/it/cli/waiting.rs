//! Commands that lose an answer, or wait for what does not come.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use assay::{
    api::types::{ErrorBody, ErrorCode, ErrorReply, JobList, SubmitReply},
    domain::JobState,
};
use axum::{
    Json, Router,
    http::StatusCode,
    response::IntoResponse as _,
    response::sse::{Event, Sse},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinSet, spawn_blocking},
};

use super::{Seen, User};
use crate::town::{Citizen, PATIENCE, Town, deal, end, printing};

/// Between a client and a node: takes the request that begins so to the node, and loses the first answer.
struct Lossy {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Lossy {
    async fn start(node: SocketAddr, loses: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (mut lost, mut carried) = (false, JoinSet::new());
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut upstream = TcpStream::connect(node).await.unwrap();
                let mut head = vec![0; 16 << 10];
                let count = client.read(&mut head).await.unwrap();
                upstream.write_all(&head[..count]).await.unwrap();
                if !lost && head.starts_with(loses.as_bytes()) {
                    lost = true;
                    // The node has done it by the time that it answers; nobody hears.
                    assert_ne!(upstream.read(&mut head).await.unwrap(), 0);
                    continue;
                }
                carried.spawn(async move { copy_bidirectional(&mut client, &mut upstream).await });
            }
        });
        Self { address, _task: task }
    }
}

/// Runs a command of a user who asks at `api`.
pub(super) async fn run(api: SocketAddr, node: Option<&Citizen>, words: &'static [&'static str]) -> Seen {
    let mut user = User::new();
    user.api = Some(format!("http://{api}"));
    if let Some(node) = node {
        let token_file = node.node().token_file().display().to_string();
        user.set.push(("ASSAY_API_TOKEN_FILE", token_file));
    }
    tokio::time::timeout(PATIENCE, spawn_blocking(move || user.run(words))).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_and_the_job_submitted_once() {
    let town = Town::new();
    let node = town.node(1, 1, printing("x")).await;
    let lossy = Lossy::start(node.api, "POST /api/v1/jobs ").await;
    let words =
        &["job", "submit", "--detach", "--concurrency", "1", "--output", "json", "demo", "--", "true"];
    let seen = run(lossy.address, Some(&node), words).await;
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    let submitted: SubmitReply = serde_json::from_str(&seen.stdout).unwrap();
    let list: JobList = serde_json::from_slice(&node.get("jobs").await.1).unwrap();
    assert_eq!(list.jobs.iter().map(|row| row.job).collect::<Vec<_>>(), [submitted.job]);
    end(node.handle).await;
}

/// A node whose job never ends, though its last deadline passed long ago.
async fn stuck(view: Value) -> (SocketAddr, JoinSet<()>) {
    let events = || async {
        Sse::new(futures::stream::pending::<Result<Event, Infallible>>())
            .keep_alive(axum::response::sse::KeepAlive::new().interval(Duration::from_secs(1)))
    };
    let app = Router::new()
        .route("/api/v1/jobs/{job}", get(|| async move { Json(view) }))
        .route("/api/v1/jobs/{job}/events", get(events));
    serve(app).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_last_deadline_is_not_waited_for() {
    let town = Town::new();
    let node = town.node(1, 1, printing("x")).await;
    let spec = assay::domain::Spec::sample();
    let (job, _) = node.node().submit_job(spec, deal(1, 1)).await.unwrap();
    assert_eq!(node.ended(job).await.state, JobState::Verified);
    let (_, view) = node.get(&format!("jobs/{job}")).await;
    end(node.handle).await;

    let mut view: Value = serde_json::from_slice(&view).unwrap();
    let now = view["now"].as_u64().unwrap();
    view["state"] = json!("running");
    view["deadlines"] = json!([{ "name": "reveal_by", "at": now - 121, "bounds": "" }]);
    let (address, _task) = stuck(view).await;
    for words in [&["job", "wait", "1"][..], &["job", "logs", "--follow", "1"]] {
        let seen = run(address, None, words).await;
        assert_eq!((seen.code, seen.stdout.as_str()), (122, ""), "{}", seen.stderr);
        assert!(seen.stderr.contains("last deadline") && seen.stderr.contains("hint: "), "{}", seen.stderr);
    }
}

pub(super) async fn serve(app: Router) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_too_many_clients_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = async move || {
        if count.fetch_add(1, Ordering::SeqCst) > 0 {
            return Json(JobList { total: 0, jobs: Vec::new(), next: None }).into_response();
        }
        let error = ErrorBody { code: ErrorCode::Busy, message: "too many clients".to_owned(), hint: None };
        (StatusCode::SERVICE_UNAVAILABLE, Json(ErrorReply { error })).into_response()
    };
    let (address, _task) = serve(Router::new().route("/api/v1/jobs", get(answer))).await;
    let seen = run(address, None, &["job", "list", "--output", "json"]).await;
    assert_eq!((seen.code, asked.load(Ordering::SeqCst)), (0, 2), "{}", seen.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_a_node_that_loads_and_says_so_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let answer = async move || {
        let asked = count.fetch_add(1, Ordering::SeqCst);
        if asked == 3 {
            return Json(JobList { total: 0, jobs: Vec::new(), next: None }).into_response();
        }
        let message = format!("the node is loading its logs: {asked} of 3 jobs are read");
        let error = ErrorBody { code: ErrorCode::Loading, message, hint: None };
        (StatusCode::SERVICE_UNAVAILABLE, Json(ErrorReply { error })).into_response()
    };
    let (address, _task) = serve(Router::new().route("/api/v1/jobs", get(answer))).await;
    let seen = run(address, None, &["job", "list", "--output", "json"]).await;
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    let notes: Vec<&str> = seen.stderr.lines().filter(|line| line.contains("waiting:")).collect();
    assert!(matches!(notes[..], [one] if one.contains("0 of 3 jobs")), "{}", seen.stderr);
}
