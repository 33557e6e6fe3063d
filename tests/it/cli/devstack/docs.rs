//! Every command of the README and of `docs`, as it stands there, on real nodes.
//!
//! A page is a session: its blocks of `sh` are run in order, in one directory, with what earlier ones exported. What stands
//! for something else (`JOB`, `PORT`, ..) is filled in. A command that fails, or that stands where nothing runs it, fails here.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Stdio,
};

use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::{HINT, Nodes, Seen, User};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// How commands begin that are run elsewhere, and where.
const ELSEWHERE: [(&str, &str); 9] = [
    ("./scripts/demo ", "by whoever tries the project; it checks itself"),
    ("./scripts/test ", "this is a part of it"),
    ("cargo build", "before this"),
    ("cargo bench", "by scripts/bench"),
    ("export PATH=", "by this, for all that follows"),
    ("ssh ", "on another machine"),
    ("docker ", "where a registry can be reached"),
    ("export DOCKER_GID=", "for docker"),
    ("sudo ", "on a machine of its own, as root"),
];

/// Longest time of one command, in seconds.
const PATIENCE: &str = "60";

/// Gas and deposits for all that a page does, in wei.
const TEN_ETHER: &str = "0x8ac7230489e80000";

struct Block {
    is_run: bool,
    lines: Vec<String>,
}

/// What stands between fences; a line that ends with a backslash goes on in the next.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside;
            if inside {
                blocks.push(Block { is_run: language == "sh", lines: Vec::new() });
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| inside) {
            match block.lines.last_mut().filter(|last| last.ends_with('\\')) {
                Some(last) => *last = format!("{}{}", last.trim_end_matches('\\'), line.trim_start()),
                None => block.lines.push(line.to_owned()),
            }
        }
    }
    assert!(!inside, "a fence is not closed");
    blocks
}

fn commands(page: &str) -> Vec<String> {
    let run = blocks(page).into_iter().filter(|block| block.is_run).flat_map(|block| block.lines);
    run.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(page)).unwrap()
}

/// The pages for users, by their paths.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pages = names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    pages.chain(["README.md".to_owned()]).collect()
}

/// Runs the commands of one page.
struct Reader {
    user: User,
    /// Whose commands are to run "elsewhere", with a key of their own.
    other: User,
    /// What stands for what.
    filled: BTreeMap<&'static str, String>,
    running: Vec<Nodes>,
}

impl Reader {
    fn new() -> Self {
        let mut user = User::new();
        let home = user.home.path();
        fs::create_dir(home.join("texts")).unwrap();
        fs::write(home.join("texts/one"), "to be or not\n").unwrap();
        fs::write(home.join("texts/two"), "to be\n").unwrap();
        fs::copy(Path::new(ROOT).join("README.md"), home.join("README.md")).unwrap();
        fs::write(home.join("hex"), "11".repeat(32)).unwrap();
        symlink(Path::new(ROOT).join("scripts"), home.join("scripts")).unwrap();
        let filled = BTreeMap::from([
            ("/ip4/0.0.0.0/tcp/4001", "/ip4/127.0.0.1/tcp/0".to_owned()),
            ("127.0.0.1:7421", "127.0.0.1:PORT".to_owned()),
            ("IMAGE@sha256:DIGEST", "assay/demo:1".to_owned()),
            ("CMD", "echo hi".to_owned()),
            ("ID", "31337".to_owned()),
        ]);
        user.exported.insert("ASSAY_PASSPHRASE".to_owned(), "open sesame".to_owned());
        Self { user, other: User::new(), filled, running: Vec::new() }
    }

    fn read(&mut self, page: &str) {
        let commands = commands(&read(page));
        assert!(!commands.is_empty(), "{page} has no command");
        for line in commands {
            let filled = self.fill(&line);
            self.run(&filled, &format!("{page}: {line}"));
        }
    }

    /// The line with what it stands for, longest names first: `URL` is a part of others.
    fn fill(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for _ in 0..2 {
            for (name, value) in self.filled.iter().rev() {
                line = replace_word(&line, name, value);
            }
        }
        line
    }

