//! What a job left, where it goes, and what is strange about it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::{HINT, Seen, Session, announced, lines};

/// One node and short phases: what is looked at here is the end.
const ONE: [&str; 4] = ["job", "submit", "--concurrency", "1"];

fn submit(session: &Session, words: &[&str]) -> Seen {
    session.run(&[&ONE[..], words].concat())
}

#[test]
fn what_was_fetched_stays_and_what_differs_is_not_touched() {
    let session = Session::start(&["--nodes", "1"]);
    let script = "mkdir /outputs/d; echo x > /outputs/d/x; chmod +x /outputs/d/x; echo out";
    let submitted = submit(&session, &["--output-dir", "kept", "assay/demo:1", "sh", "-c", script]);
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, "out\n"), "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let fetch = || session.run(&["results", "fetch", &job, "--output-dir", "kept"]);
    let again = fetch();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("is here already"), "{}", again.stderr);
    let dir = session.user.home.path().join(again.stdout.trim());
    assert_eq!(fs::read_to_string(dir.join("outputs/d/x")).unwrap(), "x\n");

    // Content, a name more, a file in place of the directory: all of it is the user's.
    let changes: [fn(&std::path::Path); 3] = [
        |dir| fs::write(dir.join("outputs/d/x"), "y\n").unwrap(),
        |dir| fs::write(dir.join("mine"), "").unwrap(),
        |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, "mine").unwrap();
        },
    ];
    for change in changes {
        change(&dir);
        let refused = fetch();
        assert_eq!((refused.code, refused.stdout.as_str()), (125, ""), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("left as it is") && refused.stderr.contains("hint: "),
            "{}",
            refused.stderr
        );
        assert!(!refused.stderr.contains("honest"), "no node is to blame: {}", refused.stderr);
    }
    assert_eq!(fs::read_to_string(&dir).unwrap(), "mine");
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    assert_eq!(fetch().code, 0, "an empty directory is filled");
    assert_eq!(fs::read_to_string(dir.join("stdout")).unwrap(), "out\n");
}

/// A node without a seat has the public result of a job, and not the other one.
fn a_stranger_has_what_is_public(backend: &[&str]) {
    let session = Session::start(&[&["--nodes", "3"], backend].concat());
    let submit = |words: &[&str]| announced(&submit(&session, words));
    let public = submit(&["--public-result", "assay/demo:1", "id", "-u"]);
    // Of another content: a node that serves the public result may serve any with the same bytes.
    let private = submit(&["assay/demo:1", "echo", "private"]);
    let stranger = |job: &str| {
        let view = session.json(&["job", "describe", job]);
        let nodes = session.devstack.ready["nodes"].as_array().unwrap();
        let has_no_part = |id: &Value| *id != view["requester"] && *id != view["seats"][0]["node"];
        let stranger = nodes.iter().find(|node| has_no_part(&node["id"])).unwrap();
        let text = |name: &str| stranger[name].as_str().unwrap().to_owned();
        let mut command = session.user.command(&["job", "wait", job, "--api", &text("api")]);
        Seen::new(&command.env("ASSAY_API_TOKEN_FILE", text("token_file")).output().unwrap())
    };
    let (seen, refused) = (stranger(&public), stranger(&private));
    assert_eq!((seen.code, seen.stdout.as_str()), (0, "65534\n"), "{}; {HINT}", seen.stderr);
    assert!(refused.code != 0 && refused.stdout.is_empty(), "{}{}", refused.stdout, refused.stderr);
    assert!(session.run(&["job", "describe", &public]).stdout.contains("public: anybody may fetch them"));
}

#[test]
fn anybody_has_a_public_result() {
    a_stranger_has_what_is_public(&[]);
}

#[test]
fn anybody_has_a_public_result_of_a_job_on_a_chain() {
    a_stranger_has_what_is_public(&["--scheduler", "contract"]);
}

