//! One test's node: its executor, its results and its containers.

use std::{collections::HashMap, env, fs, time::Duration};

use assay::{
    domain::{Digest, FailureKind, JobId, NodeId, Resources, Seed, Span, Spec},
    executor::{
        DEFAULT_SOCKET, DockerExecutor, Executor as _, ExecutorError, RunDir, RunOutcome, RunRequest,
    },
};
use bollard::{
    API_DEFAULT_VERSION, Docker,
    models::{ContainerConfig, ContainerCreateBody, ContainerInspectResponse},
    query_parameters::{
        CommitContainerOptionsBuilder, CreateContainerOptions, EventsOptionsBuilder, InspectContainerOptions,
        ListContainersOptionsBuilder, RemoveContainerOptions, RemoveImageOptions,
        UploadToContainerOptionsBuilder,
    },
};
use futures::StreamExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const HINT: &str = "run ./scripts/test, which sets up the engine and the demo image";
pub(super) const MIB: u64 = 1 << 20;

/// One test's node: its executor, its results and its containers.
pub(super) struct Bench {
    pub(super) executor: DockerExecutor,
    pub(super) engine: Docker,
    pub(super) socket: String,
    pub(super) image: String,
    pub(super) node: NodeId,
    pub(super) dir: RunDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let host = env::var("DOCKER_HOST").ok();
        let socket = host.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or(DEFAULT_SOCKET);
        let executor =
            DockerExecutor::connect(socket).await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        let engine = Docker::connect_with_unix(socket, 60, API_DEFAULT_VERSION).unwrap();
        let image =
            executor.resolve_image("assay/demo:1").await.unwrap_or_else(|error| panic!("{error}; {HINT}"));
        let dir = RunDir::new_in(&env::temp_dir()).unwrap();
        let unique = Digest::sha256(format!("{} {:?}", std::process::id(), dir.path()));
        let node = NodeId::new(unique.as_bytes()[..20].try_into().unwrap());
        Self { executor, engine, socket: socket.to_owned(), image: image.pinned, node, dir }
    }

    pub(super) fn request(&self, script: &str) -> RunRequest {
        let resources =
            Resources { memory_bytes: 64 * MIB, pids: 32, disk_bytes: 8 * MIB, ..Resources::default() };
        let spec = Spec::builder(&self.image)
            .image_name("assay/demo:1")
            .command(["sh", "-c", script])
            .environment([("GREETING", "hello")])
            .resources(resources)
            .build()
            .unwrap();
        RunRequest {
            job: JobId::new([7; 32]),
            node: self.node,
            seed: Seed::of(JobId::new([7; 32])),
            spec,
            timeout: Span::from_secs(60),
            inputs: vec![],
            result_dir: self.dir.path().join("result"),
            scratch: self.dir.path().to_owned(),
            begin_within: Span::from_secs(600),
            patience: Span::from_secs(30),
        }
    }

    pub(super) async fn run(&self, request: RunRequest) -> Result<RunOutcome, ExecutorError> {
        let run = self.executor.run(request, CancellationToken::new());
        let ended = timeout(Duration::from_secs(90), run).await.expect("the run should have ended");
        assert_eq!(self.containers().await, Vec::<String>::new(), "a container is left");
        ended
    }

    pub(super) async fn run_script(&self, script: &str) -> RunOutcome {
        self.run(self.request(script)).await.unwrap()
    }

    pub(super) async fn failure(&self, request: RunRequest) -> FailureKind {
        self.run(request).await.unwrap_err().failure_kind()
    }

    /// Runs until the container has started, cancels, and returns what it was started as.
    pub(super) async fn cancelled_once_started(&self, request: RunRequest) -> ContainerInspectResponse {
        let cancel = CancellationToken::new();
        let (ended, container) = tokio::join!(self.executor.run(request, cancel.clone()), async {
            let container = self.started().await;
            cancel.cancel();
            container
        });
        assert_eq!(ended.unwrap_err().failure_kind(), FailureKind::Interrupted);
        container
    }

    pub(super) fn result(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.dir.path().join("result").join(name)).unwrap()).unwrap()
    }

    pub(super) fn label(&self) -> String {
        format!("assay.node={}", self.node)
    }

    /// The ids of this node's containers.
    pub(super) async fn containers(&self) -> Vec<String> {
        let filters = HashMap::from([("label".to_owned(), vec![self.label()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.engine.list_containers(Some(options)).await.unwrap();
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    /// Waits until a container of this node has started, and describes it.
    pub(super) async fn started(&self) -> ContainerInspectResponse {
        self.started_besides("").await
    }

    /// The same of a container with another id.
    pub(super) async fn started_besides(&self, earlier: &str) -> ContainerInspectResponse {
        let labels = ("label".to_owned(), vec![self.label()]);
        let filters = HashMap::from([labels, ("event".to_owned(), vec!["start".to_owned()])]);
        // From the beginning of the engine's own buffer: the start may be over already. The buffer is short and shared
        // with all other tests, so what it held before is not counted on.
        let options = EventsOptionsBuilder::default().since("1").filters(&filters).build();
        let mut events = Box::pin(self.engine.events(Some(options)));
        let other = async {
            loop {
                let id = events.next().await.unwrap().unwrap().actor.unwrap().id.unwrap();
                if id != earlier {
                    return id;
                }
            }
        };
        let id = timeout(Duration::from_secs(60), other).await.expect("nothing was started");
        self.engine.inspect_container(&id, None::<InspectContainerOptions>).await.unwrap()
    }

    /// The demo image with another configuration and more files, by path and content; the caller removes it.
    pub(super) async fn variant(&self, config: ContainerConfig, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files.iter().map(|(path, content)| (*path, content.as_bytes())).collect();
        self.variant_of(config, &files, 0o644).await
    }

    /// The same with files of this mode.
    pub(super) async fn variant_of(
        &self,
        config: ContainerConfig,
        files: &[(&str, &[u8])],
        mode: u32,
    ) -> String {
        let body = ContainerCreateBody { image: Some(self.image.clone()), ..Default::default() };
        let created = self.engine.create_container(None::<CreateContainerOptions>, body).await.unwrap().id;
        let mut archive = tar::Builder::new(vec![]);
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len().try_into().unwrap());
            header.set_mode(mode);
            archive.append_data(&mut header, path, *content).unwrap();
        }
        let body = bollard::body_full(archive.into_inner().unwrap().into());
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        self.engine.upload_to_container(&created, Some(options), body).await.unwrap();
        let options = CommitContainerOptionsBuilder::default().container(&created).build();
        let image = self.engine.commit_container(options, config).await.unwrap().id;
        self.engine.remove_container(&created, None::<RemoveContainerOptions>).await.unwrap();
        image
    }

    /// Runs a script in a variant of the demo image, and removes that.
    pub(super) async fn run_variant(
        &self,
        config: ContainerConfig,
        files: &[(&str, &str)],
        script: &str,
    ) -> Result<RunOutcome, ExecutorError> {
        let mut request = self.request(script);
        request.spec.image = self.variant(config, files).await;
        let ended = self.run(request.clone()).await;
        self.remove_image(&request.spec.image).await;
        ended
    }

    pub(super) async fn remove_image(&self, id: &str) {
        self.engine.remove_image(id, None::<RemoveImageOptions>, None).await.unwrap();
    }
}
