//! A requester that is killed while its jobs are open and run: what others submitted goes on, on both backends.

use assay::devstack::anvil::{Anvil, AnvilOptions};

use super::{
    HINT, Nodes, User,
    leaving::{api, json, serve, user_of_contract},
};

fn submit(user: &User, to: &Nodes, concurrency: &str, script: &str) -> String {
    let words = ["job", "submit", "--api", api(to), "--detach", "--concurrency", concurrency];
    let submitted = user.run(&[&words[..], &["assay/demo:1", "--", "sh", "-c", script]].concat());
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    submitted.stdout.trim().to_owned()
}

fn waits_for(user: &User, by: &Nodes, job: &str, printed: &str) {
    let waited = user.run(&["job", "wait", job, "--api", api(by), "--wait-timeout", "90s"]);
    assert_eq!((waited.code, waited.stdout.as_str()), (0, printed), "{}", waited.stderr);
}

/// One node runs what both requesters submit.
fn jobs_of_others_go_on(user: &User, killed: Nodes, other: &Nodes, worker: &Nodes) {
    for requester in [&killed, other] {
        while json(user, &["node", "list", "--api", api(requester)])["nodes"].as_array().map(Vec::len)
            < Some(2)
        {}
    }
    let stage =
        |job: &str| json(user, &["job", "describe", job, "--api", api(worker)])["execution"]["stage"].clone();
    // One that runs, and one that lacks a second node: the worker has a seat in the one and a bid in the other.
    let runs = submit(user, &killed, "1", "sleep 60");
    let open = submit(user, &killed, "2", "true");
    let others = submit(user, other, "1", "sleep 3; echo during");
    while [&runs, &others].iter().any(|job| stage(job) == serde_json::Value::Null) {}
    let bids =
        || json(user, &["job", "describe", &open, "--api", api(&killed)])["bids"].as_array().map(Vec::len);
    while bids() != Some(1) {}
    killed.kill();
    waits_for(user, other, &others, "during\n");
    let after = submit(user, other, "1", "echo after");
    waits_for(user, other, &after, "after\n");
}

#[test]
fn a_requester_that_is_killed_holds_up_nobody_elses_jobs() {
    let user = User::new();
    let worker = serve(&user, "worker", &["--slots", "2"]);
    let join = ["--slots", "0", "--peer", worker.ready["addresses"][0].as_str().unwrap()];
    let (killed, other) = (serve(&user, "killed", &join), serve(&user, "other", &join));
    jobs_of_others_go_on(&user, killed, &other, &worker);
    // The requester who would take its bid and its seat back is gone.
    worker.end_with(122);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_on_a_contract_that_is_killed_holds_up_nobody_elses_jobs() {
    let anvil = Anvil::start(AnvilOptions::default()).await.expect(HINT);
    let keys = ["key-0", "key-1", "key-2"];
    let user = user_of_contract(&anvil, &keys);
    let nodes = keys.map(|key| {
        let slots = if key == "key-2" { "2" } else { "0" };
        serve(&user, &format!("data-{key}"), &["--key", key, "--slots", slots])
    });
    let [killed, other, worker] = nodes;
    jobs_of_others_go_on(&user, killed, &other, &worker);
}
