//! `GET /metrics`: the node in numbers, in the text format of Prometheus.
//!
//! Counts, sizes and times alone: nothing here helps to copy a result, or says which jobs they are.

use std::{fmt::Write as _, fs};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use super::{error::Failure, state::Api};
use crate::node::{Load, Usage, wall_clock};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page under construction.
#[derive(Debug, Default)]
struct Page(String);

/// How a value may change.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Up and down.
    Gauge,
    /// Only up, until the node starts again.
    Counter,
}

/// The node in numbers.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses((status = 200, description = "The text format of Prometheus", body = String))
)]
pub(super) async fn show(State(Api { node, .. }): State<Api>) -> Result<Response, Failure> {
    let usage = std::sync::Arc::clone(&node).usage().await?;
    let states = node.states()?;
    let mut page = Page::default();
    let about = [("version", env!("CARGO_PKG_VERSION")), ("backend", node.about().backend.as_str())];
    page.family("assay_info", Kind::Gauge, "What runs here; always 1", [(&about[..], 1)]);
    let states: Vec<_> =
        states.iter().map(|(state, count)| ([("state", state.name())], whole(*count))).collect();
    page.labelled("assay_jobs", Kind::Gauge, "Known jobs by state", &states);
    let Load { running, queued, promised } = node.load();
    page.one("assay_slots", "Jobs that the node runs at once", whole(node.compute_slots()));
    page.one("assay_slots_busy", "Slots with a run", whole(running));
    page.one("assay_seats_queued", "Seats that wait for a slot", whole(queued));
    page.one("assay_promises", "Runs, queued seats and fresh bids, which bind the node", whole(promised));
    page.one(
        "assay_takes_work",
        "1 if the node bids, 0 if it is paused or outside its hours",
        node.takes_work().into(),
    );
    let owed = node.owed();
    let owed = [
        ([("what", "bids")], owed.bids),
        ([("what", "seats")], owed.seats),
        ([("what", "openings")], owed.openings),
    ];
    let owed = owed.map(|(label, count)| (label, whole(count)));
    page.labelled("assay_owed", Kind::Gauge, "What the node still owes in jobs of others", &owed);
    if let Some(tally) = node.own_tally() {
        let rows = [
            ("accepted", tally.accepted),
            ("rejected", tally.rejected),
            ("failed", tally.failed),
            ("absent", tally.absent),
        ];
        let rows = rows.map(|(outcome, count)| ([("outcome", outcome)], count.into()));
        page.labelled(
            "assay_conduct",
            Kind::Gauge,
            "What the node's own seats came to, as far as it keeps count",
            &rows,
        );
    }
    page.one("assay_members", "Other nodes that it knows", whole(node.members().len()));
    if let Some(links) = node.links() {
        page.one("assay_connections", "Nodes with a connection", whole(links.connected));
        page.one("assay_visitors", "Nodes that opened a connection to this one", whole(links.visitors));
    }
    let lag = wall_clock().as_secs().saturating_sub(node.now().as_secs());
    page.one(
        "assay_log_lag_seconds",
        "How far the log's clock, on a chain its newest block, is behind this machine's",
        lag,
    );
    page.one("assay_log_read", "1 once the node has read its log", node.is_caught_up().into());
    let warnings = node.warning_counts();
    let warnings: Vec<_> =
        warnings.iter().map(|(name, count)| ([("obstacle", *name)], whole(*count))).collect();
    page.labelled("assay_warnings", Kind::Gauge, "What keeps the node from its work now", &warnings);
    sizes(&mut page, &usage);
    if let Some(bytes) = resident_bytes() {
        page.one("assay_resident_bytes", "Memory of the process", bytes);
    }
    page.family(
        "assay_log_entries",
        Kind::Counter,
        "Cursor of the newest entry of the log that is folded",
        [(&[][..], node.progress().borrow().0)],
    );
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], page.0).into_response())
}

fn sizes(page: &mut Page, usage: &Usage) {
    let named: Vec<_> = usage.content.iter().map(|(kind, part)| ([("kind", kind.name())], *part)).collect();
    let bytes: Vec<_> = named.iter().map(|(label, part)| (*label, part.bytes)).collect();
    page.labelled("assay_content_bytes", Kind::Gauge, "Bytes of inputs and results", &bytes);
    let pieces: Vec<_> = named.iter().map(|(label, part)| (*label, part.pieces)).collect();
    page.labelled("assay_content_pieces", Kind::Gauge, "Inputs and results", &pieces);
    page.one("assay_content_cap_bytes", "The most that inputs and results may take", usage.cap);
    page.one("assay_ended_jobs", "Ended jobs whose logs are kept", whole(usage.ended));
    page.one("assay_database_bytes", "Bytes of the database", usage.database);
    page.one(
        "assay_database_free_bytes",
        "Bytes that the database uses again before it grows",
        usage.database_free,
    );
}

impl Page {
    fn one(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, Kind::Gauge, help, [(&[][..], value)]);
    }

    fn labelled<const N: usize>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        rows: &[([(&str, &str); N], u64)],
    ) {
        self.family(name, kind, help, rows.iter().map(|(labels, value)| (&labels[..], *value)));
    }

    /// One name with its rows.
    fn family<'a>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        rows: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], u64)>,
    ) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let labels: Vec<String> =
                labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The memory of this process; `None` where the kernel does not say.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_a_row_for_each_set_of_labels() {
        let mut page = Page::default();
        page.labelled(
            "assay_jobs",
            Kind::Gauge,
            "Jobs",
            &[([("state", "open")], 2), ([("state", "a\"\\\n")], 0)],
        );
        page.one("assay_slots", "Slots", 1);
        let expected = "# HELP assay_jobs Jobs\n# TYPE assay_jobs gauge\nassay_jobs{state=\"open\"} 2\n\
                        assay_jobs{state=\"a\\\"\\\\\\n\"} 0\n# HELP assay_slots Slots\n# TYPE assay_slots gauge\n\
                        assay_slots 1\n";
        assert_eq!(page.0, expected);
    }

    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
