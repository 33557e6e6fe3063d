//! What job files become, and what is said of wrong ones.

use clap::{CommandFactory as _, Parser as _};

use super::*;
use crate::{
    cli::{
        Cli,
        args::{self, JobCommand, SubmitArgs},
    },
    explain::Hint as _,
};

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("job.yaml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn expanded(text: &str, more: &[&str]) -> Result<Vec<OsString>, JobFileError> {
    let (_directory, path) = file(text);
    let mut words: Vec<OsString> = ["assay", "job", "submit", "-f"].map(OsString::from).into();
    words.push(path.into());
    words.extend(more.iter().map(OsString::from));
    expand(words, &mut Cli::command())
}

fn submitted(text: &str, more: &[&str]) -> Box<SubmitArgs> {
    let words = expanded(text, more).unwrap_or_else(|error| panic!("{error}"));
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let args::Command::Job(JobCommand::Submit(args)) = cli.command else { panic!("{text}") };
    args
}

const JOB: &str = "\
image: assay/demo:1
command: [echo, '--', -n, 1.10]
concurrency: 5
memory: 1.5g
timeout: 90s
price: 5gwei
seeded: true
deterministic: false
canonical: [times, uuids]
env: {MODE: fast, HOME: ~}
text-file: [a.txt, b.txt]
";

#[test]
fn a_file_says_what_flags_say() {
    let args = submitted(JOB, &[]);
    assert_eq!((args.image.as_str(), args.command.join(" ").as_str()), ("assay/demo:1", "echo -- -n 1.10"));
    assert_eq!((args.deal.concurrency, args.container.memory), (Some(5), 3 << 29));
    assert!(args.container.seeded && !args.deal.deterministic);
    assert_eq!(args.container.text_files, ["a.txt", "b.txt"]);
    let said = |text: &str| args::values::variable(text).unwrap();
    assert_eq!(args.container.environment, [said("MODE=fast"), said("HOME")]);
    assert_eq!(args.deal.canonical, Some("times,uuids".parse().unwrap()));
}

#[test]
fn the_command_line_replaces_single_flags_and_adds_to_repeated_ones() {
    let args = submitted(JOB, &["--concurrency", "7", "-e", "MODE=slow", "--detach"]);
    assert_eq!(args.deal.concurrency, Some(7));
    let modes: Vec<_> = args.container.environment.iter().filter(|one| one.name == "MODE").collect();
    assert_eq!(modes.last().unwrap().value.as_deref(), Some("slow"));
    assert!(args.detach);
    let args = submitted(JOB, &["other:2", "--", "ls"]);
    assert_eq!((args.image.as_str(), &args.command[..]), ("other:2", &["ls".to_owned()][..]));
    let args = submitted(JOB, &["--", "ls", "-l"]);
    assert_eq!((args.image.as_str(), args.command.join(" ").as_str()), ("assay/demo:1", "ls -l"));
}

#[test]
fn paths_begin_at_the_directory_of_the_file() {
    let (directory, path) = file("image: a\ninput: ['data:/in', '/abs:/abs']\nenv-file: vars");
    let mut words: Vec<OsString> = ["assay", "job", "submit", "-f"].map(OsString::from).into();
    words.push(path.into());
    let words = expand(words, &mut Cli::command()).unwrap();
    let args::Command::Job(JobCommand::Submit(args)) = Cli::try_parse_from(words).unwrap().command else {
        panic!()
    };
    let there = directory.path().display();
    let place = |path: &str, target: &str| (path.to_owned(), target.to_owned());
    assert_eq!(args.container.inputs, [place(&format!("{there}/data"), "/in"), place("/abs", "/abs")]);
    assert_eq!(args.container.env_files, [directory.path().join("vars")]);
}

