//! The scratch directory of a build, and the platform that it needs. As root, as `./scripts/test` runs.

use std::fs;

use assay::{
    domain::FailureKind,
    executor::{Executor as _, ExecutorError, OutputPlace, RunRequest},
};

use super::bench::{Bench, MIB};

fn with_scratch(bench: &Bench, script: &str, bytes: u64, dir: &str) -> RunRequest {
    let mut request = bench.request(script);
    request.spec.resources.scratch_bytes = bytes;
    request.spec.scratch_dir = dir.to_owned();
    request.spec.validate().unwrap();
    request
}

/// The scratch directories that are mounted for this test.
fn mounted(dir: &str) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(dir) && line.contains(".scratch ")).count()
}

#[tokio::test]
async fn a_build_has_more_room_than_its_memory_and_its_outputs_and_leaves_nothing() {
    let bench = Bench::new().await;
    // More than its memory of 64 MiB and its outputs of 8 MiB, in one file, with a program that runs there.
    let script = "cd /build; head -c 150000000 /dev/zero > large; mkdir deep; cp /bin/busybox deep/echo
        deep/echo $(wc -c < large) > /outputs/size; ls -A / | grep -c '^scratch$'; ls -A /build | wc -l";
    let outcome = bench.run(with_scratch(&bench, script, 200 * MIB, "/build")).await.unwrap();
    assert_eq!(outcome.exit_code, 0, "{}", bench.result("stderr"));
    assert_eq!(
        (bench.result("outputs/size").as_str(), bench.result("stdout").as_str()),
        ("150000000\n", "0\n2\n")
    );
    assert_eq!(fs::read_dir(bench.dir.path().join("result/outputs")).unwrap().count(), 1);
    let dir = bench.dir.path().to_string_lossy().into_owned();
    assert_eq!(mounted(&dir), 1, "the kernel bounds it");
    // The next attempt begins with an empty one.
    let script = "ls -A /scratch | wc -l; touch /scratch/x";
    bench.run(with_scratch(&bench, script, MIB, "/scratch")).await.unwrap();
    assert_eq!(bench.result("stdout"), "0\n");
    drop(bench);
    assert_eq!(mounted(&dir), 0);
}

#[tokio::test]
async fn a_build_that_needs_more_than_it_asked_for_is_stopped() {
    let bench = Bench::new().await;
    let endless = "i=0; while :; do head -c 1000000 /dev/zero > /scratch/f$i; i=$((i + 1)); done";
    let error = bench.run(with_scratch(&bench, endless, 20 * MIB, "/scratch")).await.unwrap_err();
    let ExecutorError::Disk { place: OutputPlace::Scratch, limit_bytes } = error else { panic!("{error:?}") };
    assert_eq!(limit_bytes, 20 * MIB);
    let many = "cd /scratch; mkdir d; cd d; seq 1100 | xargs touch; sleep 60";
    let error = bench.run(with_scratch(&bench, many, MIB, "/scratch")).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Files { place: OutputPlace::Scratch, limit: 1024 }), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Disk);
}

#[tokio::test]
async fn a_scratch_directory_that_no_disk_holds_stops_the_run_before_it_begins() {
    let bench = Bench::new().await;
    let error = bench.run(with_scratch(&bench, "true", 1 << 50, "/scratch")).await.unwrap_err();
    // A file system may refuse so large a file before it looks for room.
    assert!(matches!(error, ExecutorError::NodeFull | ExecutorError::NoScratch { .. }), "{error:?}");
    assert!(!bench.dir.path().join("result/stdout").exists());
    bench.executor.gives_scratch(bench.dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_job_for_another_platform_is_refused_before_a_bid() {
    let bench = Bench::new().await;
    let here = bench.executor.info().platform.unwrap();
    let mut request = bench.request("echo here");
    request.spec.platform = Some(here);
    bench.executor.check(&request.spec).await.unwrap();
    assert_eq!(bench.run(request.clone()).await.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    request.spec.platform = Some("linux/s390x".to_owned());
    let error = bench.executor.check(&request.spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::OtherMachine { .. }), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Platform);
    // This machine runs such programs, but the image is not built for it.
    request.spec.platform = match bench.executor.info().platform.as_deref() {
        Some("linux/amd64") => Some("linux/386".to_owned()),
        _ => Some("linux/arm".to_owned()),
    };
    let error = bench.executor.check(&request.spec).await.unwrap_err();
    assert!(matches!(error, ExecutorError::NotBuiltFor { .. }), "{error:?}");
    assert_eq!(bench.failure(request).await, FailureKind::Platform);
}
