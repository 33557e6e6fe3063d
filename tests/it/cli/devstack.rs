//! Sessions with a devstack in a process of its own, on the real engine.
//!
//! Needs the engine, the demo image and Anvil: `./scripts/test` sets them up. Without them the tests fail and say so.

mod action;
mod apart;
mod attest;
mod calibrate;
mod dashboard;
mod docs;
mod documents;
mod inputs;
mod killed;
mod leaving;
mod listing;
mod offers;
mod requester;
mod results;
mod seeded;
mod session;
mod sweep;

use std::{
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _},
    net::TcpStream,
    process::Stdio,
    time::Duration,
};

use assay::devstack::anvil::{Anvil, AnvilOptions};
use serde_json::Value;
use tokio::time::Instant;

use super::{Seen, User, check};
pub(super) use session::Nodes;
use session::{Session, interrupt};

const HINT: &str = "run ./scripts/test, which sets up the engine, the demo image and Anvil";

/// How long a chain may outlive its devstack.
const CHAIN_END: Duration = Duration::from_secs(10);

/// A snapshot without ids and addresses.
fn check_session(name: &str, seen: &Seen) {
    let filters = [
        (r"\b0x[0-9a-f]{64}\b", "[job]"),
        (r"\b[0-9a-f]{8}\b", "[short]"),
        (r"127\.0\.0\.1:\d+", "[address]"),
    ];
    let mut settings = insta::Settings::clone_current();
    for (pattern, replacement) in filters {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| check(name, seen));
}

/// The whole id of the job that a submission tells first.
fn announced(submitted: &Seen) -> String {
    let line = submitted.stderr.lines().find(|line| line.starts_with("job 0x"));
    line.unwrap_or_else(|| panic!("{}; {HINT}", submitted.stderr))[4..].to_owned()
}

fn lines(text: &str, keep: impl Fn(&str) -> bool) -> String {
    text.lines().filter(|line| keep(line)).map(|line| format!("{line}\n")).collect()
}

/// What the rows of a verdict say where one of three nodes lies.
const JUDGED: [[&str; 2]; 3] = [
    ["accepted", "its output equals that of 2 of 3 nodes, 2 needed"],
    ["accepted", "its output equals that of 2 of 3 nodes, 2 needed"],
    [
        "rejected",
        "its output differs from the majority's; 1 of 3 nodes have it, 2 needed; the output is empty: anybody could \
         have guessed it",
    ],
];

fn is_of_trace(part: &str) -> bool {
    ["not counted: ", "memory ", "CPU ", "page faults "].iter().any(|start| part.starts_with(start))
}

/// The judgements and reasons in a table without the word it begins with. Traces that do not count are left out: they
/// vary.
fn judged(table: &str) -> Vec<[String; 2]> {
    let rows = rows(&format!("NODE{table}"), &["VERDICT", "WHY"]);
    let row = |row: Vec<String>| {
        let [verdict, why] = row.try_into().unwrap();
        let counted: Vec<&str> = why.split("; ").filter(|part| !is_of_trace(part)).collect();
        [verdict, counted.join("; ")]
    };
    rows.into_iter().map(row).collect()
}

/// What a check says of the whole log; asserts what it says of the seats.
fn check_verdict(name: &str, mut seen: Seen) {
    let (whole, seats) = seen.stdout.split_once("\nNODE").unwrap();
    assert_eq!(judged(seats), JUDGED);
    seen.stdout = whole.to_owned();
    check_session(name, &seen);
}

/// These columns of a table, its rows in order: who comes first is chance.
fn rows(table: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap();
    let starts: Vec<usize> = columns.iter().map(|column| heading.find(column).unwrap()).collect();
    let cell = |line: &str, start: usize| {
        line.get(start..).unwrap_or("").split("  ").next().unwrap_or("").trim().to_owned()
    };
    let mut rows: Vec<Vec<String>> = lines
        .take_while(|line| !line.is_empty() && !line.starts_with("job "))
        .map(|line| starts.iter().map(|start| cell(line, *start)).collect())
        .collect();
    rows.sort();
    rows
}

