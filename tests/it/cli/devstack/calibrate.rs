//! `job calibrate`: pilots on real nodes, and the job that takes their proposal.

use super::{HINT, Session};

/// The mean of random numbers, other in each job, and a number that never changes.
const SCRIPT: &str = "awk -v seed=\"$ASSAY_SEED32\" 'BEGIN { srand(seed); for (i = 0; i < 20000; i++) s += rand(); \
                      print s / 20000, 20000 }' | tee /outputs/mean";

#[test]
fn a_job_takes_the_tolerances_that_its_pilots_propose() {
    let session = Session::start(&["--nodes", "3"]);
    let calibrate = "-o json job calibrate --pilots 5 --summary-file mean assay/demo:1 -- sh -c"
        .split(' ')
        .chain([SCRIPT]);
    let calibrated = session.run(&calibrate.collect::<Vec<_>>());
    assert_eq!(calibrated.code, 0, "{}; {HINT}", calibrated.stderr);
    let proposal: serde_json::Value = serde_json::from_str(&calibrated.stdout).unwrap();
    let form = proposal["summary"].as_str().unwrap();
    assert!(form.starts_with("rel:") && form.ends_with("ppm,exact"), "{proposal}");
    assert_eq!(proposal["pilots"].as_array().unwrap().len(), 5);
    assert_eq!(proposal["honest_rejected_ppm"], 6597);
    let passing = |does: &str| {
        let liars = proposal["liars"].as_array().unwrap();
        liars.iter().find(|liar| liar["does"] == does).unwrap()["passes"].as_bool().unwrap()
    };
    assert!(!calibrated.stderr.contains("warning"), "{}", calibrated.stderr);
    assert!(passing("replays an earlier run of its own") && !passing("writes zeros"), "{proposal}");

    // Each run of this job draws numbers of its own: the outputs differ, and the numbers are near.
    let random = SCRIPT.replace("$ASSAY_SEED32", "$(od -An -N3 -td4 /dev/urandom)");
    let named = ["--summary", form, "--summary-file", "mean"];
    let job = [&["job", "submit"], &named[..], &["assay/demo:1", "--", "sh", "-c", &random]].concat();
    let submitted = session.run(&job);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    assert!(submitted.stderr.contains("3 of 3 nodes agree (near outputs)"), "{}", submitted.stderr);
    assert!(submitted.stderr.contains("of their tolerance away"), "outputs differ: {}", submitted.stderr);

    // Where nobody's numbers can be compared, the end of the job says why.
    let void = "od -An -N4 -tu4 /dev/urandom; echo nan > /outputs/mean";
    let terms = ["--concurrency", "2", "--summary", "abs:1", "--summary-file", "mean"];
    let undecided =
        session.run(&[&["job", "submit"], &terms[..], &["assay/demo:1", "--", "sh", "-c", void]].concat());
    let why = "is void, so its numbers were not compared: number 1 of the summary is not a decimal number";
    assert_eq!(undecided.code, 121, "{}", undecided.stderr);
    assert!(undecided.stderr.contains(why), "{}", undecided.stderr);
}

#[test]
fn pilots_that_write_no_summary_say_why_they_are_void() {
    let session = Session::start(&["--nodes", "1"]);
    let calibrate = |script: &str| {
        session.run(&["job", "calibrate", "--pilots", "3", "assay/demo:1", "--", "sh", "-c", script])
    };
    let seen = calibrate("echo 1 nan > /outputs/summary");
    assert_eq!((seen.code, seen.stdout.as_str()), (121, ""), "{}", seen.stderr);
    let why = "pilot 1: number 2 of the summary is not a decimal number; NaN, infinities and hexadecimal are not accepted";
    assert!(seen.stderr.contains(why) && seen.stderr.contains("hint: "), "{}", seen.stderr);
    let missing = calibrate("true");
    assert!(missing.stderr.contains("the run left no summary file"), "{}", missing.stderr);
    let alone = calibrate("echo $ASSAY_SEED32 > /outputs/summary");
    assert_eq!(alone.code, 0, "{}", alone.stderr);
    let failed = calibrate("exit 3");
    let why = "0 pilots gave a summary, and at least 3 are needed";
    assert!(failed.stderr.contains(why) && failed.stderr.contains("exit code 3"), "{}", failed.stderr);
}
