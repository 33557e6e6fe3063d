//! Patterns by which an operator names images and requesters.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 512;

/// A text in which each `*` stands for any characters, also none. Letters match in either case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// The text is empty, too long, or holds what no name has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {MAX_BYTES} printable characters without spaces, with * for any characters")]
pub struct ParsePatternError;

impl Pattern {
    /// Whether the whole text fits. Takes at most as many steps as pattern and text have characters, multiplied.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let mut parts = self.0.split('*');
        // A split text has one part at least.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // The leftmost fit leaves the most for the parts that follow.
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        (is_plain && text.len() <= MAX_BYTES)
            .then(|| Self(text.to_ascii_lowercase()))
            .ok_or(ParsePatternError)
    }
}

impl TryFrom<String> for Pattern {
    type Error = ParsePatternError;

    fn try_from(text: String) -> Result<Self, ParsePatternError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(text)
    }

    #[test]
    fn a_star_stands_for_any_characters_and_the_rest_for_itself() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "anything"),
            ("assay/*", "assay/demo"),
            ("assay/*", "assay/"),
            ("*/demo", "ghcr.io/me/demo"),
            ("ghcr.io/*/demo", "ghcr.io/me/x/demo"),
            ("a*b*c", "aXbYbZc"),
            ("0xAB*", "0xab01"),
            ("abab", "abab"),
            ("ab*ab", "abab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("assay/*", "assay"),
            ("assay", "assay/demo"),
            ("*/demo", "demo"),
            ("ab*ab", "ab"),
            ("ab*ab", "aab"),
            ("a*b*c", "acb"),
            ("demo?", "demo1"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn what_no_name_has_is_no_pattern() {
        for bad in ["", "a b", "a\n", "ä", &"x".repeat(MAX_BYTES + 1)] {
            assert_eq!(bad.parse::<Pattern>(), Err(ParsePatternError), "{bad:?}");
        }
    }

    /// As plain as can be: a star takes nothing, or one character and stays.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', after)), None) => naive(after, text),
            (Some((b'*', after)), Some((_, rest))) => naive(after, text) || naive(pattern, rest),
            (Some((first, after)), Some((char, rest))) => first == char && naive(after, rest),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_the_plain_definition_does(pattern in "[ab*]{1,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
