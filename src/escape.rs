//! Foreign text made harmless: the one place that decides what may reach a terminal or a line of the node's log.
//!
//! Foreign is all that others chose: names of images and files, answers of registries, engines, chains and peers,
//! remarks, what a container printed. Characters that steer a terminal, reorder a line or end it are shown as
//! escapes, and long text is cut. What was escaped once stays as it is when it is escaped again.
//!
//! ```
//! use assay::escape::line;
//!
//! assert_eq!(line("a name\n\u{1b}[31mERROR"), r"a name\n\u{1b}[31mERROR");
//! ```

use std::fmt::{self, Write};

/// Longest piece of foreign text that is shown, in characters.
pub const MAX_TEXT_CHARS: usize = 500;

/// Which line ends stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// None: the text is part of a line.
    Escaped,
    /// Line feeds and tabs: the text is lines of its own.
    Kept,
}

/// A piece of foreign text as part of a line: no line end, no control character, no longer than [`MAX_TEXT_CHARS`].
pub fn line(text: &str) -> String {
    let mut shown = String::new();
    write_line(&mut shown, format_args!("{text}")).expect("a string takes all text");
    shown
}

/// Writes a value as part of a line, as [`line()`] does; stops to format it once it is too long.
///
/// # Errors
/// When `out` fails.
pub fn write_line(out: &mut impl Write, value: fmt::Arguments<'_>) -> fmt::Result {
    let mut escaping =
        Escaping { out, left: MAX_TEXT_CHARS, ends: Ends::Escaped, is_cut: false, failed: false };
    let written = escaping.write_fmt(value);
    match (escaping.is_cut, escaping.failed) {
        (_, true) => Err(fmt::Error),
        (true, false) => out.write_char('…'),
        (false, false) => written,
    }
}

/// Lines that hold foreign text: their line feeds and tabs stay, and so does their length.
pub fn lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut escaping =
        Escaping { out: &mut shown, left: usize::MAX, ends: Ends::Kept, is_cut: false, failed: false };
    escaping.write_str(text).expect("a string takes all text");
    shown
}

/// Bytes that a container printed, for a terminal: as [`lines`], and what is no UTF-8 as `\xNN`.
pub fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&lines(chunk.valid()));
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("a string takes all text");
        }
    }
    shown
}

/// JSON with the characters that JSON leaves as they are, and a terminal does not, as escapes. They stand in
/// strings alone, so that the document says the same.
pub fn json(document: &str) -> String {
    escaped(document, |shown, char| {
        char.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(shown, "\\u{unit:04x}"))
    })
}

/// The same of YAML, whose escapes are whole characters.
pub fn yaml(document: &str) -> String {
    escaped(document, |shown, char| match u32::from(char) {
        code @ 0..=0xffff => write!(shown, "\\u{code:04x}"),
        code => write!(shown, "\\U{code:08x}"),
    })
}

fn escaped(document: &str, escape: impl Fn(&mut String, char) -> fmt::Result) -> String {
    let mut shown = String::with_capacity(document.len());
    for char in document.chars() {
        if steers(char) && char != '\n' && char != '\t' && char != '\r' {
            escape(&mut shown, char).expect("a string takes all text");
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Whether a character steers a terminal, ends a line, or changes the order or the look of others without a trace.
fn steers(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

struct Escaping<'a, W> {
    out: &'a mut W,
    left: usize,
    ends: Ends,
    is_cut: bool,
    failed: bool,
}

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.left == 0 {
                self.is_cut = true;
                // Ends the formatting of a value that may be of any length.
                return Err(fmt::Error);
            }
            self.left -= 1;
            let stays = !steers(char) || (self.ends == Ends::Kept && matches!(char, '\n' | '\t'));
            let written =
                if stays { self.out.write_char(char) } else { write!(self.out, "{}", char.escape_default()) };
            if written.is_err() {
                self.failed = true;
                return written;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What must never reach a terminal: C0, DEL, C1, and what reorders text.
    fn is_harmful(char: char) -> bool {
        matches!(u32::from(char), 0..0x20 | 0x7f..0xa0 | 0x200e..=0x200f | 0x202a..=0x202e | 0x2066..=0x2069)
    }

    #[test]
    fn every_control_character_is_escaped() {
        for char in (0..0x2_0000).filter_map(char::from_u32).filter(|char| is_harmful(*char)) {
            let text = format!("a{char}b");
            assert!(!line(&text).contains(char), "{char:?}");
            assert_eq!(lines(&text).contains(char), matches!(char, '\n' | '\t'), "{char:?}");
        }
    }

    #[test]
    fn text_of_others_cannot_steer_a_terminal() {
        assert_eq!(line("a\x1b[2Jb\r\n\u{9b}c\u{202e}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}c\\u{202e}");
        assert_eq!(line("plain ünïcode 日本"), "plain ünïcode 日本");
        assert_eq!(lines("one\n\ttwo\x1b]0;title\x07\r\n"), "one\n\ttwo\\u{1b}]0;title\\u{7}\\r\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_numbers() {
        assert_eq!(bytes(b"ok\xff\x9b31m\xc2\x9b\xe2\x80"), "ok\\xff\\x9b31m\\u{9b}\\xe2\\x80");
    }

    #[test]
    fn long_text_is_cut_and_not_even_formatted() {
        assert_eq!(line(&"x".repeat(2000)).chars().count(), MAX_TEXT_CHARS + 1);
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again ")?;
                }
            }
        }
        let mut shown = String::new();
        write_line(&mut shown, format_args!("{Endless}")).unwrap();
        assert_eq!(shown.chars().count(), MAX_TEXT_CHARS + 1);
    }

    proptest! {
        #[test]
        fn no_text_is_harmful_once_it_is_escaped(text in proptest::collection::vec(any::<char>(), 0..600)) {
            let text: String = text.into_iter().collect();
            let shown = line(&text);
            prop_assert!(!shown.chars().any(is_harmful));
            prop_assert_eq!(shown.lines().count() <= 1, true);
            prop_assert!(shown.chars().count() <= 12 * (MAX_TEXT_CHARS + 1));
            prop_assert!(!lines(&text).chars().any(|char| is_harmful(char) && char != '\n' && char != '\t'));
            prop_assert_eq!(lines(&lines(&text)), lines(&text));
        }

        #[test]
        fn no_bytes_are_harmful_once_they_are_escaped(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
            let shown = bytes(&raw);
            prop_assert!(!shown.chars().any(|char| is_harmful(char) && char != '\n' && char != '\t'));
            if let Ok(text) = std::str::from_utf8(&raw) {
                prop_assert_eq!(shown, lines(text));
            }
        }

        #[test]
        fn json_says_the_same_once_it_is_escaped(text in proptest::collection::vec(any::<char>(), 0..100)) {
            let text: String = text.into_iter().collect();
            let document = serde_json::to_string_pretty(&[&text]).unwrap();
            let shown = json(&document);
            prop_assert!(!shown.chars().any(|char| is_harmful(char) && char != '\n'));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), vec![text]);
        }
    }
}
