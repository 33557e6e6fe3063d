//! Who may use a running node from the command line.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{User, devstack::Nodes};

#[test]
fn a_node_answers_the_user_who_started_it_and_nobody_else() {
    let owner = User::new();
    let serve = ["serve", "--slots", "0", "--api", "127.0.0.1:0", "--data-dir", "data"];
    let node = Nodes::start(&owner, &serve);
    let api = node.ready["api"].as_str().unwrap();
    let token_file = node.ready["token_file"].as_str().unwrap();
    let mode = fs::metadata(token_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let notes = owner.home.path().join(".local/state/assay");
    assert_eq!(fs::metadata(&notes).unwrap().permissions().mode() & 0o777, 0o700);
    let token = fs::read_to_string(token_file).unwrap();
    assert!(!node.log().contains(token.trim()) && !node.ready.to_string().contains(token.trim()));

    // With an address and without, by number and by name.
    let by_name = api.replace("127.0.0.1", "localhost");
    for words in
        [&["node", "list"][..], &["node", "list", "--api", api], &["node", "list", "--api", &by_name]]
    {
        let seen = owner.run(words);
        assert_eq!(seen.code, 0, "{words:?}: {}", seen.stderr);
    }

    let mut stranger = User::new();
    stranger.api = Some(api.to_owned());
    for words in
        [&["node", "list"][..], &["job", "submit", "--detach", "assay/demo:1"], &["job", "cancel", "1"]]
    {
        let seen = stranger.run(words);
        assert_eq!((seen.code, seen.stdout.as_str()), (125, ""), "{words:?}: {}", seen.stderr);
        assert!(seen.stderr.contains("token") && seen.stderr.contains("hint: "), "{}", seen.stderr);
    }

    // Whoever was given the token may ask.
    stranger.set.push(("ASSAY_API_TOKEN_FILE", token_file.to_owned()));
    assert_eq!(stranger.run(&["node", "list"]).code, 0);
    let copy = stranger.home.path().join("token");
    fs::write(&copy, &token).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    stranger.set = vec![("ASSAY_API_TOKEN_FILE", copy.display().to_string())];
    let seen = stranger.run(&["node", "list"]);
    assert_eq!(seen.code, 2);
    assert!(seen.stderr.contains("other users of this machine") && seen.stderr.contains("hint: "));

    drop(node);
    let left = fs::read_dir(notes.join("tokens")).unwrap().count();
    assert_eq!(left, 0, "what named the node is gone with it");
}
