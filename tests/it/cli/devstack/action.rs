//! The step of `action/action.yml`, run as GitHub runs it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{HINT, Session, requester::Market};
use crate::cli::{Seen, User};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Inputs by their names.
type Given<'a> = &'a [(&'a str, &'a str)];

/// What a step left for later ones.
struct Step {
    seen: Seen,
    outputs: String,
    summary: String,
    runner: TempDir,
}

/// The inputs of the action with their defaults, the variables that they are passed in, and the command of its step.
fn action() -> (BTreeMap<String, String>, BTreeMap<String, String>, String) {
    let text = fs::read_to_string(Path::new(ROOT).join("action/action.yml")).unwrap();
    let (inputs, rest) = text.split_once("\ninputs:\n").unwrap().1.split_once("\noutputs:\n").unwrap();
    let (mut defaults, mut name) = (BTreeMap::new(), "");
    for line in inputs.lines() {
        match line.strip_prefix("    ") {
            None => name = line.trim().trim_end_matches(':'),
            Some(key) => {
                if let Some(value) = key.strip_prefix("default: ") {
                    defaults.insert(name.to_owned(), value.trim_matches('"').to_owned());
                }
            }
        }
    }
    let (step, env) = rest.split_once("      env:\n").unwrap();
    let variable = |line: &str| {
        let (variable, input) = line.trim().split_once(": ${{ inputs.").unwrap();
        (variable.to_owned(), input.trim_end_matches(" }}").to_owned())
    };
    let command = step.lines().find_map(|line| line.trim().strip_prefix("run: ")).unwrap();
    (defaults, env.lines().map(variable).collect(), command.to_owned())
}

/// A step of this user with some inputs.
fn step(user: &User, given: Given) -> Step {
    step_in(user, given, Path::new(env!("CARGO_BIN_EXE_assay")).parent().unwrap())
}

/// The same, with the program looked for in one more directory.
fn step_in(user: &User, given: Given, programs: &Path) -> Step {
    let (defaults, variables, run) = action();
    let runner = tempfile::tempdir().unwrap();
    let file = |name: &str| runner.path().join(name);
    for (name, _) in given {
        assert!(defaults.contains_key(*name), "{name} is no input");
    }
    let mut command = user.program("bash");
    let inputs = variables.iter().map(|(variable, input)| {
        let given = given.iter().find(|(name, _)| name == input).map(|(_, value)| (*value).to_owned());
        (variable, given.unwrap_or_else(|| defaults[input].clone()))
    });
    fs::create_dir(file("temp")).unwrap();
    command
        .args(["-c", &run])
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
        .env("GITHUB_ACTION_PATH", Path::new(ROOT).join("action"))
        .env("GITHUB_OUTPUT", file("outputs"))
        .env("GITHUB_STEP_SUMMARY", file("summary"))
        .env("RUNNER_TEMP", file("temp"))
        .envs(inputs)
        .stdin(Stdio::null());
    let seen = Seen::new(&command.output().unwrap());
    let read = |name: &str| fs::read_to_string(file(name)).unwrap_or_default();
    Step { seen, outputs: read("outputs"), summary: read("summary"), runner }
}

impl Step {
    fn output(&self, name: &str) -> &str {
        let mut lines = self.outputs.lines().skip_while(|line| !line.starts_with(&format!("{name}<<")));
        lines.next().unwrap_or_else(|| panic!("no output {name}: {}", self.seen.stderr));
        lines.next().unwrap()
    }

    /// What the step says to GitHub: everything else in the log is for people.
    fn commands(&self) -> Vec<&str> {
        self.seen.stdout.lines().filter(|line| line.trim_start().starts_with("::")).collect()
    }

    fn kept(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.runner.path().join("temp")).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }
}

/// A user of another machine, who has the address of a node and its token.
fn stranger(session: &Session) -> (User, String, String) {
    let node = &session.devstack.ready["nodes"][0];
    let token = fs::read_to_string(node["token_file"].as_str().unwrap()).unwrap();
    (User::new(), node["api"].as_str().unwrap().to_owned(), token.trim().to_owned())
}