#[test]
fn a_job_with_a_liar_is_told_from_submission_to_check() {
    let session = Session::start(&["--nodes", "3", "--bad-actors", "1"]);
    let submitted = session.run(&["job", "submit", "assay/demo:1", "--", "echo", "hello"]);
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, "hello\n"), "{}; {HINT}", submitted.stderr);
    let progress = lines(&submitted.stderr, |line| line.starts_with('['));
    assert!(progress.contains("running") && progress.contains("verified"), "{progress}");
    let (_, verdict) = submitted.stderr.split_once("NODE").unwrap();
    assert_eq!(judged(verdict), JUDGED);

    let job = announced(&submitted)[2..10].to_owned();
    let listed = session.run(&["job", "list"]).stdout;
    let columns = ["JOB", "STATE", "NODES", "AGREED", "IMAGE", "COMMAND"];
    assert_eq!(rows(&listed, &columns), [[&job, "verified", "3/3", "2", "assay/demo:1", "echo hello"]]);
    let of_state =
        |state: &str| session.json(&["job", "list", "--since", "1h", "--state", state])["total"].clone();
    assert_eq!((of_state("verified"), of_state("open,running")), (1.into(), 0.into()));
    let wrong = session.run(&["job", "list", "--state", "verifed"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("'verified'"), "{}", wrong.stderr);
    let described = session.run(&["job", "describe", &job]);
    for said in [
        "verified",
        "3 nodes run it, 2 must agree",
        "open_by",
        "commit_by",
        "reveal_by",
        "posted the verdict",
    ] {
        assert!(described.stdout.contains(said), "{said}: {}", described.stdout);
    }
    assert_eq!(session.json(&["job", "describe", &job])["state"], "verified");
    let nodes = session.run(&["node", "list"]).stdout;
    assert_eq!(rows(&nodes, &["STATE"]), [["asked"], ["here"], ["here"]]);
    let shown = session.run(&["verdict", "show", &job]).stdout;
    assert!(
        shown.contains("Equal outputs of more than half of 3 nodes decide, if at least 2 agree"),
        "{shown}"
    );
    results_come_back(&session, &job);
    a_verdict_is_checked_by_anybody(&session, &job);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devstack_uses_a_chain_that_is_there_already_and_leaves_it_there() {
    let anvil = Anvil::start(AnvilOptions::default()).await.expect(HINT);
    let on = ["--scheduler", "contract", "--nodes", "1", "--rpc-url", &anvil.rpc_url];
    let session = Session::start(&on);
    assert_eq!(session.devstack.ready["chain"]["rpc_url"], anvil.rpc_url.as_str());
    let contract = session.devstack.ready["chain"]["contract"].as_str().unwrap().to_owned();
    let submit =
        ["job", "submit", "--concurrency", "1", "--price", "1ether", "assay/demo:1", "--", "echo", "hello"];
    let submitted = session.run(&submit);
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, "hello\n"), "{}; {HINT}", submitted.stderr);
    drop(session);
    let info = ["contract", "info", "--rpc-url", &anvil.rpc_url, "--contract", &contract];
    let told = User::new().run(&info);
    assert_eq!(told.code, 0, "{}", told.stderr);

    let user = User::new();
    let gone = user.run(&["devstack", "--scheduler", "contract", "--rpc-url", "http://127.0.0.1:1"]);
    assert_eq!(gone.code, 124, "{}", gone.stderr);
    assert!(gone.stderr.contains("http://127.0.0.1:1") && gone.stderr.contains("hint: "), "{}", gone.stderr);
    let unused = user.run(&["devstack", "--rpc-url", &anvil.rpc_url]);
    assert_eq!(unused.code, 2, "{}", unused.stderr);
    assert!(unused.stderr.contains("--scheduler contract"), "{}", unused.stderr);
}

