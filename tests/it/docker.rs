//! The Docker executor against a real engine, with the demo image (a static busybox).
//!
//! Needs both: `./scripts/test` sets them up. Without them the tests fail and say so.

mod registry;

use std::{collections::HashMap, env, fs, path::Path, time::Duration};

use assay::{
    domain::{Digest, FailureKind, JobId, NodeId, Resources, Span, Spec},
    executor::{
        DEFAULT_SOCKET, DockerExecutor, Executor as _, ExecutorError, InputMount, MAX_STREAM_BYTES,
        RunOutcome, RunRequest,
    },
};
use axum::{Router, routing::get};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerConfig, ContainerCreateBody, ContainerInspectResponse},
    query_parameters::{
        CommitContainerOptionsBuilder, CreateContainerOptions, EventsOptionsBuilder, InspectContainerOptions,
        KillContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptions, RemoveImageOptions,
        UploadToContainerOptionsBuilder,
    },
};
use futures::StreamExt as _;
use tempfile::TempDir;
use tokio::{net::UnixListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use registry::Registry;

const HINT: &str = "run ./scripts/test, which sets up the engine and the demo image";
const MIB: u64 = 1 << 20;

/// One test's node: its executor, its results and its containers.
struct Bench {
    executor: DockerExecutor,
    engine: Docker,
    image: String,
    node: NodeId,
    dir: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let host = env::var("DOCKER_HOST").ok();
        let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or(DEFAULT_SOCKET);
        let executor =
            DockerExecutor::connect(socket).await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        let engine = Docker::connect_with_unix(socket, 60, API_DEFAULT_VERSION).unwrap();
        let image =
            executor.resolve_image("assay/demo:1").await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        let dir = tempfile::tempdir().unwrap();
        let unique = Digest::sha256(format!("{} {:?}", std::process::id(), dir.path()));
        let node = NodeId::new(unique.as_bytes()[..20].try_into().unwrap());
        Self { executor, engine, image: image.pinned, node, dir }
    }

    fn request(&self, script: &str) -> RunRequest {
        let spec = Spec {
            image: self.image.clone(),
            image_name: "assay/demo:1".to_owned(),
            entrypoint: vec![],
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            environment: [("GREETING".to_owned(), "hello".to_owned())].into(),
            working_directory: None,
            inputs: vec![],
            resources: Resources { memory_bytes: 64 * MIB, cpu_millis: 1000, pids: 32, disk_bytes: 8 * MIB },
        };
        RunRequest {
            job: JobId::new([7; 32]),
            node: self.node,
            spec,
            timeout: Span::from_secs(60),
            inputs: vec![],
            result_dir: self.dir.path().join("result"),
        }
    }

    async fn run(&self, request: RunRequest) -> Result<RunOutcome, ExecutorError> {
        let run = self.executor.run(request, CancellationToken::new());
        let ended = timeout(Duration::from_secs(90), run).await.expect("the run should have ended");
        assert_eq!(self.containers().await, Vec::<String>::new(), "a container is left");
        ended
    }

    async fn run_script(&self, script: &str) -> RunOutcome {
        self.run(self.request(script)).await.unwrap()
    }

    async fn failure(&self, request: RunRequest) -> FailureKind {
        self.run(request).await.unwrap_err().failure_kind()
    }

    /// Runs until the container has started, cancels, and returns what it was started as.
    async fn cancelled_once_started(&self, request: RunRequest) -> ContainerInspectResponse {
        let cancel = CancellationToken::new();
        let (ended, container) = tokio::join!(self.executor.run(request, cancel.clone()), async {
            let container = self.started().await;
            cancel.cancel();
            container
        });
        assert_eq!(ended.unwrap_err().failure_kind(), FailureKind::Interrupted);
        container
    }

    fn result(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.dir.path().join("result").join(name)).unwrap()).unwrap()
    }

    fn label(&self) -> String {
        format!("assay.node={}", self.node)
    }

    /// The ids of this node's containers.
    async fn containers(&self) -> Vec<String> {
        let filters = HashMap::from([("label".to_owned(), vec![self.label()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.engine.list_containers(Some(options)).await.unwrap();
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    /// Waits until a container of this node has started, and describes it.
    async fn started(&self) -> ContainerInspectResponse {
        let labels = ("label".to_owned(), vec![self.label()]);
        let filters = HashMap::from([labels, ("event".to_owned(), vec!["start".to_owned()])]);
        // From the beginning of the engine's own buffer: the start may be over already.
        let options = EventsOptionsBuilder::default().since("1").filters(&filters).build();
        let mut events = Box::pin(self.engine.events(Some(options)));
        let event = timeout(Duration::from_secs(60), events.next()).await.expect("nothing was started");
        let id = event.unwrap().unwrap().actor.unwrap().id.unwrap();
        self.engine.inspect_container(&id, None::<InspectContainerOptions>).await.unwrap()
    }

    /// The demo image with another configuration and perhaps an `/etc/passwd`; the caller removes it.
    async fn variant(&self, config: ContainerConfig, passwd: Option<&str>) -> String {
        let body = ContainerCreateBody { image: Some(self.image.clone()), ..Default::default() };
        let created = self.engine.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
        if let Some(passwd) = passwd {
            let mut archive = tar::Builder::new(vec![]);
            let mut header = tar::Header::new_gnu();
            header.set_size(passwd.len().try_into().unwrap());
            header.set_mode(0o644);
            archive.append_data(&mut header, "etc/passwd", passwd.as_bytes()).unwrap();
            let body = bollard::body_full(archive.into_inner().unwrap().into());
            let options = UploadToContainerOptionsBuilder::default().path("/").build();
            self.engine.upload_to_container(&created, Some(options), body).await.unwrap();
        }
        let options = CommitContainerOptionsBuilder::default().container(&created).build();
        let image = self.engine.commit_container(options, config).await.unwrap().id;
        self.engine.remove_container(&created, None::<RemoveContainerOptions>).await.unwrap();
        image
    }

    async fn remove_image(&self, id: &str) {
        self.engine.remove_image(id, None::<RemoveImageOptions>, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_run_leaves_its_streams_exit_code_outputs_and_trace() {
    let bench = Bench::new().await;
    let outcome =
        bench.run_script("echo $GREETING; echo oops >&2; mkdir /outputs/d; echo data > /outputs/d/f").await;
    assert_eq!(outcome.exit_code, 0);
    assert_eq!(bench.result("stdout"), "hello\n");
    assert_eq!(bench.result("stderr"), "oops\n");
    assert_eq!(bench.result("exit_code"), "0\n");
    assert_eq!(bench.result("outputs/d/f"), "data\n");
    assert_eq!(bench.result("trace.csv"), outcome.trace.to_csv());
}

#[tokio::test]
async fn what_an_earlier_attempt_left_is_no_part_of_the_result() {
    let bench = Bench::new().await;
    bench
        .run_script("echo early; echo data > /outputs/early; mkdir /outputs/d; ln -s / /outputs/d/root")
        .await;
    bench.run_script("ls -A /outputs").await;
    assert_eq!(bench.result("stdout"), "");
}

#[tokio::test]
async fn a_command_that_exits_non_zero_is_a_result() {
    let bench = Bench::new().await;
    assert_eq!(bench.run_script("echo before; exit 3").await.exit_code, 3);
    assert_eq!((bench.result("stdout").as_str(), bench.result("exit_code").as_str()), ("before\n", "3\n"));
}

#[tokio::test]
async fn a_command_that_is_not_found_is_a_result() {
    let bench = Bench::new().await;
    let mut request = bench.request("");
    request.spec.command = vec!["no-such-command".to_owned()];
    assert_eq!(bench.run(request).await.unwrap().exit_code, 127);
    assert!(bench.result("stderr").contains("no-such-command"));
}

#[tokio::test]
async fn the_engine_is_told_every_limit() {
    let bench = Bench::new().await;
    let container = bench.cancelled_once_started(bench.request("sleep 60")).await;
    let config = container.config.unwrap();
    assert_eq!(config.user.as_deref(), Some("65534:65534"));
    assert_eq!(config.labels.unwrap()["assay.job"], JobId::new([7; 32]).to_string());
    let host = container.host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
    assert_eq!((host.readonly_rootfs, host.privileged, host.init), (Some(true), Some(false), Some(true)));
    assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
    assert_eq!((host.nano_cpus, host.pids_limit), (Some(1_000_000_000), Some(33)));
    assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
    let mounts = container.mounts.unwrap();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0].destination.as_deref(), Some("/outputs"));
}

#[tokio::test]
async fn inside_there_is_no_privilege_no_network_and_nothing_to_write_to_but_outputs_and_tmp() {
    let bench = Bench::new().await;
    bench
        .run_script(
            "echo $(id -u) $(id -g)
             for field in CapBnd CapEff NoNewPrivs Seccomp; do echo $(grep ^$field: /proc/self/status); done
             echo $(ls /sys/class/net); hostname; ulimit -c
             for d in / /etc /bin /proc /sys /dev; do (echo > $d/x) 2>/dev/null && echo wrote $d; done
             for d in /outputs /tmp; do echo > $d/x && echo wrote $d; done
             mkdir /tmp/d && mv /tmp/d /tmp/e && rmdir /tmp/e && chmod 700 /outputs && touch /outputs/y && echo done",
        )
        .await;
    let expected = "65534 65534
CapBnd: 0000000000000000
CapEff: 0000000000000000
NoNewPrivs: 1
Seccomp: 2
lo
assay
0
wrote /outputs
wrote /tmp
done
";
    assert_eq!(bench.result("stdout"), expected, "{}", bench.result("stderr"));
}

#[tokio::test]
async fn inputs_are_mounted_read_only() {
    let bench = Bench::new().await;
    let source = bench.dir.path().join("input");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "given").unwrap();
    let mut request =
        bench.request("cat /inputs/file; echo > /inputs/x; echo > /inputs/file; rm /inputs/file");
    request.inputs = vec![InputMount { source: source.clone(), target: "/inputs".to_owned() }];
    assert_eq!(bench.run(request).await.unwrap().exit_code, 1);
    assert_eq!(bench.result("stdout"), "given");
    assert_eq!(fs::read(source.join("file")).unwrap(), b"given");
    assert_eq!(fs::read_dir(source).unwrap().count(), 1);
}

#[tokio::test]
async fn an_input_that_is_not_there_is_said_before_anything_starts() {
    let bench = Bench::new().await;
    let mut request = bench.request("true");
    request.inputs = vec![InputMount { source: "/no/such/input".into(), target: "/inputs".to_owned() }];
    assert_eq!(bench.failure(request).await, FailureKind::Input);
}

#[tokio::test]
async fn too_much_memory_fails_though_the_shell_survives_its_child() {
    let bench = Bench::new().await;
    let hog = r#"awk 'BEGIN { s = "x"; while (1) s = s s }'"#;
    assert_eq!(bench.failure(bench.request(&format!("exec {hog}"))).await, FailureKind::Memory);
    assert_eq!(bench.failure(bench.request(&format!("{hog}; exit 0"))).await, FailureKind::Memory);
}

#[tokio::test]
async fn more_processes_than_allowed_do_not_start() {
    let bench = Bench::new().await;
    let mut request = bench.request("for i in 1 2 3 4 5 6 7 8 9; do sleep 2 & done; wait; echo all");
    request.spec.resources.pids = 5;
    bench.run(request).await.unwrap();
    assert!(bench.result("stderr").contains("can't fork"), "{}", bench.result("stderr"));
}

#[tokio::test]
async fn the_cpu_limit_holds() {
    let bench = Bench::new().await;
    let mut request = bench.request("timeout 2 sh -c 'while :; do :; done'; true");
    request.spec.resources.cpu_millis = 200;
    let trace = bench.run(request).await.unwrap().trace;
    // Two fifths of a second, and what starting takes; unlimited it would be two seconds.
    assert!((100..900).contains(&trace.cpu_ms), "{} ms", trace.cpu_ms);
}

#[tokio::test]
async fn too_much_in_outputs_stops_the_run() {
    let bench = Bench::new().await;
    let endless = "i=0; while :; do head -c 1000000 /dev/zero > /outputs/f$i; i=$((i + 1)); done";
    assert_eq!(bench.failure(bench.request(endless)).await, FailureKind::Disk);
}

#[tokio::test]
async fn too_much_in_outputs_is_seen_though_the_run_is_over_at_once() {
    let bench = Bench::new().await;
    assert_eq!(
        bench.failure(bench.request("head -c 9000000 /dev/zero > /outputs/f")).await,
        FailureKind::Disk
    );
    assert_eq!(fs::metadata(bench.dir.path().join("result/outputs/f")).unwrap().len(), 8 * MIB + 1);
    bench.run_script("head -c 8000000 /dev/zero > /outputs/f").await;
}

#[tokio::test]
async fn hostile_files_in_outputs_mislead_nobody() {
    let bench = Bench::new().await;
    let odd =
        "cd /outputs; mkfifo pipe; ln -s / root; ln -s . self; ln -s /dev/zero zero; cp /bin/busybox setuid
               chmod 4755 setuid; touch closed; chmod 0 closed; mkdir dir; chmod 0 dir; sleep 1";
    assert_eq!(bench.run_script(odd).await.exit_code, 0);
    let deep = "cd /outputs; i=0; while [ $i -lt 150 ]; do mkdir d; cd d; i=$((i + 1)); done; sleep 60";
    let error = bench.run(bench.request(deep)).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Outputs { .. }), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Disk);
}

#[tokio::test]
async fn more_output_than_is_kept_fails_and_is_not_cut() {
    let bench = Bench::new().await;
    for (place, redirect) in [("stdout", ""), ("stderr", ">&2")] {
        let script = format!("head -c {} /dev/zero {redirect}; sleep 60", MAX_STREAM_BYTES + 1);
        let error = bench.run(bench.request(&script)).await.unwrap_err();
        assert!(matches!(error, ExecutorError::Disk { place: found, .. } if found == place), "{error:?}");
    }
}

#[tokio::test]
async fn output_up_to_the_limit_is_kept_to_the_last_byte() {
    let bench = Bench::new().await;
    bench.run_script(&format!("head -c {MAX_STREAM_BYTES} /dev/zero; echo end >&2")).await;
    let kept = fs::metadata(bench.dir.path().join("result/stdout")).unwrap().len();
    assert_eq!((kept, bench.result("stderr").as_str()), (MAX_STREAM_BYTES, "end\n"));
}

#[tokio::test]
async fn a_run_past_its_timeout_is_killed() {
    let bench = Bench::new().await;
    let mut request = bench.request("trap '' TERM INT; while :; do sleep 1; done");
    request.timeout = Span::from_secs(1);
    assert_eq!(bench.failure(request).await, FailureKind::Timeout);
}

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
    assert_eq!(bench.executor.remove_leftovers(bench.node).await.unwrap(), 1);
    assert_eq!(bench.containers().await, Vec::<String>::new());
    assert_eq!(other.containers().await.len(), 1);
    assert_eq!(other.executor.remove_leftovers(other.node).await.unwrap(), 1);
    assert_eq!(other.executor.remove_leftovers(other.node).await.unwrap(), 0);
}

#[tokio::test]
async fn the_trace_shows_the_memory_a_job_holds_and_the_time_it_computes() {
    let bench = Bench::new().await;
    let holds_16_mib =
        r#"awk 'BEGIN { s = "x"; for (i = 0; i < 24; i++) s = s s; while (n < 8000000) n++ }'"#;
    let trace = bench.run_script(holds_16_mib).await.trace;
    assert!(trace.readings.len() > 5, "{trace:?}");
    let fingerprint = trace.fingerprint().unwrap();
    assert!((16_000..40_000).contains(&fingerprint.q[5]), "{fingerprint:?}");
    assert!(fingerprint.cpu_ms > 100, "{fingerprint:?}");
    assert!(trace.readings[0].t_ms < 500 && trace.duration_ms > 200, "{trace:?}");
    let mut gaps: Vec<_> = trace.readings.windows(2).map(|pair| pair[1].t_ms - pair[0].t_ms).collect();
    gaps.sort_unstable();
    assert!(gaps[gaps.len() / 2] <= 50, "{gaps:?}");
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_said_before_the_node_bids() {
    let bench = Bench::new().await;
    let mut request = bench.request("true");
    bench.executor.check(&request.spec).await.unwrap();
    request.spec.image = format!("sha256:{}", "0".repeat(64));
    let error = bench.executor.check(&request.spec).await.unwrap_err();
    assert_eq!(error.failure_kind(), FailureKind::Image);
    assert!(error.to_string().contains("not on this machine") && error.hint().is_some(), "{error}");
    assert_eq!(bench.failure(request).await, FailureKind::Image);
}

#[tokio::test]
async fn an_image_named_by_a_tag_is_refused_before_the_node_bids() {
    let bench = Bench::new().await;
    let mut request = bench.request("true");
    request.spec.image = "assay/demo:1".to_owned();
    let error = bench.executor.check(&request.spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Unpinned { .. }), "{error:?}");
    assert_eq!(bench.failure(request).await, FailureKind::Image);
}

#[tokio::test]
async fn an_image_of_a_registry_is_pulled_and_pinned_by_its_digest() {
    let bench = Bench::new().await;
    let registry = Registry::start().await;
    let (name, pinned) =
        (format!("{}/tiny", registry.host), format!("{}/tiny@{}", registry.host, registry.digest));
    let mut spec = bench.request("true").spec;
    // Nobody has it yet, but the registry says that it could be had.
    spec.image = pinned.clone();
    bench.executor.check(&spec).await.unwrap();
    for asked in [&pinned, &name] {
        let resolved = bench.executor.resolve_image(asked).await.unwrap();
        assert_eq!((&resolved.name, &resolved.pinned), (asked, &pinned));
    }
    bench.remove_image(&format!("{name}:latest")).await;
    bench.executor.check(&spec).await.unwrap();
    bench.executor.resolve_image(&format!("{name}:1")).await.unwrap();
    bench.remove_image(&format!("{name}:1")).await;

    spec.image = format!("{name}@sha256:{}", "0".repeat(64));
    let error = bench.executor.check(&spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::ImageMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn a_name_that_cannot_be_pulled_is_not_resolved() {
    let bench = Bench::new().await;
    let name = "registry.invalid/assay/absent:1";
    let error = bench.executor.resolve_image(name).await.unwrap_err();
    assert!(matches!(&error, ExecutorError::ImageMissing { image, .. } if image == name), "{error:?}");
}

#[tokio::test]
async fn an_image_without_a_registry_is_pinned_by_its_id() {
    let bench = Bench::new().await;
    assert!(bench.image.starts_with("sha256:"), "{}", bench.image);
    let again = bench.executor.resolve_image(&bench.image).await.unwrap();
    assert_eq!(again.pinned, bench.image);
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
async fn an_images_own_user_is_kept_and_its_volumes_are_memory() {
    let bench = Bench::new().await;
    let volumes = Some(vec!["/data".to_owned()]);
    let config = ContainerConfig { user: Some("1234:1234".to_owned()), volumes, ..Default::default() };
    let mut request = bench.request(
        "id -u; grep /data /proc/mounts; for d in /data /tmp /outputs; do echo x > $d/x || exit 1; done",
    );
    request.spec.image = bench.variant(config, None).await;
    let cancel = CancellationToken::new();
    let (ended, container) = tokio::join!(bench.executor.run(request.clone(), cancel), bench.started());
    bench.remove_image(&request.spec.image).await;
    assert_eq!(ended.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    assert!(bench.result("stdout").starts_with("1234\ntmpfs /data tmpfs"), "{}", bench.result("stdout"));
    let mounts = container.mounts.unwrap_or_default();
    assert!(mounts.iter().all(|mount| mount.typ != Some("volume".to_owned())), "{mounts:?}");
}

#[tokio::test]
async fn an_image_whose_user_is_root_by_another_name_is_refused() {
    let bench = Bench::new().await;
    let config = ContainerConfig { user: Some("toor".to_owned()), ..Default::default() };
    let mut request = bench.request("sleep 60");
    request.spec.image = bench.variant(config, Some("toor:x:0:0::/:/bin/sh\n")).await;
    let error = bench.run(request.clone()).await.unwrap_err();
    bench.remove_image(&request.spec.image).await;
    assert!(matches!(error, ExecutorError::RootUser { .. }), "{error:?}");
}

#[tokio::test]
async fn a_container_that_somebody_else_killed_gives_no_result() {
    let bench = Bench::new().await;
    let (ended, ()) = tokio::join!(bench.run(bench.request("sleep 60")), async {
        let id = bench.started().await.id.unwrap();
        bench.engine.kill_container(&id, None::<KillContainerOptions>).await.unwrap();
    });
    assert!(matches!(ended, Err(ExecutorError::Killed)), "{ended:?}");
}