#[test]
fn what_a_run_printed_before_its_timeout_is_told_and_is_no_result() {
    let session = Session::start(&["--nodes", "1"]);
    let script = "echo 'step 1'; echo 'no disk?' >&2; sleep 60";
    let words = ["--timeout", "5s", "--run", "65s", "assay/demo:1", "sh", "-c", script];
    fails_and_leaves_its_last_words(&session, &words, "did not end within 5 s");
}

#[test]
fn what_a_run_printed_before_it_had_too_little_memory_is_told_and_is_no_result() {
    let session = Session::start(&["--nodes", "1"]);
    let script = "echo 'step 1'; echo 'no disk?' >&2; head -c 200m /dev/zero | tail -n 1; exit 0";
    let words = ["--timeout", "30s", "--run", "90s", "--memory", "32m", "assay/demo:1", "sh", "-c", script];
    fails_and_leaves_its_last_words(&session, &words, "needed more than 33554432 bytes of memory");
}

fn fails_and_leaves_its_last_words(session: &Session, words: &[&str], reason: &str) {
    let submitted = submit(session, words);
    assert_ne!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let fetched = session.run(&["results", "fetch", &job, "--output-dir", "kept"]);
    assert!(fetched.code != 0 && fetched.stdout.is_empty(), "no result: {}", fetched.stderr);
    assert!(fetched.stderr.contains(reason), "{}", fetched.stderr);
    let kept = fs::read_dir(session.user.home.path().join("kept")).unwrap();
    let kept: Vec<_> = kept.map(|dir| dir.unwrap().path()).collect();
    let [dir] = &kept[..] else { panic!("{kept:?}") };
    assert!(dir.file_name().unwrap().to_str().unwrap().starts_with("failed-"), "{kept:?}");
    let read = |name| fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(read("stdout"), "step 1\n");
    // The shell may tell that its child was killed.
    assert!(read("stderr").starts_with("no disk?\n"), "{}", read("stderr"));
    assert!(read("reason").contains(reason), "{}", read("reason"));
    let printed = session.run(&["job", "logs", &job]);
    assert_eq!(printed.stdout, "step 1\n", "{}", printed.stderr);
    assert!(printed.code != 0 && printed.stderr.contains("no result"), "{}", printed.stderr);
    assert_eq!(session.run(&["job", "logs", "--stderr", &job]).stdout, read("stderr"));
    let described = session.run(&["job", "describe", &job]);
    assert!(described.stdout.contains(" says: the run gave no result: "), "{}", described.stdout);
}