#[test]
fn a_job_on_a_contract_is_told_with_its_money_and_its_gas() {
    let session = Session::start(&["--scheduler", "contract", "--nodes", "3", "--bad-actors", "1"]);
    let terms = ["--price", "1ether", "--bond", "2ether", "--keeper-fee", "1gwei", "--deterministic"];
    let submit = [&["job", "submit"], &terms[..], &["assay/demo:1", "--", "echo", "hello"]].concat();
    let submitted = session.run(&submit);
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, "hello\n"), "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let told = session.json(&["job", "describe", &job]);
    let shown = session.run(&["job", "describe", &job]).stdout;

    let steps = told["steps"].as_array().unwrap();
    for (kind, count) in
        [("submitted", 1), ("bid_placed", 3), ("bid_accepted", 3), ("committed", 3), ("verdict_posted", 1)]
    {
        assert_eq!(steps.iter().filter(|step| step["event"] == kind).count(), count, "{kind}");
    }
    let mut gas = std::collections::BTreeMap::new();
    for step in steps {
        assert!(step["block"].is_u64() && step["confirmations"].is_u64(), "{step}");
        assert!(shown.contains(step["transaction"].as_str().unwrap()), "{step}");
        gas.insert(step["transaction"].to_string(), step["cost"]["gas_used"].as_u64().unwrap());
    }
    assert_eq!(told["gas_used"], gas.into_values().sum::<u64>());
    assert!(shown.contains(&format!("Gas: {} in all, for ", told["gas_used"])), "{shown}");

    let (_, money) = shown.split_once("PARTY").unwrap();
    let liar = told["verdict"]["rejected"][0].as_str().unwrap();
    let gains = rows(&format!("PARTY{}", money.split_once("Burnt").unwrap().0), &["PARTY", "GAIN"]);
    assert!(gains.contains(&vec![liar[2..10].to_owned(), "-2 ether".to_owned()]), "{gains:?}");
    let worked = gains.iter().filter(|row| row[1].starts_with("+0.8")).count();
    assert_eq!(worked, 1, "the other that worked also pays for both: {gains:?}");
    assert!(shown.contains("Burnt: 3 ether"), "a bond, and what was locked for its seat: {shown}");
    let unpaid = session.run(&["job", "logs", &job, "--node", liar]);
    assert_eq!(unpaid.code, 121, "{}", unpaid.stderr);
    assert!(unpaid.stderr.contains("not paid for"), "{}", unpaid.stderr);
}

fn results_come_back(session: &Session, job: &str) {
    let listed = session.run(&["results", "list", job]).stdout;
    assert_eq!(
        rows(&listed, &["EXIT", "VERDICT"]),
        [["0", "accepted"], ["0", "accepted"], ["0", "rejected"]]
    );
    let fetched = session.run(&["results", "fetch", job, "--output-dir", "results"]);
    assert_eq!((fetched.code, fetched.stdout.lines().count()), (0, 2), "{}", fetched.stderr);
    for directory in fetched.stdout.lines() {
        let directory = session.user.home.path().join(directory);
        assert_eq!(fs::read_to_string(directory.join("stdout")).unwrap(), "hello\n");
    }
    assert_eq!(session.run(&["job", "logs", job]).stdout, "hello\n");
}

fn a_verdict_is_checked_by_anybody(session: &Session, job: &str) {
    check_verdict("verdict_check", session.run(&["verdict", "check", job]));
    let exported = session.run(&["verdict", "export", job]).stdout;
    let file = session.user.home.path().join("log.json");
    fs::write(&file, &exported).unwrap();
    let stranger = User::new();
    let check_file = || stranger.run(&["verdict", "check", "--file", file.to_str().unwrap()]);
    assert_eq!(check_file().code, 0);

    let other = stranger.run(&["verdict", "check", "ffff", "--file", file.to_str().unwrap()]);
    assert_eq!(other.code, 125);
    assert!(other.stderr.contains(", not of job ffff"), "{}", other.stderr);

    let mut stripped: Value = serde_json::from_str(&exported).unwrap();
    for entry in stripped["logs"][0]["entries"].as_array_mut().unwrap() {
        entry["proof"] = "".into();
    }
    fs::write(&file, stripped.to_string()).unwrap();
    let refused = check_file();
    assert_eq!((refused.code, refused.stdout.as_str()), (125, ""));
    assert!(refused.stderr.contains("entry 1 has no proof"), "{}", refused.stderr);

    let mut cut: Value = serde_json::from_str(&exported).unwrap();
    cut["logs"][0]["entries"].as_array_mut().unwrap().truncate(9);
    cut["claim"] = serde_json::json!({ "state": "running", "accepted": [], "rejected": [], "absent": [] });
    fs::write(&file, cut.to_string()).unwrap();
    let open = check_file();
    assert_eq!(open.code, 121);
    assert!(open.stdout.starts_with("UNDECIDED"), "{}", open.stdout);

    let mut claim: Value = serde_json::from_str(&exported).unwrap();
    claim["claim"]["accepted"] = claim["claim"]["rejected"].clone();
    fs::write(&file, claim.to_string()).unwrap();
    check_verdict("verdict_check_differs", check_file());

    // One digit of an opening that a node revealed and signed.
    fs::write(&file, exported.replacen("\"exit_code\": 0", "\"exit_code\": 1", 1)).unwrap();
    let forged = check_file();
    assert_eq!(forged.code, 125);
    assert!(forged.stderr.contains("belongs to something else"), "{}", forged.stderr);
}

