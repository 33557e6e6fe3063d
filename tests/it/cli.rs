//! Whole commands as a user sees them: exit code, standard output and standard error.

mod access;
mod alone;
mod config;
mod crash;
mod devstack;
mod doctor;
mod forked;
mod forms;
mod lost;
mod mistakes;
mod packaging;
mod pages;
mod token;
mod waiting;
mod wallet;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;

/// Longest wait for what commands come to show: nodes that meet, a run that begins.
const PATIENCE: Duration = Duration::from_secs(120);

/// A user with a home of their own, who has set nothing.
struct User {
    home: TempDir,
    api: Option<String>,
    /// More variables of the environment.
    set: Vec<(&'static str, String)>,
    exported: BTreeMap<String, String>,
    /// The network that programs of this user are in, if it is not this machine's.
    network: Option<PathBuf>,
}

/// Runs commands until one of them shows it: no command waits for this.
fn until(what: &str, mut shows: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !shows() {
        assert!(begun.elapsed() < PATIENCE, "{what} should have come within {PATIENCE:?}");
    }
}

/// What a command came to.
#[derive(Debug)]
struct Seen {
    code: i32,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            api: None,
            set: Vec::new(),
            exported: BTreeMap::new(),
            network: None,
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_assay"));
        command.args(words);
        command
    }

    /// Any program, in the home and with the environment of this user.
    fn program(&self, program: &str) -> Command {
        let mut command = match &self.network {
            None => Command::new(program),
            Some(network) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", network.display())).arg(program);
                command
            }
        };
        command.current_dir(self.home.path());
        let set = std::env::vars_os().map(|(name, _)| name);
        for name in set.filter(|name| name.to_string_lossy().starts_with("ASSAY_")) {
            command.env_remove(name);
        }
        for name in
            ["NO_COLOR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "ETH_RPC_URL", "SSL_CERT_FILE", "SSL_CERT_DIR"]
        {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path());
        if let Some(api) = &self.api {
            command.env("ASSAY_API", api);
        }
        command.envs(self.set.iter().cloned()).envs(&self.exported);
        command
    }

    fn run(&self, words: &[&str]) -> Seen {
        Seen::new(&self.command(words).stdin(Stdio::null()).output().unwrap())
    }

    fn run_with(&self, words: &[&str], input: &str) -> Seen {
        let mut command = self.command(words);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Seen::new(&child.wait_with_output().unwrap())
    }
}

