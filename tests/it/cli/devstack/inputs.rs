//! Files and directories of a user, as they are in the container.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, fs::symlink, net::UnixListener},
};

use super::{HINT, Session};
use crate::web::Web;

#[test]
fn a_file_at_a_url_is_mounted_once_its_hash_is_right() {
    let web = Web::start();
    for backend in ["libp2p", "contract"] {
        let session = Session::start(&["--nodes", "1", "--scheduler", backend]);
        let submit = |input: &str| {
            let words = ["job", "submit", "--concurrency", "1", "-i", input, "assay/demo:1"];
            session.run(&[&words[..], &["sha256sum", "/inputs/file"]].concat())
        };
        let pinned = web.pinned();
        let seen = submit(&format!("{pinned}:/inputs/"));
        let (_, hash) = pinned.rsplit_once('=').unwrap();
        assert_eq!(
            (seen.code, seen.stdout),
            (0, format!("{hash}  /inputs/file\n")),
            "{}; {HINT}",
            seen.stderr
        );
        let described =
            session.run(&["job", "describe", &super::announced(&submit(&format!("{pinned}:/inputs/")))]);
        assert!(described.stdout.contains(&web.url("/file")), "{}", described.stdout);
        let other = submit(&format!("{}#sha256={}:/inputs/", web.url("/file"), "0".repeat(64)));
        assert!(other.code != 0 && other.stderr.contains("has other content"), "{}", other.stderr);
        assert!(other.stderr.contains("hint: ") && !other.stderr.contains("job 0x"), "{}", other.stderr);
    }
}

#[test]
fn files_are_files_and_directories_are_directories_where_they_were_asked_for() {
    let session = Session::start(&["--nodes", "1"]);
    let home = session.user.home.path();
    fs::create_dir(home.join("texts")).unwrap();
    fs::write(home.join("texts/a.txt"), "from a directory").unwrap();
    fs::write(home.join("data.csv"), "from a file").unwrap();
    fs::write(home.join("empty"), "").unwrap();
    fs::write(home.join("tool"), "#!/bin/sh\necho from a program").unwrap();
    fs::set_permissions(home.join("tool"), Permissions::from_mode(0o755)).unwrap();
    symlink(home.join("data.csv"), home.join("link")).unwrap();
    let from = |name: &str, target: &str| format!("{}:{target}", home.join(name).display());
    let inputs = [
        from("texts", "/inputs/"),
        from("data.csv", "/path/file"),
        from("data.csv", "/more/"),
        from("empty", "/path/empty"),
        from("tool", "/path/tool:ro"),
        from("link", "/path/linked"),
    ];
    let mut words = vec!["job", "submit", "--concurrency", "1", "--workdir", "/inputs/"];
    words.extend(inputs.iter().flat_map(|input| ["--input", input.as_str()]));
    let script = "pwd; cat a.txt; echo; cat /path/file; echo; cat /more/data.csv; echo; wc -c < /path/empty; \
                  /path/tool; cat /path/linked; echo; echo x 2>/dev/null > /path/file || echo read-only; \
                  find /path -type d -o ! -type f; cp /path/file /outputs/copy";
    words.extend(["assay/demo:1", "--", "sh", "-c", script]);
    let submitted = session.run(&words);
    let expected = "/inputs\nfrom a directory\nfrom a file\nfrom a file\n0\nfrom a program\nfrom a file\nread-only\n\
                    /path\n";
    assert_eq!((submitted.code, submitted.stdout.as_str()), (0, expected), "{}; {HINT}", submitted.stderr);
    let job = super::announced(&submitted);
    let results = home.join("results").display().to_string();
    let fetched = session.run(&["results", "fetch", &job, "--output-dir", &results]);
    assert_eq!(fetched.code, 0, "{}", fetched.stderr);
    let copies = walk(&home.join("results"), "copy");
    assert_eq!(copies, ["from a file"], "the file came back through /outputs");
}

/// What files of this name hold, anywhere below a directory.
fn walk(dir: &std::path::Path, name: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path, name)
            } else if path.ends_with(name) {
                vec![fs::read_to_string(path).unwrap()]
            } else {
                vec![]
            }
        })
        .collect()
}

#[test]
fn what_cannot_be_an_input_is_refused_by_name() {
    let session = Session::start(&["--nodes", "1"]);
    let home = session.user.home.path();
    let _listener = UnixListener::bind(home.join("socket")).unwrap();
    symlink("nowhere", home.join("dangling")).unwrap();
    fs::write(home.join("file"), "x").unwrap();
    let submit = |name: &str, target: &str| {
        let input = format!("{}:{target}", home.join(name).display());
        session.run(&["job", "submit", "--concurrency", "1", "--input", &input, "assay/demo:1", "--", "true"])
    };
    for (name, said) in [("socket", "is a socket"), ("dangling", "No such file"), ("missing", "No such file")]
    {
        let refused = submit(name, "/in");
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(name) && refused.stderr.contains(said), "{}", refused.stderr);
    }
    for target in ["/outputs/", "/tmp/x", "/../etc"] {
        let refused = submit("file", target);
        assert_eq!(refused.code, 2, "{target}: {}", refused.stderr);
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
    let written = submit("file", "/in:rw");
    assert!(written.code == 2 && written.stderr.contains("read-only"), "{}", written.stderr);
}
