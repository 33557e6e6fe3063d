//! The dashboard in a real browser. Needs Chromium and what `npm ci` installs: `./scripts/test` sets them up.

use std::{env, fs, path::Path, process::Command};

use super::{HINT, Session};

#[test]
fn a_browser_submits_a_job_and_finds_the_liar() {
    let session = Session::start(&["--nodes", "3", "--bad-actors", "1:idle"]);
    let opened = session.run(&["dashboard"]);
    assert_eq!(opened.code, 0, "{}", opened.stderr);
    assert!(opened.stderr.contains("it works once"), "{}", opened.stderr);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The pictures of the README, made anew on demand: they show ids and times of their own.
    let scratch = tempfile::tempdir().unwrap();
    let pictures = match env::var_os("UPDATE_SCREENSHOTS") {
        Some(_) => root.join("docs/images"),
        None => scratch.path().to_owned(),
    };
    let script = root.join("tests/browser/dashboard.mjs");
    let seen = Command::new("node").arg(script).arg(opened.stdout.trim()).arg(&pictures).output().unwrap();
    let said = String::from_utf8_lossy(&seen.stderr);
    assert!(seen.status.success(), "{}{said}; {HINT}", String::from_utf8_lossy(&seen.stdout));
    for name in ["dashboard-job.png", "dashboard-jobs.png"] {
        assert!(fs::read(pictures.join(name)).unwrap().starts_with(b"\x89PNG"), "{name}");
    }
}
