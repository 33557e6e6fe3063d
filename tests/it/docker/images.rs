//! Which image a name means, and who it runs as.

use assay::{
    domain::FailureKind,
    executor::{Executor as _, ExecutorError},
};
use bollard::models::ContainerConfig;

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
