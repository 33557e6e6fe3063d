//! `assay serve` that is told to end in the middle of a run, on both backends, or to take on no more work.

use assay::devstack::anvil::{Anvil, AnvilOptions};
use serde_json::Value;

use super::{HINT, Nodes, User};
use crate::cli::until;

/// How long the second run takes too.
const RUN: &str = "sleep 6; echo done";

pub(super) fn serve(user: &User, name: &str, words: &[&str]) -> Nodes {
    let own = ["serve", "--api", "127.0.0.1:0", "--data-dir", name, "--grace", "1s"];
    Nodes::start(user, &[&own, words].concat())
}

pub(super) fn api(nodes: &Nodes) -> &str {
    nodes.ready["api"].as_str().unwrap()
}

pub(super) fn json(user: &User, words: &[&str]) -> Value {
    let seen = user.run(&[words, &["--output", "json"]].concat());
    serde_json::from_str(&seen.stdout).unwrap_or(Value::Null)
}

/// A job whose node ends in the middle of its run is verified by another node, long before a deadline.
fn is_handed_over(user: &User, requester: &Nodes, workers: [Nodes; 2]) {
    let to = ["--api", api(requester)];
    // Until both are connected, which nothing here could wait for, too few nodes are known.
    let known = || json(user, &[&["node", "list"], &to[..]].concat())["nodes"].as_array().map(Vec::len);
    until("three nodes", || known() == Some(3));
    let job = ["--concurrency", "1", "--detach", "assay/demo:1", "--", "sh", "-c", RUN];
    let submitted = user.run(&[&["job", "submit"], &to[..], &job].concat());
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let job = submitted.stdout.trim().to_owned();
    let runs = |nodes: &Nodes| {
        json(user, &["job", "describe", &job, "--api", api(nodes)])["execution"]["stage"] == "started"
    };
    let mut leaving = None;
    until("a run", || {
        leaving = workers.iter().position(runs);
        leaving.is_some()
    });
    let leaving = leaving.unwrap();
    let mut workers = workers.into_iter();
    let (first, second) = (workers.next().unwrap(), workers.next().unwrap());
    let (leaving, staying) = if leaving == 0 { (first, second) } else { (second, first) };
    let leaver = leaving.ready["id"].as_str().unwrap().to_owned();
    // Interrupts it, and waits until it has ended well.
    drop(leaving);
    let waited = user.run(&[&["job", "wait", &job], &to[..]].concat());
    assert_eq!((waited.code, waited.stdout.as_str()), (0, "done\n"), "{}", waited.stderr);
    let described = json(user, &[&["job", "describe", &job], &to[..]].concat());
    let seats = described["seats"].as_array().unwrap();
    let nodes: Vec<&str> = seats.iter().map(|seat| seat["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, [staying.ready["id"].as_str().unwrap()]);
    assert_ne!(nodes, [leaver]);
}

#[test]
fn a_job_goes_on_elsewhere_when_its_node_is_told_to_end() {
    let user = User::new();
    let requester = serve(&user, "requester", &["--slots", "0"]);
    let join = ["--peer", requester.ready["addresses"][0].as_str().unwrap()];
    let workers = [serve(&user, "a", &join), serve(&user, "b", &join)];
    is_handed_over(&user, &requester, workers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_a_contract_goes_on_elsewhere_when_its_node_is_told_to_end() {
    let anvil = Anvil::start(AnvilOptions::default()).await.expect(HINT);
    let keys = ["key-0", "key-1", "key-2"];
    let user = user_of_contract(&anvil, &keys);
    let nodes = keys.map(|key| {
        let slots = if key == "key-0" { "0" } else { "1" };
        serve(&user, &format!("data-{key}"), &["--key", key, "--slots", slots])
    });
    let [requester, a, b] = nodes;
    is_handed_over(&user, &requester, [a, b]);
}

/// A user with these keys, each with ether, and a contract.
pub(super) fn user_of_contract(anvil: &Anvil, keys: &[&str]) -> User {
    let mut user = User::new();
    for (name, account) in keys.iter().zip(&anvil.accounts) {
        let seen = user.run_with(&["wallet", "import", "--plain", "--key", name], &account.secret);
        assert_eq!(seen.code, 0, "{}", seen.stderr);
    }
    user.set = vec![("ASSAY_SCHEDULER", "contract".to_owned()), ("ASSAY_RPC_URL", anvil.rpc_url.clone())];
    let deployed = json(&user, &["contract", "deploy", "--key", "key-0"]);
    user.set.push(("ASSAY_CONTRACT", deployed["contract"].as_str().unwrap().to_owned()));
    user
}

#[test]
fn a_drain_waits_for_the_run_of_the_node_and_then_it_owes_nothing() {
    let user = User::new();
    let requester = serve(&user, "requester", &["--slots", "0"]);
    let join = ["--peer", requester.ready["addresses"][0].as_str().unwrap()];
    let worker = serve(&user, "worker", &join);
    let (to, at) = (["--api", api(&requester)], ["--api", api(&worker)]);
    let known = || json(&user, &[&["node", "list"], &to[..]].concat())["nodes"].as_array().map(Vec::len);
    until("two nodes", || known() == Some(2));
    let job = ["--concurrency", "1", "--detach", "assay/demo:1", "--", "sh", "-c", "sleep 8; echo done"];
    let submitted = user.run(&[&["job", "submit"], &to[..], &job].concat());
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let job = submitted.stdout.trim();
    let describe = [&["job", "describe", job], &at[..]].concat();
    until("a run", || json(&user, &describe)["execution"]["stage"] == "started");
    let drained = user.run(&[&["node", "drain", "--timeout", "1s"], &at[..]].concat());
    let left = (122, "the node takes on no work; it owes 1 seats to work off\n");
    assert_eq!((drained.code, drained.stdout.as_str()), left, "{}", drained.stderr);
    let drained = user.run(&[&["node", "drain"], &at[..]].concat());
    let done = (0, "the node takes on no work; it owes nothing\n");
    assert_eq!((drained.code, drained.stdout.as_str()), done, "{}", drained.stderr);
    let waited = user.run(&[&["job", "wait", job], &to[..]].concat());
    assert_eq!((waited.code, waited.stdout.as_str()), (0, "done\n"), "{}", waited.stderr);
    let described = user.run(&[&["node", "describe"], &at[..]].concat()).stdout;
    assert!(
        described.contains("it takes on no work until assay node resume; it owes nothing"),
        "{described}"
    );
    let resumed = user.run(&[&["node", "resume"], &at[..]].concat());
    assert_eq!(resumed.stdout, "the node takes on work; it owes nothing\n", "{}", resumed.stderr);
}