#[test]
fn what_cannot_run_is_refused_with_the_reason() {
    let session = Session::start(&["--nodes", "2"]);
    check_session("too_many_nodes", &session.run(&["job", "submit", "--concurrency", "3", "assay/demo:1"]));
    check_session("no_such_job", &session.run(&["job", "describe", "ffff"]));
    let unknown = session.run(&["job", "submit", "--concurrency", "2", "localhost:9/no/such:1"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(
        unknown.stderr.contains("the image localhost:9/no/such:1 is not on this machine"),
        "{}",
        unknown.stderr
    );
    assert!(unknown.stderr.contains("\nhint: "), "{}", unknown.stderr);
    assert_eq!(session.json(&["job", "list"])["total"], 0, "nothing was submitted");
}

#[test]
fn the_exit_code_is_that_of_the_program_or_says_what_went_wrong() {
    let session = Session::start(&["--nodes", "1"]);
    let submit = ["job", "submit", "--concurrency", "1", "--timeout", "5s", "assay/demo:1", "--", "sh", "-c"];
    let run = |script| session.run(&[&submit[..], &[script]].concat());
    let failing = run("echo out; echo why >&2; exit 7");
    assert_eq!((failing.code, failing.stdout.as_str()), (7, "out\n"), "{}; {HINT}", failing.stderr);
    let (_, hint) = failing.stderr.split_once("\nhint: see what it wrote to stderr: assay ").unwrap();
    let written = session.run(&hint.split_whitespace().collect::<Vec<_>>());
    assert_eq!((written.code, written.stdout.as_str()), (0, "why\n"), "{}", written.stderr);
    let late = run("sleep 30");
    assert_eq!((late.code, late.stdout.as_str()), (122, ""), "{}", late.stderr);
    assert!(late.stderr.contains("did not end within its timeout of 5s"), "{}", late.stderr);
    let logs = session.run(&["job", "logs", &announced(&late)]);
    assert_eq!(logs.code, 121);
    assert!(logs.stderr.contains("failed: no result was accepted"), "{}", logs.stderr);
    let json = session.json(&["job", "wait", &announced(&late)]);
    assert_eq!((&json["state"], &json["exit_code"]), (&"failed".into(), &122.into()));
    assert_eq!(json["program_exit_code"], Value::Null);
}

#[test]
fn the_deal_of_a_job_can_change_until_somebody_is_accepted() {
    let session = Session::start(&["--nodes", "1"]);
    // Nobody here may bid.
    let allowed = format!("0x{}", "11".repeat(20));
    let submit = ["job", "submit", "--detach", "--concurrency", "1", "--allow", &allowed, "assay/demo:1"];
    let submitted = session.run(&submit);
    let job = submitted.stdout.trim();
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let before = session.json(&["job", "describe", job]);
    let updated = session.run(&["job", "update", job, "--timeout", "5m"]);
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    let after = session.json(&["job", "describe", job]);
    assert_eq!((&after["deal"]["timeout"], &after["deal"]["run"]), (&300.into(), &420.into()));
    assert_eq!(after["revision"], updated.stdout.trim());
    assert_ne!(after["revision"], before["revision"]);
    check_session("nothing_to_update", &session.run(&["job", "update", job]));
    let cancelled = session.run(&["job", "cancel", job]);
    assert!(cancelled.stderr.contains("no node had begun"), "{}", cancelled.stderr);
    assert_eq!(session.run(&["job", "wait", job]).code, 123);
}

#[test]
fn a_detached_job_is_taken_up_again_or_cancelled() {
    let session = Session::start(&["--nodes", "1"]);
    let submit = ["job", "submit", "--detach", "--concurrency", "1", "assay/demo:1", "--"];
    let detached = session.run(&[&submit[..], &["echo", "later"]].concat());
    assert_eq!(detached.code, 0, "{}; {HINT}", detached.stderr);
    let waited = session.run(&["job", "wait", detached.stdout.trim()]);
    assert_eq!((waited.code, waited.stdout.as_str()), (0, "later\n"), "{}", waited.stderr);

    let detached = session.run(&[&submit[..], &["sleep", "60"]].concat());
    let job = detached.stdout.trim();
    let early = session.run(&["job", "wait", "--wait-timeout", "1s", job]);
    assert_eq!((early.code, early.stdout.as_str()), (122, ""), "{}", early.stderr);
    let undecided = session.run(&["results", "fetch", job]);
    assert_eq!(undecided.code, 121, "{}", undecided.stderr);
    let cancelled = session.run(&["job", "cancel", job]);
    assert_eq!((cancelled.code, cancelled.stdout.trim()), (0, job), "{}", cancelled.stderr);
    assert_eq!(session.run(&["job", "wait", job]).code, 123);
    let over = session.run(&["job", "cancel", job]);
    assert_eq!(over.code, 125);
    assert!(over.stderr.contains("the job is over: it is cancelled"), "{}", over.stderr);
    assert!(over.stderr.contains("\nhint: see how it ended"), "{}", over.stderr);
}

#[test]
fn ctrl_c_detaches_and_says_how_to_go_on() {
    let session = Session::start(&["--nodes", "1"]);
    let words = ["job", "submit", "--concurrency", "1", "assay/demo:1", "--", "sleep", "60"];
    let mut child = session.user.command(&words).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let job = stderr.next().unwrap().strip_prefix("job ").unwrap().to_owned();
    // From the first line of progress on it is waiting.
    stderr.next().unwrap();
    assert!(interrupt(&child));
    let rest: Vec<String> = stderr.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(
        rest.last().unwrap().starts_with(&format!("hint: resume with: assay job wait {job} --api http://"))
    );
    let cancelled = session.run(&["job", "cancel", &job]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.stderr);
}

#[test]
fn a_devstack_that_is_killed_leaves_no_chain_and_its_directory_can_be_used_again() {
    let user = User::new();
    let dir = user.home.path().join("stack").display().to_string();
    let words = ["devstack", "--scheduler", "contract", "--nodes", "1", "--data-dir", &dir];
    let killed = Nodes::start(&user, &words);
    let url = killed.ready["chain"]["rpc_url"].as_str().unwrap().to_owned();
    let chain = url.strip_prefix("http://").unwrap();
    let connected = TcpStream::connect(chain).unwrap();
    killed.kill();
    // A connection ends with the process that holds its other end. The kernel may close it before the socket that
    // listens, which takes connections until the kernel closes it too, and them with it.
    let (began, mut open) = (Instant::now(), Ok(connected));
    while let Ok(mut connection) = open {
        connection.set_read_timeout(Some(CHAIN_END)).unwrap();
        let ended = connection.read(&mut [0]);
        let is_open = ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!is_open && began.elapsed() < CHAIN_END, "the chain ends with the devstack");
        open = TcpStream::connect(chain);
    }

    let session = Session { devstack: Nodes::start(&user, &words), user };
    let submit = ["job", "submit", "--concurrency", "1", "assay/demo:1", "--", "echo", "hello"];
    let submitted = session.run(&submit);
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, "hello\n"), "{}; {HINT}", submitted.stderr);
}

