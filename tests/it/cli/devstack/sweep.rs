//! Sweeps: many jobs of one submission, what is told of them, and a command that takes up what another left.

use std::process::Stdio;

use serde_json::Value;

use super::{HINT, Session, interrupt, rows};
use crate::cli::{Seen, until};

/// The id of the group that a submission tells first.
fn group_in(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("group "))?;
    Some(line.split(':').next()?.to_owned())
}

#[test]
fn a_sweep_is_one_group_from_submission_to_its_results() {
    let session = Session::start(&["--nodes", "3", "--bad-actors", "1", "--slots", "2"]);
    let script = "echo $LETTER $SWEEP_INDEX; test $LETTER != b";
    let submit = ["job", "submit", "--method", "hash", "--matrix", "LETTER=a,b,c", "--output-dir", "out"];
    let seen = session.run(&[&submit[..], &["assay/demo:1", "sh", "-c", script]].concat());
    assert_eq!(seen.code, 1, "the code of the first job that did not end well: {}; {HINT}", seen.stderr);
    let group = group_in(&seen.stderr).unwrap_or_else(|| panic!("{}", seen.stderr));
    assert!(seen.stderr.contains("3 of 3 jobs ended: 3 verified"), "{}", seen.stderr);

    // The tables: states, nodes, and the job without a good result.
    let tables: Vec<&str> = seen.stdout.split("\n\n").collect();
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        rows(tables[0], &["STATE", "JOBS"]),
        [row(&["verified", "2"]), row(&["verified, exit code not 0", "1"])]
    );
    assert_eq!(
        rows(tables[1], &["ACCEPTED", "REJECTED", "ABSENT"]),
        [row(&["0", "3", "0"]), row(&["3", "0", "0"]), row(&["3", "0", "0"])]
    );
    assert_eq!(
        rows(tables[2], &["INDEX", "VALUES", "WHY"]),
        [row(&["1", "LETTER=b", "the program ended with exit code 1"])]
    );

    // The results of each job stand below its index.
    let home = session.user.home.path();
    let printed = |dir: &str, index: u32| {
        let dir = home.join(dir).join(index.to_string());
        let nodes = std::fs::read_dir(dir).unwrap().map(|node| node.unwrap().path());
        nodes.map(|node| std::fs::read_to_string(node.join("stdout")).unwrap()).collect::<Vec<_>>()
    };
    for (index, letter) in [(0, "a"), (1, "b"), (2, "c")] {
        assert_eq!(printed("out", index), vec![format!("{letter} {index}\n"); 2]);
    }
    let fetched = session.json(&["results", "fetch", "--group", &group[..6], "--output-dir", "again"]);
    assert_eq!((fetched["group"].as_str(), &fetched["without"]), (Some(group.as_str()), &Value::from(0)));
    assert_eq!(printed("again", 2), printed("out", 2));

    // A result that does not come hides neither the tables nor the others.
    let place = std::fs::read_dir(home.join("out/0")).unwrap().next().unwrap().unwrap().file_name();
    let taken = home.join("third/0").join(place);
    std::fs::create_dir_all(&taken).unwrap();
    std::fs::write(taken.join("stdout"), "mine").unwrap();
    let partly = session.run(&["group", "wait", &group, "--output-dir", "third"]);
    assert_eq!(partly.code, 1, "the code of the job comes first: {}", partly.stderr);
    let tables: Vec<&str> = partly.stdout.split("\n\n").collect();
    assert_eq!(rows(tables[3], &["INDEX"]), [row(&["0"])], "{}", partly.stdout);
    assert!(partly.stderr.contains("1 result could not be fetched"), "{}", partly.stderr);
    assert_eq!((printed("third", 1), printed("third", 2)), (printed("out", 1), printed("out", 2)));
    let again = session.run(&["results", "fetch", "--group", &group, "--output-dir", "third"]);
    assert_eq!(again.code, 125, "{}", again.stderr);
    assert_eq!(again.stdout.lines().count(), 5, "{}", again.stdout);

    // The group is told apart from other jobs, also without the file of the sweep.
    let single = session.run(&["job", "submit", "--detach", "assay/demo:1", "true"]);
    assert_eq!(single.code, 0, "{}", single.stderr);
    let listed = session.json(&["job", "list", "--group", &group]);
    assert_eq!((listed["total"].as_u64(), listed["jobs"].as_array().unwrap().len()), (Some(3), 3));
    std::fs::remove_dir_all(home.join(".local/state/assay/sweeps")).unwrap();
    let waited = session.run(&["group", "wait", &group]);
    assert_eq!(waited.code, 1, "{}", waited.stderr);
    let unknown = session.run(&["group", "wait", "000000000000"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    taken_up(&session);
}

/// Ctrl-C leaves the rest of a sweep to the next command.
fn taken_up(session: &Session) {
    let submit = ["job", "submit", "--method", "hash", "--count", "4", "--max-parallel", "1"];
    let words = [&submit[..], &["assay/demo:1", "sh", "-c", "sleep 1; echo $SWEEP_INDEX"]].concat();
    let mut command = session.user.command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let listed = || {
        let listed = session.json(&["job", "list", "--limit", "100"]);
        let of = |job: &Value| {
            let is_new = job["command"].to_string().contains("sleep 1");
            is_new.then(|| job["member"]["group"].as_str().unwrap().to_owned())
        };
        listed["jobs"].as_array().unwrap().iter().filter_map(of).collect::<Vec<_>>()
    };
    until("the first job of the sweep", || !listed().is_empty());
    assert!(interrupt(&child));
    let left = Seen::new(&child.wait_with_output().unwrap());
    assert_eq!(left.code, 130, "{}", left.stderr);
    let group = group_in(&left.stderr).unwrap();
    assert!(left.stderr.contains(&format!("assay group wait {group}")), "{}", left.stderr);
    assert!(listed().len() < 4, "the rest was not submitted");

    let waited = session.json(&["group", "wait", &group]);
    let jobs = waited["jobs"].as_array().unwrap();
    assert_eq!((jobs.len(), &waited["exit_code"]), (4, &Value::from(0)), "{waited}");
    assert!((0..).zip(jobs).all(|(index, job)| job["index"] == index && job["state"] == "verified"));
    let distinct: std::collections::BTreeSet<String> =
        jobs.iter().map(|job| job["job"].to_string()).collect();
    assert_eq!((distinct.len(), listed().len()), (4, 4), "no job was submitted twice");
    not_run_again(session, &group);
}

/// A group that was told is over for good, also once its node has forgotten every job.
fn not_run_again(session: &Session, group: &str) {
    let file = |group: &str| session.user.home.path().join(format!(".local/state/assay/sweeps/{group}.json"));
    let plan: Value = serde_json::from_slice(&std::fs::read(file(group)).unwrap()).unwrap();
    assert_eq!(plan["left"], serde_json::json!([]), "the file says that every job was submitted");
    let total = || session.json(&["job", "list"])["total"].clone();
    let before = total();

    // As its node sees a group whose jobs it has forgotten: a plan, and no job.
    let mut forgotten = plan.clone();
    forgotten["group"] = "fedcba987654".into();
    std::fs::write(file("fedcba987654"), forgotten.to_string()).unwrap();
    let refused = session.run(&["group", "wait", "fedcba"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("has forgotten its jobs"), "{}", refused.stderr);
    assert!(!file("fedcba987654").exists());
    assert_eq!(total(), before, "no job was submitted");
}
