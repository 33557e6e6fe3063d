//! The only printer. The result of a command goes to standard output, everything else to standard error.
//!
//! Text that others chose (names of images, reasons, commands) is [cleaned](printable) on its way to a
//! terminal; what a job's program printed is passed on byte for byte.

use std::{
    error::Error as _,
    io::{self, IsTerminal as _, Write as _},
};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{CliError, args::Format};

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
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Writes the command's result: one JSON document, or text.
    pub(super) fn result<T: Serialize>(
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
    pub(super) fn document<T: Serialize>(self, document: &T) -> Result<(), CliError> {
        let mut text = serde_json::to_vec_pretty(document).map_err(io::Error::from)?;
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

    /// Writes bytes that are not the result, such as what a program wrote to its standard error.
    pub(super) fn aside(self, bytes: &[u8]) {
        // Nobody can be told that standard error is gone.
        let _ = io::stderr().lock().write_all(bytes);
    }

    /// Tells the user something that is not the result.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.aside(format!("{text}\n").as_bytes());
        }
    }

    /// Tells what failed and why, and what to do about it.
    pub(super) fn error(self, error: &CliError) {
        self.aside(render(error, use_colour()).as_bytes());
    }
}

/// Writes what clap has to say: help and the version are results, a wrong command line is an error.
pub(super) fn clap_message(message: &clap::Error) {
    // A reader that went away is no error, and nobody can be told of another.
    let _ = message.print();
}

/// `error:` with the chain of causes, then one hint.
fn render(error: &CliError, colour: bool) -> String {
    let (red, cyan, plain) = if colour { ("\x1b[1;31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    let mut lines = vec![format!("{red}error:{plain} {}", printable(&error.to_string()))];
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Libraries repeat their sources in their messages.
        if !said.contains(&message) {
            lines.push(format!("  because: {}", printable(&message)));
        }
        (said, cause) = (message, error.source());
    }
    if let Some(hint) = error.hint() {
        lines.push(format!("{cyan}hint:{plain} {}", printable(&hint)));
    }
    lines.join("\n") + "\n"
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
