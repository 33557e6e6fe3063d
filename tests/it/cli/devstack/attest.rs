//! Attestations of what nodes built, and their check by somebody who has nothing but files.

use std::{fs, path::PathBuf};

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