#[test]
fn nodes_of_separate_processes_join_by_address() {
    let user = User::new();
    let serve = |name: &str, words: &[&str]| {
        // Below the working directory, which is the user's home.
        let own = ["serve", "--api", "127.0.0.1:0", "--data-dir", name];
        Nodes::start(&user, &[&own, words].concat())
    };
    let requester = serve("requester", &["--slots", "0"]);
    let address = requester.ready["addresses"][0].as_str().unwrap();
    let _others = [serve("a", &["--peer", address]), serve("b", &["--peer", address])];

    let input = user.home.path().join("input");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("words"), "from the requester\n").unwrap();
    let api = requester.ready["api"].as_str().unwrap();
    let submit = ["job", "submit", "--api", api, "--concurrency", "2", "-i", "input:/inputs", "assay/demo:1"];
    let script = "cat /inputs/words; cp /inputs/words /outputs/copy";
    let submitted = loop {
        let submitted = user.run(&[&submit[..], &["--", "sh", "-c", script]].concat());
        // Until both are connected, which nothing here could wait for, too few nodes are known.
        if submitted.code != 120 {
            break submitted;
        }
    };
    assert_eq!(
        (submitted.code, submitted.stdout.as_str()),
        (0, "from the requester\n"),
        "{}",
        submitted.stderr
    );
    let job = announced(&submitted);
    let fetched = user.run(&["results", "fetch", &job, "--api", api]);
    assert_eq!(fetched.stdout.lines().count(), 2, "{}", fetched.stderr);
    for directory in fetched.stdout.lines() {
        let copy = user.home.path().join(directory).join("outputs/copy");
        assert_eq!(fs::read_to_string(copy).unwrap(), "from the requester\n");
    }
}
