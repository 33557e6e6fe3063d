//! What nodes say that they take on, and jobs that none of them does.

use super::{HINT, Session, rows};
use crate::cli::until;

#[test]
fn a_job_that_no_known_node_takes_is_told_at_once_with_what_it_asks_too_much_of() {
    let session = Session::start(&["--nodes", "3", "--slots", "2"]);
    // Nodes introduce themselves right after they have met.
    let offered = || {
        let nodes = session.json(&["node", "list"]);
        nodes["nodes"].as_array().unwrap().iter().filter(|node| node["offer"]["slots"] == 2).count()
    };
    until("three offers", || offered() == 3);
    // All that concerns this machine and its nodes works here; that others cannot reach a devstack is no failure.
    let checked = session.run(&["doctor", "--image", "assay/demo:1"]);
    assert_eq!(checked.code, 0, "{}; {HINT}", checked.stdout);
    let finds = |start: &str| checked.stdout.lines().any(|line| line.starts_with(start));
    for start in [
        "ok    engine ",
        "ok    image    assay/demo:1 is sha256:",
        "ok    cgroups  version ",
        "ok    peers    2 nodes are connected",
        "warn  reach    the node listens on this machine alone",
        "ok    clock ",
        "skip  rpc ",
    ] {
        assert!(finds(start), "{start}: {}", checked.stdout);
    }

    let listed = session.run(&["node", "list", "--output", "wide"]).stdout;
    let platform = listed.lines().nth(1).unwrap().split_whitespace().find(|word| word.starts_with("linux/"));
    let row = ["2", "4 GiB", platform.unwrap()].map(str::to_owned);
    assert_eq!(rows(&listed, &["SLOTS", "MEMORY", "PLATFORM"]), [row.clone(), row.clone(), row]);

    let submit = |options: &[&str]| {
        let words = [&["job", "submit", "--detach"], options, &["assay/demo:1", "true"]].concat();
        let seen = session.run(&words);
        assert_eq!(seen.code, 0, "{}; {HINT}", seen.stderr);
        session.run(&["job", "cancel", seen.stdout.trim()]);
        seen.stderr
    };
    let large = submit(&["--memory", "64g"]);
    let told = "the job needs 3 nodes, but only 0 of the 3 known ones take it: memory 64 GiB, at most 4 GiB";
    assert!(large.contains(told), "{large}");
    assert!(large.contains("hint: ask for less"), "{large}");
    for (options, told) in [
        (["--cpus", "64"], "CPUs 64, at most 4"),
        (["--disk", "1t"], "disk 1024 GiB, at most 8 GiB"),
        (["--reveal", "4h"], "reveal 4h, at most 3h"),
        (["--timeout", "2d"], "timeout 2d"),
    ] {
        let seen = submit(&options);
        assert!(seen.contains(told), "{told}: {seen}");
    }
    let audited = submit(&["--audit", "100"]);
    let told = "the job and its audit need 7 nodes, but only 3 are known";
    assert!(audited.contains(told), "{audited}");
    let open = ["job", "submit", "--detach", "--memory", "64g", "assay/demo:1", "true"];
    let job = session.run(&open).stdout.trim().to_owned();
    let explained = session.run(&["job", "explain", &job]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    assert_eq!(
        rows(&explained.stdout, &["BID", "WHY"]),
        vec![["none", "memory 64 GiB, at most 4 GiB"].map(str::to_owned); 3]
    );
    assert!(explained.stderr.contains("0 of 3 seats are filled"), "{}", explained.stderr);
    assert!(explained.stderr.contains("hint: cancel it and ask for less"), "{}", explained.stderr);
    let described = session.run(&["job", "describe", &job]).stdout;
    let grouped = "  3 of 3 nodes: memory 64 GiB, at most 4 GiB\nhint: cancel it and ask for less";
    assert!(described.contains(grouped), "{described}");
    session.run(&["job", "cancel", &job]);
    let fine = submit(&["--memory", "1g"]);
    assert!(!fine.contains("the job needs"), "{fine}");
}
