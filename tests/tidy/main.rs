//! The invariants of ARCHITECTURE.md that a reader of the source can check.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod figures;
mod imports;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Longest file, in lines before its tests.
const MAX_LINES: usize = 500;

/// The contract's interface, the one file that may be longer. The bindings in Rust are made from it at compile time, and
/// that macro follows neither imports nor inheritance; an ABI in JSON has no names for the values of enums.
const WHOLE_INTERFACE: &str = "contracts/src/IJobScheduler.sol";

/// Layers that are functions of values.
const PURE: [&str; 4] = ["domain", "rules", "verdict", "policy"];

/// What each layer may import from the crate. `cli`, `devstack` and `main.rs` may import everything.
const IMPORTS: [(&str, &[&str]); 14] = [
    ("domain", &[]),
    ("verdict", &["domain"]),
    ("rules", &["domain", "verdict"]),
    ("policy", &["domain", "rules", "verdict"]),
    ("identity", &["domain"]),
    ("store", &["domain", "identity"]),
    ("executor", &["domain"]),
    ("network", &["domain", "identity"]),
    ("scheduler", &["domain", "rules", "identity", "store", "network"]),
    ("audit", &["domain", "rules", "identity", "scheduler"]),
    ("sim", &["domain", "rules", "policy", "identity", "scheduler"]),
    (
        "node",
        &["domain", "rules", "verdict", "policy", "identity", "store", "executor", "network", "scheduler"],
    ),
    ("api", &["domain", "rules", "verdict", "store", "executor", "scheduler", "node"]),
    ("assembly", &["domain", "identity", "store", "executor", "network", "scheduler", "node", "api"]),
];

/// Layers that may import everything.
const OUTERMOST: [&str; 4] = ["cli", "devstack", "lib", "main"];

/// Modules that belong to no layer and import none: anybody may use them.
const APART: [&str; 5] = ["escape", "explain", "scope", "telemetry", "tls"];

struct Source {
    path: String,
    layer: String,
    /// Everything before the tests that end it.
    code: String,
    is_test: bool,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources: Vec<Source> = files(&root.join("src"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let layer = path.split('/').nth(1).unwrap().trim_end_matches(".rs").to_owned();
            let code = before_tests(&text).to_owned();
            let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
            Source { path, layer, code, is_test }
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "the sources are not where this test looks");
    sources
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Cuts off a block of tests at the end; a line that only declares a module for tests hides nothing below it.
fn before_tests(text: &str) -> &str {
    let mut marks = text.match_indices("#[cfg(test)]\n").map(|(at, mark)| (at, &text[at + mark.len()..]));
    let block = marks.find(|(_, rest)| !rest.lines().next().unwrap_or_default().ends_with(';'));
    block.map_or(text, |(at, _)| &text[..at])
}

/// Lines of code, without comments, with their place.
fn lines(source: &Source) -> impl Iterator<Item = (String, &str)> {
    let numbered = source.code.lines().enumerate();
    let code = numbered.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.map(|(number, line)| (format!("{}:{}", source.path, number + 1), line))
}

/// Asserts that a rule about these words is about something: code that is renamed would slip from under it.
fn all_occur(words: &[&str], sources: &[Source]) {
    let occurs = |word: &str| sources.iter().any(|source| lines(source).any(|(_, line)| line.contains(word)));
    let missing: Vec<&str> = words.iter().copied().filter(|word| !occurs(word)).collect();
    assert!(missing.is_empty(), "no code has {missing:?}: what are they called now?");
}

fn nothing(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test) {
        if !source.code.starts_with("//!") {
            found.push(format!("{} does not begin with its documentation", source.path));
        }
        let length = source.code.lines().count();
        if length > MAX_LINES {
            found.push(format!("{} has {length} lines before its tests", source.path));
        }
    }
    nothing(&found, "a file has one subject, said in its first line");
}

#[test]
fn tests_contracts_and_examples_stay_short_too() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "tests", "benches", "examples", "contracts/src", "contracts/test"];
    let of_code = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs" || end == "sol");
    let (mut found, mut seen) = (Vec::new(), 0);
    for path in folders.iter().flat_map(|folder| files(&root.join(folder))).filter(of_code) {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap();
        // The test above counts the lines of a source that ends with its tests.
        let counted = if path.starts_with("src/") { &text[before_tests(&text).len()..] } else { &text };
        let length = counted.lines().count();
        seen += 1;
        if length > MAX_LINES && path != WHOLE_INTERFACE {
            found.push(format!("{path} has {length} lines"));
        }
    }
    assert!(seen > 500, "{seen} files: the folders are not where this test looks");
    nothing(&found, "a file has one subject");
}

