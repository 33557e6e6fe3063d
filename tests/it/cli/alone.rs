//! What one process alone may have, tried with two: a key, and a port.

use std::net::TcpListener;

use assay::identity::NodeKey;

use super::{User, devstack::Nodes};

const SERVE: [&str; 5] = ["serve", "--slots", "0", "--api", "127.0.0.1:0"];

#[test]
fn a_second_process_with_the_same_key_refuses_and_names_the_lock() {
    let user = User::new();
    let key = NodeKey::generate().unwrap();
    key.save(&user.home.path().join("key"), None).unwrap();
    let start = |dir| [&SERVE[..], &["--key", "key", "--data-dir", dir]].concat();
    let first = Nodes::start(&user, &start("a"));
    let second = user.run(&start("b"));
    assert_eq!((second.code, second.stdout.as_str()), (125, ""), "{}", second.stderr);
    let lock = format!("{}.lock", key.node_id());
    assert!(
        second.stderr.contains(&lock) && second.stderr.contains("another assay process"),
        "{}",
        second.stderr
    );
    drop(first);
    drop(Nodes::start(&user, &start("b")));
}

/// Started in the same moment, they would both find the port free.
#[test]
fn of_two_nodes_that_start_on_one_port_one_is_ready_and_the_other_says_why_not() {
    let user = User::new();
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("/ip4/127.0.0.1/tcp/{port}");
        let start = |dir: &str| {
            Nodes::starting(&user, &[&SERVE[..], &["--listen", &listen, "--data-dir", dir]].concat())
        };
        let outcomes = [start("a"), start("b")].map(Nodes::outcome);
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        let [(code, said)] = &refused[..] else {
            panic!("{} of two are refused: {refused:?}", refused.len())
        };
        assert_eq!(*code, Some(125), "{said}");
        assert!(said.contains(&listen), "{said}");
    }
}
