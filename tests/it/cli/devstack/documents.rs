//! Every command that writes JSON: an object with the version of its form. A new command fails here until it is added.

use std::collections::BTreeSet;

use clap::CommandFactory as _;
use serde_json::{Deserializer, Value};

use super::{HINT, Session, announced};

/// Every command, by its words; groups are not.
fn commands(command: &clap::Command, path: &str) -> BTreeSet<String> {
    let children = command.get_subcommands().filter(|child| child.get_name() != "help");
    let below = |child: &clap::Command| commands(child, &format!("{path} {}", child.get_name()));
    let found: BTreeSet<String> = children.flat_map(below).collect();
    if found.is_empty() { BTreeSet::from([path.trim().to_owned()]) } else { found }
}

#[test]
fn every_document_has_a_version() {
    let session = Session::start(&["--scheduler", "contract", "--nodes", "1"]);
    let submitted = session.run(&["job", "submit", "--concurrency", "1", "assay/demo:1", "echo", "hi"]);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let job = announced(&submitted);
    let nobody = format!("0x{}", "11".repeat(20));
    let open = ["job", "submit", "--detach", "--concurrency", "1", "--allow", &nobody, "assay/demo:1"];
    let open = session.run(&open).stdout.trim().to_owned();
    let sweep = ["job", "submit", "--concurrency", "1", "--count", "2", "assay/demo:1", "echo", "hi"];
    let swept = session.run(&sweep);
    assert_eq!(swept.code, 0, "{}", swept.stderr);
    let group = swept.stderr.lines().find_map(|line| line.strip_prefix("group ")?.split(':').next());
    let group = group.unwrap();
    let chain = &session.devstack.ready["chain"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (url, contract) = (text(&chain["rpc_url"]), text(&chain["contract"]));
    let node = text(&session.devstack.ready["nodes"][0]["id"]);
    let home = session.user.home.path();
    drop(assay::store::Db::open(&assay::store::DataDir::open(&home.join("stored")).unwrap()).unwrap());
    std::fs::write(home.join("hex"), text(&chain["accounts"][0]["key"])).unwrap();
    std::fs::write(home.join("case"), "nonsense\n").unwrap();
    std::fs::write(home.join("bundle"), session.run(&["attest", &job]).stdout).unwrap();
    std::fs::write(home.join("job.yaml"), "image: assay/demo:1\n").unwrap();
    let on = format!("--rpc-url {url} --contract {contract}");

    let walked = [
        "job submit --concurrency 1 assay/demo:1 echo hi".to_owned(),
        "job submit --detach --concurrency 1 assay/demo:1 echo hi".to_owned(),
        "job submit --dry-run assay/demo:1 echo hi".to_owned(),
        "job calibrate --pilots 3 assay/demo:1 sh -c echo${IFS}1>/outputs/summary".to_owned(),
        "job submit --concurrency 1 --count 2 assay/demo:1 echo hi".to_owned(),
        "job submit --detach --concurrency 1 --count 2 assay/demo:1 echo hi".to_owned(),
        "job validate job.yaml".to_owned(),
        format!("job rerun {job}"),
        "job list".to_owned(),
        "config list".to_owned(),
        "man man1".to_owned(),
        format!("job describe {job}"),
        format!("job explain {open}"),
        format!("job wait {job}"),
        format!("job wait {job} {job}"),
        format!("job update {open} --timeout 5m"),
        format!("job cancel {open}"),
        format!("group wait {group}"),
        format!("job list --group {group}"),
        format!("results fetch --group {group}"),
        format!("results list {job}"),
        format!("results fetch {job}"),
        format!("results diff {job} {node} {node}"),
        format!("verdict show {job}"),
        format!("verdict plot {job}"),
        format!("verdict plot {job} --svg picture.svg --html page.html"),
        format!("verdict check {job}"),
        format!("verdict check {job} {on}"),
        format!("verdict export {job}"),
        format!("attest {job}"),
        "attest verify bundle".to_owned(),
        "verdict compute case".to_owned(),
        "node list".to_owned(),
        "node describe".to_owned(),
        "node usage".to_owned(),
        "node prune --dry-run".to_owned(),
        "node earnings --by job".to_owned(),
        "node pause".to_owned(),
        "node drain --timeout 30s".to_owned(),
        "node resume".to_owned(),
        "store check --data-dir stored".to_owned(),
        "store backup copied --data-dir stored".to_owned(),
        "store repair --data-dir copied".to_owned(),
        "wallet new --plain --key new".to_owned(),
        "wallet import --plain --key key hex".to_owned(),
        "wallet show --key key".to_owned(),
        "attest key --key key".to_owned(),
        format!("wallet balance --key key {on}"),
        format!("wallet deposit 1gwei --key key {on}"),
        format!("wallet withdraw 1gwei --key key {on}"),
        format!("contract deploy --key key --rpc-url {url}"),
        format!("contract info {on}"),
        format!("doctor --image assay/demo:1 --data-dir new-node --key key {on}"),
        format!("job forget {open}"),
        "dashboard".to_owned(),
        "sim --jobs 2".to_owned(),
        "version".to_owned(),
    ];
    let mut left = commands(&assay::cli::Cli::command(), "");
    for line in &walked {
        let words: Vec<&str> = ["-o", "json"].into_iter().chain(line.split(' ')).collect();
        let seen = session.run(&words);
        let documents: Vec<Value> = Deserializer::from_str(&seen.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_else(|error| panic!("{line}: {error}: {}{}", seen.stdout, seen.stderr));
        assert_eq!(documents.len(), 1, "{line}: {}{}", seen.stdout, seen.stderr);
        assert!(documents[0]["version"].is_u64(), "{line}: {}", documents[0]);
        for line in seen.stderr.lines() {
            let said: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(said["version"], 1, "{line}");
        }
        left.retain(|command| !line.starts_with(command.as_str()));
    }
    // Two run nodes, and are looked at whenever a test starts them; two write no JSON; one writes a schema, whose form
    // is not ours.
    let other = ["completion", "devstack", "job logs", "job schema", "serve"].map(str::to_owned);
    assert_eq!(left, BTreeSet::from(other), "these commands are not looked at");
}
