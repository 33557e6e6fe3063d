//! The steps of a job, one on each line: who did what, and on a chain where and for how much gas.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::types::LogEntry,
    cli::{output::table, text},
    domain::{Amount, Asset, Digest, Event, EventKind, NodeId, Timestamp},
    scheduler::{Anchor, Cost},
};

/// The log of a job, entry by entry, and its total cost.
#[derive(Debug, Serialize)]
pub(super) struct Steps {
    steps: Vec<EntryRow>,
    /// The gas of all transactions, each counted once; null if there are none or one of them is unknown.
    gas_used: Option<u64>,
    /// Their cost in wei; null likewise.
    gas_fee: Option<Amount>,
}

/// One entry. Fields about a chain are null without one.
#[derive(Debug, Serialize)]
struct EntryRow {
    height: u64,
    at: Timestamp,
    by: NodeId,
    event: EventKind,
    /// A description for people.
    #[serde(skip)]
    told: String,
    transaction: Option<Digest>,
    block: Option<u64>,
    confirmations: Option<u64>,
    /// The gas of the whole transaction, which several entries may share.
    cost: Option<Cost>,
}

impl Steps {
    pub(super) fn new(log: &[LogEntry], anchors: &[Anchor], asset: &Asset) -> Self {
        let anchors: BTreeMap<u64, &Anchor> = anchors.iter().map(|anchor| (anchor.height, anchor)).collect();
        let row = |entry: &LogEntry| {
            let anchor = anchors.get(&entry.height);
            EntryRow {
                height: entry.height,
                at: entry.at,
                by: entry.author,
                event: entry.event.kind(),
                told: event(&entry.event, asset),
                transaction: anchor.map(|anchor| anchor.transaction),
                block: anchor.map(|anchor| anchor.block),
                confirmations: anchor.map(|anchor| anchor.confirmations),
                cost: anchor.and_then(|anchor| anchor.cost),
            }
        };
        let steps: Vec<EntryRow> = log.iter().map(row).collect();
        let once: BTreeMap<Option<Digest>, Option<Cost>> =
            steps.iter().map(|row| (row.transaction, row.cost)).collect();
        let costs: Option<Vec<Cost>> = once.into_values().collect();
        let costs = costs.filter(|costs| !costs.is_empty());
        let gas_used = costs.as_ref().map(|costs| costs.iter().map(|cost| cost.gas_used).sum());
        let gas_fee = costs.and_then(|costs| costs.iter().map(|cost| &cost.fee).sum());
        Self { steps, gas_used, gas_fee }
    }

    pub(super) fn table(&self) -> String {
        let began = self.steps.first().map_or(0, |row| row.at.as_secs());
        let when = |row: &EntryRow| format!("+{}", text::span(row.at.as_secs().saturating_sub(began)));
        let who = |row: &EntryRow| vec![when(row), text::node(row.by), row.told.clone()];
        if self.steps.iter().all(|row| row.transaction.is_none()) {
            return table(&["TIME", "BY", "EVENT"], self.steps.iter().map(who));
        }
        let mut before = None;
        let rows = self.steps.iter().map(|row| {
            let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
            let repeated = row.transaction.is_some() && row.transaction == before;
            before = row.transaction;
            let gas = row.cost.map(|cost| cost.gas_used);
            let shown = if repeated { "same".to_owned() } else { number(gas) };
            let hash = row.transaction.map_or("-".to_owned(), |hash| hash.to_string());
            [who(row), vec![number(row.block), number(row.confirmations), shown, hash]].concat()
        });
        let heads = ["TIME", "BY", "EVENT", "BLOCK", "CONFIRMED", "GAS", "TRANSACTION"];
        format!("{}{}\n", table(&heads, rows), self.total())
    }

    fn total(&self) -> String {
        match (self.gas_used, self.gas_fee) {
            (Some(gas), Some(fee)) => format!("Gas: {gas} in all, for {}", Asset::Ether.show(fee)),
            _ => "Gas: the chain does not tell all of it now".to_owned(),
        }
    }
}

/// A short description of an event.
fn event(event: &Event, asset: &Asset) -> String {
    match event {
        Event::Submitted { .. } => "submitted the job".to_owned(),
        Event::DealUpdated { .. } => "changed the deal".to_owned(),
        Event::Cancelled => "cancelled the job".to_owned(),
        Event::BidPlaced { price } if price.is_zero() => "bid".to_owned(),
        Event::BidPlaced { price } => format!("bid {}", asset.show(*price)),
        Event::BidWithdrawn => "withdrew its bid".to_owned(),
        Event::BidAccepted { node } => format!("accepted {}", text::node(*node)),
        Event::BidRejected { node } => format!("rejected the bid of {}", text::node(*node)),
        Event::FailureReported { kind } => format!("reported a failure: {kind}"),
        Event::Committed { commitment } => format!("committed to {}", commitment.short()),
        Event::Stopped => "stopped the job".to_owned(),
        Event::Revealed { seat, opening } => {
            let (output, exit_code) = (opening.result_hash.short(), opening.exit_code);
            format!("revealed seat {seat}: output {output}, exit code {exit_code}")
        }
        Event::VerdictPosted { accepted, .. } if accepted.is_empty() => "found it inconclusive".to_owned(),
        Event::VerdictPosted { accepted, .. } => format!("posted the verdict: {} agree", accepted.len()),
        Event::Expired => "ended it after a deadline".to_owned(),
        Event::Remarked { node, remark } => format!("remarked on {}: {remark}", text::node(*node)),
        Event::SecretPublished { .. } => "published the secret of the audit".to_owned(),
        Event::Ticked => "closed the commitments".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Facts;

    fn entry(height: u64) -> LogEntry {
        LogEntry {
            height,
            entry: Digest::ZERO,
            author: NodeId::new([7; 20]),
            at: Timestamp::from_secs(height),
            revision: Digest::ZERO,
            facts: Facts::MONEYLESS,
            event: Event::BidAccepted { node: NodeId::ZERO },
            proof: String::new(),
        }
    }

    fn anchor(height: u64, transaction: u8, gas_used: u64) -> Anchor {
        let cost = Cost { payer: NodeId::ZERO, gas_used, fee: Amount::new(gas_used.into()).unwrap() };
        let transaction = Digest::new([transaction; 32]);
        Anchor { height, transaction, block: height + 10, confirmations: 3, cost: Some(cost) }
    }

    #[test]
    fn a_transaction_of_several_entries_is_counted_once() {
        let log = [entry(1), entry(2), entry(3)];
        let steps = Steps::new(&log, &[anchor(1, 1, 100), anchor(2, 2, 30), anchor(3, 2, 30)], &Asset::Ether);
        assert_eq!((steps.gas_used, steps.gas_fee), (Some(130), Amount::new(130)));
        let shown = steps.table();
        assert!(shown.contains("same") && shown.contains("Gas: 130 in all, for 130 wei"), "{shown}");
        assert!(shown.contains(&Digest::new([2; 32]).to_string()), "{shown}");
    }

    #[test]
    fn a_gas_that_is_not_known_is_no_zero() {
        let unknown = Anchor { cost: None, ..anchor(2, 2, 0) };
        let steps = Steps::new(&[entry(1), entry(2)], &[anchor(1, 1, 100), unknown], &Asset::Ether);
        assert_eq!(steps.gas_used, None);
        assert!(steps.table().contains("does not tell"));
    }

    #[test]
    fn a_log_without_a_chain_shows_none() {
        let steps = Steps::new(&[entry(1)], &[], &Asset::Ether);
        assert_eq!(steps.gas_used, None);
        assert!(!steps.table().contains("BLOCK"));
    }
}
