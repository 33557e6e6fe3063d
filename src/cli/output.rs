//! The only printer. The result of a command goes to standard output, everything else to standard error.
//!
//! Foreign text (image names, reasons, commands) is [escaped](crate::escape) on its way. The output of a job's program
//! passes byte for byte, except to a terminal.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(super) use super::list::table;
use super::{
    CliError, ExitStatus,
    args::Format,
    document::{Document, Versioned},
    list::List,
    message::{self, Message},
    yaml,
};
pub(super) use crate::escape::line as printable;
use crate::{
    escape,
    explain::{self, Hint as _},
};

/// Moves to the top left of a terminal, clears the rest of a line, and what is below.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// The lines of a terminal that does not say how many it has.
const USUAL_HEIGHT: usize = 24;

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

    /// Whether standard output carries one document and nothing else.
    pub(super) const fn is_document(self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    pub(super) fn is_yaml(self) -> bool {
        self.format == Format::Yaml
    }

    /// The same for comma-separated values.
    pub(super) const fn as_csv(self) -> Self {
        Self { format: Format::Csv, ..self }
    }

    /// Whether messages are JSON, too.
    fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress may be redrawn in place.
    pub(super) fn is_live(self) -> bool {
        !self.quiet
            && !self.is_json()
            && io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Writes the command's result: one document, or text.
    pub(super) fn result<T: Document>(
        self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            // A command without a list refuses to write values before it begins.
            Format::Table | Format::Wide | Format::Csv => self.shown(&text()),
            Format::Json | Format::Yaml => self.document(document),
        }
    }

    /// Writes a command's result that is a list.
    pub(super) fn list<T: Document>(self, document: &T, list: impl FnOnce() -> List) -> Result<(), CliError> {
        match self.format {
            Format::Table => self.shown(&list().table()),
            Format::Wide => self.shown(&list().wide()),
            Format::Csv => self.shown(&list().csv()),
            Format::Json | Format::Yaml => self.document(document),
        }
    }

    /// Whether a result may be redrawn in place: somebody looks at it, on a screen that can.
    pub(super) fn redraws(self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
            && io::stdout().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// Redraws the screen with a list, or with as much of it as the screen has lines.
    pub(super) fn screen(self, list: &List) -> Result<(), CliError> {
        let text = if self.format == Format::Wide { list.wide() } else { list.table() };
        let text = escape::lines(&text);
        let height = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
        let height = if height == 0 { USUAL_HEIGHT } else { height };
        // Line by line over what stands there, since a cleared screen flickers.
        let lines = text.lines().take(height - 1).map(|line| format!("{line}{CLEAR_LINE}\n"));
        let drawn = std::iter::once(HOME.to_owned()).chain(lines).chain([CLEAR_BELOW.to_owned()]);
        self.data(drawn.collect::<String>().as_bytes())
    }

    /// Writes rows that join those written before.
    pub(super) fn more_rows(self, list: &List, is_first: bool) -> Result<(), CliError> {
        let text: String = match self.format {
            Format::Csv if is_first => list.csv(),
            Format::Csv => list.rows.iter().map(|row| List::csv_row(row)).collect(),
            Format::Wide => list.rows.iter().map(|row| List::wide_row(row).join("  ") + "\n").collect(),
            Format::Table | Format::Json | Format::Yaml => {
                list.rows.iter().map(|row| list.narrow(row).join("  ") + "\n").collect()
            }
        };
        self.shown(&text)
    }

    /// Writes one of many documents: JSON on a line of its own, or YAML behind a mark.
    pub(super) fn one_of_many<T: Document>(self, document: &T) -> Result<(), CliError> {
        if self.is_yaml() {
            self.data(b"---\n")?;
            return self.document(document);
        }
        let text = serde_json::to_string(&Versioned::new(document)).map_err(io::Error::from)?;
        self.data((escape::json(&text) + "\n").as_bytes())
    }

    /// Writes one document: as YAML if that is the format, else as JSON.
    pub(super) fn document<T: Document>(self, document: &T) -> Result<(), CliError> {
        if !self.is_yaml() {
            return self.file(&Versioned::new(document));
        }
        let value = serde_json::to_value(Versioned::new(document)).map_err(io::Error::from)?;
        self.data(yaml::document(&value).as_bytes())
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

    /// Says why a job has no result to keep, or a bad one. In a document, the result says so if quiet hides the rest.
    pub(super) fn outcome(self, text: &str) {
        if !(self.quiet && self.is_document()) {
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
