//! The text of a job file: one mapping of keys to scalars, lists of scalars or mappings of scalars, in YAML 1.2 or JSON.
//!
//! A scalar keeps the text that stands in the file: `1.10` stays `1.10`, since no number is read. What YAML has beyond
//! that (tags, anchors, several documents) is refused, so a small file cannot become a large one.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// A key of the file with its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands, from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

/// The value of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Scalar>),
    Map(Vec<(String, Scalar)>),
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub(super) text: String,
    /// In quotes, so that it is neither `true` nor nothing.
    pub(super) is_quoted: bool,
}

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        !self.is_quoted && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        match self.text.as_str() {
            _ if self.is_quoted => None,
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }
}

/// What is wrong with the text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: String,
}

impl Problem {
    fn at(span: Span, what: &str) -> Self {
        Self { line: span.start.line(), what: what.to_owned() }
    }
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line(), what: error.info().to_owned() }
    }
}

/// Reads the keys of a file in their order.
///
/// # Errors
/// [`Problem`], if the text is not one mapping of that form, or has a key twice.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Problem> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    let (first, span) = reader.next()?;
    match first {
        Event::StreamEnd => return Ok(entries),
        Event::MappingStart(..) => {}
        _ => return Err(Problem::at(span, "expected keys with values, such as image: assay/demo:1")),
    }
    while let Some((key, span)) = reader.key()? {
        if !seen.insert(key.clone()) {
            return Err(Problem::at(span, &format!("the key {key} is there twice")));
        }
        let value = reader.value()?;
        entries.push(Entry { key, line: span.start.line(), value });
    }
    match reader.next()? {
        (Event::StreamEnd, _) => Ok(entries),
        (_, span) => Err(Problem::at(span, "expected one document")),
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Reader<'a> {
    /// The next event that carries content. The frames of stream and document are not told; a second document is told
    /// by its content.
    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        loop {
            let Some(event) = self.parser.next_event() else {
                return Ok((Event::StreamEnd, Span::default()));
            };
            let (event, span) = event?;
            let anchored = match &event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {
                    continue;
                }
                Event::Alias(_) => return Err(Problem::at(span, "aliases are not supported")),
                Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
                Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                    (*anchor, tag.is_some())
                }
                Event::StreamEnd | Event::SequenceEnd | Event::MappingEnd => (0, false),
            };
            return match anchored {
                (_, true) => Err(Problem::at(span, "tags are not supported")),
                (1.., _) => Err(Problem::at(span, "anchors are not supported")),
                (0, false) => Ok((event, span)),
            };
        }
    }

    /// The next key of a mapping; `None` at its end.
    fn key(&mut self) -> Result<Option<(String, Span)>, Problem> {
        match self.next()? {
            (Event::MappingEnd, _) => Ok(None),
            (Event::Scalar(key, ..), span) => Ok(Some((key.into_owned(), span))),
            (_, span) => Err(Problem::at(span, "expected a word as the key")),
        }
    }

    fn value(&mut self) -> Result<Value, Problem> {
        match self.next()? {
            (Event::Scalar(text, style, ..), _) => Ok(Value::Scalar(scalar(&text, style))),
            (Event::SequenceStart(..), _) => self.list().map(Value::List),
            (Event::MappingStart(..), _) => self.map().map(Value::Map),
            (_, span) => Err(Problem::at(span, "expected a value")),
        }
    }

    fn list(&mut self) -> Result<Vec<Scalar>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (Event::Scalar(text, style, ..), _) => items.push(scalar(&text, style)),
                (_, span) => return Err(Problem::at(span, "expected plain text in the list")),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(String, Scalar)>, Problem> {
        let mut pairs: Vec<(String, Scalar)> = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some((key, span)) = self.key()? {
            if !seen.insert(key.clone()) {
                return Err(Problem::at(span, &format!("the key {key} is there twice")));
            }
            match self.next()? {
                (Event::Scalar(text, style, ..), _) => pairs.push((key, scalar(&text, style))),
                (_, span) => return Err(Problem::at(span, "expected plain text after the key")),
            }
        }
        Ok(pairs)
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Scalar {
    Scalar { text: text.to_owned(), is_quoted: style != ScalarStyle::Plain }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), is_quoted: false }
    }

    fn quoted(text: &str) -> Scalar {
        Scalar { text: text.to_owned(), is_quoted: true }
    }

    #[test]
    fn scalars_keep_the_text_of_the_file() {
        let read = entries(
            "# a job\nimage: assay/demo:1\ncommand: [echo, 1.10, 0x10, yes, \"true\", 1:30, '']\n\
             env:\n  A: b\n  C: ~\n  'D E': \"~\"\nseeded: true\nopen:\n",
        );
        let entry = |key: &str, line, value| Entry { key: key.to_owned(), line, value };
        let command = ["echo", "1.10", "0x10", "yes"].map(plain).into_iter();
        let command = command.chain([quoted("true"), plain("1:30"), quoted("")]).collect();
        let pair = |key: &str, value| (key.to_owned(), value);
        assert_eq!(
            read.unwrap(),
            [
                entry("image", 2, Value::Scalar(plain("assay/demo:1"))),
                entry("command", 3, Value::List(command)),
                entry(
                    "env",
                    4,
                    Value::Map(vec![pair("A", plain("b")), pair("C", plain("~")), pair("D E", quoted("~"))])
                ),
                entry("seeded", 8, Value::Scalar(plain("true"))),
                entry("open", 9, Value::Scalar(plain(""))),
            ]
        );
    }

    #[test]
    fn json_is_read_too() {
        let read = entries("{\"image\": \"a\\u00e9\\n\",\n\t\"concurrency\": 3, \"allow\": []}").unwrap();
        assert_eq!(read[0].value, Value::Scalar(quoted("aé\n")));
        assert_eq!(read[1].value, Value::Scalar(plain("3")));
        assert_eq!(read[2].value, Value::List(vec![]));
    }

    #[test]
    fn a_quoted_word_is_text_and_nothing_else() {
        assert_eq!(plain("true").as_bool(), Some(true));
        assert_eq!(quoted("true").as_bool(), None);
        assert_eq!(plain("yes").as_bool(), None);
        assert!(plain("~").is_null() && plain("").is_null() && !quoted("").is_null());
    }

    #[test]
    fn what_is_no_plain_mapping_is_refused_with_its_line() {
        for (text, line, what) in [
            ("- a", 1, "expected keys with values, such as image: assay/demo:1"),
            ("just words", 1, "expected keys with values, such as image: assay/demo:1"),
            ("a: 1\na: 2", 2, "the key a is there twice"),
            ("env:\n  A: 1\n  A: 2", 3, "the key A is there twice"),
            ("a: &x 1", 1, "anchors are not supported"),
            ("a: &x [1]\nb: *x", 1, "anchors are not supported"),
            ("a: !!str 1", 1, "tags are not supported"),
            ("a: 1\n---\nb: 2", 3, "expected one document"),
            ("a: [[1]]", 1, "expected plain text in the list"),
            ("a: {b: {c: d}}", 1, "expected plain text after the key"),
            ("[a]: b", 1, "expected a word as the key"),
        ] {
            let problem = entries(text).unwrap_err();
            assert_eq!((problem.line, problem.what.as_str()), (line, what), "{text}");
        }
        for broken in ["a: [1", "a: \"x", "a: 1\n b: 2", "a: *x", "{a: 1"] {
            assert!(entries(broken).is_err(), "{broken}");
        }
        assert_eq!(entries("").unwrap(), []);
        assert_eq!(entries("# nothing\n").unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z:{}\\[\\],&*!|>'\"#~ \\n\\t-]{0,120}") {
            let _ = entries(&text);
        }
    }
}