    fn run(&mut self, line: &str, place: &str) {
        if let Some((begin, _)) = ELSEWHERE.iter().find(|(begin, _)| format!("{line} ").starts_with(begin)) {
            if let Some(script) = begin.strip_prefix("./") {
                let mode = fs::metadata(Path::new(ROOT).join(script.trim())).unwrap().permissions().mode();
                assert!(mode & 0o111 != 0, "{place}: the script cannot be run");
            }
            return;
        }
        let plain = line.split('#').next().unwrap().trim();
        let words: Vec<&str> = plain.split_whitespace().collect();
        match words.as_slice() {
            ["export", variables @ ..] => {
                let pairs = variables.iter().map(|variable| variable.split_once('=').expect(place));
                self.user.exported.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            ["assay", kind @ ("serve" | "devstack"), ..] => self.start(kind, &words[1..]),
            _ => {
                let seen = self.shell(line);
                assert_eq!(seen.code, 0, "{place}\n{}{}{HINT}", seen.stdout, seen.stderr);
                self.learn(line, &seen);
            }
        }
    }

    /// Nodes that go on while the rest of the page is read, where they disturb nobody.
    fn start(&mut self, kind: &str, words: &[&str]) {
        if words.contains(&"--confirmations") {
            // Somebody makes blocks on a real chain.
            self.rpc("evm_setIntervalMining", &json!([1]));
        }
        let data = format!("data-{}", self.running.len());
        let apart: &[&str] =
            if kind == "serve" { &["--api", "127.0.0.1:0", "--data-dir", &data] } else { &[] };
        let nodes = Nodes::start(&self.user, &[words, apart].concat());
        let first = if kind == "serve" { &nodes.ready } else { &nodes.ready["nodes"][0] };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.filled.insert("PORT", text(&first["api"]).rsplit_once(':').unwrap().1.to_owned());
        let builders = nodes.ready["nodes"].as_array();
        for (name, node) in
            ["BUILDER_1", "BUILDER_2", "BUILDER_3"].into_iter().zip(builders.into_iter().flatten())
        {
            self.filled.insert(name, text(&node["id"]));
        }
        self.filled.insert("MULTIADDR", text(&first["addresses"][0]));
        let copy = self.user.home.path().join("api.token");
        fs::copy(text(&first["token_file"]), &copy).unwrap();
        self.running.push(nodes);
    }

    fn shell(&self, line: &str) -> Seen {
        let is_other = line.contains("# elsewhere");
        let user = if is_other { &self.other } else { &self.user };
        let mut command = user.program("timeout");
        let program = Path::new(env!("CARGO_BIN_EXE_assay")).parent().unwrap();
        let path = std::env::join_paths(
            [program.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        command.args([PATIENCE, "bash", "-euo", "pipefail", "-c", line]).env("PATH", path.unwrap());
        if is_other {
            command.envs(&self.user.exported).env("ASSAY_KEY", "key");
        }
        Seen::new(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// What a command told that later ones name.
    fn learn(&mut self, line: &str, seen: &Seen) {
        if let Some(job) = seen.stderr.lines().find_map(|line| line.strip_prefix("job 0x")) {
            self.filled.insert("JOB", job[..8].to_owned());
            self.filled.insert("JOB_ID", format!("0x{job}"));
        }
        let told = |name: &str| {
            let line = seen.stdout.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        if line.contains("assay wallet new") {
            self.fund(seen.stdout.trim());
        }
        if line.contains("assay contract deploy") {
            self.filled.insert("ADDRESS", told("Contract:").expect("the address is told"));
            self.filled.insert("N", told("Block:").expect("the block is told"));
        }
        if line.contains("assay wallet deposit") {
            self.prepare_other();
        }
    }

    /// The user elsewhere has ether on the contract too, under a key of their own.
    fn prepare_other(&mut self) {
        let run = |words: &[&str]| {
            let mut command = self.other.command(words);
            let seen =
                Seen::new(&command.envs(&self.user.exported).env("ASSAY_KEY", "key").output().unwrap());
            assert_eq!(seen.code, 0, "{}", seen.stderr);
            seen.stdout.trim().to_owned()
        };
        if self.other.home.path().join("key").exists() {
            return;
        }
        let address = run(&["wallet", "new", "--plain"]);
        self.fund(&address);
        run(&["wallet", "deposit", "0.1ether"]);
    }

    /// A chain, with a contract and three nodes on it, and a job that is decided.
    fn with_a_chain(&mut self) -> (User, Nodes) {
        let user = User::new();
        let nodes = Nodes::start(&user, &["devstack", "--scheduler", "contract", "--nodes", "3"]);
        let chain = &nodes.ready["chain"];
        let url = chain["rpc_url"].as_str().unwrap().to_owned();
        self.filled.insert("https://YOUR_PROVIDER", url.clone());
        self.filled.insert("URL", url);
        self.filled.insert("ADDRESS", chain["contract"].as_str().unwrap().to_owned());
        self.filled.insert("N", chain["first_block"].to_string());
        let submitted = user.run(&["job", "submit", "--deterministic", "assay/demo:1", "echo", "hi"]);
        assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
        let job = super::announced(&submitted);
        // A log that somebody gave to the reader.
        let exported = user.run(&["verdict", "export", &job]).stdout;
        fs::write(self.user.home.path().join("LOG.json"), exported).unwrap();
        self.filled.insert("JOB", job);
        (user, nodes)
    }

    fn fund(&self, address: &str) {
        self.rpc("anvil_setBalance", &json!([address, TEN_ETHER]));
    }

    /// Asks the chain of this page for what no real one would do.
    fn rpc(&self, method: &str, params: &Value) {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let http = assay::tls::http_client().no_proxy().build().unwrap();
        let sent = async { http.post(&self.filled["URL"]).json(&call).send().await?.error_for_status() };
        tokio::runtime::Runtime::new().unwrap().block_on(sent).unwrap();
    }
}

/// Puts `value` where `name` stands as a word of its own.
fn replace_word(line: &str, name: &str, value: &str) -> String {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut replaced = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
        replaced.push_str(before);
        replaced.push_str(if is_word { value } else { name });
        rest = after;
    }
    replaced + rest
}

#[test]
fn the_readme_works() {
    let mut reader = Reader::new();
    reader.read("README.md");
}

#[test]
fn the_page_on_the_command_line_works() {
    let mut reader = Reader::new();
    let _chain = reader.with_a_chain();
    reader.read("docs/cli.md");
}

#[test]
fn the_page_on_the_contract_works() {
    let mut reader = Reader::new();
    let _chain = reader.with_a_chain();
    reader.read("docs/contract.md");
}

#[test]
fn the_page_on_contracts_that_ask_works() {
    let mut reader = Reader::new();
    reader.read("docs/consumer.md");
}

#[test]
fn the_page_on_builds_that_prove_works() {
    let mut reader = Reader::new();
    reader.read("docs/verified-builds.md");
}

#[test]
fn the_page_for_operators_works() {
    let mut reader = Reader::new();
    reader.read("docs/operators.md");
}

#[test]
fn the_page_on_ci_works() {
    let mut reader = Reader::new();
    reader.read("docs/ci.md");
}

#[test]
fn the_page_on_reliability_works() {
    let mut reader = Reader::new();
    reader.read("docs/reliability.md");
}

#[test]
fn no_page_has_a_command_that_nothing_runs() {
    let seen = [
        "README.md",
        "docs/ci.md",
        "docs/cli.md",
        "docs/consumer.md",
        "docs/contract.md",
        "docs/operators.md",
        "docs/reliability.md",
        "docs/verified-builds.md",
    ];
    let begins = |line: &str, with: &str| line.trim_start().starts_with(with);
    for page in pages() {
        let text = read(&page);
        for line in blocks(&text).iter().filter(|block| !block.is_run).flat_map(|block| &block.lines) {
            let is_command = ["assay ", "./", "export ", "cargo ", "docker ", "$ ", "node "];
            let is_command = is_command.iter().any(|with| begins(line, with));
            assert!(!is_command, "{page}: a command stands in a block that is not marked as sh: {line}");
        }
        let elsewhere = |line: &String| ELSEWHERE.iter().any(|(begin, _)| line.starts_with(begin.trim()));
        let run = seen.contains(&page.as_str());
        let lost: Vec<String> = commands(&text).into_iter().filter(|line| !run && !elsewhere(line)).collect();
        assert!(lost.is_empty(), "{page} needs a test that reads it: {lost:?}");
    }
}

#[test]
fn commands_and_flags_in_the_text_exist() {
    for page in pages() {
        let text = read(&page);
        for span in text.split('`').skip(1).step_by(2).filter(|span| span.starts_with("assay ")) {
            let mut command = assay::cli::Cli::command();
            command.build();
            for word in span.split_whitespace().skip(1) {
                if let Some(child) = command.find_subcommand(word) {
                    command = child.clone();
                } else if let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) {
                    let name = flag.split('=').next();
                    assert!(
                        command.get_arguments().any(|arg| arg.get_long() == name),
                        "{page}: {span}: there is no {word}"
                    );
                } else {
                    let is_name = word.chars().all(|char| char.is_ascii_lowercase());
                    assert!(
                        !(is_name && command.has_subcommands()),
                        "{page}: {span}: there is no command {word}"
                    );
                }
            }
        }
    }
}
