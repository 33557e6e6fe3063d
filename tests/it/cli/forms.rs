//! What may be written on a command line, and what a wrong one is answered with. Needs no node.

use std::fs;

use serde_json::Value;

use super::{Seen, User, check};

/// A user whose node does not answer: what gets that far was understood.
fn user() -> User {
    let mut user = User::new();
    // Nothing listens on the discard port.
    user.api = Some("127.0.0.1:9".to_owned());
    user
}

fn submit(user: &User, words: &[&str]) -> Seen {
    user.run(&[&["job", "submit"], words].concat())
}

/// The one line of JSON that a failed command says.
fn error(seen: &Seen) -> Value {
    let [line] = seen.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{}", seen.stderr) };
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn sizes_and_times_have_the_forms_that_docker_users_write() {
    let user = user();
    for words in [
        ["--timeout", "1h30m"],
        ["--timeout", "1.5h"],
        ["--open", "90s"],
        ["--reveal", "2d"],
        ["--memory", "1.5g"],
        ["--memory", "1.5GiB"],
        ["--memory", "512M"],
        ["--disk", "0.5g"],
        ["--disk", "100kb"],
        ["--cpus", ".5"],
    ] {
        let seen = submit(&user, &[&words[..], &["img", "true"]].concat());
        assert_eq!(seen.code, 124, "{words:?} is understood: {}", seen.stderr);
    }
    for (words, said) in [
        (["--timeout", "1h30"], "30 has no unit"),
        (["--timeout", "99999d"], "longer than 136 years"),
        (["--run", "soon"], "such as 90s, 5m, 1h30m or 1.5h"),
        (["--memory", "1.5"], "not a whole number of bytes"),
        (["--memory", "lots"], "such as 512m, 1.5g or 2GiB"),
        (["--disk", "99999999999g"], "does not fit into 64 bits"),
    ] {
        let seen = submit(&user, &[&words[..], &["img", "true"]].concat());
        assert_eq!(seen.code, 2, "{words:?}");
        assert!(seen.stderr.contains(said), "{words:?}: {}", seen.stderr);
    }
}

#[test]
fn a_command_needs_no_dashes_before_it_and_an_option_after_the_image_is_not_guessed_at() {
    let user = user();
    for words in [
        &["img", "echo", "hi"][..],
        &["img", "ls", "-l", "--all"],
        &["--concurrency", "3", "img", "sh", "-c", "true", "--", "x"],
        &["img", "--concurrency", "3", "--", "echo", "hi"],
    ] {
        assert_eq!(submit(&user, words).code, 124, "{words:?}");
    }
    check("option_after_image", &submit(&user, &["img", "--concurrency", "3", "echo", "hi"]));
    check("commands_of_others", &user.run(&["run", "img"]));
}

#[test]
fn help_is_asked_for_in_every_usual_way() {
    let user = user();
    for words in [
        &["help"][..],
        &["--help"],
        &["help", "job", "submit"],
        &["job", "help", "wait"],
        &["job", "submit", "img", "--help"],
    ] {
        let seen = user.run(words);
        assert_eq!(seen.code, 0, "{words:?}: {}", seen.stderr);
        assert!(seen.stdout.contains("Usage: assay"), "{words:?}: {}", seen.stdout);
    }
    // A command is missing: what there is goes to standard error, since nothing was done.
    for words in [&[][..], &["job"], &["wallet"]] {
        let seen = user.run(words);
        assert_eq!((seen.code, seen.stdout.as_str()), (2, ""), "{words:?}");
        assert!(seen.stderr.contains("Commands:"), "{words:?}: {}", seen.stderr);
    }
}

#[test]
fn the_environment_comes_from_files_and_from_the_users_own() {
    let mut user = user();
    user.set.push(("MINE", "here".to_owned()));
    fs::write(user.home.path().join("good"), "# comment\n\nA=1\nMINE\nNOT_SET\n").unwrap();
    let seen = submit(&user, &["--env-file", "good", "-e", "MINE", "-e", "GONE", "img"]);
    assert_eq!(seen.code, 124, "{}", seen.stderr);
    for name in ["NOT_SET", "GONE"] {
        assert!(
            seen.stderr
                .contains(&format!("{name} is not set in your environment, so the job does not get it")),
            "{}",
            seen.stderr
        );
    }
    assert!(!seen.stderr.contains("MINE"), "{}", seen.stderr);
    fs::write(user.home.path().join("bad"), "A=1\nexport B=2\n").unwrap();
    check("bad_env_file", &submit(&user, &["--env-file", "bad", "img"]));
    check("no_env_file", &submit(&user, &["--env-file", "nowhere", "img"]));
}

#[test]
fn what_looks_like_a_secret_is_warned_of_and_never_shown() {
    let mut user = user();
    let value = "hunter2-0123456789";
    user.set.push(("GITHUB_TOKEN", value.to_owned()));
    let file = format!("DB_PASSWORD={value}\nURL=postgres://me:{value}@db\n");
    fs::write(user.home.path().join("env"), file).unwrap();
    let password = format!("--password={value}");
    let words = ["--env-file", "env", "-e", "GITHUB_TOKEN", "-e", "SEED=7", "img", "run", &password];
    // Also where little else is said, since what was sent cannot be taken back.
    for quiet in [&["--quiet"][..], &[]] {
        let seen = submit(&user, &[quiet, &words].concat());
        let first = seen.stderr.lines().next().unwrap();
        for name in ["DB_PASSWORD", "GITHUB_TOKEN", "the variable URL", "--password in the command"] {
            assert!(first.starts_with("warning: ") && first.contains(name), "{name}: {}", seen.stderr);
        }
        assert!(!seen.stderr.contains(value) && !seen.stderr.contains("SEED"), "{}", seen.stderr);
        assert_eq!(seen.code, 124, "it is sent all the same");
    }
    let innocent = submit(&user, &["-e", "SEED=7", "img", "sort", "--key", "2"]);
    assert!(!innocent.stderr.contains("warning"), "{}", innocent.stderr);
}

#[test]
fn errors_are_one_line_of_json_where_that_is_the_form() {
    let user = user();
    let refused = |words: &[&str], code: i32| {
        let seen = user.run(words);
        assert_eq!((seen.code, seen.stdout.as_str()), (code, ""), "{words:?}: {}", seen.stderr);
        let error = error(&seen);
        assert_eq!((&error["version"], &error["code"]), (&1.into(), &code.into()), "{words:?}");
        assert!(error["error"].is_string() && error["because"].is_array(), "{error}");
        assert!(error["hint"].is_string(), "{words:?}: {error}");
        error
    };
    // Of a node, before a node is asked, of clap, and before a command starts.
    let away = refused(&["job", "list", "-o", "json"], 124);
    assert!(away["because"][0].as_str().unwrap().contains("127.0.0.1:9"), "{away}");
    let deal = refused(&["-o", "json", "job", "submit", "--concurrency", "0", "img"], 2);
    assert!(deal["hint"].as_str().unwrap().contains("--concurrency"), "{deal}");
    let unknown = refused(&["job", "list", "--output=json", "--nonsense"], 2);
    assert_eq!(unknown["error"], "unexpected argument '--nonsense' found");
    refused(&["-ojson", "job"], 2);
    let meant = refused(&["run", "img", "-o", "json"], 2);
    assert!(meant["hint"].as_str().unwrap().contains("assay job submit"), "{meant}");
    refused(&["job", "submit", "-o", "json", "img", "--detach"], 2);
    refused(&["job", "list", "-o", "json", "--log", "assay=nonsense"], 2);
    refused(&["verdict", "check", "-o", "json", "--file", "nowhere"], 125)["error"].as_str().unwrap();
    refused(&["wallet", "show", "-o", "json"], 2);
}

#[test]
fn a_dry_run_asks_no_node_and_says_what_the_job_costs_and_when_lying_pays() {
    let user = User::new();
    let words = ["--price", "1ether", "--deterministic", "--seeded", "img:1", "echo", "hi"];
    let seen = user.run(&[&["job", "submit", "--dry-run"], &words[..]].concat());
    assert_eq!((seen.code, seen.stderr.as_str()), (0, "nothing was submitted\n"));
    for said in [
        "3 nodes run it, 2 must agree",
        "at most 3 ether; what is not paid out returns",
        "runs nothing loses 100 % of its pay and 100 % of its bond: it pays for work worth more than 2 ether",
        "has the majority in 10.40 % of such jobs",
    ] {
        assert!(seen.stdout.contains(said), "{said}: {}", seen.stdout);
    }
    assert_eq!(user.run(&["job", "submit", "--dry-run", "--concurrency", "0", "img:1"]).code, 2);
}
