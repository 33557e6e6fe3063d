//! The Docker executor against a real engine, with the demo image (a static busybox).
//!
//! Needs both: `./scripts/test` sets them up. Without them the tests fail and say so.

mod bench;
mod disk;
mod engine;
mod images;
mod limits;
mod registry;
mod scratch;
mod seeded;
mod start;

use std::fs;

use assay::{
    domain::FailureKind,
    executor::{ExecutorError, InputMount},
};

use bench::Bench;

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
async fn a_run_finds_its_job_and_its_seed_whatever_the_job_sets() {
    let bench = Bench::new().await;
    let mut request =
        bench.request("echo $ASSAY_JOB $ASSAY_SEED $ASSAY_SEED32 $ASSAY_X; env | grep -c ASSAY_");
    // As a spec of a log from before these names were reserved.
    let old = ["ASSAY_SEED", "ASSAY_SEED32", "ASSAY_X"].map(|name| (name.to_owned(), "1".to_owned()));
    request.spec.environment.extend(old);
    let (job, seed) = (request.job, request.seed);
    assert_eq!(bench.run(request).await.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    assert_eq!(bench.result("stdout"), format!("{job} {seed} {}\n3\n", seed.small()));
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
async fn a_working_directory_that_is_none_is_the_fault_of_the_job() {
    let bench = Bench::new().await;
    for dir in ["/etc/passwd", "/etc/passwd/below"] {
        let mut request = bench.request("pwd");
        request.spec.working_directory = Some(dir.to_owned());
        let error = bench.run(request).await.unwrap_err();
        assert!(matches!(&error, ExecutorError::WorkingDirectory { path } if path == dir), "{error:?}");
        assert_eq!(error.failure_kind(), FailureKind::WorkingDirectory);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_executed_is_a_result() {
    let bench = Bench::new().await;
    let mut request = bench.request("");
    request.spec.command = vec!["/etc/passwd".to_owned()];
    assert_eq!(bench.run(request).await.unwrap().exit_code, 126);
    assert!(bench.result("stderr").contains("/etc/passwd"));
}

#[tokio::test]
async fn programs_run_from_tmp_which_is_as_large_as_the_job_asks() {
    let bench = Bench::new().await;
    let script = "cp /bin/busybox /tmp/echo && /tmp/echo runs; df -k /tmp | awk 'END { print $2 }'";
    let mut request = bench.request(script);
    request.spec.resources.tmp_bytes = 20 << 20;
    assert_eq!(bench.run(request).await.unwrap().exit_code, 0, "{}", bench.result("stderr"));
    assert_eq!(bench.result("stdout"), "runs\n20480\n", "{}", bench.result("stderr"));
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