#[test]
fn what_is_wrong_is_told_with_file_line_and_key() {
    for (text, said, hint) in [
        ("image: a\nconcurency: 3", ":2: unknown key \"concurency\"", "did you mean concurrency?"),
        ("image: a\ncpu_permille: 3", ":2: unknown key \"cpu_permille\"", "did you mean cpu-permille?"),
        ("Image: a", ":1: unknown key \"Image\"", "did you mean image?"),
        ("image: a\nkeeperFee: 3", ":2: unknown key \"keeperFee\"", "did you mean keeper-fee?"),
        ("image: a\nzzz: 3", ":2: unknown key \"zzz\"", "assay job schema"),
        ("image: a\ndetach: true", ":2: unknown key \"detach\"", ""),
        ("image: a\napi: x", ":2: unknown key \"api\"", ""),
        ("image: a\ntimeout: 5x", ":2: timeout: invalid value '5x': expected a time", "--timeout"),
        ("image: a\nacceptance: me", ":2: acceptance: invalid value 'me'", "--acceptance"),
        ("image: a\nseeded: yes", ":2: seeded: expected true or false", "--seeded"),
        ("image: a\nseeded: 'true'", ":2: seeded: expected true or false", ""),
        ("image: a\nprice:", ":2: price: has no value", ""),
        ("image: a\nprice: {a: b}", ":2: price: expected a value or a list", ""),
        ("image: a\nallow: [~]", ":2: allow: has no value", ""),
        ("image: a\nconcurrency: [1, 2]", ":2: concurrency: invalid value '1,2'", ""),
        (
            "image: a\ncommand: echo hello",
            ":2: command: expected a list of words",
            "see command in assay job schema",
        ),
        ("image: [a]", ":1: image: expected one value", "see image in assay job schema"),
        ("image: a\nimage: b", ":2: the key image is there twice", "one key a line"),
        ("concurrency: 3", " names no image", "image: assay/demo:1"),
        ("", " names no image", ""),
    ] {
        let error = expanded(text, &[]).unwrap_err();
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(error.hint().is_some_and(|told| told.contains(hint)), "{text}: {:?}", error.hint());
    }
}

#[test]
fn files_that_are_no_text_or_too_long_are_refused_unread() {
    let (_directory, path) = file("");
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(text(&path), Err(JobFileError::NotUtf8 { .. })));
    std::fs::write(&path, vec![b' '; 1 << 21]).unwrap();
    assert!(matches!(text(&path), Err(JobFileError::TooLong { .. })));
    assert!(matches!(text(Path::new("/nowhere")), Err(JobFileError::Read { .. })));
    std::fs::write(&path, "\u{feff}image: a").unwrap();
    assert_eq!(text(&path).unwrap(), "image: a");
}

#[test]
fn other_command_lines_stay_as_they_are() {
    for line in [
        "assay job list",
        "assay job submit img echo",
        "assay job submit --nonsense -f x",
        "assay job submit",
    ] {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(expand(words.clone(), &mut Cli::command()).unwrap(), words, "{line}");
    }
}

#[test]
fn the_schema_has_every_key() {
    let schema = schema(&mut Cli::command());
    let properties = schema["properties"].as_object().unwrap();
    for key in ["image", "command", "concurrency", "env", "input", "seeded", "audit", "allow"] {
        assert!(properties.contains_key(key), "{key}");
    }
    for flag in ["detach", "file", "api", "output", "quiet"] {
        assert!(!properties.contains_key(flag), "{flag}");
    }
    assert_eq!(properties["seeded"]["type"], "boolean");
    assert_eq!(properties["acceptance"]["enum"], serde_json::json!(["requester", "first-come"]));
    assert!(properties.values().all(|property| !property["description"].as_str().unwrap().is_empty()));
}

#[test]
fn a_sweep_stands_in_a_file_as_a_list_or_as_a_map() {
    let of = |matrix: &str| {
        let args = submitted(&format!("image: demo\ncount: 2\nmax-parallel: 3\nmatrix: {matrix}\n"), &[]);
        (args.sweep.count, args.sweep.max_parallel, args.sweep.matrix)
    };
    let axis = |text: &str| args::values::axis(text).unwrap();
    let expected = (Some(2), Some(3), vec![axis("lr=0.1,0.2"), axis("seed=1")]);
    assert_eq!(of("['lr=0.1,0.2', seed=1]"), expected);
    assert_eq!(of("{lr: '0.1,0.2', seed: 1}"), expected);
    let error = expanded("image: demo\nmatrix: {lr: ''}\n", &[]).unwrap_err();
    assert!(error.to_string().contains("KEY=VALUE"), "{error}");
}