#[test]
fn a_step_fails_where_a_node_disagrees_unless_a_verdict_is_enough() {
    let session = Session::start(&["--nodes", "3", "--bad-actors", "1"]);
    let (user, api, token) = stranger(&session);
    let job =
        [("image", "assay/demo:1"), ("command", "echo 'two words'"), ("api", &*api), ("token", &*token)];
    let failed = step(&user, &job);
    assert_eq!(failed.seen.code, 121, "{}{}; {HINT}", failed.seen.stdout, failed.seen.stderr);
    let liar = failed.output("rejected");
    let told = format!("::error::the results of 1 node(s) differ from the others': {liar}");
    assert_eq!(failed.commands(), [told]);
    assert!(failed.seen.stdout.contains("verified: 2 of 3 nodes agree"), "{}", failed.seen.stdout);
    assert!(!format!("{:?}{}", failed.seen, failed.outputs).contains(&token));
    assert_eq!(failed.output("state"), "verified");
    let row = failed.summary.lines().find(|row| row.contains(liar)).unwrap();
    assert!(row.contains("| rejected |") && row.contains("the output is empty"), "{}", failed.summary);
    // The token's file is gone, and the document stays for later steps.
    assert_eq!(failed.kept(), [PathBuf::from(failed.output("document"))]);
    let document = fs::read_to_string(failed.output("document")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        (&document["job"], &document["stdout"]),
        (&failed.output("job").into(), &"two words\n".into())
    );

    let enough = [&job[..], &[("allow-rejected", "true"), ("output-dir", "kept")]].concat();
    let passed = step(&user, &enough);
    assert_eq!((passed.seen.code, passed.commands().len()), (0, 0), "{}", passed.seen.stdout);
    assert_eq!(fs::read_dir(user.home.path().join("kept")).unwrap().count(), 2);

    let sweep = step(&user, &[&job[..], &[("options", "--matrix 'N=1,2'")]].concat());
    assert_eq!((sweep.seen.code, sweep.output("rejected")), (121, liar), "{}", sweep.seen.stdout);
    assert_eq!(sweep.summary.matches("| verified |").count(), 2, "{}", sweep.summary);
}

#[test]
fn a_program_cannot_speak_to_github_through_a_step() {
    let session = Session::start(&["--nodes", "1"]);
    let (user, api, token) = stranger(&session);
    let script = r"echo ::add-mask::a; for to in 1 2; do printf '::set-output name=job::x\n  ::warning::y\r::z\n##[group]w\n' >&$to; done; exit 3";
    let command = format!("sh -c \"{script}\"");
    let seen = step(
        &user,
        &[
            ("image", "assay/demo:1"),
            ("command", &command),
            ("options", "--concurrency 1"),
            ("api", &api),
            ("token", &token),
        ],
    );
    assert_eq!((seen.seen.code, seen.output("state")), (3, "verified"), "{}; {HINT}", seen.seen.stdout);
    let told = ["  : :set-output name=job: :x", "    : :warning: :y\\r: :z", "  # #[group]w"];
    assert!(seen.seen.stdout.contains(&told.join("\n")), "{}", seen.seen.stdout);
    assert!(seen.commands().is_empty() && !seen.seen.stdout.contains("##["), "{}", seen.seen.stdout);
}

#[test]
fn a_step_without_a_node_submits_to_the_contract() {
    let market = Market::start(&["--nodes", "3"]);
    let home = market.user.home.path();
    market.run(&["wallet", "deposit", "10ether"]);
    let key = fs::read_to_string(home.join("key")).unwrap();
    let set = |name: &str| {
        let (_, value) = market.user.set.iter().find(|(set, _)| *set == name).unwrap();
        value.as_str()
    };
    // Nothing of this user's but what the inputs say.
    let user = User::new();
    let seen = step(
        &user,
        &[
            ("image", "assay/demo:1"),
            ("command", "echo paid"),
            ("options", "--price 1ether"),
            ("contract", set("ASSAY_CONTRACT")),
            ("rpc-url", set("ASSAY_RPC_URL")),
            ("first-block", set("ASSAY_FIRST_BLOCK")),
            ("key", &key),
        ],
    );
    assert_eq!(seen.seen.code, 0, "{}{}; {HINT}", seen.seen.stdout, seen.seen.stderr);
    assert_eq!((seen.output("state"), seen.output("rejected")), ("verified", ""));
    assert_eq!(seen.kept().len(), 1, "the key is gone");
}

#[test]
fn a_step_that_cannot_begin_says_what_to_do() {
    let user = User::new();
    let (image, api) = (("image", "assay/demo:1"), ("api", "http://127.0.0.1:1"));
    let cases: [(Given, &str, i32); 9] = [
        (&[api], "give either `image` or `file`", 2),
        (&[api, image, ("file", "job.yaml")], "give either `image` or `file`", 2),
        (&[api, ("file", "job.yaml"), ("command", "true")], "leave out `command`", 2),
        (&[image], "give either `api`, the address of a node, or `contract`", 2),
        (
            &[api, image, ("command", "echo 'a")],
            "`command` is not a list of words: No closing quotation; close each quote",
            2,
        ),
        (&[api, image, ("options", "--detach")], "`options` cannot have --detach", 2),
        (&[api, image, ("options", "-o table")], "`options` cannot have -o", 2),
        (&[api, image, ("allow-rejected", "yes")], "it must be true or false", 2),
        (&[api, image], "the node at http://127.0.0.1:1", 124),
    ];
    for (given, why, code) in cases {
        let seen = step(&user, given);
        let [command] = seen.commands()[..] else { panic!("{given:?}: {:?}", seen.seen) };
        assert!(command.starts_with("::error::") && command.contains(why), "{given:?}: {command}");
        assert_eq!(seen.seen.code, code, "{given:?}");
    }
    let missing = step_in(&user, &[image, api], user.home.path());
    assert_eq!(missing.seen.code, 2);
    assert!(missing.seen.stdout.contains("::error::there is no program `assay`"), "{}", missing.seen.stdout);
}
