//! What a container may use, seen from outside and from inside.

use std::fs;

use assay::{
    domain::{FailureKind, JobId, Span},
    executor::{ExecutorError, MAX_STREAM_BYTES, OutputPlace},
};

use super::bench::Bench;

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
    let mut mounts: Vec<_> = mounts.iter().map(|mount| (mount.destination.as_deref(), mount.rw)).collect();
    mounts.sort_unstable();
    assert_eq!(mounts, [(Some("/outputs"), Some(true)), (Some("/run/assay-start"), Some(false))]);
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
async fn more_output_than_is_kept_fails_and_is_not_cut() {
    let bench = Bench::new().await;
    for (place, redirect) in [(OutputPlace::Stdout, ""), (OutputPlace::Stderr, ">&2")] {
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
