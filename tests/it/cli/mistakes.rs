//! What users get wrong, and what they are told: the message and the exit code of each mistake, to be read as a page.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Stdio};

use super::{Seen, User, devstack::Nodes};

/// What any test of this file writes down, without what differs from run to run.
struct Page {
    text: String,
    mistakes: usize,
}

impl Page {
    fn new() -> Self {
        Self { text: String::new(), mistakes: 0 }
    }

    /// A mistake of this user.
    fn add(&mut self, user: &User, line: &str) {
        self.add_in(user, user.home.path(), line);
    }

    /// The same in a directory.
    fn add_in(&mut self, user: &User, directory: &Path, line: &str) {
        let mut command = user.command(&line.split(' ').collect::<Vec<_>>());
        let seen = Seen::new(&command.current_dir(directory).stdin(Stdio::null()).output().unwrap());
        assert_ne!(seen.code, 0, "{line}: {}", seen.stdout);
        let code = seen.code.to_string();
        let home = user.home.path().canonicalize().unwrap().display().to_string();
        let said = (seen.stdout + &seen.stderr).replace(&home, "[home]");
        let set = user.set.iter().map(|(name, value)| format!("{name}={value} "));
        let set = set.collect::<String>().replace(&home, "[home]");
        self.text += &["$ ", &set, "assay ", line, "\n", &said, "exit code ", &code, "\n\n"].concat();
        self.mistakes += 1;
    }

    fn all(user: &User, lines: &[&str]) -> Self {
        let mut page = Self::new();
        for line in lines {
            page.add(user, line);
        }
        page
    }

    fn check(&self, name: &str, least: usize) {
        assert!(self.mistakes >= least, "{name} has {} mistakes", self.mistakes);
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"\b0x[0-9a-f]{64}\b", "[job]");
        settings.add_filter(r"\b0x[0-9a-f]{40}\b", "[node]");
        settings.add_filter(r"\b[0-9a-f]{8}\b", "[short]");
        settings.add_filter(r"127\.0\.0\.1:\d{4,5}", "[address]");
        settings.bind(|| insta::assert_snapshot!(name, self.text));
    }
}

