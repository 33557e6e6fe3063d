//! A requester without a daemon: each command is its own, on a contract, and finds the nodes by what they announced.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use serde_json::{Value, json};

use super::{HINT, Nodes, announced, interrupt, rows};
use crate::{
    cli::{Seen, User, lost::loses_answers},
    contract::{
        chain::{ETHER, rpc},
        faulty::Faulty,
    },
};

/// Nodes on a contract, and a stranger with some ether who runs none.
pub(super) struct Market {
    nodes: Nodes,
    pub(super) user: User,
}

impl Market {
    pub(super) fn start(words: &[&str]) -> Self {
        let host = User::new();
        let nodes = Nodes::start(&host, &[&["devstack", "--scheduler", "contract"], words].concat());
        let mut user = User::new();
        let address = user.run(&["wallet", "new", "--plain", "--key", "key"]).stdout;
        let chain = &nodes.ready["chain"];
        let text = |name: &str| chain[name].as_str().unwrap().to_owned();
        rpc(&text("rpc_url"), "anvil_setBalance", &json!([address.trim(), format!("{:#x}", 100 * ETHER)]));
        user.set = vec![
            ("ASSAY_SCHEDULER", "contract".to_owned()),
            ("ASSAY_RPC_URL", text("rpc_url")),
            ("ASSAY_CONTRACT", text("contract")),
            ("ASSAY_FIRST_BLOCK", chain["first_block"].to_string()),
            ("ASSAY_KEY", "key".to_owned()),
        ];
        Self { nodes, user }
    }

    pub(super) fn run(&self, words: &[&str]) -> Seen {
        self.user.run(words)
    }

    /// Asks the first of the nodes, with its token.
    fn ask_node(&self, words: &[&str]) -> Seen {
        let api = self.nodes.ready["api"].as_str().unwrap();
        let token_file = self.nodes.ready["nodes"][0]["token_file"].as_str().unwrap();
        let mut command = self.user.command(&[words, &["--api", api]].concat());
        Seen::new(&command.env("ASSAY_API_TOKEN_FILE", token_file).output().unwrap())
    }

    fn json(&self, words: &[&str]) -> Value {
        let seen = self.run(&[words, &["--output", "json"]].concat()).ended(0);
        serde_json::from_str(&seen.stdout).unwrap()
    }

    /// A command that waits for a job: itself, its further lines, and the job.
    fn waiting(&self, words: &[&str]) -> (Child, impl Iterator<Item = String> + use<>, String) {
        let mut child =
            self.user.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines =
            BufReader::<ChildStderr>::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let said: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with('[')).collect();
        let job = said.last().and_then(|line| line.strip_prefix("job "));
        let job = job.unwrap_or_else(|| panic!("{said:?}; {HINT}")).to_owned();
        (child, lines, job)
    }
}

impl Seen {
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}; {HINT}", self.stderr);
        self
    }

    fn tells(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {}", self.stderr);
        }
    }
}

#[test]
fn a_requester_without_a_daemon_pays_for_a_job_and_has_its_results() {
    let market = Market::start(&["--nodes", "3", "--bad-actors", "1"]);
    let input = market.user.home.path().join("input");
    fs::create_dir(&input).unwrap();
    fs::write(input.join("words"), "from a stranger\n").unwrap();
    let job = ["--price", "1ether", "-i", "input:/inputs", "assay/demo:1", "--", "cat", "/inputs/words"];
    let submit = [&["job", "submit"][..], &job].concat();
    let poor = market.run(&submit).ended(125);
    poor.tells(&["failed to submit the job", "assay wallet deposit"]);
    market.run(&["wallet", "deposit", "10ether"]).ended(0);
    let submitted = market.run(&submit).ended(0);
    assert_eq!(submitted.stdout, "from a stranger\n", "{}", submitted.stderr);
    submitted.tells(&["verified", "2 of 3 nodes agree"]);
    let job = announced(&submitted);

    // Two nodes were paid what they ask, four fifths of the price.
    let balance = market.json(&["wallet", "balance"]);
    assert_eq!((&balance["free"], &balance["locked"]), (&json!("8400000000000000000"), &json!("0")));
    let listed = market.run(&["job", "list"]).ended(0).stdout;
    assert_eq!(rows(&listed, &["STATE", "NODES", "AGREED"]), [["verified", "3/3", "2"]]);
    assert_eq!(market.json(&["job", "describe", &job])["state"], "verified");
    assert_eq!(market.run(&["job", "logs", &job]).ended(0).stdout, "from a stranger\n");
    let verdicts = market.run(&["results", "list", &job]).ended(0).stdout;
    assert_eq!(rows(&verdicts, &["VERDICT"]), [["accepted"], ["accepted"], ["rejected"]]);
    let fetched = market.run(&["results", "fetch", &job, "--output-dir", "results"]).ended(0);
    assert_eq!(fetched.stdout.lines().count(), 2);
    let known = market.run(&["node", "list"]).ended(0).stdout;
    assert_eq!(rows(&known, &["STATE"]), [["asked"], ["here"], ["here"], ["here"]]);
    a_contracts_log_is_checked_against_the_chain(&market, &job);
    // A node that is named is asked, whatever the variables say.
    let asked = market.ask_node(&["job", "list"]).ended(0).stdout;
    assert_eq!(rows(&asked, &["STATE"]), [["verified"]]);
}

