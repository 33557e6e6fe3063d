//! Log messages: text or JSON, to standard error, filtered.

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The form of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// One line of text a message, with colours where `ansi`.
    Text {
        /// Whether standard error shows colours.
        ansi: bool,
    },
    /// One JSON object a message.
    Json,
}

/// Starts writing messages that pass `filter`, such as `warn` or `assay=debug,warn`. Once a process.
///
/// # Errors
/// When `filter` is no filter.
pub fn init(filter: &str, style: LogStyle) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process, as in tests, keeps the first subscriber.
    let _ = match style {
        LogStyle::Text { ansi } => builder.with_ansi(ansi).try_init(),
        LogStyle::Json => builder.json().try_init(),
    };
    Ok(())
}