/// `cargo test` runs them.
#[test]
fn every_module_shows_on_its_front_page_how_it_is_used() {
    let fronts: Vec<Source> = sources()
        .into_iter()
        .filter(|source| {
            let place = source.path.trim_start_matches("src/").trim_end_matches(".rs");
            place == "lib"
                || place == source.layer && place != "main"
                || place == format!("{}/mod", source.layer)
        })
        .collect();
    assert_eq!(fronts.len(), IMPORTS.len() + OUTERMOST.len() + APART.len() - 1, "all but `main`");
    let without = fronts.iter().filter(|front| !front.code.contains("//! ```\n"));
    let found: Vec<String> = without.map(|front| front.path.clone()).collect();
    nothing(&found, "the front page of a module has a snippet that runs");
}

#[test]
fn layers_import_only_what_lies_below_them() {
    let layers: BTreeSet<&str> = IMPORTS.iter().map(|(layer, _)| *layer).chain(OUTERMOST).collect();
    let mut found = Vec::new();
    for source in &sources() {
        let Some((_, allowed)) = IMPORTS.iter().find(|(layer, _)| *layer == source.layer) else { continue };
        for other in named_layers(source) {
            if layers.contains(&*other) && other != source.layer && !allowed.contains(&&*other) {
                found.push(format!("{}: {} imports {other}", source.path, source.layer));
            }
        }
    }
    nothing(&found, "a layer imports only what lies below it");
}

#[test]
fn imports_never_lead_in_circles() {
    let sources = sources();
    let files = sources.iter().filter(|source| !source.is_test);
    let found = imports::circles(files.map(|source| (source.path.as_str(), source.code.as_str())));
    nothing(&found, "what two files both need is in a third");
}

/// Each top-level module has its place in the order of the layers, so that a new one cannot go unchecked.
#[test]
fn every_layer_has_its_place() {
    let placed = IMPORTS.iter().map(|(layer, _)| *layer).chain(OUTERMOST).chain(APART);
    let found: BTreeSet<String> = sources().into_iter().map(|source| source.layer).collect();
    assert_eq!(found, placed.map(str::to_owned).collect());
    assert!(PURE.iter().all(|layer| IMPORTS.iter().any(|(placed, _)| placed == layer)));
}

/// What follows `crate::` anywhere in the code, alone or first in a path inside its braces.
fn named_layers(source: &Source) -> BTreeSet<String> {
    let code: String = lines(source).flat_map(|(_, line)| [line, "\n"]).collect();
    let mut named = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        let (mut depth, mut word, mut in_path) = (0, String::new(), false);
        for character in path.chars() {
            if character.is_alphanumeric() || character == '_' {
                word.push(character);
                continue;
            }
            if !word.is_empty() && !in_path {
                named.insert(word.clone());
                in_path = true;
            }
            word.clear();
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => in_path = false,
                _ => {}
            }
            if depth <= 0 {
                break;
            }
        }
    }
    named
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let code = "use crate::{domain::{Job, spec::Spec}, rules};\nuse crate::store;\nfn f() { crate::node::g() }\n\
                #[cfg(test)]\nmod tests;\nuse crate::{\n    // crate::api\n    policy,\n    cli::Args,\n};\n\
                #[cfg(test)]\nmod more {\n    use crate::executor;\n}\n";
    let source = Source {
        path: String::new(),
        layer: String::new(),
        code: before_tests(code).to_owned(),
        is_test: false,
    };
    let expected = ["cli", "domain", "node", "policy", "rules", "store"].map(str::to_owned);
    assert_eq!(named_layers(&source), BTreeSet::from(expected));
}

