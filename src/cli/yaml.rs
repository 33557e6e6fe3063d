//! Documents in YAML, in block style. A text stands without quotes only where no parser, of YAML 1.1 or 1.2, reads anything
//! else into it.

use serde_json::Value;

use crate::escape;

/// Words that are values of their own in some version of YAML.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// The document, with a final line end.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

/// Writes a value: below its key or dash, indented by `depth` levels, or behind it.
fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(pairs) if !pairs.is_empty() => {
            for (key, value) in pairs {
                let end = if is_nested(value) { ":\n" } else { ": " };
                text.push_str(&("  ".repeat(depth) + &scalar(key) + end));
                write(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut below = String::new();
                write(&mut below, item, depth + 1);
                text.push_str(&("  ".repeat(depth) + "- " + below.trim_start_matches(' ')));
            }
        }
        Value::Object(_) => text.push_str("{}\n"),
        Value::Array(_) => text.push_str("[]\n"),
        Value::String(string) => text.push_str(&(scalar(string) + "\n")),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&(value.to_string() + "\n")),
    }
}

/// Whether a value takes lines of its own.
fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(pairs) => !pairs.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A text, in quotes unless it is plain in every version of YAML.
fn scalar(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || " _-./@+=:".contains(char);
    let is_text = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/')
        && text.chars().all(is_plain)
        && !text.ends_with([':', ' '])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if is_text { text.to_owned() } else { escape::yaml(&Value::from(text).to_string()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use saphyr_parser::{Event, Parser, ScalarStyle};
    use serde_json::{Map, Number, json};

    use super::*;

    /// The value of a document, as a parser of YAML 1.2 reads it.
    fn read(text: &str) -> Value {
        let mut parser = Parser::new_from_str(text);
        let mut events = std::iter::from_fn(|| Some(parser.next_event()?.unwrap().0));
        let is_content = |event: &Event<'_>| {
            !matches!(event, Event::StreamStart | Event::DocumentStart(_) | Event::Nothing)
        };
        let first = events.find(is_content).unwrap();
        value(first, &mut events)
    }

    fn value<'a>(event: Event<'a>, events: &mut impl Iterator<Item = Event<'a>>) -> Value {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => match text.as_ref() {
                "null" => Value::Null,
                "true" => true.into(),
                "false" => false.into(),
                plain => plain.parse::<Number>().map_or_else(|_| plain.into(), Value::Number),
            },
            Event::Scalar(text, ..) => text.as_ref().into(),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match events.next().unwrap() {
                        Event::SequenceEnd => return items.into(),
                        item => items.push(value(item, events)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut pairs = Map::new();
                loop {
                    match events.next().unwrap() {
                        Event::MappingEnd => return pairs.into(),
                        Event::Scalar(key, ..) => {
                            let key = key.into_owned();
                            let next = events.next().unwrap();
                            pairs.insert(key, value(next, events));
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_document_reads_as_people_write_it() {
        let value = json!({"job": "0x1a", "image": "assay/demo:1", "seats": [{"node": "ab", "exit": 0}, []], "why": null, "none": {}});
        assert_eq!(
            document(&value),
            "image: assay/demo:1\njob: \"0x1a\"\nnone: {}\nseats:\n  - exit: 0\n    node: ab\n  - []\nwhy: null\n"
        );
    }

    #[test]
    fn what_could_be_read_as_something_else_is_quoted() {
        for text in [
            "true",
            "No",
            "~",
            "",
            "1.10",
            "0x10",
            "1:30",
            "a: b",
            "a:",
            " a",
            "a #b",
            "- a",
            "2026-01-31",
            "*x",
            "a\n",
        ] {
            assert!(scalar(text).starts_with('"'), "{text}");
            assert_eq!(read(&document(&json!([text]))), json!([text]));
        }
        for text in ["echo hello", "assay/demo:1", "/outputs", "sha256:00ff", "A=b"] {
            assert_eq!(scalar(text), text);
        }
    }

    #[test]
    fn nothing_foreign_steers_a_terminal() {
        let text = "\u{1b}[2J\u{9b}\u{202e}\u{e0041}é";
        let written = document(&json!({"x": text}));
        assert_eq!(written, "x: \"\\u001b[2J\\u009b\\u202e\\U000e0041é\"\n");
        assert_eq!(read(&written), json!({"x": text}));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z:{}\\[\\],&*!|>'\"#~ \\n\\t-]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z0-9:# _-]{0,8}", inner, 0..4)
                    .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_means_the_same_as_its_json(value in any_value()) {
            prop_assert_eq!(read(&document(&value)), value);
        }
    }
}
