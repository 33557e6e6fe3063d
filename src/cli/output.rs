//! The only printer. The result of a command goes to standard output, everything else to standard error.
//!
//! Foreign text (image names, reasons, commands) is [escaped](crate::escape) on its way. The output of a job's program
//! passes byte for byte, except to a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{
    CliError, ExitStatus,
    args::Format,
    document::{Document, Versioned},
    message::{self, Message},
};
pub(super) use crate::escape::line as printable;
use crate::{
    escape,
    explain::{self, Hint as _},
};

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

    /// The same without notes.
    pub(super) const fn quietly(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Whether standard output carries one JSON document and nothing else.
    pub(super) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress may be redrawn in place.
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
            Format::Table => self.shown(&text()),
            Format::Json => self.document(document),
        }
    }

    /// Writes one JSON document, whatever the format.
    pub(super) fn document<T: Document>(self, document: &T) -> Result<(), CliError> {
        self.file(&Versioned::new(document))
    }

    /// Writes the JSON of a file, which has its own version.
    pub(super) fn file<T: Serialize>(self, file: &T) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(file).map_err(io::Error::from)? + "\n";
        self.data(escape::json(&text).as_bytes())
    }

    /// Writes result text. Its lines are ours; its words may be foreign.
    pub(super) fn shown(self, text: &str) -> Result<(), CliError> {
        self.data(escape::lines(text).as_bytes())
    }

    /// Writes a program's output byte for byte, but escaped for a terminal, which it must not control unless the user wants
    /// it `raw`.
    pub(super) fn printed(self, bytes: &[u8], raw: bool) -> Result<(), CliError> {
        if !raw && io::stdout().is_terminal() {
            self.data(escape::bytes(bytes).as_bytes())
        } else {
            self.data(bytes)
        }
    }

    /// Writes bytes of the result as they are.
    pub(super) fn data(self, bytes: &[u8]) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// The writer for a result that is produced piece by piece.
    pub(super) fn sink(self) -> impl io::Write {
        io::BufWriter::new(io::stdout().lock())
    }

    /// Writes information that is not the result, unless the user wants quiet.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.say(&Message::Note { note: text });
        }
    }

    /// Says why a job has no result to keep, or a bad one. With JSON, the result says so if quiet hides the rest.
    pub(super) fn outcome(self, text: &str) {
        if !(self.quiet && self.is_json()) {
            self.say(&Message::Note { note: text });
        }
    }

    /// Warns of what cannot be undone later.
    pub(super) fn warning(self, text: &str, hint: &str) {
        self.say(&Message::Warning { warning: text, hint });
    }

    /// Reports what failed, why, and what to do about it.
    pub(super) fn error(self, error: &CliError) {
        let because = explain::causes(error);
        let (said, hint, code) = (error.to_string(), error.hint(), error.exit_status().code());
        self.say(&Message::Error { error: &said, because: &because, hint: hint.as_deref(), code });
    }

    /// Writes clap's message. Help and the version are results; a wrong command line is an error.
    pub(super) fn clap_message(self, clap: &clap::Error) -> ExitStatus {
        let hint = message::clap_hint(clap);
        if !clap.use_stderr() {
            // A reader that went away is not an error. Another failure can be reported to nobody.
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

    /// Writes to standard error: a line of JSON if that is the format, else text for people.
    fn say(self, message: &Message<'_>) {
        let text = if self.is_json() { message.json() } else { message.text(use_colour()) };
        self.aside(&text);
    }

    fn aside(self, text: &str) {
        // If standard error is gone, nobody can be told.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Whether standard error shows colours and the user wants them.
pub(super) fn use_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns under headings, one line for each row, with a final line end.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_one_line_a_row() {
        let rows = [vec!["1a2b".to_owned(), "a\nb".to_owned()], vec!["3".to_owned(), String::new()]];
        assert_eq!(table(&["JOB", "NAME"], rows), "JOB   NAME\n1a2b  a\\nb\n3\n");
    }
}