impl Seen {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

/// Compares a whole command with what it was, ids and times apart.
fn check(name: &str, seen: &Seen) {
    let Seen { code, stdout, stderr } = seen;
    let text = format!("exit code: {code}\n--- stdout\n{stdout}--- stderr\n{stderr}");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_shows_commands_and_exit_codes() {
    let user = User::new();
    check("help", &user.run(&["--help"]));
    check("help_submit", &user.run(&["job", "submit", "--help"]));
    check("help_devstack", &user.run(&["devstack", "--help"]));
}

#[test]
fn a_simulation_needs_no_node_and_is_the_same_each_time() {
    let user = User::new();
    let words = ["sim", "--seed", "3", "--jobs", "4", "--bad-actors", "2:faker", "--faults", "drop,crash"];
    let (first, again) = (user.run(&words), user.run(&words));
    assert_eq!((first.code, &first.stdout), (0, &again.stdout), "{first:?}");
    assert!(first.stdout.starts_with("seeds       1, every promise kept\n"), "{first:?}");
    let short = user.run(&["sim", "--jobs", "4", "--until", "1s"]);
    assert_eq!(short.code, 0, "{short:?}");
    assert!(short.stdout.contains("\nunfinished  4, for lack of simulated time"), "{short:?}");
    for (words, why) in [
        (["--faults", "rain"], "expected delay, drop, duplicate"),
        (["--nodes", "2"], "expected 3 to 10000"),
        (["--slots", "4611686018427387904"], "expected 1 to 1000000"),
        (["--bad-actors", "9"], "of 8 nodes, 9 cannot be bad"),
    ] {
        let refused = user.run(&[&["sim"], &words[..]].concat());
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains(why), "{refused:?}");
    }
}

#[test]
fn the_documentation_has_the_same_exit_codes() {
    let help = User::new().run(&["--help"]).stdout;
    let (_, table) = help.split_once("Exit codes:\n").unwrap();
    let documented = include_str!("../../docs/cli.md");
    for line in table.lines().filter(|line| line.trim_start().starts_with(|char: char| char.is_ascii_digit()))
    {
        let (code, meaning) = line.trim().split_once("   ").unwrap();
        assert!(documented.contains(&format!("| {code} | {} |", meaning.trim())), "{line}");
    }
}

#[test]
fn impossible_deals_are_refused_before_any_node_is_asked() {
    let user = User::new();
    let refusals = [
        ("zero_concurrency", vec!["--concurrency", "0"]),
        ("confidence_above_concurrency", vec!["--concurrency", "3", "--confidence", "4"]),
        ("negative_tolerance", vec!["--tolerance", "-1"]),
        ("short_run", vec!["--timeout", "10m", "--run", "10m"]),
        ("open_first_come", vec!["--acceptance", "first-come"]),
        ("unknown_method", vec!["--method", "median"]),
    ];
    for (name, terms) in refusals {
        let words = [&["job", "submit"], terms.as_slice(), &["assay/demo:1"]].concat();
        let seen = user.run(&words);
        assert_eq!((seen.code, seen.stdout.as_str()), (2, ""), "{name}");
        check(name, &seen);
    }
}

#[test]
fn impossible_jobs_are_refused_in_the_words_of_the_command_line() {
    let user = User::new();
    let refusals = [
        ("small_memory", vec!["--memory", "1"]),
        ("relative_workdir", vec!["--workdir", "data"]),
        ("reserved_variable", vec!["--env", "ASSAY_SEED=7"]),
        // There is no such file: nothing is read before its target is refused.
        ("input_over_outputs", vec!["--input", "no-such-file:/outputs"]),
    ];
    for (name, words) in refusals {
        let seen = user.run(&[&["job", "submit"], words.as_slice(), &["assay/demo:1"]].concat());
        assert_eq!((seen.code, seen.stdout.as_str()), (2, ""), "{name}");
        check(name, &seen);
    }
}

#[test]
fn an_exposed_api_is_refused_before_anything_is_written() {
    let user = User::new();
    check("serve_exposed", &user.run(&["serve", "--api", "0.0.0.0:0", "--data-dir", "data"]));
    assert!(!user.home.path().join("data").exists());
}

#[test]
fn a_node_that_does_not_answer_is_named_with_the_remedy() {
    let mut user = User::new();
    // Nothing listens on the discard port.
    user.api = Some("127.0.0.1:9".to_owned());
    check("unreachable", &user.run(&["job", "list"]));
    // The flag goes before the environment.
    let seen = user.run(&["job", "list", "--api", "http://127.0.0.1:10"]);
    assert!(seen.stderr.contains("127.0.0.1:10"), "{}", seen.stderr);
    assert_eq!(seen.code, 124);
}

#[test]
fn impossible_nodes_and_devstacks_are_refused() {
    let user = User::new();
    check(
        "serve_contract",
        &user.run(&["serve", "--scheduler", "contract", "--rpc-url", "http://127.0.0.1:1"]),
    );
    let both = user.run(&["serve", "--input-url", "none", "--input-url", "http"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
    assert!(both.stderr.contains("--input-url none allows no URLs"), "{}", both.stderr);
    check("devstack_bad_nodes", &user.run(&["devstack", "--nodes", "3", "--bad-actors", "4"]));
    check("devstack_bad_kind", &user.run(&["devstack", "--bad-actors", "1:liar"]));
}

#[test]
fn the_version_needs_no_node() {
    let seen = User::new().run(&["version", "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(
        document,
        serde_json::json!({ "version": 1, "program": env!("CARGO_PKG_VERSION"), "node": null })
    );
    assert_eq!(seen.code, 0);
}

#[test]
fn completion_is_a_script_of_the_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let seen = User::new().run(&["completion", shell]);
        assert_eq!(seen.code, 0);
        assert!(seen.stdout.contains("ASSAY_COMPLETE"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let user = User::new();
    let seen = user.run(&["man", "man1"]);
    assert_eq!(seen.code, 0, "{}", seen.stderr);
    let pages: Vec<&str> = seen.stdout.lines().collect();
    for page in ["man1/assay.1", "man1/assay-job-submit.1", "man1/assay-attest-verify.1"] {
        assert!(pages.contains(&page), "{page}: {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("-help")), "{pages:?}");
    let submit = std::fs::read_to_string(user.home.path().join("man1/assay-job-submit.1")).unwrap();
    for said in [
        ".TH assay-job-submit 1",
        "\\-\\-concurrency",
        "Number of nodes that run the job",
        "Put options before IMAGE",
    ] {
        assert!(submit.contains(said), "{said}");
    }
}

#[test]
fn verdicts_are_computed_without_a_node() {
    let run = |output: char, kib: u32| {
        let (output, row) = (output.to_string().repeat(64), format!("{:?}", [kib; 10]));
        format!(r#"{{"output":"{output}","fingerprint":{{"w":{row},"q":{row},"cpu_ms":900}}}}"#)
    };
    let case = |runs: &[String]| {
        let runs = runs.join(",");
        format!(
            r#"{{"confidence":2,"tolerance_kib":1024,"relative_permille":300,"method":"ball","deterministic":false,"runs":[{runs}]}}"#
        )
    };
    let good = case(&[run('a', 102_400), run('b', 102_600), run('c', 4096)]);
    let user = User::new();
    check("compute_good", &user.run_with(&["verdict", "compute"], &format!("{good}\n")));
    let mixed = format!("{good}\nnonsense\n\n{good}\n");
    check("compute_bad_lines", &user.run_with(&["verdict", "compute", "-"], &mixed));
    check("compute_no_file", &user.run(&["verdict", "compute", "no-such-file"]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let user = User::new();
    let mut command = user.command(&["completion", "bash"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
