//! Which file imports which, as far as their text tells, and whether that ever leads back.

use std::collections::{BTreeMap, BTreeSet};

/// A module, from the root of the crate down.
type Module = Vec<String>;

/// One file: its module, what it names elsewhere, and what it hands on under which name.
struct File {
    module: Module,
    named: Vec<Vec<String>>,
    handed_on: BTreeMap<String, Vec<String>>,
}

/// The imports that lead in circles. A module may import its own children, which import it: they are parts of it.
pub(crate) fn circles<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let files: Vec<File> = sources.into_iter().map(|(path, code)| File::read(path, code)).collect();
    let by_module: BTreeMap<&Module, &File> = files.iter().map(|file| (&file.module, file)).collect();
    let mut imports: BTreeSet<(Module, Module)> = BTreeSet::new();
    for file in &files {
        for path in &file.named {
            let Some(found) = resolve(&by_module, &file.module, path, 0) else { continue };
            if !found.starts_with(&file.module) {
                imports.insert((file.module.clone(), found));
            }
        }
    }
    // What imports nothing, or is imported by nothing, is in no circle, and what is then left is one.
    loop {
        let (from, to): (BTreeSet<Module>, BTreeSet<Module>) = imports.iter().cloned().unzip();
        let before = imports.len();
        imports.retain(|(importer, imported)| to.contains(importer) && from.contains(imported));
        if imports.len() == before {
            break;
        }
    }
    imports.iter().map(|(from, to)| format!("{} imports {}", from.join("/"), to.join("/"))).collect()
}

/// The file that defines what `path` names in `module`.
fn resolve(
    files: &BTreeMap<&Module, &File>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    let mut at = module.clone();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => (at, rest) = (Module::new(), &path[1..]),
        Some("self") => rest = &path[1..],
        Some("super") => {
            while let Some(("super", after)) =
                rest.split_first().map(|(first, after)| (first.as_str(), after))
            {
                at.pop();
                rest = after;
            }
        }
        Some(first) if files.contains_key(&[&at[..], &[first.to_owned()]].concat()) => {}
        Some(_) | None => return None,
    }
    while let Some((first, after)) = rest.split_first() {
        let below = [&at[..], std::slice::from_ref(first)].concat();
        if !files.contains_key(&below) {
            break;
        }
        (at, rest) = (below, after);
    }
    let file = files.get(&at)?;
    if let Some((name, after)) = rest.split_first()
        && let Some(source) = file.handed_on.get(name)
        && depth < 8
    {
        let source = [&source[..], after].concat();
        return resolve(files, &at, &source, depth + 1).or(Some(at));
    }
    Some(at)
}

impl File {
    fn read(path: &str, code: &str) -> Self {
        let module = path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Module = module.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
            module.pop();
        }
        let mut file = Self { module, named: Vec::new(), handed_on: BTreeMap::new() };
        let mut rest = String::new();
        let mut statement: Option<String> = None;
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let start = line.trim_start();
            let is_use = start.split_once("use ").is_some_and(|(before, _)| {
                before.is_empty() || before == "pub " || before.starts_with("pub(") && before.ends_with(") ")
            });
            if statement.is_none() && !is_use {
                rest.push_str(line);
                rest.push('\n');
                continue;
            }
            let text = statement.get_or_insert_with(String::new);
            text.push_str(line);
            if let Some(whole) = text.trim().strip_suffix(';') {
                let (before, tree) = whole.split_once("use ").unwrap_or_default();
                let mut paths = Vec::new();
                tree_paths(&[], tree, &mut paths);
                for (path, name) in paths {
                    if !before.is_empty() {
                        file.handed_on.insert(name, path.clone());
                    }
                    file.named.push(path);
                }
                statement = None;
            }
        }
        file.named
            .extend(["crate::", "super::", "self::"].iter().flat_map(|start| inline_paths(&rest, start)));
        file
    }
}

/// The paths of a `use`, each with the name that it gets here.
fn tree_paths(before: &[String], tree: &str, found: &mut Vec<(Vec<String>, String)>) {
    let words = |text: &str| -> Vec<String> {
        text.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    if let Some((head, body)) = tree.split_once('{') {
        let head = [before, &words(head)].concat();
        let body = body.trim_end();
        let body = body.strip_suffix('}').unwrap_or(body);
        let (mut depth, mut part) = (0, String::new());
        for character in body.chars().chain([',']) {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if character == ',' && depth == 0 {
                if !part.trim().is_empty() {
                    tree_paths(&head, &part, found);
                }
                part.clear();
            } else {
                part.push(character);
            }
        }
        return;
    }
    let (path, alias) =
        tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path = [before, &words(path)].concat();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
    found.push((path, name));
}

/// The paths that code names where it uses them.
fn inline_paths(code: &str, start: &str) -> Vec<Vec<String>> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let found =
        code.match_indices(start).filter(|(at, _)| !code[..*at].ends_with(|c| is_word(c) || c == ':'));
    let path = |(at, _): (usize, &str)| {
        let end = code[at..].find(|c| !is_word(c) && c != ':').map_or(code.len(), |length| at + length);
        code[at..end].split("::").filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    found.map(path).collect()
}

#[test]
fn a_circle_is_found_through_names_that_are_handed_on_and_a_module_with_its_parts_is_none() {
    let tree = [
        ("src/a/mod.rs", "mod one;\nmod two;\npub use two::{Two, parts::Part as Piece};\n"),
        ("src/a/one.rs", "use super::{\n    // The type.\n    Two,\n};\n"),
        ("src/a/two.rs", "mod parts;\nuse parts::Part;\n"),
        ("src/a/two/parts.rs", "use super::Two;\n"),
    ];
    assert_eq!(circles(tree), Vec::<String>::new());
    let back = |code| {
        circles(tree.into_iter().chain([("src/a/three.rs", "use super::one::One;"), ("src/a/one.rs", code)]))
    };
    for code in
        ["use crate::a::three::{Three};", "fn f() { super::three::g() }", "use super::{three::{self}};"]
    {
        assert_eq!(back(code), ["a/one imports a/three", "a/three imports a/one"], "{code}");
    }
    let parts = ("src/a/two/parts.rs", "use crate::a::one::One;\nuse super::Two;");
    let long = circles(tree.into_iter().take(3).chain([parts, ("src/a/one.rs", "use super::Piece;")]));
    assert_eq!(long, ["a/one imports a/two/parts", "a/two/parts imports a/one"]);
}
