//! Against a node that answers as each test says.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse as _, routing::post};
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::{
    api::types::{ErrorBody, ErrorReply, SubmitReply, SubmitRequest},
    cli::{ExitStatus, args::Format, settings::ApiAddress, sweep::tests::plan},
};

/// What the node says to each attempt of a job, by index; afterwards it takes the job.
type Script = BTreeMap<u32, Vec<ErrorCode>>;

/// How often each job was sent.
type Attempts = Arc<Mutex<BTreeMap<u32, usize>>>;

async fn answer(
    State((script, attempts)): State<(Arc<Script>, Attempts)>,
    Json(request): Json<SubmitRequest>,
) -> axum::response::Response {
    let index: u32 = request.environment["SWEEP_INDEX"].parse().unwrap();
    let mut attempts = attempts.lock().unwrap();
    let attempt = attempts.entry(index).or_default();
    let refusal = script.get(&index).and_then(|codes| codes.get(*attempt)).copied();
    *attempt += 1;
    match refusal {
        Some(code) => {
            let error = ErrorBody { code, message: "as the test says".to_owned(), hint: None };
            (StatusCode::CONFLICT, Json(ErrorReply { error })).into_response()
        }
        None => {
            let job = JobId::new([u8::try_from(index).unwrap(); 32]);
            let reply = SubmitReply { job, image: "demo".to_owned(), too_few: None, unseeded_program: None };
            Json(reply).into_response()
        }
    }
}

/// A client of such a node.
async fn node(dir: &tempfile::TempDir, script: Script) -> (Client, Attempts, JoinSet<std::io::Result<()>>) {
    let token = dir.path().join("token");
    crate::api::Token::create(&token).unwrap();
    let attempts = Attempts::default();
    let app = Router::new().route("/api/v1/jobs", post(answer));
    let app = app.with_state((Arc::new(script), Arc::clone(&attempts)));
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, app).await });
    let output = Output::new(Format::Table, true);
    (Client::new(ApiAddress::own(address, token), output), attempts, serving)
}

fn short(limit: Duration) -> Patience {
    let pauses = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4) };
    Patience { limit, pauses }
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_refusal_that_passes_delays_a_job_and_loses_none() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan());
    let script = Script::from([(0, vec![ErrorCode::NotEnoughNodes; 3]), (1, vec![ErrorCode::Unexpected])]);
    let (client, attempts, _serving) = node(&dir, script).await;
    let mut sender = Sender::new(&client, &plan, short(LONG));
    let told = sender.send(vec![0, 1]).await.unwrap();
    assert!(told.is_some_and(|told| told.starts_with("waiting")), "the user is told");
    sender.send_all(Output::new(Format::Table, true)).await.unwrap();
    assert_eq!(sender.sent().keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(sender.refused().is_empty());
    assert_eq!(*attempts.lock().unwrap(), BTreeMap::from([(0, 4), (1, 2)]));
}

#[tokio::test]
async fn patience_ends_and_the_rest_is_not_tried() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan());
    let script = Script::from([(0, vec![ErrorCode::NotEnoughNodes; 1000])]);
    let (client, attempts, _serving) = node(&dir, script).await;
    let mut sender = Sender::new(&client, &plan, short(Duration::ZERO));
    assert_eq!(sender.send(vec![0]).await.unwrap(), None);
    sender.send_all(Output::new(Format::Table, true)).await.unwrap();
    assert_eq!(sender.refused().keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(sender.sent().is_empty());
    assert_eq!(*attempts.lock().unwrap(), BTreeMap::from([(0, 1)]));
}

#[tokio::test]
async fn a_job_that_is_refused_for_good_keeps_no_other_one_back() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan());
    let script = Script::from([(0, vec![ErrorCode::InvalidSpec; 9])]);
    let (client, attempts, _serving) = node(&dir, script).await;
    let mut sender = Sender::new(&client, &plan, short(LONG));
    sender.send_all(Output::new(Format::Table, true)).await.unwrap();
    assert_eq!(sender.sent().keys().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(sender.refused().keys().copied().collect::<Vec<_>>(), [0]);
    assert_eq!(*attempts.lock().unwrap(), BTreeMap::from([(0, 1), (1, 1)]), "each was sent once");
    assert_eq!(ExitStatus::Usage.code(), Unsubmitted::exit_status(&[sender.refused()[&0].clone()]).code());
}

#[tokio::test]
async fn a_deleted_input_is_told_with_what_sends_it_again() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan());
    let (client, _, _serving) = node(&dir, Script::from([(0, vec![ErrorCode::UnknownInput])])).await;
    let mut sender = Sender::new(&client, &plan, short(LONG));
    sender.send(vec![0]).await.unwrap();
    let told = Unsubmitted::outcome(&[sender.refused()[&0].clone()], "assay group wait 01").unwrap();
    assert!(told.contains("any job with the same --input") && told.contains("assay group wait 01"), "{told}");
}

#[tokio::test]
async fn a_node_that_does_not_know_us_ends_the_command() {
    let (dir, plan) = (tempfile::tempdir().unwrap(), plan());
    let script = Script::from([(0, vec![ErrorCode::Unauthorized])]);
    let (client, _, _serving) = node(&dir, script).await;
    let mut sender = Sender::new(&client, &plan, short(LONG));
    assert!(sender.send(vec![0]).await.is_err());
}
