//! Messages on standard error: lines for people, or with `--output json` one JSON object a line.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde::Serialize;

use crate::escape::{self, line as printable};

use super::{document::Document, document::Versioned, words};

/// One message.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Message<'a> {
    /// Information.
    Note { note: &'a str },
    /// A warning, while the user can still act on it.
    Warning { warning: &'a str, hint: &'a str },
    /// Why the command failed.
    Error {
        error: &'a str,
        /// Its causes, the nearest first.
        because: &'a [String],
        hint: Option<&'a str>,
        /// The exit code of the program.
        code: u8,
    },
}

impl Document for Message<'_> {}

impl Message<'_> {
    pub(super) fn json(&self) -> String {
        let line = serde_json::to_string(&Versioned::new(self));
        escape::json(&line.expect("text and numbers are JSON")) + "\n"
    }

    pub(super) fn text(&self, colour: bool) -> String {
        let (red, yellow, cyan, plain) =
            if colour { ("\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m") } else { ("", "", "", "") };
        let hinted = |hint: &str| format!("{cyan}hint:{plain} {}\n", printable(hint));
        match *self {
            Self::Note { note } => format!("{}\n", escape::lines(note)),
            Self::Warning { warning, hint } => {
                format!("{yellow}warning:{plain} {}\n{}", printable(warning), hinted(hint))
            }
            Self::Error { error, because, hint, .. } => {
                let because = because.iter().map(|cause| format!("  because: {}\n", printable(cause)));
                let first = format!("{red}error:{plain} {}\n", printable(error));
                std::iter::once(first).chain(because).chain(hint.map(hinted)).collect()
            }
        }
    }
}

/// What the user of a wrong command line may have meant.
pub(super) fn clap_hint(clap: &clap::Error) -> Option<&'static str> {
    if clap.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    match clap.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(unknown)) => words::meant(unknown),
        _ => None,
    }
}

/// The problem with a command line, and clap's tips, without the usage that clap adds.
pub(super) fn clap_parts(clap: &clap::Error) -> (String, Option<String>) {
    if clap.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return ("a command is missing".to_owned(), Some("see assay help".to_owned()));
    }
    let rendered = clap.render().to_string();
    let mut parts = rendered.split("\n\n").map(str::trim);
    let error = parts.next().unwrap_or("").trim_start_matches("error: ").to_owned();
    let tips: Vec<&str> = parts.filter(|part| part.starts_with("tip: ")).flat_map(str::lines).collect();
    let tips: Vec<&str> = tips.iter().map(|tip| tip.trim().trim_start_matches("tip: ")).collect();
    (error, if tips.is_empty() { Some("see assay help".to_owned()) } else { Some(tips.join("; ")) })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn refused(line: &str) -> clap::Error {
        Cli::try_parse_from(std::iter::once("assay").chain(line.split_whitespace())).unwrap_err()
    }

    #[test]
    fn a_wrong_command_line_is_told_without_what_surrounds_it() {
        let (error, tips) = clap_parts(&refused("job submit --concurency 3 img"));
        assert_eq!(error, "unexpected argument '--concurency' found");
        assert!(tips.unwrap().starts_with("a similar argument exists: '--concurrency'; "));
        let (error, hint) = clap_parts(&refused("job submit --timeout 5x img"));
        assert!(error.starts_with("invalid value '5x' for '--timeout <TIME>': expected a time"), "{error}");
        assert!(hint.is_some());
        let (error, _) = clap_parts(&refused("job submit"));
        assert!(error.contains("<IMAGE>") && !error.contains("Usage"), "{error}");
        assert_eq!(clap_parts(&refused("job")).0, "a command is missing");
    }

    #[test]
    fn commands_of_other_programs_have_a_hint() {
        assert!(clap_hint(&refused("run img")).unwrap().contains("assay job submit"));
        assert!(clap_hint(&refused("job ps")).unwrap().contains("assay job list"));
        assert_eq!(clap_hint(&refused("nonsense")), None);
        assert_eq!(clap_hint(&refused("job list --nonsense")), None);
    }

    #[test]
    fn messages_are_lines_of_json_or_text() {
        let because = ["why\n".to_owned()];
        let error = Message::Error { error: "a\x1bb", because: &because, hint: Some("do"), code: 2 };
        assert_eq!(
            error.json(),
            "{\"version\":1,\"error\":\"a\\u001bb\",\"because\":[\"why\\n\"],\"hint\":\"do\",\"code\":2}\n"
        );
        assert_eq!(error.text(false), "error: a\\u{1b}b\n  because: why\\n\nhint: do\n");
        let warning = Message::Warning { warning: "w", hint: "h" };
        assert_eq!(warning.json(), "{\"version\":1,\"warning\":\"w\",\"hint\":\"h\"}\n");
        assert_eq!(warning.text(false), "warning: w\nhint: h\n");
        assert_eq!(Message::Note { note: "n" }.json(), "{\"version\":1,\"note\":\"n\"}\n");
    }
}
