//! Lists as they change, and the forms of what commands print.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Child, Stdio},
};

use serde_json::Value;

use super::{HINT, Seen, Session, announced, rows, session::interrupt};

/// A list that goes on, and its lines.
fn watching(session: &Session, words: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let words = [&["job", "list", "--watch"], words].concat();
    let mut child = session.user.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

#[test]
fn a_list_shows_changes_until_it_is_interrupted() {
    let session = Session::start(&["--nodes", "2"]);
    let (mut child, mut lines) = watching(&session, &[]);
    let (mut second, mut documents) = watching(&session, &["--output", "json"]);
    let submitted = session.run(&["job", "submit", "--concurrency", "2", "assay/demo:1", "echo", "hi"]);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let seen = lines.find(|line| line.contains("  verified  ")).expect("the list goes on");
    assert!(job[2..].starts_with(seen.split("  ").next().unwrap()), "{seen}");
    let is_end = |line: String| {
        let document: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(document["version"], 1, "{line}");
        document["state"] == "verified" && document["job"] == job.as_str()
    };
    assert!(documents.any(is_end));
    for child in [&mut child, &mut second] {
        assert!(interrupt(child));
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
    a_screen_is_redrawn(&session);
    forms(&session, &job);
    ids_are_completed(&session, &job);
    a_described_job_is_submitted_again(&session);
    curves_are_drawn(&session);
}

/// On a terminal, which `script` makes.
fn a_screen_is_redrawn(session: &Session) {
    let program = session.user.command(&[]).get_program().to_str().unwrap().to_owned();
    let mut script = session.user.program("script");
    script.args(["-qefc", &format!("{program} job list --watch"), "/dev/null"]);
    script.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut drawn, mut byte) = (Vec::new(), [0]);
    // Twice, without a new job: ages grow.
    while String::from_utf8_lossy(&drawn).matches("\u{1b}[HJOB").count() < 2 {
        screen.read_exact(&mut byte).unwrap();
        drawn.push(byte[0]);
    }
    child.stdin.take().unwrap().write_all(b"\x03").unwrap();
    let mut rest = Vec::new();
    screen.read_to_end(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{}", String::from_utf8_lossy(&drawn));
    assert!(String::from_utf8_lossy(&drawn).contains("verified"));
}

fn forms(session: &Session, job: &str) {
    let said = |words: &[&str]| {
        let seen = session.run(words);
        assert_eq!(seen.code, 0, "{words:?}: {}", seen.stderr);
        seen.stdout
    };
    let wide = said(&["job", "list", "--output", "wide"]);
    assert_eq!(rows(&wide, &["JOB", "COMMAND"]), [[job, "echo hi"]]);
    let csv = said(&["job", "list", "--output", "csv"]);
    let [heading, row] = csv.lines().collect::<Vec<_>>()[..] else { panic!("{csv}") };
    assert!(heading.starts_with("job,submitted_at,state,"), "{csv}");
    assert!(row.starts_with(&format!("{job},")) && row.contains(",assay/demo:1,echo hi,"), "{csv}");
    let yaml = said(&["job", "list", "--output", "yaml"]);
    assert!(
        yaml.starts_with("jobs:\n  - accepted: 2\n") && yaml.ends_with("total: 1\nversion: 1\n"),
        "{yaml}"
    );
    let nodes = said(&["node", "list", "--output", "csv"]);
    assert!(nodes.starts_with("node,state,slots,memory_bytes,") && nodes.contains(",4294967296,"), "{nodes}");
    let results = said(&["results", "list", job, "--output", "csv"]);
    assert_eq!(results.lines().count(), 3, "{results}");
    assert!(said(&["node", "earnings", "-o", "csv"]).starts_with("day,jobs,paid,lost\n"));
    let refused = session.run(&["job", "describe", job, "--output", "csv"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.stderr);
    let sample = [&["job", "list"][..], &["node", "list"], &["results", "list", job]];
    for table in sample.map(said) {
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}

fn a_described_job_is_submitted_again(session: &Session) {
    let words = ["job", "submit", "--concurrency", "1", "--seeded", "--env", "A=1.10", "--memory", "64m"];
    let command = ["--tolerance", "1.5", "assay/demo:1", "--", "sh", "-c", "echo \"$A\""];
    let first = announced(&session.run(&[&words[..], &command].concat()));
    let file = session.run(&["job", "describe", &first, "--output", "yaml"]);
    assert_eq!((file.code, file.stderr.as_str()), (0, ""), "{file:?}");
    fs::write(session.user.home.path().join("again.yaml"), &file.stdout).unwrap();
    let again = session.run(&["job", "submit", "--file", "again.yaml"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "1.10\n"), "{again:?}\n{}", file.stdout);
    let described = |job: &str| {
        let mut document = session.json(&["job", "describe", job]);
        // The file names the image by what it is, and tells its name in a remark.
        document["spec"]["image_name"].take();
        (document["spec"].clone(), document["deal"].clone())
    };
    assert_eq!(described(&announced(&again)), described(&first));
    assert!(file.stdout.contains("# assay/demo:1\n"), "{}", file.stdout);
}

fn curves_are_drawn(session: &Session) {
    // Long enough to be measured.
    let words = ["job", "submit", "--concurrency", "2", "assay/demo:1", "--", "sleep", "3"];
    let job = &announced(&session.run(&words));
    let described = session.run(&["job", "describe", job]).stdout;
    let (_, curves) = described.split_once("Memory over the run, each row from 0 to ").expect(&described);
    let drawn: Vec<&str> = curves.lines().skip(2).take_while(|line| !line.is_empty()).collect();
    let is_bar = |char: char| ('▁'..='█').contains(&char);
    assert!(
        drawn.len() == 2 && drawn.iter().all(|row| row.chars().filter(|char| is_bar(*char)).count() == 10),
        "{curves}"
    );
    assert!(drawn.iter().all(|row| row.contains("accepted") && row.chars().count() <= 80), "{curves}");
    let shown = session.run(&["verdict", "show", job]).stdout;
    assert!(drawn.iter().all(|row| shown.contains(row)), "{shown}");
}

/// As a shell asks, and in a real one.
fn ids_are_completed(session: &Session, job: &str) {
    let offered = |words: &[&str]| {
        let mut asked = session.user.command(&[&["--", "assay"], words].concat());
        asked.env("ASSAY_COMPLETE", "bash").env("_CLAP_IFS", "\n");
        let seen = Seen::new(&asked.env("_CLAP_COMPLETE_INDEX", words.len().to_string()).output().unwrap());
        assert_eq!((seen.code, seen.stderr.as_str()), (0, ""), "{words:?}");
        // Flags are offered, too.
        seen.stdout.lines().filter(|line| !line.starts_with('-')).map(str::to_owned).collect::<Vec<_>>()
    };
    let short = job[2..10].to_owned();
    assert_eq!(offered(&["job", "describe", ""]), [&*short]);
    assert_eq!(offered(&["job", "describe", &job[..8]]), [job]);
    assert_eq!(offered(&["results", "fetch", "zz"]), [""; 0]);
    assert!(!offered(&["job", "cancel", ""]).contains(&short), "it has ended");
    let whole: Vec<String> = session.json(&["node", "list"])["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(offered(&["job", "submit", "--allow", ""]), whole);
    let nodes = offered(&["job", "logs", &short, "--node", ""]);
    assert_eq!(nodes, whole.iter().map(|id| id[2..10].to_owned()).collect::<Vec<_>>());
    assert_eq!(offered(&["job", "describe", "--api", "127.0.0.1:9", ""]), [""; 0], "nobody is there");
    assert_eq!(offered(&["--output", "y"]), ["yaml"]);

    let script =
        "source <(assay completion bash); COMP_WORDS=(assay job describe ''); COMP_CWORD=3; COMP_TYPE=9
        _clap_complete_assay assay '' describe; echo \"${COMPREPLY[@]}\"";
    let mut bash = session.user.program("bash");
    let program = session.user.command(&[]).get_program().to_owned();
    let path = [Path::new(&program).parent().unwrap().to_owned()].into_iter();
    let found = std::env::var_os("PATH").unwrap();
    let path = path.chain(std::env::split_paths(&found));
    let path = std::env::join_paths(path).unwrap();
    let seen = Seen::new(&bash.args(["-c", script]).env("PATH", path).output().unwrap());
    assert!(seen.code == 0 && seen.stdout.starts_with(&format!("{short} ")), "{seen:?}");
}
