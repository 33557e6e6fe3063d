//! Settings from `assay.toml`.

use std::fs;

use serde_json::{Value, json};

use super::User;

fn user(project: &str, own: &str) -> User {
    let user = User::new();
    let home = user.home.path();
    fs::create_dir_all(home.join(".config/assay")).unwrap();
    fs::write(home.join(".config/assay/assay.toml"), own).unwrap();
    fs::write(home.join("assay.toml"), project).unwrap();
    user
}

#[test]
fn each_setting_is_listed_with_where_it_comes_from() {
    let mut user = user("log-format = \"text\"\n", "\n[profile.main]\napi = \"127.0.0.1:1\"\n");
    user.set.push(("ETH_RPC_URL", "https://rpc.example/v2/secret".to_owned()));
    let seen = user.run(&["config", "list", "--show-origin", "--profile", "main", "-o", "json"]);
    assert_eq!(seen.code, 0, "{seen:?}");
    let told: Value = serde_json::from_str(&seen.stdout).unwrap();
    let home = user.home.path().canonicalize().unwrap();
    let of = |key: &str| {
        let found = told["settings"].as_array().unwrap().iter().find(|row| row["key"] == key).unwrap();
        (found["value"].clone(), found["origin"].clone())
    };
    let file = |path: &str, line, profile: Option<&str>| json!({"kind": "file", "path": home.join(path), "line": line, "profile": profile});
    assert_eq!(of("api"), (json!("127.0.0.1:1"), file(".config/assay/assay.toml", 3, Some("main"))));
    assert_eq!(of("log-format"), (json!("text"), file("assay.toml", 1, None)));
    let variable = json!({"kind": "variable", "name": "ETH_RPC_URL"});
    assert_eq!(of("rpc-url"), (json!("https://rpc.example/..."), variable));
    assert_eq!(of("key"), (Value::Null, json!({"kind": "default"})));
    let text = user.run(&["config", "list", "--show-origin"]).stdout;
    assert!(text.contains("assay.toml:1\n") && !text.contains("secret"), "{text}");
    assert!(!user.run(&["config", "list"]).stdout.contains("ORIGIN"));
}

#[test]
fn a_command_asks_the_node_that_the_file_names() {
    let user = user("", "api = \"127.0.0.1:1\"\noutput = \"json\"\n");
    let seen = user.run(&["job", "list"]);
    assert!(seen.stderr.contains("127.0.0.1:1") && seen.stderr.starts_with('{'), "{seen:?}");
    let flag = user.run(&["job", "list", "--api", "127.0.0.1:2", "--output", "table"]);
    assert!(flag.stderr.contains("127.0.0.1:2") && flag.stderr.starts_with("error:"), "{flag:?}");
}

#[test]
fn a_strangers_file_stops_a_command_but_not_its_help() {
    let user = user("api = \"127.0.0.1:1\"\n", "");
    let seen = user.run(&["job", "list"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (2, ""), "{seen:?}");
    assert!(
        seen.stderr.contains("assay.toml:1: api is set by a project that you do not trust\nhint: "),
        "{seen:?}"
    );
    assert_eq!(user.run(&["job", "list", "--help"]).code, 0);
    assert_eq!(user.run(&["completion", "bash"]).code, 0);
}
