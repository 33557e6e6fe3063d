//! What a container may write, and that nothing escapes the count.

use std::{fs, process::Command, time::Duration};

use assay::{
    domain::FailureKind,
    executor::{Executor as _, ExecutorError, OutputPlace},
};
use bollard::models::ContainerConfig;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, MIB};

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
    assert_eq!(fs::metadata(bench.dir.path().join("result/outputs/f")).unwrap().len(), 9_000_000);
    bench.run_script("head -c 8000000 /dev/zero > /outputs/f").await;
}

#[tokio::test]
async fn hostile_files_in_outputs_mislead_nobody() {
    let bench = Bench::new().await;
    let odd =
        "cd /outputs; mkfifo pipe; ln -s / root; ln -s . self; ln -s /dev/zero zero; cp /bin/busybox setuid
               chmod 4755 setuid; touch closed; chmod 0 closed; mkdir dir; chmod 0 dir; sleep 1";
    assert_eq!(bench.run_script(odd).await.exit_code, 0);
    let deep = "cd /outputs; i=0; while [ $i -lt 150 ]; do mkdir d; cd d; i=$((i + 1)); done";
    let error = bench.run(bench.request(deep)).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Outputs { .. }), "{error:?}");
    assert_eq!(error.failure_kind(), FailureKind::Disk);
}

/// Bytes that users may still write to the disk of this directory.
fn free_bytes(bench: &Bench) -> u64 {
    let stat = rustix::fs::statvfs(bench.dir.path()).unwrap();
    stat.f_bavail * stat.f_frsize
}

/// What is mounted for this test.
fn mounts(bench: &Bench) -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(bench.dir.path().to_str().unwrap())).count()
}

#[tokio::test]
async fn a_file_that_was_deleted_while_it_is_open_counts() {
    let bench = Bench::new().await;
    let before = free_bytes(&bench);
    // Each file stays below what a single one may have; all of them are gone before the run is over.
    let hidden = "for fd in 3 4 5 6 7 8 9; do
            eval \"exec $fd> /outputs/f\"; rm /outputs/f
            i=0; while [ $i -lt 45 ]; do head -c 1000000 /dev/zero >&$fd; i=$((i + 1)); done
        done; sleep 60";
    let mut request = bench.request(hidden);
    request.spec.resources.disk_bytes = 50 * MIB;
    let run = bench.executor.run(request, CancellationToken::new());
    let error = tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap_err();
    assert!(matches!(error, ExecutorError::Disk { place: OutputPlace::Outputs, .. }), "{error:?}");
    let taken = before.saturating_sub(free_bytes(&bench));
    // The limit, a sixteenth of it and 16 MiB is all that there is; and what others write meanwhile.
    assert!(taken < 400 * MIB, "{taken} bytes of the disk are gone");
}

#[tokio::test]
async fn space_set_aside_for_a_file_that_stays_empty_counts() {
    let bench = Bench::new().await;
    let set_aside = "exec 3<> /outputs/f; rm /outputs/f; fallocate -l 8388609 /proc/self/fd/3
        fallocate -o 8388600 -l 4000000 /outputs/g; for i in 1 2 3; do fallocate -l 8000000 /outputs/h$i; done; sleep 60";
    assert_eq!(bench.failure(bench.request(set_aside)).await, FailureKind::Disk);
}

#[tokio::test]
async fn half_a_million_empty_files_are_refused_at_once() {
    let bench = Bench::new().await;
    let begun = Instant::now();
    let mut request = bench.request(
        "cd /outputs; d=0; while [ $d -lt 500 ]; do mkdir $d; ( cd $d; seq 1000 | xargs touch ); d=$((d + 1)); done
         i=0; while :; do head -c 1000000 /dev/zero > f$i; i=$((i + 1)); done",
    );
    request.spec.resources.disk_bytes = 1024 * MIB;
    request.spec.resources.memory_bytes = 512 * MIB;
    let error = bench.run(request).await.unwrap_err();
    assert!(
        matches!(error, ExecutorError::Files { place: OutputPlace::Outputs, limit: 100_000 }),
        "{error:?}"
    );
    assert_eq!(error.failure_kind(), FailureKind::Disk);
    assert!(begun.elapsed() < Duration::from_secs(45), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_sparse_file_counts_by_its_length_and_a_hard_link_by_each_name() {
    let bench = Bench::new().await;
    for script in [
        "for i in 1 2 3; do truncate -s 4000000 /outputs/f$i; done",
        "cd /outputs; head -c 3000000 /dev/zero > a; ln a b; ln a c",
    ] {
        assert_eq!(bench.failure(bench.request(script)).await, FailureKind::Disk, "{script}");
    }
}

#[tokio::test]
async fn volumes_show_what_the_image_has_and_share_the_limit() {
    let bench = Bench::new().await;
    let config = || ContainerConfig {
        volumes: Some(vec!["/data".to_owned(), "/empty/".to_owned()]),
        ..Default::default()
    };
    let files = [("data/sub/given", "from the image\n"), ("data/own", "x")];
    let script =
        "cat /data/sub/given; echo more >> /data/sub/given; echo new > /data/new; echo new > /empty/new
        cat /data/sub/given /data/new /empty/new; rm -r /data/sub /data/own && echo gone; ls -a /outputs";
    let ended = bench.run_variant(config(), &files, script).await;
    assert_eq!(ended.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    assert_eq!(
        bench.result("stdout"),
        "from the image\nfrom the image\nmore\nnew\nnew\ngone\n.\n..\n",
        "{}",
        bench.result("stderr")
    );
    let both = "head -c 5000000 /dev/zero > /outputs/a; head -c 5000000 /dev/zero > /data/b; sleep 60";
    let error = bench.run_variant(config(), &files, both).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Disk { .. }), "{error:?}");
    let hidden = "exec 3> /empty/f; rm /empty/f; while :; do head -c 1000000 /dev/zero >&3; done";
    let error = bench.run_variant(config(), &files, hidden).await.unwrap_err();
    assert!(matches!(error, ExecutorError::Disk { .. }), "{error:?}");
}

#[tokio::test]
async fn a_run_whose_nodes_disk_fills_up_is_stopped_and_blames_nobody() {
    let bench = Bench::new().await;
    let small = bench.dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "small"]).arg(&small).status();
    assert!(mounted.unwrap().success(), "run as root");
    // Well within what the job may write. It fills the disk, whether it is stopped on the way or at its end.
    for script in
        ["head -c 90000000 /dev/zero > /outputs/f; sleep 60", "head -c 90000000 /dev/zero > /outputs/f"]
    {
        let mut request = bench.request(script);
        request.result_dir = small.join("result");
        request.spec.resources.disk_bytes = 200 * MIB;
        let error = bench.run(request).await.unwrap_err();
        assert!(matches!(error, ExecutorError::NodeFull), "{script}: {error:?}");
        assert_eq!(error.failure_kind(), FailureKind::Killed);
    }
}

#[tokio::test]
async fn nothing_stays_mounted_when_a_run_directory_goes() {
    let bench = Bench::new().await;
    bench.run_script("echo data > /outputs/f").await;
    let outside = bench.dir.path().to_owned();
    // With root, `/outputs` is a file system of its own; without, nothing was mounted to begin with.
    assert!(mounts(&bench) > 0 || !rustix::process::geteuid().is_root());
    let text = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    drop(bench);
    assert!(!text().contains(outside.to_str().unwrap()));
    assert!(!outside.exists());
}
