//! Whole networks in this process, on the real engine: what jobs end with, and what becomes of liars.
//!
//! Needs the engine and the demo image: `./scripts/test` sets them up. Without them the tests fail and say so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use assay::{
    api::types::{ErrorReply, JobView, Judgement, SeatView, SubmitReply, SubmitRequest},
    devstack::{Backend, BadActors, Fault, Stack, StackConfig},
    domain::{Deal, FailureKind, JobId, JobState, NodeId, RUN_MARGIN, Resources, Span},
    executor::{DEFAULT_SOCKET, DockerExecutor},
};
use tempfile::TempDir;
use tokio::time::timeout;

const HINT: &str = "run ./scripts/test, which sets up the engine and the demo image";

/// Longer than any job here may take: two deadlines of a minute, and what happens around them.
const PATIENCE: Duration = Duration::from_secs(100);

struct Network {
    stack: Stack,
    http: reqwest::Client,
    _dir: TempDir,
}

impl Network {
    async fn start(nodes: usize, bad: &str) -> Self {
        let engine =
            DockerExecutor::connect(DEFAULT_SOCKET).await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        let dir = tempfile::tempdir().unwrap();
        let config = StackConfig {
            backend: Backend::Libp2p,
            nodes,
            bad: bad.parse::<BadActors>().unwrap(),
            data_dir: dir.path().to_owned(),
            keys: Vec::new(),
            max_bond: Default::default(),
            ask: Default::default(),
            executor: Arc::new(engine),
        };
        let stack = Stack::start(config).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { stack, http, _dir: dir }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.stack.nodes()[0].api)
    }

    /// A job for every node.
    async fn submit(&self, script: &str, timeout: Span) -> JobId {
        let concurrency = u8::try_from(self.stack.nodes().len()).unwrap();
        let deal = Deal {
            concurrency,
            confidence: concurrency / 2 + 1,
            timeout,
            run: timeout.plus(RUN_MARGIN),
            ..Deal::default()
        };
        let request = SubmitRequest {
            image: "assay/demo:1".to_owned(),
            entrypoint: Vec::new(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: BTreeMap::new(),
            working_directory: None,
            inputs: Vec::new(),
            resources: Resources::default(),
            deal,
        };
        let reply = self.http.post(self.url("jobs")).json(&request).send().await.unwrap();
        if !reply.status().is_success() {
            let refused: ErrorReply = reply.json().await.unwrap();
            panic!("{}; {HINT}", refused.error.message);
        }
        reply.json::<SubmitReply>().await.unwrap().job
    }

    async fn view(&self, job: JobId) -> JobView {
        self.http.get(self.url(&format!("jobs/{job}"))).send().await.unwrap().json().await.unwrap()
    }

    /// The job when it is over: its stream of events ends then.
    async fn ended(&self, job: JobId) -> JobView {
        let events = self.http.get(self.url(&format!("jobs/{job}/events"))).send().await.unwrap();
        timeout(PATIENCE, events.bytes()).await.expect("every wait of a job has a bound").unwrap();
        self.view(job).await
    }

    async fn output(&self, job: JobId) -> String {
        self.http.get(self.url(&format!("jobs/{job}/output"))).send().await.unwrap().text().await.unwrap()
    }

    /// Runs a job on every node, and returns it with what the verdict says of honest and of bad nodes.
    async fn judged(&self, script: &str) -> (JobView, Vec<Judgement>, Vec<Judgement>) {
        let job = self.submit(script, Span::from_secs(1)).await;
        let view = self.ended(job).await;
        let bad: Vec<NodeId> =
            self.stack.nodes().iter().filter(|node| node.fault.is_some()).map(|node| node.id).collect();
        let judgement = |seat: &SeatView| seat.judgement.unwrap();
        let (of_bad, of_honest): (Vec<_>, Vec<_>) =
            view.seats.iter().partition(|seat| bad.contains(&seat.node));
        let judged = |seats: Vec<&SeatView>| seats.into_iter().map(judgement).collect();
        let (honest, liars) = (judged(of_honest), judged(of_bad));
        (view, honest, liars)
    }

    async fn stop(mut self) {
        self.stack.stop();
        timeout(PATIENCE, self.stack.join()).await.unwrap().unwrap();
    }
}

