//! Attestations of what nodes built, and their check by somebody who has nothing but files.

use std::{fs, path::PathBuf};

use assay::{
    audit::{
        LogDocument,
        attestation::{self, Bundle, Subject},
    },
    domain::{Digest, NodeId, Timestamp},
};

use super::{HINT, Seen, Session, User, announced};

/// What somebody says who has no node: nothing is asked.
fn alone(user: &User, words: &[&str]) -> Seen {
    let words = [&["--output", "json", "attest", "verify"], words].concat();
    Seen::new(&user.command(&words).env("ASSAY_API", "127.0.0.1:1").output().unwrap())
}

fn proven(seen: &Seen) -> u64 {
    let document: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    document["proven"].as_u64().unwrap()
}

/// What the artifact is to each attestation.
fn artifacts(seen: &Seen) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(&seen.stdout).unwrap();
    let rows = document["attestations"].as_array().unwrap();
    rows.iter().map(|row| row["artifact"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_three_nodes_built_is_proven_to_whoever_has_the_files() {
    let session = Session::start(&["--nodes", "3", "--data-dir", "nodes"]);
    let script = "echo built > /outputs/program; echo done";
    let words =
        ["job", "submit", "--deterministic", "--output-dir", "kept", "assay/demo:1", "sh", "-c", script];
    let submitted = session.run(&words);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let (job, user) = (announced(&submitted), &session.user);
    let home = user.home.path();
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    let write = |name: &str, seen: &Seen| {
        assert_eq!(seen.code, 0, "{}", seen.stderr);
        fs::write(home.join(name), &seen.stdout).unwrap();
    };
    write("unsigned", &session.run(&["attest", &job]));
    let kept: Vec<PathBuf> =
        fs::read_dir(home.join("kept")).unwrap().map(|dir| dir.unwrap().path()).collect();
    let result = kept[0].to_str().unwrap();
    let program = format!("{result}/outputs/program");

    // The logs prove the whole result of each node, and no single file.
    let whole = alone(user, &[&path("unsigned"), "--artifact", result, "--threshold", "3"]);
    assert_eq!((whole.code, proven(&whole)), (0, 3), "{}{}", whole.stdout, whole.stderr);
    let file = alone(user, &[&path("unsigned"), "--artifact", &program]);
    assert_eq!((file.code, proven(&file)), (125, 0), "{}{}", file.stdout, file.stderr);
    // What no run is compared by can change. It is proven of nothing, and named.
    fs::write(format!("{result}/stderr"), "changed\n").unwrap();
    let partly = alone(user, &[&path("unsigned"), "--artifact", result, "--threshold", "3"]);
    assert_eq!((partly.code, artifacts(&partly)), (0, vec!["result".to_owned(); 3]), "{}", partly.stdout);
    assert!(partly.stdout.contains("stderr and trace.csv"), "{}", partly.stdout);
    // The node that it comes from is among those whose result it was to the last byte.
    assert!(artifacts(&whole).contains(&"identical".to_owned()), "{}", whole.stdout);
    // Who asks neither for builders nor for a job is told what is not shown; who does is not, and others do not count.
    let warnings = |seen: &Seen| seen.stderr.lines().filter(|line| line.contains("does not show")).count();
    let nodes = session.devstack.ready["nodes"].as_array().unwrap();
    let id = |node: usize| nodes[node]["id"].as_str().unwrap();
    assert_eq!(warnings(&whole), 2, "{}", whole.stderr);
    let named = ["--builder", id(0), "--builder", id(1), "--job", &job];
    let by_builders =
        |threshold| alone(user, &[&[&*path("unsigned"), "--threshold", threshold], &named[..]].concat());
    let two = by_builders("2");
    assert_eq!((two.code, proven(&two), warnings(&two)), (0, 2, 0), "{}{}", two.stdout, two.stderr);
    assert_eq!(by_builders("3").code, 125);
    let stranger = format!("0x{}", "5".repeat(40));
    let strange = alone(user, &[&path("unsigned"), "--builder", &stranger]);
    assert_eq!((strange.code, proven(&strange)), (125, 0), "{}", strange.stdout);
    let other_job = alone(user, &[&path("unsigned"), "--job", &format!("0x{}", "5".repeat(64))]);
    assert_eq!((other_job.code, other_job.stdout.as_str()), (2, ""), "{}", other_job.stderr);
    // Each operator signs for its own node.
    let mut signed: Vec<String> = Vec::new();
    for node in 0..3 {
        let (key, name) = (format!("nodes/node-{node}/node.key"), format!("signed-{node}"));
        write(&name, &session.run(&["attest", &job, "--sign-with", &key]));
        signed.push(path(&name));
    }
    let signed: Vec<&str> = signed.iter().map(String::as_str).collect();
    let by = |count: usize, artifact: &str| {
        alone(user, &[&signed[..count], &["--artifact", artifact, "--threshold", "3"]].concat())
    };
    assert_eq!((by(3, &program).code, proven(&by(3, &program))), (0, 3), "{}", by(3, &program).stderr);
    assert_eq!((by(2, &program).code, proven(&by(2, &program))), (125, 2), "two of three");

    // The form of other tools, which is always signed.
    let key = "nodes/node-0/node.key";
    let link = session.run(&["attest", &job, "--format", "in-toto-link", "--sign-with", key]);
    assert_eq!(link.code, 0, "{}", link.stderr);
    let link: serde_json::Value = serde_json::from_str(&link.stdout).unwrap();
    let sha256 = Digest::sha256("built\n").to_string();
    assert_eq!(link["signed"]["products"]["outputs/program"]["sha256"], sha256[2..]);
    assert_eq!(link["signed"]["byproducts"]["assay-node"], id(0));
    let unsigned = session.run(&["attest", &job, "--format", "in-toto-link"]);
    assert_eq!((unsigned.code, unsigned.stdout.as_str()), (2, ""), "{}", unsigned.stderr);
    let public = session.run(&["attest", "key", "--key", key]);
    assert!(public.stdout.starts_with("-----BEGIN PUBLIC KEY-----\nMCwwBwYDK2VwBQADIQ"), "{}", public.stdout);

    // Another file, another result, a changed attestation, another's key.
    fs::write(home.join("other"), "built by somebody else\n").unwrap();
    assert_eq!(by(3, &path("other")).code, 121);
    fs::write(&program, "changed\n").unwrap();
    assert_eq!(alone(user, &[&path("unsigned"), "--artifact", result]).code, 121);
    let bundle = fs::read_to_string(home.join("signed-0")).unwrap();
    let payload = bundle.split("\"payload\": \"").nth(1).unwrap();
    fs::write(home.join("changed"), bundle.replacen(&payload[..8], "AAAAAAAA", 1)).unwrap();
    let changed = alone(user, &[&path("changed")]);
    assert_eq!((changed.code, changed.stdout.as_str()), (125, ""), "{}", changed.stderr);
    assert_eq!(session.run(&["wallet", "new", "--plain", "--key", "stranger"]).code, 0);
    let strange = session.run(&["attest", &job, "--sign-with", "stranger"]);
    assert_eq!((strange.code, strange.stdout.as_str()), (2, ""), "{}", strange.stderr);
}

#[test]
fn an_attestation_of_a_contracts_job_is_proven_by_its_chain_alone() {
    let session = Session::start(&["--nodes", "3", "--scheduler", "contract"]);
    let submitted = session.run(&["job", "submit", "--method", "hash", "assay/demo:1", "echo", "built"]);
    assert_eq!(submitted.code, 0, "{}; {HINT}", submitted.stderr);
    let (job, user) = (announced(&submitted), &session.user);
    let path = |name: &str| user.home.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("honest"), session.run(&["attest", &job]).stdout).unwrap();

    let chain = &session.devstack.ready["chain"];
    let (url, contract) = (chain["rpc_url"].as_str().unwrap(), chain["contract"].as_str().unwrap());
    let asked = ["--rpc-url", url, "--contract", contract];
    let unasked = alone(user, &[&path("honest")]);
    assert_eq!((unasked.code, proven(&unasked)), (125, 0), "{}", unasked.stdout);
    let names = format!("assay attest verify .. --rpc-url URL --contract {contract}");
    assert!(unasked.stderr.contains(&names), "{}", unasked.stderr);
    let honest = alone(user, &[&[&*path("honest"), "--threshold", "3"], &asked[..]].concat());
    assert_eq!((honest.code, proven(&honest)), (0, 3), "{}{}", honest.stdout, honest.stderr);

    // A log of the same job that the rules take, and that the chain does not have.
    let mut log: serde_json::Value =
        serde_json::from_str(&session.run(&["verdict", "export", &job]).stdout).unwrap();
    let at = &mut log["logs"][0]["entries"].as_array_mut().unwrap().last_mut().unwrap()["at"];
    *at = (at.as_u64().unwrap() + 1).into();
    let log = LogDocument::parse(log.to_string().as_bytes()).unwrap();
    let node: NodeId = log.claim.accepted[0];
    let files = vec![Subject::new("stdout".to_owned(), Digest::sha256("built\n"))];
    let forged = attestation::attest(&log, node, files, Timestamp::from_secs(u64::from(u32::MAX))).unwrap();
    let bundle = Bundle { version: attestation::BUNDLE_VERSION, attestations: vec![forged] };
    fs::write(path("forged"), serde_json::to_string(&bundle).unwrap()).unwrap();
    assert_eq!(alone(user, &[&path("forged")]).code, 125);
    let forged = alone(user, &[&[&*path("forged")], &asked[..]].concat());
    assert_eq!((forged.code, forged.stdout.as_str()), (125, ""), "{}", forged.stderr);
    assert!(forged.stderr.contains("differs from the one on the chain"), "{}", forged.stderr);
}
