//! Log messages: text or JSON, to standard error, filtered.
//!
//! Messages name what others sent: errors of registries, engines, chains and peers, names, remarks. So every value
//! is [escaped](crate::escape) and cut here, where the line is made: no value can end a line, forge another, steer
//! a terminal or fill a disk.
//!
//! ```
//! use assay::telemetry::{LogStyle, init};
//!
//! init("assay=debug,warn", LogStyle::Json)?;
//! tracing::warn!("a message");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::{MakeExt as _, Visit},
    filter::ParseError,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{Writer, debug_fn},
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::escape;

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
        LogStyle::Text { ansi } => {
            builder.fmt_fields(debug_fn(write_field).delimited(" ")).with_ansi(ansi).try_init()
        }
        LogStyle::Json => builder.json().event_format(JsonLine).try_init(),
    };
    Ok(())
}

/// `name=value`, or the message alone, each escaped.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() == "message" {
        return escape::write_line(writer, format_args!("{value:?}"));
    }
    if writer.has_ansi_escapes() {
        write!(writer, "\x1b[3m{}\x1b[0m\x1b[2m=\x1b[0m", field.name())?;
    } else {
        write!(writer, "{}=", field.name())?;
    }
    escape::write_line(writer, format_args!("{value:?}"))
}

/// A message as one JSON object: its time, level, fields and target, and the spans around it.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans = context.event_scope().into_iter().flat_map(|scope| scope.from_root());
        let spans: Vec<Value> = spans
            .map(|span| {
                let extensions = span.extensions();
                // The formatter of fields writes JSON, which is the fields of the span.
                let known = extensions.get::<FormattedFields<N>>();
                let fields =
                    known.and_then(|fields| serde_json::from_str::<Map<String, Value>>(&fields.fields).ok());
                let mut span_fields = fields.unwrap_or_default();
                span_fields.insert("name".to_owned(), span.name().into());
                Value::Object(span_fields)
            })
            .collect();
        let metadata = event.metadata();
        let line = serde_json::json!({
            "timestamp": timestamp,
            "level": metadata.level().as_str(),
            "fields": fields.0,
            "target": metadata.target(),
            "spans": spans,
        });
        writeln!(writer, "{}", escape::json(&line.to_string()))
    }
}

/// The fields of a message, each escaped and cut.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, escape::line(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut shown = String::new();
        let _ = escape::write_line(&mut shown, format_args!("{value:?}"));
        self.insert(field, shown);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the node's log has after `say`, as text and as JSON.
    fn logged(say: impl Fn()) -> [String; 2] {
        let sinks = [Sink::default(), Sink::default()];
        let [text, json] = sinks.clone().map(|sink| move || sink.clone());
        let text = tracing_subscriber::fmt()
            .with_writer(text)
            .with_ansi(false)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .finish();
        tracing::subscriber::with_default(text, &say);
        let json = tracing_subscriber::fmt().with_writer(json).json().event_format(JsonLine).finish();
        tracing::subscriber::with_default(json, &say);
        sinks.map(|sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap())
    }

    const HOSTILE: &str =
        "x\n2026-01-01T00:00:00Z ERROR assay: forged\r\x1b[2J\x1b]0;t\x07\u{9b}31m\u{202e}\u{7f}";

    #[test]
    fn no_foreign_value_ends_a_line_or_steers_a_terminal() {
        let lines = logged(|| {
            let span = tracing::info_span!("node", name_of_peer = HOSTILE, id = %HOSTILE);
            let _entered = span.enter();
            tracing::error!(error = %HOSTILE, reason = ?HOSTILE, text = HOSTILE, count = 3_u64, "failed: {HOSTILE}");
        });
        for line in &lines {
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let harmful = line.trim_end().chars().any(|char| char.is_control() || char == '\u{202e}');
            assert!(!harmful, "{line:?}");
        }
        let json: Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&json["level"], &json["fields"]["count"]), (&"ERROR".into(), &3.into()));
        assert_eq!(json["spans"][0]["name"], "node");
        assert!(lines[0].contains("count=3") && lines[0].contains("failed: x\\n2026"), "{}", lines[0]);
    }

    #[test]
    fn a_line_is_short_whatever_is_in_it() {
        let long = vec![0xab_u8; 1 << 20];
        for line in logged(|| tracing::error!(proof = ?long, text = %"y".repeat(1 << 20), "an entry came")) {
            assert!(line.len() < 4096, "{} bytes", line.len());
        }
    }
}
