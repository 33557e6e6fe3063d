//! The only printer. The result of a command goes to standard output, everything else to standard error.
//!
//! Text that others chose (names of images, reasons, commands) is [cleaned](printable) on its way to a
//! terminal; what a job's program printed is passed on byte for byte.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{
    CliError, ExitStatus,
    args::Format,
    document::{Document, Versioned},
    message::{self, Message},
};

/// Longest piece of foreign text that is shown, in characters.
const MAX_TEXT_CHARS: usize = 500;

/// Where and how a command writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    pub(super) const fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// Whether standard output carries one JSON document and nothing else.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress may be drawn over and over.
    pub(super) fn is_live(self) -> bool {
        !self.quiet
            && !self.is_json()
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Writes the command's result: one JSON document, or text.
    pub(super) fn result<T: Document>(
        self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.data(text().as_bytes()),
            Format::Json => self.document(document),
        }
    }

    /// Writes one JSON document, whatever the format.
    pub(super) fn document<T: Document>(self, document: &T) -> Result<(), CliError> {
        self.file(&Versioned::new(document))
    }

    /// Writes the JSON of a file, which has a version of its own.
    pub(super) fn file<T: Serialize>(self, file: &T) -> Result<(), CliError> {
        let mut text = serde_json::to_vec_pretty(file).map_err(io::Error::from)?;
        text.push(b'\n');
        self.data(&text)
    }

    /// Writes bytes of the result as they are.
    pub(super) fn data(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// Where a result is written as it comes about.
    pub(super) fn sink(self) -> impl io::Write {
        io::BufWriter::new(io::stdout().lock())
    }

    /// Tells the user something that is not the result, unless they want to hear nothing.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.say(&Message::Note { note: text });
        }
    }

    /// Tells why a job has no result to keep, or a bad one. With JSON the result says so, if nothing else is heard.
    pub(super) fn outcome(self, text: &str) {
        if !(self.quiet && self.is_json()) {
            self.say(&Message::Note { note: text });
        }
    }

    /// Warns of what cannot be taken back later.
    pub(super) fn warning(self, text: &str, hint: &str) {
        self.say(&Message::Warning { warning: text, hint });
    }

    /// Tells what failed and why, and what to do about it.
    pub(super) fn error(self, error: &CliError) {
        let because = message::causes(error);
        let (said, hint, code) = (error.to_string(), error.hint(), error.exit_status().code());
        self.say(&Message::Error { error: &said, because: &because, hint: hint.as_deref(), code });
    }

    /// Writes what clap has to say: help and the version are results, a wrong command line is an error.
    pub(super) fn clap_message(self, clap: &clap::Error) -> ExitStatus {
        let hint = message::clap_hint(clap);
        if !clap.use_stderr() {
            // A reader that went away is no error, and nobody can be told of another.
            let _ = clap.print();
            return ExitStatus::Success;
        }
        let code = ExitStatus::Usage.code();
        if self.is_json() {
            let (error, tips) = message::clap_parts(clap);
            let hint = hint.map(str::to_owned).or(tips);
            self.say(&Message::Error { error: &error, because: &[], hint: hint.as_deref(), code });
        } else {
            let _ = clap.print();
            if let Some(hint) = hint {
                self.aside(&format!("hint: {hint}\n"));
            }
        }
        ExitStatus::Usage
    }

    /// On standard error: a line of JSON where that is the form, else for people.
    fn say(self, message: &Message<'_>) {
        let text = if self.is_json() { message.json() } else { message.text(use_colour()) };
        self.aside(&text);
    }

    fn aside(self, text: &str) {
        // Nobody can be told that standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Whether standard error shows colours, and the user wants them.
pub(super) fn use_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns under headings, one line a row; ends with a line end.
pub(super) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    lines.concat()
}

/// Foreign text with everything that could steer a terminal made visible, and cut when it is long.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_TEXT_CHARS)
        .flat_map(|char| {
            let steers = char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let (escaped, plain) = if steers { (Some(char.escape_default()), None) } else { (None, Some(char)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(MAX_TEXT_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_steer_a_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n\u{9b}c\u{202e}"), "a\\u{1b}[2Jb\\r\\n\\u{9b}c\\u{202e}");
        assert_eq!(printable("plain ünïcode"), "plain ünïcode");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(printable(&"x".repeat(2000)).chars().count(), MAX_TEXT_CHARS + 1);
    }

    #[test]
    fn a_table_has_aligned_columns_and_one_line_a_row() {
        let rows = [vec!["1a2b".to_owned(), "a\nb".to_owned()], vec!["3".to_owned(), String::new()]];
        assert_eq!(table(&["JOB", "NAME"], rows), "JOB   NAME\n1a2b  a\\nb\n3\n");
    }
}