/// A file and a node prove nothing of a contract's log; the chain does.
fn a_contracts_log_is_checked_against_the_chain(market: &Market, job: &str) {
    let exported = market.run(&["verdict", "export", job]).ended(0);
    assert_eq!(exported.stderr, "");
    let chain = &market.nodes.ready["chain"];
    let [url, contract] = ["rpc_url", "contract"].map(|name| chain[name].as_str().unwrap());
    let check = |text: &str, on_chain: bool| {
        fs::write(market.user.home.path().join("log.json"), text).unwrap();
        let chain = ["--rpc-url", url, "--contract", contract];
        let words = ["verdict", "check", "--file", "log.json"];
        market.run(&[&words[..], if on_chain { &chain } else { &[] }].concat())
    };
    let unchecked = check(&exported.stdout, false).ended(125);
    assert!(unchecked.stdout.starts_with("NOT CHECKED: job 0x"), "{}", unchecked.stdout);
    unchecked.tells(&["hint: only chain 31337 can prove this log", "--rpc-url URL --contract 0x"]);
    let of_node = market.ask_node(&["verdict", "check", job]).ended(125);
    assert!(of_node.stdout.starts_with("NOT CHECKED"), "{}", of_node.stdout);
    let checked = check(&exported.stdout, true).ended(0);
    assert!(checked.stdout.starts_with("AGREES: job 0x"), "{}", checked.stdout);
    assert!(checked.stdout.contains("each entry is the chain's"), "{}", checked.stdout);

    let document: Value = serde_json::from_str(&exported.stdout).unwrap();
    let mut cut = document.clone();
    cut["logs"][0]["entries"].as_array_mut().unwrap().pop();
    check(&cut.to_string(), true).ended(125).tells(&["the chain has", "export it again"]);
    let mut changed = document.clone();
    changed["logs"][0]["entries"][1]["at"] = json!(1);
    check(&changed.to_string(), true)
        .ended(125)
        .tells(&["entry 2 of job", "differs from the one on the chain"]);
    let mut lying = document;
    lying["claim"]["rejected"] = json!([]);
    assert!(check(&lying.to_string(), true).ended(121).stdout.starts_with("DIFFERS"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_sent_through_an_endpoint_that_loses_answers_is_one_job_and_paid_once() {
    let mut market = Market::start(&["--nodes", "1"]);
    let url = market.nodes.ready["chain"]["rpc_url"].as_str().unwrap().to_owned();
    let endpoint = Faulty::start(&url, loses_answers).await;
    market.user.set.push(("ASSAY_RPC_URL", endpoint.url.clone()));
    market.run(&["wallet", "deposit", "10ether"]).ended(0);
    let money = || {
        let balance = market.json(&["wallet", "balance"]);
        ["free", "locked"].map(|name| balance[name].as_str().unwrap().parse::<u128>().unwrap())
    };
    // Nobody may bid, so that all of it stays in escrow.
    let nobody = format!("0x{}", "11".repeat(20));
    let submit = ["job", "submit", "--price", "1ether", "--concurrency", "1"];
    let kept = market.run(&[&submit[..], &["--detach", "--allow", &nobody, "assay/demo:1"]].concat());
    let kept = kept.ended(0).stdout;
    assert_eq!(money(), [9 * ETHER, ETHER], "one seat, once");
    market.run(&["job", "cancel", kept.trim()]).ended(0);
    assert_eq!(money(), [10 * ETHER, 0]);

    let paid = market.run(&[&submit[..], &["assay/demo:1", "--", "echo", "once"]].concat());
    assert_eq!(paid.ended(0).stdout, "once\n");
    assert_eq!(money(), [92 * ETHER / 10, 0], "the node asks four fifths of the price");
    let listed = market.run(&["job", "list"]).ended(0).stdout;
    assert_eq!(rows(&listed, &["STATE"]), [["cancelled"], ["verified"]]);
    let address = market.run(&["wallet", "show"]).ended(0).stdout;
    let sent = rpc(&url, "eth_getTransactionCount", &json!([address.trim(), "latest"]));
    let calls = endpoint.calls("eth_sendRawTransaction");
    assert_eq!(sent, json!(format!("{calls:#x}")), "each was sent once");
}

#[test]
fn ctrl_c_detaches_a_requester_and_job_wait_is_the_same_one_again() {
    let market = Market::start(&["--nodes", "3"]);
    let script = "sleep 4; echo late";
    let words = ["job", "submit", "assay/demo:1", "--", "sh", "-c", script];
    let (mut child, mut lines, job) = market.waiting(&words);
    assert!(lines.any(|line| line.contains("running")), "it comes to run");

    let second = market.run(&["job", "list"]).ended(125);
    second.tells(&["another assay command is already running as this requester", "requester/31337-0x"]);
    let (_, api) = second.stderr.split_once("with --api ").unwrap();
    let asked = market.run(&["job", "list", "--api", api.split(',').next().unwrap()]).ended(0);
    assert_eq!(rows(&asked.stdout, &["STATE"]), [["running"]]);

    assert!(interrupt(&child));
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let [.., said, hint] = rest.as_slice() else { panic!("{rest:?}") };
    assert!(said.contains("bids are accepted only while the requester waits"), "{said}");
    // All else is in the environment.
    assert_eq!(*hint, format!("hint: resume with: assay job wait {job}"));
    let waited = market.run(&["job", "wait", &job]).ended(0);
    assert_eq!(waited.stdout, "late\n");

    // Nobody else may bid: it stays open until it is cancelled, by another command again.
    let nobody = format!("0x{}", "11".repeat(20));
    let open =
        market.run(&["job", "submit", "--detach", "--concurrency", "1", "--allow", &nobody, "assay/demo:1"]);
    let open = open.ended(0);
    market.run(&["job", "cancel", open.stdout.trim()]).ended(0).tells(&["no node had begun"]);
    market.run(&["job", "wait", open.stdout.trim()]).ended(123);
}

#[test]
fn a_killed_requester_goes_on_where_it_was_and_says_what_is_in_its_way() {
    let mut market = Market::start(&["--nodes", "1"]);
    let words = ["job", "submit", "--concurrency", "1", "assay/demo:1", "--", "echo", "anyway"];
    let (mut child, lines, job) = market.waiting(&words);
    let killed = Command::new("kill").args(["-KILL", &child.id().to_string()]).status().unwrap();
    assert!(killed.success() && !child.wait().unwrap().success());
    drop(lines);
    assert_eq!(market.run(&["job", "wait", &job]).ended(0).stdout, "anyway\n");

    let given = |name: &str, value: &str| market.run(&["job", "list", name, value]);
    given("--chain-id", "5").ended(2).tells(&["serves chain 31337, not 5"]);
    let nowhere = format!("0x{}", "22".repeat(20));
    given("--contract", &nowhere).ended(2).tells(&["there is no contract at", &nowhere]);
    given("--rpc-url", "http://127.0.0.1:9").ended(124).tells(&["no RPC endpoint answers", "hint: "]);
    given("--key", "none").ended(2).tells(&["assay wallet new"]);
    market.run(&["wallet", "new", "--plain", "--key", "poor"]).ended(0);
    let broke =
        market.run(&["job", "submit", "--key", "poor", "--concurrency", "1", "assay/demo:1"]).ended(125);
    broke.tells(&["cannot pay for a transaction", "send ether to"]);
    market.run(&["job", "submit", "--concurrency", "2", "assay/demo:1"]).ended(120);
    let escalating = ["job", "submit", "--concurrency", "1", "--escalate", "3", "assay/demo:1"];
    market
        .run(&escalating)
        .ended(2)
        .tells(&["--escalate needs a requester that keeps running", "assay serve"]);
    market.user.set.retain(|(name, _)| *name != "ASSAY_SCHEDULER");
    let two = market.run(&["job", "list", "--scheduler", "contract", "--api", "127.0.0.1:9"]);
    two.ended(2).tells(&["leave one of them out"]);
    market.user.set.push(("ASSAY_SCHEDULER", "contract".to_owned()));
    market.user.set.retain(|(name, _)| *name != "ASSAY_CONTRACT");
    market.run(&["job", "list"]).ended(2).tells(&["--contract is missing"]);
}
