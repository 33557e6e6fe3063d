//! Text outputs in the one form that right runs share: masks for what differs between any two runs.
//!
//! A mask replaces each match of its pattern, found from left to right, by a tag; what has the form of another kind is passed
//! over, since it may not be named. The patterns are ASCII and are the specification, with `tests/vectors/canonical.json`; `docs/verification.md` lists them.

use std::{borrow::Cow, sync::LazyLock};

use regex::bytes::{Captures, Regex};

use crate::domain::{Canonical, Mask};

/// Longest text that is masked, in bytes; a longer one is compared as it is.
pub const MAX_TEXT_BYTES: u64 = 16 << 20;

const UUIDS: (&str, &[u8]) =
    (r"\b[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\b", b"<uuid>");

/// A date with or without a time, as ISO 8601, RFC 2822 and `date` write it; a time of day; seconds or milliseconds since
/// 1970 in this century; a number with a unit of time.
const TIMES: (&str, &[u8]) = (
    concat!(
        r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?\b",
        r"|\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?",
        r"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +[0-9]{1,2}",
        r"|[0-9]{1,2} +(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +[0-9]{4})",
        r" +[0-9]{2}:[0-9]{2}:[0-9]{2}(?: +(?:[A-Z]{3,4}|[+-][0-9]{4}))?(?: +[0-9]{4})?\b",
        r"|\b[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]+)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?\b",
        r"|\b1[0-9]{9}(?:\.[0-9]+|[0-9]{3})?\b",
        r"|\b[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s| (?:ms|s|secs?|seconds?|mins?|minutes?|hours?))\b",
    ),
    b"<time>",
);

/// A short container id, an IPv4 address; besides, a [`HARDWARE`] address.
const HOSTS: (&str, &[u8]) = (concat!(r"\b[0-9a-f]{12}\b", r"|\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"), b"<host>");

/// A hardware address, whose first half may look like a time of day.
const HARDWARE: &str = r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b";

/// Twelve decimal digits are a number: of container ids, one in 281 looks like that.
const NUMBER: &str = r"\b[0-9]{12}\b";

/// The number in `name[123]` and in `pid 123`, `pid=123`, `PID: 123`.
const PIDS: (&str, &[u8]) = (r"(\b[A-Za-z0-9_.-]+\[|\b(?:pid|PID|Pid)(?:=|: ?| ))[0-9]+\b", b"${1}<pid>");

static MASKS: LazyLock<[(Mask, Regex, &[u8]); 4]> = LazyLock::new(|| {
    let mask = |mask, pattern: &str, tag: &'static [u8]| {
        let pattern = format!("(?-u:{pattern})");
        (mask, Regex::new(&pattern).expect("a constant, which a test compiles"), tag)
    };
    let hosts = format!("(?<other>{}|{NUMBER})|{}|{HARDWARE}", UUIDS.0, HOSTS.0);
    let times = format!("(?<other>{HARDWARE})|{}", TIMES.0);
    [
        mask(Mask::Uuids, UUIDS.0, UUIDS.1),
        mask(Mask::Hosts, &hosts, HOSTS.1),
        mask(Mask::Times, &times, TIMES.1),
        mask(Mask::Pids, PIDS.0, PIDS.1),
    ]
});

/// What replaces a match: itself, where it has the form of another kind.
fn replaced(found: &Captures<'_>, tag: &[u8]) -> Vec<u8> {
    let mut form = Vec::new();
    found.expand(if found.name("other").is_some() { b"${0}" } else { tag }, &mut form);
    form
}

/// The form of `text` that is compared: the masks of `set` in the order uuids, hosts, times, pids, and then its lines in the
/// order of their bytes, if the set says so. A last line without an end gets one when lines are sorted.
pub fn canonical(set: Canonical, text: &[u8]) -> Vec<u8> {
    let mut text = Cow::Borrowed(text);
    for (_, pattern, tag) in MASKS.iter().filter(|(mask, ..)| set.contains(*mask)) {
        text =
            Cow::Owned(pattern.replace_all(&text, |found: &Captures<'_>| replaced(found, tag)).into_owned());
    }
    if !set.contains(Mask::SortedLines) {
        return text.into_owned();
    }
    let body = text.strip_suffix(b"\n").unwrap_or(&text);
    let mut lines: Vec<&[u8]> =
        if text.is_empty() { Vec::new() } else { body.split(|byte| *byte == b'\n').collect() };
    lines.sort_unstable();
    lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/canonical.json"));

    #[test]
    fn texts_have_the_form_that_the_vectors_say() {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        assert!(vectors.len() > 40);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            let found = canonical(text("canonical").parse().unwrap(), text("text").as_bytes());
            assert_eq!(String::from_utf8(found).unwrap(), text("form"), "{vector}");
        }
    }

    #[test]
    fn each_kind_is_masked_by_its_own_name_and_by_no_other() {
        let texts = [
            (Mask::Times, "10:06:27"),
            (Mask::Times, "2026-11-28T10:06:27Z"),
            (Mask::Times, "1764324387123"),
            (Mask::Uuids, "3f2a9c10-7d1e-4c55-9a55-1b2c3d4e5f60"),
            (Mask::Hosts, "0a1b2c3d4e5f"),
            (Mask::Hosts, "10.0.0.17"),
            (Mask::Hosts, "02:42:12:11:00:02"),
            (Mask::Pids, "cron[1234]"),
        ];
        for ((kind, text), mask) in texts.into_iter().flat_map(|text| Mask::ALL.map(|mask| (text, mask))) {
            let form = canonical(Canonical::from_bits(mask as u8), text.as_bytes());
            let is_touched = form.strip_suffix(b"\n").unwrap_or(&form) != text.as_bytes();
            assert_eq!(is_touched, mask == kind, "{text} by {}", mask.name());
        }
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form(bits in 0_u8..32, text in "[0-9a-f:. \\[\\]TZpid\n-]{0,80}") {
            let set = Canonical::from_bits(bits);
            let once = canonical(set, text.as_bytes());
            prop_assert_eq!(&canonical(set, &once), &once);
        }

        #[test]
        fn nothing_that_is_not_named_is_touched(text in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(canonical(Canonical::NONE, &text), text);
        }

        #[test]
        fn sorting_keeps_every_line(text in "[ab\n]{0,40}") {
            let sorted = canonical("sorted-lines".parse().unwrap(), text.as_bytes());
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            let sorted = String::from_utf8(sorted).unwrap();
            prop_assert_eq!(sorted.lines().collect::<Vec<_>>(), lines);
        }
    }
}