fn write(user: &User, name: &str, text: &str) {
    let path = user.home.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn chmod(user: &User, name: &str, mode: u32) {
    fs::set_permissions(user.home.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn mistakes_on_the_command_line() {
    let lines = [
        "job submit",
        "job submit --concurency 3 demo",
        "job submit --concurrency 32 demo",
        "job submit --timeout 5x demo",
        "job submit --timeout 1h30 demo",
        "job submit --memory lots demo",
        "job submit --cpus 0.0001 demo",
        "job submit --audit-seats 3 demo",
        "job submit --acceptance requester --first-come open demo",
        "job submit --summary rel:1ppm --deterministic demo",
        "job submit --summary-file numbers demo",
        "job submit --input data:inputs demo",
        "job submit --input data:/inputs:rw demo",
        "job submit --input https://example.org/x:/inputs demo",
        "job submit --env =x demo",
        "job submit --platform linux demo",
        "job submit --scratch 6g:build demo",
        "job submit --price lots demo",
        "job submit --dry-run --price 0.5wei demo",
        "job submit --canonical sometimes demo",
        "job submit --max-parallel 2 demo",
        "job submit --count 2 --matrix SWEEP_INDEX=1,2 demo",
        "job submit --replication auto --concurrency 3 demo",
        "job submit --detach --output-dir results demo",
        "job list --output xml",
        "job list --state verifed",
        "job describe 1a --output csv",
        "job lst",
        "jobs list",
        "ps",
        "results fetch",
        "verdict check 1a --contract 0x5fbdb2315678afecb367f032d93f642f64180aa3",
        "attest 1a --format in-toto-link",
        "sim --faults sunshine",
        "devstack --slots 0",
        "job list --log assay=nonsense",
    ];
    Page::all(&User::new(), &lines).check("mistakes_flags", 36);
}

#[test]
fn mistakes_about_ids() {
    let mut user = User::new();
    user.api = Some("127.0.0.1:9".to_owned());
    let lines = [
        "job describe xyz",
        "job forget 1a",
        "group wait xyz",
        "job submit --allow 0x12 demo",
        "job submit --allow xyz demo",
        "wallet balance 0x12",
        "attest verify --job 12 log.json",
    ];
    Page::all(&user, &lines).check("mistakes_ids", 7);
}

#[test]
fn mistakes_about_files() {
    let user = User::new();
    write(&user, "junk", "junk\n");
    write(&user, "dir/x", "");
    write(&user, "typo.yaml", "image: demo\nconcurency: 3\n");
    write(&user, "bare.yaml", "command: [true]\n");
    write(&user, "text.yaml", "just words\n");
    write(&user, "value.yaml", "image: demo\ntimeout: soon\n");
    write(&user, "twice.yaml", "image: demo\nimage: demo\n");
    write(&user, "input.yaml", "image: demo\ninput: nowhere:/inputs\n");
    let lines = [
        "job submit --file none.yaml",
        "job submit --file typo.yaml",
        "job submit --file bare.yaml",
        "job submit --file text.yaml",
        "job submit --file value.yaml",
        "job submit --file twice.yaml",
        "job validate input.yaml",
        "job validate dir",
        "job submit --env-file nowhere demo",
        "verdict check --file nowhere",
        "verdict check --file junk",
        "verdict compute nowhere",
        "attest verify nowhere",
        "attest verify junk",
        "attest key --key nowhere",
        "wallet show",
        "wallet show --key nowhere",
        "wallet show --key junk",
        "wallet new --plain --key junk",
        "wallet import --plain --key new junk",
        "store check --data-dir nowhere",
        "store backup --data-dir nowhere copy",
        "man junk",
    ];
    Page::all(&user, &lines).check("mistakes_files", 23);
}

#[test]
fn mistakes_in_configuration_files() {
    let mut page = Page::new();
    let mut told = |project: &str, own: &str, line: &str| {
        let user = User::new();
        write(&user, "project/assay.toml", project);
        write(&user, ".config/assay/assay.toml", own);
        // What stands in the file is the mistake.
        page.text += &[project, own, "\n"].concat();
        page.add_in(&user, &user.home.path().join("project"), line);
    };
    for own in [
        "ap = \"x\"",
        "rpcUrl = \"http://x\"",
        "first-block = \"soon\"",
        "output = \"xml\"",
        "api =",
        "trusted = [\"relative\"]",
        "rpc-url = \"https://user:password@rpc.example\"",
        "passphrase = \"open sesame\"",
    ] {
        told("", own, "job list");
    }
    told("api = \"127.0.0.1:9\"", "", "job list");
    told("key = \"k\"", "", "job list");
    told("trusted = [\"/\"]", "", "job list");
    told("", "[profile.main]", "--profile mian job list");
    page.check("mistakes_config", 12);
}

#[test]
fn mistakes_in_the_environment() {
    let mut page = Page::new();
    let mut told = |set: &[(&'static str, &str)], line: &str| {
        let mut user = User::new();
        write(&user, "open.token", &"a".repeat(64));
        chmod(&user, "open.token", 0o644);
        write(&user, "data/x", "");
        chmod(&user, "data", 0o755);
        user.set = set.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        page.add(&user, line);
    };
    told(&[("ASSAY_API", "127.0.0.1:9")], "job list");
    told(&[("ASSAY_API", "https://127.0.0.1:9")], "job list");
    told(&[("ASSAY_API", "127.0.0.1:9/path")], "job list");
    told(&[("ASSAY_API", "127.0.0.1:9"), ("ASSAY_API_TOKEN_FILE", "nowhere")], "job list");
    told(&[("ASSAY_API", "127.0.0.1:9"), ("ASSAY_API_TOKEN_FILE", "open.token")], "job list");
    told(&[("ASSAY_SCHEDULER", "contract")], "job list");
    told(&[("ASSAY_SCHEDULER", "chain")], "job list");
    told(&[("ASSAY_RPC_URL", "http://127.0.0.1:9")], "contract deploy --key nowhere");
    let contract = ("ASSAY_CONTRACT", "0x5fbdb2315678afecb367f032d93f642f64180aa3");
    told(&[("ASSAY_RPC_URL", "http://127.0.0.1:9"), contract], "contract info");
    told(&[("ASSAY_RPC_URL", "nonsense"), contract], "contract info");
    told(&[("ASSAY_RPC_URL", "http://127.0.0.1:9"), ("ASSAY_CONTRACT", "0x12")], "contract info");
    told(&[("ASSAY_LOG", "assay=nonsense")], "job list");
    told(&[("ASSAY_LOG_FORMAT", "xml")], "job list");
    told(&[("ASSAY_PROFILE", "none")], "job list");
    told(&[("DOCKER_HOST", "tcp://127.0.0.1:9")], "serve --data-dir fresh");
    told(&[("DOCKER_HOST", "unix:///nowhere")], "serve --data-dir fresh");
    told(&[("DOCKER_HOST", "unix:///nowhere")], "devstack --nodes 1");
    told(&[("DOCKER_HOST", "unix:///nowhere")], "serve --slots 0 --api 127.0.0.1:0 --data-dir data");
    page.check("mistakes_environment", 18);
}

#[test]
fn mistakes_about_the_state_of_jobs() {
    let user = User::new();
    let _node = Nodes::start(&user, &["devstack", "--nodes", "1"]);
    let nobody = format!("0x{}", "11".repeat(20));
    let submit = |name: &str| {
        let variable = format!("NAME={name}");
        let words = ["-q", "job", "submit", "--detach", "--concurrency", "1", "--allow", &nobody];
        let seen = user.run(&[&words[..], &["--env", &variable, "assay/demo:1"]].concat());
        assert_eq!(seen.code, 0, "{}", seen.stderr);
        seen.stdout.trim().to_owned()
    };
    let (open, cancelled) = (submit("open"), submit("cancelled"));
    assert_eq!(user.run(&["job", "cancel", &cancelled]).code, 0);
    let mut page = Page::new();
    page.add(&user, "job describe ffffffffffff");
    for command in [
        "job logs",
        "job wait --wait-timeout 0s",
        "job forget",
        "results fetch",
        "results diff",
        "verdict check",
        "attest",
    ] {
        page.add(&user, &format!("{command} {open}"));
    }
    page.add(&user, &format!("job update {open}"));
    page.add(&user, &format!("job update --concurrency 2 --confidence 3 {open}"));
    for command in ["job cancel", "job update --timeout 5m", "job logs", "attest"] {
        page.add(&user, &format!("{command} {cancelled}"));
    }
    page.add(&user, "group wait 0123456789ab");
    page.add(&user, "results fetch --group 0123456789ab");
    page.check("mistakes_states", 16);
}