#[test]
fn the_heart_has_no_clock_no_chance_no_input_and_no_floats() {
    let banned = [
        "tokio",
        "std::time",
        "SystemTime",
        "Instant",
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "rand::",
        "getrandom",
        "HashMap",
        "HashSet",
        "f32",
        "f64",
        "println!",
        "tracing",
    ];
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.layer.as_str()) && !source.is_test) {
        for (place, line) in lines(source) {
            let words = banned.iter().filter(|word| line.contains(*word));
            found.extend(words.map(|word| format!("{place}: {word}")));
        }
    }
    nothing(&found, "domain, rules, verdict and policy are functions of values");
}

#[test]
fn only_the_rules_change_a_job() {
    let (sources, setters) = (sources(), ["record_mut(", "from_record("]);
    let changes = |source: &Source| -> Vec<String> {
        let calls = lines(source).filter(|(_, line)| setters.iter().any(|setter| line.contains(setter)));
        calls.map(|(place, _)| place).collect()
    };
    all_occur(&setters, &sources);
    // The file that has the setters is the one that defines them, wherever it is.
    let defines =
        |source: &Source| lines(source).any(|(_, line)| line.contains(&format!("fn {}", setters[0])));
    assert_eq!(sources.iter().filter(|source| defines(source)).count(), 1, "one file defines the setters");
    let others = sources.iter().filter(|source| source.layer != "rules" && !defines(source));
    let found: Vec<String> = others.flat_map(changes).collect();
    nothing(&found, "a job changes in `rules` alone");
}

#[test]
fn only_the_outermost_layers_name_a_backend_or_an_executor() {
    let concrete = ["scheduler::local", "scheduler::libp2p", "scheduler::contract", "DockerExecutor"];
    // The auditor knows how each backend proves its log: that is its subject.
    let free = ["audit", "assembly", "cli", "devstack", "main", "sim"];
    let sources = sources();
    let defined = ["pub mod local", "pub mod libp2p", "pub mod contract", "pub struct DockerExecutor"];
    all_occur(&defined, &sources);
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !free.contains(&source.layer.as_str()) && !source.is_test) {
        let owned = |name: &&&str| !(source.layer == "executor" && **name == "DockerExecutor");
        for (place, line) in lines(source) {
            found.extend(
                concrete
                    .iter()
                    .filter(owned)
                    .filter(|name| line.contains(**name))
                    .map(|name| format!("{place}: {name}")),
            );
        }
    }
    nothing(&found, "a node is handed its backend and its executor");
}

#[test]
fn a_backend_does_not_know_the_others() {
    let (backends, sources) = (["local", "libp2p", "contract"], sources());
    let implements = |backend: &str| {
        let of_backend = |source: &&Source| {
            let rest = source.path.strip_prefix(&format!("src/scheduler/{backend}"));
            rest.is_some_and(|rest| rest.starts_with(['/', '.']))
        };
        let mut own = sources.iter().filter(of_backend);
        own.any(|source| lines(source).any(|(_, line)| line.contains("impl Scheduler for")))
    };
    let other =
        sources.iter().filter(|source| source.layer == "scheduler" && !source.is_test).any(|source| {
            let named =
                backends.iter().any(|backend| source.path.starts_with(&format!("src/scheduler/{backend}")));
            !named && lines(source).any(|(_, line)| line.contains("impl Scheduler for"))
        });
    assert!(backends.into_iter().all(implements) && !other, "the backends are {backends:?}");
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.layer == "scheduler" && !source.is_test) {
        let own =
            source.path.trim_start_matches("src/scheduler/").split(['/', '.']).next().unwrap_or_default();
        for other in backends.iter().filter(|other| backends.contains(&own) && **other != own) {
            let named = lines(source).filter(|(_, line)| {
                line.contains(&format!("super::{other}")) || line.contains(&format!("scheduler::{other}"))
            });
            found.extend(named.map(|(place, _)| format!("{place}: {own} names {other}")));
        }
    }
    nothing(&found, "backends never import each other");
}

#[test]
fn no_marks_are_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let marks = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!("];
    let folders = ["src", "scripts", "benches"].map(|folder| root.join(folder));
    let mut found = Vec::new();
    for path in folders.iter().filter(|folder| folder.exists()).flat_map(|folder| files(folder)) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        found.extend(
            marks
                .iter()
                .filter(|mark| text.contains(*mark))
                .map(|mark| format!("{}: {mark}", path.display())),
        );
    }
    nothing(&found, "what is not done is an issue, not a mark");
}
