//! What happened to one job, line by line.

use super::world::{Outage, OutageKind, World};
use crate::domain::{Event, JobId, NodeId, Stamped};

/// What happened to a job, oldest first: each entry of its log, and what was wrong with its requester and its seats' nodes.
pub fn story(world: &World, job: JobId) -> Vec<String> {
    let Some(held) = world.truth().get(job) else { return Vec::new() };
    let named = |node: NodeId| match world.place_of(node) {
        Some(index) => {
            let temper = world.node(node).map(|node| node.temper().name()).unwrap_or_default();
            format!("node {index} ({temper})")
        }
        None => node.to_string(),
    };
    let began_ms = world.ms_of(held.submitted_at);
    let mut lines: Vec<(u64, String)> = Vec::new();
    for stamped in world.log_of(job) {
        lines
            .push((world.ms_of(stamped.at), format!("{} {}", named(stamped.author), deed(&stamped, &named))));
    }
    let takes_part = |outage: &&Outage| {
        let id = world.nodes().get(outage.node).map(super::Node::id);
        outage.to_ms >= began_ms
            && id.is_some_and(|id| held.requester == id || held.seats.iter().any(|seat| seat.node == id))
    };
    for outage in world.outages().iter().filter(takes_part) {
        let what = match outage.kind {
            OutageKind::Down => "is down",
            OutageKind::Apart => "is cut off",
            OutageKind::Full => "has a full disk",
        };
        let secs = (outage.to_ms - outage.from_ms).div_ceil(1000);
        let name = world.nodes().get(outage.node).map(|node| named(node.id())).unwrap_or_default();
        lines.push((outage.from_ms, format!("{name} {what} for {secs} s")));
    }
    lines.sort_by_key(|(at_ms, _)| *at_ms);
    lines.into_iter().map(|(at_ms, line)| format!("{:>6} s  {line}", at_ms / 1000)).collect()
}

fn deed(stamped: &Stamped<Event>, named: &dyn Fn(NodeId) -> String) -> String {
    match &stamped.event {
        Event::Submitted { deal, .. } => {
            format!("submits the job: {} seats, {} must agree", deal.concurrency, deal.confidence)
        }
        Event::DealUpdated { .. } => "changes the terms".to_owned(),
        Event::Cancelled => "cancels the job".to_owned(),
        Event::BidPlaced { .. } => "bids".to_owned(),
        Event::BidWithdrawn => "withdraws its bid".to_owned(),
        Event::BidAccepted { node } => format!("accepts the bid of {}", named(*node)),
        Event::BidRejected { node } => format!("rejects the bid of {}", named(*node)),
        Event::FailureReported { kind, .. } => format!("reports a failed run: {kind}"),
        Event::Committed { .. } => "commits".to_owned(),
        Event::Stopped => "stops the job".to_owned(),
        Event::Revealed { seat, .. } => format!("reveals the result of seat {seat}"),
        Event::VerdictPosted { accepted, .. } => {
            format!("posts the verdict: {} accepted", accepted.len())
        }
        Event::Expired => "ends the job, whose deadline has passed".to_owned(),
        Event::Remarked { .. } => "leaves a remark".to_owned(),
        Event::Ticked => "notes that a deadline has passed".to_owned(),
        Event::SecretPublished { .. } => "publishes the secret of the audit".to_owned(),
    }
}
