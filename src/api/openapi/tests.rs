use std::{collections::BTreeSet, env, fs, path::Path};

use regex::Regex;

use super::*;
use crate::api::{
    server::{ALIVE, HEALTH, METRICS, READY, V1},
    tickets::{ISSUE, REDEEM},
};

fn document() -> Value {
    serde_json::from_str(&DOCUMENT).unwrap()
}

/// Methods and paths of a document.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| -> Vec<_> {
        item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect()
    };
    paths.iter().flat_map(of).collect()
}

/// Methods and paths of the routes that a source file adds.
fn routed(source: &str) -> BTreeSet<(String, String)> {
    let method = Regex::new(r"\b(get|post|put|patch|delete|head|any)\(").unwrap();
    let code = source.split("#[cfg(test)]").next().unwrap();
    let mut found = BTreeSet::new();
    for route in code.split(".route(").skip(1) {
        let mut depth = 0;
        let end = route.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth < 0
        });
        let (path, handlers) = route[..end.unwrap()].split_once(',').unwrap();
        let path = match path.trim() {
            "HEALTH" => HEALTH.to_owned(),
            "ALIVE" => ALIVE.to_owned(),
            "READY" => READY.to_owned(),
            "METRICS" => METRICS.to_owned(),
            "openapi::PATH" => PATH.to_owned(),
            "&format!(\"{V1}{ISSUE}\")" => format!("{V1}{ISSUE}"),
            "&format!(\"{V1}{REDEEM}\")" => format!("{V1}{REDEEM}"),
            literal => format!("{V1}{}", literal.strip_prefix('"').unwrap().strip_suffix('"').unwrap()),
        };
        found.extend(method.captures_iter(handlers).map(|method| (method[1].to_owned(), path.clone())));
    }
    found
}

#[test]
fn every_route_is_in_the_document_and_nothing_else() {
    let sources =
        [include_str!("../server.rs"), include_str!("../listening.rs"), include_str!("../sessions.rs")];
    let routes: BTreeSet<_> = sources.into_iter().flat_map(routed).collect();
    assert!(routes.len() > 30, "{routes:?}");
    assert_eq!(documented(&document()), routes);
}

#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &*DOCUMENT).unwrap();
    }
    let shipped = fs::read_to_string(&path).unwrap_or_default();
    assert!(shipped == *DOCUMENT, "docs/openapi.json is stale: run this test once with UPDATE_OPENAPI=1");
}

#[test]
fn every_operation_has_its_own_name_and_says_what_it_does_and_how_it_fails() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{at}");
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{at}");
            for class in ["4XX", "5XX"] {
                let form = &operation["responses"][class]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(form, "#/components/schemas/ErrorReply", "{at}");
            }
            let asked: Vec<&str> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let named: Vec<&str> =
                path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
            assert_eq!(asked.iter().collect::<BTreeSet<_>>(), named.iter().collect::<BTreeSet<_>>(), "{at}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_text_links_to_code() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    let place = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(place).is_some(), "{reference}");
                }
                fields.values().for_each(|field| check(field, document));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document)),
            Value::String(text) => assert!(!text.contains("[`") && !text.contains("crate::"), "{text}"),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn links_become_plain_names() {
    for (text, plain) in [
        ("no link", "no link"),
        ("by a [`JobFilter`].", "by a `JobFilter`."),
        ("the new [`Deal`](crate::domain::Deal), and [`X`] (so)", "the new `Deal`, and `X` (so)"),
        ("[`open", "`open"),
    ] {
        assert_eq!(unlinked(text), plain);
    }
}
