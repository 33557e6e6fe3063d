//! What `assay doctor` says where things do not work.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::User;

#[test]
fn what_does_not_work_is_told_with_what_to_do_and_an_exit_code() {
    let mut user = User::new();
    user.set.push(("DOCKER_HOST", "unix:///no/such/socket".to_owned()));
    user.set.push(("ASSAY_RPC_URL", "http://127.0.0.1:1".to_owned()));
    user.api = Some("http://127.0.0.1:1".to_owned());
    let data = user.home.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let words = ["doctor", "--data-dir", "data", "--key", "none", "-o", "json"];
    let seen = user.run(&words);
    assert_eq!(seen.code, 125, "{}", seen.stderr);
    let document: Value = serde_json::from_str(&seen.stdout).unwrap();
    assert_eq!(document["exit_code"], 125);
    let finding = |check: &str| {
        let findings = document["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("{check}")).clone()
    };
    for (check, hint) in [
        ("engine", "check that Docker runs"),
        ("data", "chmod 700 data"),
        ("key", "assay wallet new"),
        ("node", "--api"),
        ("rpc", "--rpc-url"),
    ] {
        let found = finding(check);
        assert_eq!(found["state"], "fail", "{found}");
        assert!(found["hint"].as_str().unwrap().contains(hint), "{found}");
    }
    for check in ["chain", "contract", "clock"] {
        assert_eq!(finding(check)["state"], "skip");
    }
}
