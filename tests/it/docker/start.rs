//! The first program of a container, which becomes the job's program.

use std::fs;

use super::bench::Bench;

/// The kernel's own word, whatever its mode: `always`, `madvise` or `never`.
#[tokio::test]
async fn no_program_of_a_job_gets_huge_pages() {
    let bench = Bench::new().await;
    let kernel_tells = fs::read_to_string("/proc/self/status").unwrap().contains("THP_enabled:");
    // The program, a child of it, and one that is started anew.
    bench.run_script("for i in 1 2; do grep THP_enabled /proc/self/status; done; exec grep THP_enabled /proc/self/status").await;
    let expected = if kernel_tells { "THP_enabled:\t0\n".repeat(3) } else { String::new() };
    assert_eq!(bench.result("stdout"), expected, "{}", bench.result("stderr"));
}

/// How many processes the engine starts before differs, also between two runs on one machine.
#[tokio::test]
async fn the_program_of_a_seeded_job_has_a_fixed_process_id_and_ends_the_container() {
    let bench = Bench::new().await;
    let mut request = bench.request("echo $$ $PPID $(sh -c 'echo $$'); exit 5");
    request.spec.seeded = true;
    assert_eq!(bench.run(request).await.unwrap().exit_code, 5);
    assert_eq!(bench.result("stdout"), "32 31 33\n", "{}", bench.result("stderr"));

    let mut request = bench.request("kill $$");
    request.spec.seeded = true;
    assert_eq!(bench.run(request).await.unwrap().exit_code, 128 + 15);
}

#[tokio::test]
async fn programs_are_found_and_fail_as_with_the_engine_alone() {
    let bench = Bench::new().await;
    for (command, code) in [
        (&["true"][..], 0),
        (&["/bin/sh", "-c", "exit 7"], 7),
        (&["nonesuch"], 127),
        (&["/nonesuch"], 127),
        (&["/etc/passwd"], 126),
        (&["/etc"], 126),
    ] {
        let mut request = bench.request("");
        request.spec.command = command.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(bench.run(request).await.unwrap().exit_code, code, "{command:?}");
    }
    assert!(bench.result("stderr").contains("assay: cannot run /etc: permission denied"));
}
