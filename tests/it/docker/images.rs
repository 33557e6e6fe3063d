//! Which image a name means, and who it runs as.

use assay::{
    domain::{Digest, FailureKind, Span},
    executor::{Executor as _, ExecutorError, Registries},
    explain::Hint as _,
};
use bollard::{models::ContainerConfig, query_parameters::ImportImageOptions};
use futures::StreamExt as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{bench::Bench, registry::Registry};

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
    let host = registry.host.clone();
    let executor = bench.executor.clone().with_registries(Registries::new([host]));
    let (name, pinned) =
        (format!("{}/tiny", registry.host), format!("{}/tiny@{}", registry.host, registry.digest));
    let mut spec = bench.request("true").spec;
    // Nobody has it yet, but the registry says that it could be had.
    spec.image = pinned.clone();
    executor.check(&spec).await.unwrap();
    for asked in [&pinned, &name] {
        let resolved = executor.resolve_image(asked).await.unwrap();
        assert_eq!((&resolved.name, &resolved.pinned), (asked, &pinned));
    }
    bench.remove_image(&format!("{name}:latest")).await;
    executor.check(&spec).await.unwrap();
    executor.resolve_image(&format!("{name}:1")).await.unwrap();
    bench.remove_image(&format!("{name}:1")).await;

    spec.image = format!("{name}@sha256:{}", "0".repeat(64));
    let error = executor.check(&spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::ImageMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn an_image_that_does_not_come_before_its_run_must_begin_is_no_fault_of_the_node() {
    let bench = Bench::new().await;
    let registry = Registry::stalling().await;
    let executor = bench.executor.clone().with_registries(Registries::new([registry.host.clone()]));
    let mut request = bench.request("true");
    request.spec.image = format!("{}/tiny@{}", registry.host, registry.digest);
    request.begin_within = Span::from_secs(2);
    let error = executor.run(request, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(&error, ExecutorError::ImageMissing { reason, .. } if reason.contains("no more time")),
        "{error:?}"
    );
    assert_eq!(error.failure_kind(), FailureKind::Image);
    assert!(!error.failure_kind().is_fault_of_node());
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
async fn an_images_own_user_is_kept() {
    let bench = Bench::new().await;
    let config = ContainerConfig { user: Some("1234:1234".to_owned()), ..Default::default() };
    let script = "id -u; id -g; id -G; for d in /tmp /outputs; do echo x > $d/x || exit 1; done";
    let ended = bench.run_variant(config, &[], script).await;
    assert_eq!(ended.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    assert_eq!(bench.result("stdout"), "1234\n1234\n1234\n");
}

#[tokio::test]
async fn an_image_whose_user_is_root_by_another_name_runs_as_nobody() {
    let bench = Bench::new().await;
    let passwd = "toor:x:0:0::/:/bin/sh\nwheel:x:1000:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n";
    let group = "admin:x:0:app\nstaff:x:50:app\n";
    // The first entry of a number counts: 1000 is wheel, whose group is that of root.
    for (named, expected) in [
        ("toor", "65534 65534 65534"),
        ("wheel", "65534 65534 65534"),
        ("app:admin", "65534 65534 65534"),
        ("1000:0", "65534 65534 65534"),
        ("00", "65534 65534 65534"),
        ("app", "1000 1000 1000"),
        ("1000", "65534 65534 65534"),
        ("app:staff", "1000 50 50"),
    ] {
        let config = ContainerConfig { user: Some(named.to_owned()), ..Default::default() };
        let files = [("etc/passwd", passwd), ("etc/group", group)];
        bench.run_variant(config, &files, "echo $(id -u) $(id -g) $(id -G)").await.unwrap();
        assert_eq!(bench.result("stdout").trim_end(), expected, "{named}");
    }
}

#[tokio::test]
async fn an_image_whose_user_nobody_knows_is_refused() {
    let bench = Bench::new().await;
    let config = ContainerConfig { user: Some("0x0".to_owned()), ..Default::default() };
    let error = bench.run_variant(config, &[], "true").await.unwrap_err();
    assert!(matches!(error, ExecutorError::ImageUser { .. }) && error.hint().is_some(), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Image);
}

#[tokio::test]
async fn a_registry_that_the_operator_does_not_name_is_never_asked() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let mut request = bench.request("true");
    request.spec.image = format!("{host}/internal@sha256:{}", "0".repeat(64));
    let knocked = async {
        tokio::select! {
            knock = listener.accept() => panic!("the engine asked: {knock:?}"),
            error = async { bench.executor.check(&request.spec).await.unwrap_err() } => error,
        }
    };
    let error = knocked.await;
    assert!(matches!(error, ExecutorError::RegistryNotAsked { .. }) && error.hint().is_some(), "{error:?}");
    // With a seat it is not pulled either.
    assert_eq!(bench.failure(request).await, FailureKind::Image);
}

#[tokio::test]
async fn a_name_that_is_a_path_of_the_engine_never_reaches_it() {
    let bench = Bench::new().await;
    let digest = format!("sha256:{}", "0".repeat(64));
    for name in ["x/../../version?a=", "assay/demo/get?a=", "../containers/json?a=", "assay/demo:1/get#"] {
        let mut request = bench.request("true");
        request.spec.image = format!("{name}@{digest}");
        let error = bench.executor.check(&request.spec).await.unwrap_err();
        assert!(matches!(error, ExecutorError::Unpinned { .. }), "{error:?}");
        assert_eq!(bench.failure(request).await, FailureKind::Image);
        let error = bench.executor.resolve_image(name).await.unwrap_err();
        assert!(matches!(error, ExecutorError::ImageName { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_image_for_another_processor_is_said_before_the_node_bids() {
    let bench = Bench::new().await;
    let other = if cfg!(target_arch = "x86_64") { "s390x" } else { "amd64" };
    let image = image_for(&bench, other, json!(["/x"])).await;
    let mut request = bench.request("true");
    request.spec.image = image.clone();
    let error = bench.executor.check(&request.spec).await.unwrap_err();
    let ended = bench.run(request).await;
    bench.remove_image(&image).await;
    assert!(matches!(error, ExecutorError::Platform { .. }) && error.to_string().contains(other), "{error}");
    assert_eq!(ended.unwrap_err().failure_kind(), FailureKind::Platform);
}

#[tokio::test]
async fn without_any_command_the_job_is_at_fault() {
    let bench = Bench::new().await;
    let here = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let mut request = bench.request("");
    request.spec.command = vec![];
    request.spec.image = image_for(&bench, here, json!(null)).await;
    let error = bench.run(request.clone()).await.unwrap_err();
    bench.remove_image(&request.spec.image).await;
    assert!(matches!(error, ExecutorError::NoCommand) && error.hint().is_some(), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Command);
}

/// Loads an image without files that says it is made for this architecture and runs this, and returns its id.
async fn image_for(bench: &Bench, architecture: &str, command: serde_json::Value) -> String {
    let layer = tar::Builder::new(vec![]).into_inner().unwrap();
    let digest = |bytes: &[u8]| Digest::sha256(bytes).to_string().replace("0x", "sha256:");
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Cmd": command, "Labels": { "of": bench.node.to_string() } },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    })
    .to_string();
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": null, "Layers": ["layer.tar"] }]).to_string();
    let mut archive = tar::Builder::new(vec![]);
    for (path, content) in
        [("config.json", config.as_bytes()), ("layer.tar", &layer), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len().try_into().unwrap());
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content).unwrap();
    }
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let mut loaded = Box::pin(bench.engine.import_image(ImportImageOptions::default(), body, None));
    while let Some(step) = loaded.next().await {
        step.unwrap();
    }
    digest(config.as_bytes())
}
