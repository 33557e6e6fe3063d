//! Engines that go away, and containers that somebody else ends.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use assay::{
    domain::{FailureKind, Span},
    executor::{DockerExecutor, Executor as _, ExecutorError},
    explain::Hint as _,
};
use axum::{Router, routing::get};
use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, KillContainerOptions, RemoveContainerOptionsBuilder},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::bench::Bench;

#[tokio::test]
async fn a_cancelled_run_is_interrupted_and_removed() {
    let bench = Bench::new().await;
    let container = bench.cancelled_once_started(bench.request("sleep 60")).await;
    assert_eq!(bench.containers().await, Vec::<String>::new());
    let pid = container.state.unwrap().pid.unwrap();
    assert!(!Path::new(&format!("/proc/{pid}/cwd")).exists());
}

#[tokio::test]
async fn containers_of_a_node_that_crashed_are_removed_and_others_are_not() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    for owner in [&bench, &other] {
        // What a killed process leaves: a container that runs, and nobody waiting for it.
        let mut run = owner.executor.run(owner.request("sleep 60"), CancellationToken::new());
        tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            _ = owner.started() => {}
        }
        drop(run);
    }
    assert_eq!(bench.executor.sweep(bench.node, bench.dir.path()).await.unwrap(), 1);
    assert_eq!(bench.containers().await, Vec::<String>::new());
    assert_eq!(other.containers().await.len(), 1);
    assert_eq!(other.executor.sweep(other.node, other.dir.path()).await.unwrap(), 1);
    assert_eq!(other.executor.sweep(other.node, other.dir.path()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_machine_too_small_for_the_job_says_so() {
    let bench = Bench::new().await;
    let mut spec = bench.request("true").spec;
    spec.resources.cpu_millis = u32::MAX;
    let error = bench.executor.check(&spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::TooSmall { .. }), "{error:?}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let error = DockerExecutor::connect("/no/such/engine.sock").await.unwrap_err();
    assert!(error.to_string().contains("/no/such/engine.sock") && error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn an_engine_that_went_away_is_told_from_one_that_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("engine.sock");
    let answer = || get(async || r#"{ "ApiVersion": "1.41", "NCPU": 2, "MemTotal": 2000000000 }"#);
    let app = Router::new().route("/version", answer()).route("/info", answer());
    let listener = UnixListener::bind(&socket).unwrap();
    let mut server = JoinSet::new();
    server.spawn(async { axum::serve(listener, app).await.unwrap() });
    let executor = DockerExecutor::connect(socket.to_str().unwrap()).await.unwrap();
    let spec = Bench::new().await.request("true").spec;
    // This engine answers 404 to what it does not know, so that the image is not here and has no registry.
    assert_eq!(executor.check(&spec).await.unwrap_err().failure_kind(), FailureKind::Image);
    server.shutdown().await;
    let refused = executor.check(&spec).await.unwrap_err();
    fs::remove_file(&socket).unwrap();
    let gone = executor.check(&spec).await.unwrap_err();
    for error in [refused, gone] {
        assert!(matches!(error, ExecutorError::Unreachable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_run_that_somebody_killed_is_begun_again_once_and_then_gives_no_result() {
    let bench = Bench::new().await;
    let (ended, ()) = tokio::join!(bench.run(bench.request("sleep 60")), async {
        let mut id = String::new();
        for _ in 0..2 {
            id = bench.started_besides(&id).await.id.unwrap();
            bench.engine.kill_container(&id, None::<KillContainerOptions>).await.unwrap();
        }
    });
    assert!(matches!(ended, Err(ExecutorError::Killed)), "{ended:?}");
}

#[tokio::test]
async fn a_run_whose_container_was_removed_behind_its_back_is_begun_again() {
    let bench = Bench::new().await;
    let script = "echo begun; sleep 3; echo ended";
    let (ended, ()) = tokio::join!(bench.run(bench.request(script)), async {
        let id = bench.started().await.id.unwrap();
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        bench.engine.remove_container(&id, Some(options)).await.unwrap();
    });
    assert_eq!(ended.unwrap().exit_code, 0);
    assert_eq!(bench.result("stdout"), "begun\nended\n");
}

/// A socket in front of the engine's that can be taken away and put back, as when the engine restarts.
struct Doorway {
    engine: String,
    socket: PathBuf,
    open: JoinSet<()>,
    /// How to cut the connections that a container's output comes through.
    outputs: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Doorway {
    fn before(engine: &str, dir: &Path) -> Self {
        let mut doorway = Self {
            engine: engine.to_owned(),
            socket: dir.join("doorway.sock"),
            open: JoinSet::new(),
            outputs: Arc::default(),
        };
        doorway.open();
        doorway
    }

    fn open(&mut self) {
        let (listener, engine) = (UnixListener::bind(&self.socket).unwrap(), self.engine.clone());
        let outputs = Arc::clone(&self.outputs);
        self.open.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let engine = engine.clone();
                let mut request = Vec::with_capacity(4096);
                let _ = client.read_buf(&mut request).await;
                // The client uses a connection for one request only.
                let is_output = String::from_utf8_lossy(&request).contains("/attach?");
                let passed = passing.spawn(async move {
                    let mut behind = UnixStream::connect(engine).await.unwrap();
                    behind.write_all(&request).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut behind).await;
                });
                if is_output {
                    outputs.lock().unwrap().push(passed);
                }
            }
        });
    }

    /// Cuts off the output of every container, and nothing else.
    fn cut_outputs(&self) {
        self.outputs.lock().unwrap().drain(..).for_each(|output| output.abort());
    }

    /// Nobody comes in any more, and whoever was in is cut off.
    async fn close(&mut self) {
        self.open.shutdown().await;
        fs::remove_file(&self.socket).unwrap();
    }
}

#[tokio::test]
async fn a_run_outlives_an_engine_that_goes_away_and_leaves_no_container() {
    let bench = Bench::new().await;
    let mut doorway = Doorway::before(&bench.socket, bench.dir.path());
    let executor = DockerExecutor::connect(doorway.socket.to_str().unwrap()).await.unwrap();
    let script = "echo begun; sleep 3; echo ended > /outputs/end; echo ended";
    let run = async { executor.run(bench.request(script), CancellationToken::new()).await.unwrap() };
    let (ended, ()) = tokio::join!(run, async {
        let first = bench.started().await.id.unwrap();
        doorway.close().await;
        doorway.open();
        let second = bench.started_besides(&first).await.id.unwrap();
        assert_ne!(first, second);
        // Whether or not the first could be removed when its run was lost: a sweep leaves the second alone.
        executor.sweep(bench.node, bench.dir.path()).await.unwrap();
        assert_eq!(bench.containers().await, [second]);
    });
    assert_eq!(ended.exit_code, 0);
    assert_eq!(
        (bench.result("stdout").as_str(), bench.result("outputs/end").as_str()),
        ("begun\nended\n", "ended\n")
    );
    assert_eq!(bench.containers().await, Vec::<String>::new());
}

/// Cuts the output of the first run of `script`, which prints `begun` and `ended`, and sees the second one through.
async fn is_begun_again_once_cut(script: &str) {
    let bench = Bench::new().await;
    let doorway = Doorway::before(&bench.socket, bench.dir.path());
    let executor = DockerExecutor::connect(doorway.socket.to_str().unwrap()).await.unwrap();
    let request = bench.request(script);
    let run = async { executor.run(request, CancellationToken::new()).await.unwrap() };
    let (ended, ()) = tokio::join!(run, async {
        let first = bench.started().await.id.unwrap();
        doorway.cut_outputs();
        bench.started_besides(&first).await;
    });
    assert_eq!((ended.exit_code, bench.result("stdout").as_str()), (0, "begun\nended\n"));
    assert_eq!(bench.containers().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_whose_output_was_cut_off_is_begun_again() {
    // Longer than a container's output may end before the container.
    is_begun_again_once_cut("echo begun; sleep 25; echo ended").await;
}

/// The end of the container comes soon after, as it does when nothing was cut.
#[tokio::test]
async fn a_run_whose_output_was_cut_off_seconds_before_its_end_is_begun_again() {
    is_begun_again_once_cut("echo begun; sleep 8; echo ended").await;
}

#[tokio::test]
async fn a_job_may_close_its_output_long_before_it_ends() {
    let bench = Bench::new().await;
    let script = "echo begun; exec > /outputs/log 2>&1; sleep 21; echo ended";
    assert_eq!(bench.run_script(script).await.exit_code, 0);
    assert_eq!(
        (bench.result("stdout").as_str(), bench.result("outputs/log").as_str()),
        ("begun\n", "ended\n")
    );
}

#[tokio::test]
async fn a_run_waits_for_an_engine_no_longer_than_it_may() {
    let bench = Bench::new().await;
    let mut doorway = Doorway::before(&bench.socket, bench.dir.path());
    let executor = DockerExecutor::connect(doorway.socket.to_str().unwrap()).await.unwrap();
    let mut request = bench.request("sleep 60");
    request.patience = Span::from_secs(2);
    let run = timeout(Duration::from_secs(30), executor.run(request, CancellationToken::new()));
    let (ended, ()) = tokio::join!(run, async {
        bench.started().await;
        doorway.close().await;
    });
    let error = ended.expect("the run should have given up").unwrap_err();
    assert_eq!(error.failure_kind(), FailureKind::Engine, "{error:?}");
    assert_eq!(bench.containers().await.len(), 1);
    assert_eq!(bench.executor.sweep(bench.node, bench.dir.path()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_container_past_its_time_is_removed_by_any_node() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    for (until, removed) in [("1", 1), ("99999999999", 0)] {
        let labels = [("assay.node", bench.node.to_string()), ("assay.until", until.to_owned())];
        let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let body = ContainerCreateBody {
            image: Some(bench.image.clone()),
            labels: Some(labels),
            ..Default::default()
        };
        bench.engine.create_container(None::<CreateContainerOptions>, body).await.unwrap();
        // Other tests may have left nothing that is past its time.
        assert_eq!(other.executor.sweep(other.node, other.dir.path()).await.unwrap(), removed, "{until}");
    }
    assert_eq!(bench.executor.sweep(bench.node, bench.dir.path()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_node_with_the_same_key_elsewhere_keeps_its_containers() {
    let (bench, other) = (Bench::new().await, Bench::new().await);
    let mut run = bench.executor.run(bench.request("sleep 60"), CancellationToken::new());
    tokio::select! {
        ended = &mut run => panic!("{ended:?}"),
        _ = bench.started() => {}
    }
    assert_eq!(other.executor.sweep(bench.node, other.dir.path()).await.unwrap(), 0);
    drop(run);
    assert_eq!(bench.executor.sweep(bench.node, bench.dir.path()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_directory_that_nobody_else_may_remove_is_removed_by_the_engine() {
    let bench = Bench::new().await;
    let left = bench.dir.path().join("left-run-1");
    fs::create_dir_all(left.join("result/outputs/closed/deep")).unwrap();
    fs::write(left.join("result/outputs/closed/deep/file"), "x").unwrap();
    fs::set_permissions(left.join("result/outputs/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    bench.executor.replace_by_file(bench.dir.path(), &left, HashMap::new()).await.unwrap();
    assert!(fs::metadata(&left).unwrap().is_file());
    fs::remove_file(&left).unwrap();
    fs::create_dir(&left).unwrap();
    assert_eq!(bench.executor.sweep(bench.node, bench.dir.path()).await.unwrap(), 1);
    assert!(!left.exists());
    assert_eq!(bench.containers().await, Vec::<String>::new());
}
