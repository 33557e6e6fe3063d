//! `job submit --seeded`, from the flag to the container of every seat.

use super::{HINT, Session};

#[test]
fn a_seeded_job_is_one_in_every_seat_and_says_so() {
    let session = Session::start(&["--nodes", "3"]);
    let script = "echo $ASSAY_SEED $SOURCE_DATE_EPOCH $LD_PRELOAD";
    let words =
        ["--concurrency", "3", "--confidence", "3", "--deterministic", "--seeded", "assay/demo:1", "--"];
    let words = [&["job", "submit"], words.as_slice(), &["sh", "-c", script]].concat();
    let submitted = session.run(&words);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    // The only program of this image is a static busybox.
    let warning = "/bin/sh is a static program: --seeded changes nothing that it does itself";
    assert!(submitted.stderr.contains(warning), "{}", submitted.stderr);
    let job = super::announced(&submitted);
    let described = session.run(&["job", "describe", &job, "--output", "json"]);
    let described: serde_json::Value = serde_json::from_str(&described.stdout).unwrap();
    assert_eq!(described["spec"]["seeded"], true);
    let seed = described["seed"].as_str().unwrap();
    assert_eq!(submitted.stdout, format!("{seed} 1640995200 /run/libassay-seed.so\n"));
    let text = session.run(&["job", "describe", &job]).stdout;
    assert!(text.contains(&format!("{seed} (random numbers and wall time follow from it)")), "{text}");
}