#[test]
fn a_submission_that_cannot_keep_its_results_is_not_sent() {
    let session = Session::start(&["--nodes", "1"]);
    fs::write(session.user.home.path().join("file"), "").unwrap();
    let refused = submit(&session, &["--output-dir", "file/x", "assay/demo:1", "true"]);
    assert_eq!(refused.code, 125, "{}", refused.stderr);
    assert_eq!(session.json(&["job", "list"])["total"], 0);
    let both = submit(&session, &["--detach", "--output-dir", "x", "assay/demo:1", "true"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
}

#[test]
fn files_that_differ_between_two_nodes_are_told_with_their_lines() {
    let session = Session::start(&["--nodes", "2"]);
    let script = "echo same; printf 'one\\n%s\\n' $(cat /proc/sys/kernel/random/uuid) > /outputs/id; echo > /outputs/nl";
    let words =
        ["job", "submit", "--concurrency", "2", "--method", "hash", "assay/demo:1", "sh", "-c", script];
    let submitted = session.run(&words);
    assert_eq!(submitted.code, 121, "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let seen = session.run(&["results", "diff", &job]);
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    let json = session.json(&["results", "diff", &job]);
    assert_eq!(json["files"][0]["path"], "outputs/id");
    // Two random names may begin alike.
    let at_byte = json["files"][0]["at_byte"].as_u64().unwrap();
    assert!((4..40).contains(&at_byte), "{at_byte}");
    let place = format!("at byte {at_byte}");
    for said in ["outputs/id", &*place, "@@ -1,2 +1,2 @@", "\n one\n-", "\n+"] {
        assert!(seen.stdout.contains(said), "{said}: {}", seen.stdout);
    }
    assert!(!seen.stdout.contains("stdout") && !seen.stdout.contains("outputs/nl"), "{}", seen.stdout);
    let first = json["first"].as_str().unwrap();
    let equal = session.run(&["results", "diff", &job, first, first]);
    assert!(equal.code == 0 && equal.stdout.ends_with("are equal\n"), "{}{}", equal.stdout, equal.stderr);
    for (node, why) in [
        ("ffffffff", "no node ffffffff has a seat"),
        ("", "no node  has a seat"),
        ("zz", "no node zz has a seat"),
    ] {
        let unknown = session.run(&["results", "diff", &job, node]);
        assert!(unknown.code == 2 && unknown.stderr.contains(why), "{}", unknown.stderr);
    }

    // A stand-in for the tool, which is large: how it is called, and what becomes of what it says.
    let tool = session.user.home.path().join("tools/diffoscope");
    fs::create_dir(tool.parent().unwrap()).unwrap();
    let diff = |script: &str| {
        fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", tool.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = session.user.command(&["results", "diff", &job, "--diffoscope"]);
        Seen::new(&command.env("PATH", path).output().unwrap())
    };
    let mut without = session.user.command(&["results", "diff", &job, "--diffoscope"]);
    let without = Seen::new(&without.env("PATH", tool.parent().unwrap()).output().unwrap());
    let why = "there is no program diffoscope";
    assert!(without.code == 125 && without.stderr.contains(why), "{}", without.stderr);
    let seen = diff("test -f $5/outputs/id -a -f $6/outputs/id && echo \"$@\"; exit 1");
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    assert!(seen.stderr.contains("--text - --max-report-size 1000000 /"), "{}", seen.stderr);
    assert!(!seen.stdout.contains("--text"), "what a tool says is no data: {}", seen.stdout);
    let seen = diff("echo 'no libarchive' >&2; exit 2");
    assert!(seen.code == 125 && seen.stderr.contains("no libarchive"), "{}{}", seen.code, seen.stderr);
}

#[test]
fn several_jobs_are_waited_for_and_the_first_that_does_not_end_well_gives_the_code() {
    let session = Session::start(&["--nodes", "1"]);
    let detached = |script: &str| {
        let seen = submit(&session, &["--detach", "assay/demo:1", "sh", "-c", script]);
        assert_eq!(seen.code, 0, "{}; {HINT}", seen.stderr);
        seen.stdout.trim().to_owned()
    };
    let (a, b, c) = (detached("echo a"), detached("echo b; exit 7"), detached("echo c; exit 8"));
    let waited = session.run(&["job", "wait", &a, &b, &c]);
    assert_eq!((waited.code, waited.stdout.as_str()), (7, "a\nb\nc\n"), "{}", waited.stderr);
    assert_eq!(session.run(&["job", "wait", &c, &b, &a]).code, 8, "the order is that of the command line");
    assert_eq!(session.run(&["job", "wait", &a, &a]).code, 0);
    let json = session.json(&["job", "wait", &a, &b]);
    assert_eq!((&json["exit_code"], &json["jobs"][0]["stdout"]), (&7.into(), &"a\n".into()));
    assert_eq!(json["jobs"][1]["program_exit_code"], 7);
    let unknown = session.run(&["job", "wait", &a, "ffff"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""), "nothing is told before all are known");

    // Nobody may bid: it is waited for as long as the user says, for all of them together.
    let nobody = format!("0x{}", "11".repeat(20));
    let open = session.run(&[&ONE[..], &["--detach", "--allow", &nobody, "assay/demo:1"]].concat()).stdout;
    let late = session.run(&["-q", "job", "wait", &a, open.trim(), &b, "--wait-timeout", "1s"]);
    assert_eq!((late.code, late.stdout.as_str()), (122, "a\n"), "{}", late.stderr);
    assert!(late.stderr.contains(&format!("assay job wait {} {b}", open.trim())), "{}", late.stderr);

    let list = session.run(&["job", "list", "--limit", "2"]);
    assert_eq!(list.stdout.lines().count(), 3, "{}", list.stdout);
    assert!(list.stderr.contains("2 of 4 jobs") && list.stderr.contains("--limit 4"), "{}", list.stderr);
    let json = session.json(&["job", "list", "--limit", "2"]);
    assert_eq!((&json["total"], json["jobs"].as_array().unwrap().len()), (&4.into(), 2));
    assert_eq!(session.run(&["job", "list"]).stderr, "", "nothing is left out");
}

#[test]
fn an_empty_output_and_a_command_that_did_not_start_are_said_with_standard_error() {
    let session = Session::start(&["--nodes", "1"]);
    let guessed = "the output is empty: anybody could have guessed it";
    let silent = submit(&session, &["assay/demo:1", "sh", "-c", "printf 'odd \\033[2J\\n' >&2"]);
    assert_eq!((silent.code, silent.stdout.as_str()), (0, ""), "{}; {HINT}", silent.stderr);
    assert!(silent.stderr.contains(guessed), "{}", silent.stderr);
    assert!(silent.stderr.contains("  odd \\u{1b}[2J\n"), "it is escaped: {}", silent.stderr);

    let missing = submit(&session, &["-q", "assay/demo:1", "sh", "-c", "no-such-program"]);
    assert_eq!(missing.code, 127, "{}", missing.stderr);
    let job = announced(&submit(&session, &["assay/demo:1", "sh", "-c", "echo x; no-such-program"]));
    for said in [
        &missing.stderr,
        &session.run(&["job", "describe", &job]).stdout,
        &session.run(&["job", "wait", &job]).stderr,
    ] {
        for word in
            ["exit code 127 usually means that the command was not found", "no-such-program: not found"]
        {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    assert!(missing.stderr.contains(guessed), "{}", missing.stderr);
    for json in [session.json(&["job", "describe", &job]), session.json(&["job", "wait", &job])] {
        assert_eq!(json["cautions"].as_array().unwrap().len(), 1, "it printed something: {json}");
        assert!(json["stderr_tail"][0].as_str().unwrap().contains("not found"), "{json}");
    }
    // A file is an output, an empty directory is none.
    for (script, is_empty) in [("touch /outputs/x", false), ("mkdir /outputs/x", true), ("echo", false)] {
        let seen = submit(&session, &["assay/demo:1", "sh", "-c", script]);
        assert_eq!(seen.stderr.contains(guessed), is_empty, "{script}: {}", seen.stderr);
    }
}

#[test]
fn whoever_wants_to_hear_nothing_hears_why_a_job_failed() {
    let session = Session::start(&["--nodes", "1"]);
    let failed = submit(&session, &["-q", "assay/demo:1", "sh", "-c", "echo why >&2; exit 3"]);
    assert_eq!(failed.code, 3, "{}; {HINT}", failed.stderr);
    for said in ["exit code 3", "  why\n", "hint: "] {
        assert!(failed.stderr.contains(said), "{said}: {}", failed.stderr);
    }
    assert_eq!(lines(&failed.stderr, |line| line.starts_with('[')), "", "no progress");
    // With JSON the document says it, and standard error is for errors.
    let json = session.run(&[
        "-q",
        "-o",
        "json",
        "job",
        "wait",
        session.json(&["job", "list"])["jobs"][0]["job"].as_str().unwrap(),
    ]);
    assert_eq!((json.code, json.stderr.as_str()), (3, ""), "{}", json.stderr);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(
        document["summary"].as_str().unwrap().contains("verified") && document["hint"].is_string(),
        "{document}"
    );
    let well = submit(&session, &["-q", "assay/demo:1", "echo", "fine"]);
    assert_eq!((well.code, well.stdout.as_str(), well.stderr.as_str()), (0, "fine\n", ""));
}
