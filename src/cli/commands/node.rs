//! `assay node`.

use serde::Serialize;

use super::intake;
use crate::{
    api::types::{NodeInfo, NodeLimits, NodeRow},
    cli::{
        CliError, ExitStatus,
        args::NodeArgs,
        document::Document,
        list::{Cell, Column, List},
        output::{Output, printable},
        session::{Need, Session, with_node},
        text,
    },
    domain::{Amount, Asset, Offer, Resources},
    node::{Admission, Together, Warning, wall_clock},
};

/// The known nodes, as JSON.
#[derive(Debug, Serialize)]
struct Nodes {
    nodes: Vec<NodeRow>,
    /// What keeps the asked node from its obligations now.
    warnings: Vec<Warning>,
}

impl Document for Nodes {}

/// One node, as JSON.
#[derive(Debug, Serialize)]
struct Described {
    node: NodeInfo,
}

impl Document for Described {}

/// Lists the nodes that the asked node knows.
pub(in crate::cli) async fn list(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let nodes = with_node(args, Need::Answers, output, async |session: &Session| {
        let nodes = session.client().nodes().await.map_err(CliError::node("list the nodes"))?;
        let info = session.client().node().await.map_err(CliError::node("describe the node"))?;
        Ok(Nodes { nodes, warnings: info.warnings })
    });
    let nodes = nodes.await?;
    output.list(&nodes, || listed(&nodes.nodes))?;
    tell(&nodes.warnings, output);
    Ok(ExitStatus::Success)
}

const COLUMNS: [Column; 10] = [
    Column::new("NODE"),
    Column::new("STATE"),
    Column::new("SLOTS"),
    Column::new("MEMORY").named("memory_bytes"),
    Column::new("ACCEPTED"),
    Column::new("REJECTED"),
    Column::new("FAILED"),
    Column::new("ABSENT"),
    Column::new("CPUS").wide(),
    Column::new("PLATFORM").wide(),
];

fn listed(nodes: &[NodeRow]) -> List {
    let row = |row: &NodeRow| {
        let state = if row.is_self {
            "asked"
        } else if row.known {
            "here"
        } else {
            "away"
        };
        let offer = |said: fn(&Offer) -> String| row.offer.as_ref().map_or_else(|| "-".to_owned(), said);
        vec![
            Cell::Id { short: text::node(row.id), whole: row.id.to_string() },
            Cell::text(&state),
            Cell::text(&offer(|offer| offer.slots.to_string())),
            Cell::Quantity {
                shown: offer(|offer| text::bytes(offer.resources.memory_bytes)),
                raw: offer(|offer| offer.resources.memory_bytes.to_string()),
            },
            Cell::text(&row.accepted),
            Cell::text(&row.rejected),
            Cell::text(&row.failed),
            Cell::text(&row.absent),
            Cell::text(&offer(|offer| text::thousandths(offer.resources.cpu_millis))),
            Cell::text(&offer(|offer| offer.platform.clone())),
        ]
    };
    List { columns: &COLUMNS, rows: nodes.iter().map(row).collect() }
}

/// Describes the asked node.
pub(in crate::cli) async fn describe(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let node = with_node(args, Need::Answers, output, async |session: &Session| {
        session.client().node().await.map_err(CliError::node("describe the node"))
    });
    let described = Described { node: node.await? };
    output.result(&described, || sheet(&described.node))?;
    tell(&described.node.warnings, output);
    Ok(ExitStatus::Success)
}

fn tell(warnings: &[Warning], output: Output) {
    for warning in warnings.iter().filter(|_| !output.is_document()) {
        output.note(&format!("warning: {}\nhint: {}", printable(&warning.message), warning.hint));
    }
}

/// A node's description for people.
fn sheet(node: &NodeInfo) -> String {
    let jobs = node.jobs.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>();
    let jobs = if jobs.is_empty() { "none".to_owned() } else { jobs.join(", ") };
    let listen = node.listen.iter().map(|address| printable(address)).collect::<Vec<_>>();
    let listen = if listen.is_empty() { "nowhere".to_owned() } else { listen.join(", ") };
    let mut lines = vec![
        ("Node:", node.id.to_string()),
        ("Program:", format!("assay {}, {}", printable(&node.version), printable(&node.backend))),
        ("Listens:", listen),
        ("Knows:", format!("{} other nodes; jobs: {jobs}", node.members)),
        ("Slots:", node.compute_slots.to_string()),
    ];
    if let Some(since) = node.paused_since {
        let (since, owes) = (text::relative(since, wall_clock()), intake::owed(&node.owes));
        lines.push(("Paused:", format!("{since}; it takes on no work until assay node resume; {owes}")));
    }
    if let Some(limits) = node.limits.filter(|_| node.compute_slots > 0) {
        lines.push(("Takes:", takes(&limits, &node.asset)));
        let only = only(&node.admission);
        if !only.is_empty() {
            lines.push(("Only:", only.join("; ")));
        }
    }
    lines.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

fn takes(limits: &NodeLimits, asset: &Asset) -> String {
    let Resources { memory_bytes, cpu_millis, pids, disk_bytes, tmp_bytes: _, scratch_bytes } =
        limits.resources;
    format!(
        "at most {} memory, {} CPUs, {pids} processes, {} in /outputs, {} of scratch; timeout {}, run {}, reveal {}; bond {}",
        text::bytes(memory_bytes),
        text::thousandths(cpu_millis),
        text::bytes(disk_bytes),
        text::bytes(scratch_bytes),
        text::term(limits.timeout),
        text::term(limits.run),
        text::term(limits.reveal),
        asset.show(limits.bond),
    ) + &price(limits.price, asset)
}

fn price(least: Amount, asset: &Asset) -> String {
    if least.is_zero() { String::new() } else { format!("; price at least {}", asset.show(least)) }
}

/// What its operator lets it work for; nothing where everything is allowed.
fn only(admission: &Admission) -> Vec<String> {
    fn all<T: ToString>(given: &[T]) -> Option<String> {
        let given: Vec<String> = given.iter().map(|one| printable(&one.to_string())).collect();
        (!given.is_empty()).then(|| given.join(" or "))
    }
    let Admission { images, requesters, hours, together } = admission;
    let Together { memory_bytes, cpu_millis, disk_bytes } = *together;
    let together = [
        memory_bytes.map(|bytes| format!("{} memory", text::bytes(bytes))),
        cpu_millis.map(|millis| format!("{} CPUs", text::thousandths(millis))),
        disk_bytes.map(|bytes| format!("{} on the disk", text::bytes(bytes))),
    ];
    let together: Vec<String> = together.into_iter().flatten().collect();
    let parts = [
        all(images).map(|images| format!("images {images}")),
        all(requesters).map(|requesters| format!("requesters {requesters}")),
        all(hours).map(|hours| format!("hours {hours} (UTC)")),
        (!together.is_empty()).then(|| format!("all containers together {}", together.join(", "))),
    ];
    parts.into_iter().flatten().collect()
}