/// A network with these bad nodes keeps every honest result, and says this of the others.
async fn liars_are_found(nodes: usize, bad: &str, said: Judgement) {
    let network = Network::start(nodes, bad).await;
    let (view, honest, liars) = network.judged("echo hello; echo more than half of it").await;
    assert_eq!(view.state, JobState::Verified);
    assert!(honest.iter().all(|judgement| *judgement == Judgement::Accepted), "{honest:?}");
    assert_eq!(liars.len(), bad.parse::<BadActors>().unwrap().count);
    assert!(liars.iter().all(|judgement| *judgement == said), "{liars:?}");
    assert_eq!(network.output(view.job).await, "hello\nmore than half of it\n");
    network.stop().await;
}

#[tokio::test]
async fn honest_nodes_agree_and_their_output_comes_back() {
    let network = Network::start(3, "0").await;
    let (view, honest, _) = network.judged("echo hello; echo aside >&2; exit 7").await;
    assert_eq!((view.state, honest), (JobState::Verified, vec![Judgement::Accepted; 3]));
    assert!(
        view.seats.iter().all(|seat| seat.result.unwrap().exit_code == 7),
        "a failing command is a result"
    );
    assert_eq!(network.output(view.job).await, "hello\n");
    network.stop().await;
}

#[tokio::test]
async fn an_idler_is_rejected() {
    liars_are_found(3, "1:idle", Judgement::Rejected).await;
}

#[tokio::test]
async fn a_faker_is_rejected() {
    liars_are_found(3, "1:faker", Judgement::Rejected).await;
}

#[tokio::test]
async fn partial_work_is_rejected() {
    liars_are_found(3, "1:partial", Judgement::Rejected).await;
}

#[tokio::test]
async fn colluders_in_the_minority_are_rejected() {
    liars_are_found(5, "2:collude", Judgement::Rejected).await;
}

#[tokio::test]
async fn a_copycat_has_nothing_to_show() {
    liars_are_found(3, "1:copycat", Judgement::Absent).await;
}

#[tokio::test]
async fn a_silent_node_delays_the_verdict_until_its_deadline_and_no_longer() {
    liars_are_found(3, "1:silent", Judgement::Absent).await;
}

#[tokio::test]
async fn a_node_that_crashes_delays_the_verdict_until_its_deadline_and_no_longer() {
    liars_are_found(3, "1:crash", Judgement::Absent).await;
}

#[tokio::test]
async fn colluders_in_the_majority_decide_as_the_documentation_says() {
    let network = Network::start(3, "2:collude").await;
    let (view, honest, liars) = network.judged("echo hello").await;
    assert_eq!(view.state, JobState::Verified);
    assert_eq!((honest, liars), (vec![Judgement::Rejected], vec![Judgement::Accepted; 2]));
    network.stop().await;
}

#[tokio::test]
async fn a_job_that_takes_too_long_fails_with_that_reason() {
    let network = Network::start(3, "0").await;
    let job = network.submit("sleep 60", Span::from_secs(1)).await;
    let view = network.ended(job).await;
    assert_eq!(view.state, JobState::Failed);
    // It is over when a quorum is out of reach: with the second report of three nodes.
    let late = view.seats.iter().filter(|seat| seat.failure == Some(FailureKind::Timeout)).count();
    assert!(late >= 2, "{:?}", view.seats);
    network.stop().await;
}

#[tokio::test]
async fn a_running_job_is_stopped_on_every_node() {
    let network = Network::start(3, "0").await;
    let job = network.submit("sleep 60", Span::from_secs(60)).await;
    let mut events = network.http.get(network.url(&format!("jobs/{job}/events"))).send().await.unwrap();
    while network.view(job).await.state == JobState::Open {
        timeout(PATIENCE, events.chunk()).await.unwrap().unwrap().expect("the job goes on");
    }
    let cancelled = network.http.post(network.url(&format!("jobs/{job}/cancel"))).send().await.unwrap();
    assert!(cancelled.status().is_success(), "{cancelled:?}");
    assert_eq!(network.ended(job).await.state, JobState::Cancelled);
    // Ends only when every node has removed its container, far sooner than the sleep does.
    network.stop().await;
}

#[test]
fn every_kind_of_fault_has_a_test_here() {
    // A new kind does not compile before somebody has thought of what becomes of it.
    let said = |fault| match fault {
        Fault::Idle | Fault::Faker | Fault::Partial | Fault::Collude => Judgement::Rejected,
        Fault::Copycat | Fault::Silent | Fault::Crash => Judgement::Absent,
    };
    let source = include_str!("devstack.rs");
    for fault in Fault::ALL {
        let tested = source.contains(&format!(":{fault}\", Judgement::{:?})", said(fault)));
        assert!(tested, "{fault}");
    }
}
