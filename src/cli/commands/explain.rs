//! `assay job explain`, and the end of `job describe` of an open job: why nodes have a seat in it or none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::job_name;
use crate::{
    api::types::{JobView, Outlook, OutlookRow},
    cli::{
        CliError, ExitStatus,
        args::ExplainArgs,
        document::Document,
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{Asset, JobId, JobState},
    node::Declined,
};

/// Why each node has a seat or none, as JSON.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    job: JobId,
    state: JobState,
    nodes: &'a [OutlookRow],
    /// The next command, if something is to be done.
    hint: Option<String>,
}

impl Document for Explained<'_> {}

/// Shows why each known node has a seat in a job or none.
pub(in crate::cli) async fn run(args: &ExplainArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let (view, rows) = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
        let rows = client.outlooks(&view.job.to_string()).await;
        Ok((view, rows.map_err(CliError::node(format!("explain job {job}")))?))
    })
    .await?;
    let hint = next(&view, &rows);
    let explained = Explained { job: view.job, state: view.state, nodes: &rows, hint: hint.clone() };
    output.result(&explained, || {
        let lines = rows.iter().map(|row| {
            let here = if row.is_self { " (asked)" } else { "" };
            vec![
                format!("{}{here}", text::node(row.node)),
                step(&row.outlook).to_owned(),
                why(&row.outlook, &view.asset),
            ]
        });
        table(&["NODE", "BID", "WHY"], lines)
    })?;
    if !output.is_document() {
        output.note(&seats(&view));
        if let Some(hint) = hint {
            output.note(&format!("hint: {hint}"));
        }
    }
    Ok(ExitStatus::Success)
}

/// The same for a job that waits for nodes, with equal reasons counted together.
pub(super) fn grouped(view: &JobView, rows: &[OutlookRow]) -> String {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.outlook != Outlook::Seated) {
        *reasons.entry(why(&row.outlook, &view.asset)).or_default() += 1;
    }
    let mut reasons: Vec<(String, usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(why, count)| (std::cmp::Reverse(*count), why.clone()));
    let lines = reasons.iter().map(|(why, count)| format!("  {count} of {} nodes: {why}\n", rows.len()));
    let hint = next(view, rows).map_or_else(String::new, |hint| format!("hint: {hint}\n"));
    format!("{}\n{}{hint}", seats(view), lines.collect::<String>())
}

fn seats(view: &JobView) -> String {
    format!(
        "job {} is {}: {} of {} seats are filled",
        text::job(view.job),
        view.state,
        view.seats.len(),
        view.asked
    )
}

/// What became of the node's bid, in a word.
const fn step(outlook: &Outlook) -> &'static str {
    match outlook {
        Outlook::Seated => "seated",
        Outlook::Failed { .. } => "failed",
        Outlook::Waits | Outlook::Unfunded | Outlook::GoesLast | Outlook::Banned => "standing",
        Outlook::Withdrew => "taken back",
        Outlook::Declined | Outlook::Skipped => "refused",
        Outlook::NotAllowed
        | Outlook::Refuses { .. }
        | Outlook::OtherPlatform { .. }
        | Outlook::Declines { .. }
        | Outlook::CannotRun { .. }
        | Outlook::Away
        | Outlook::Silent
        | Outlook::NotNeeded
        | Outlook::NoBid
        | Outlook::TooLate => "none",
    }
}

/// Why, in one sentence.
fn why(outlook: &Outlook, asset: &Asset) -> String {
    let why = match outlook {
        Outlook::Failed { kind } => return format!("its run gave no result: {kind}"),
        Outlook::Refuses { exceeded } => {
            return exceeded.iter().map(|one| text::exceeded(one, asset)).collect::<Vec<_>>().join("; ");
        }
        Outlook::OtherPlatform { platform } => {
            return format!("it runs {platform}, and the job needs another platform");
        }
        Outlook::Declines { reasons } => {
            return reasons.iter().map(|reason| declined(*reason)).collect::<Vec<_>>().join("; ");
        }
        // A stranger wrote the URLs and names in it.
        Outlook::CannotRun { reason } => return printable(&format!("it cannot run the job: {reason}")),
        Outlook::Seated => "it runs the job",
        Outlook::Waits => "its bid waits for the bids of others, or for a seat",
        Outlook::Unfunded => "its bid counts for nothing: it lacks the money for its bond",
        Outlook::GoesLast => "its bid goes after all others: too many of its results were bad",
        Outlook::Banned => "the requester has banned it: it lied in earlier jobs",
        Outlook::Withdrew => "it took its bid back: it has no room now",
        Outlook::Declined => "the requester declined its bid",
        Outlook::Skipped => "its bid could not be taken, for lack of a bond or by another rule",
        Outlook::NotAllowed => "--allow names other nodes",
        Outlook::Away => "it is not connected",
        Outlook::Silent => "it says nothing of what it takes on; perhaps it only submits jobs",
        Outlook::NotNeeded => "enough other nodes have bid",
        Outlook::NoBid => {
            "it takes such jobs, but has not bid: its slots are busy, it cannot get the image or an input, or the price is \
             too low"
        }
        Outlook::TooLate => "the job takes no bids any more",
    };
    why.to_owned()
}

const fn declined(reason: Declined) -> &'static str {
    match reason {
        Declined::Paused => "it is paused: assay node resume",
        Declined::Hours => "it is outside its hours (--hours)",
        Declined::Image => "it runs other images only (--allow-image)",
        Declined::Requester => "it works for other requesters only (--allow-requester)",
    }
}

/// The next command for a job that waits for nodes, by the reason that most of them share.
fn next(view: &JobView, rows: &[OutlookRow]) -> Option<String> {
    let id = text::job(view.job);
    match view.state {
        JobState::Open => {}
        JobState::Running | JobState::Revealing => return Some(format!("wait for it: assay job wait {id}")),
        JobState::Verified
        | JobState::Inconclusive
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Expired => return Some(format!("see how it ended: assay job describe {id}")),
    }
    let count = |is_so: fn(&Outlook) -> bool| rows.iter().filter(|row| is_so(&row.outlook)).count();
    let refuse = count(|outlook| matches!(outlook, Outlook::Refuses { .. } | Outlook::OtherPlatform { .. }));
    let excluded = count(|outlook| matches!(outlook, Outlook::NotAllowed));
    let cannot = count(|outlook| matches!(outlook, Outlook::CannotRun { .. }));
    let able = rows.len().saturating_sub(refuse + excluded + cannot);
    Some(if rows.is_empty() {
        "no node is known: start one with assay serve --peer, and see assay doctor".to_owned()
    } else if able >= usize::from(view.asked) {
        format!("nodes take it as they have room, until bids close; see assay job describe {id}")
    } else if cannot > 0 && cannot >= refuse.max(excluded) {
        format!("mend what the node lacks, or cancel the job and submit another: assay job cancel {id}")
    } else if excluded > refuse {
        format!("name more nodes: assay job update {id} --allow NODE")
    } else {
        format!(
            "cancel it and ask for less: assay job cancel {id}; assay node list shows what each node gives"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::failure::tests::failed_view,
        domain::{Exceeded, FailureKind, Limit, NodeId},
    };

    fn row(index: u8, outlook: Outlook) -> OutlookRow {
        OutlookRow { node: NodeId::new([index; 20]), is_self: index == 0, outlook }
    }

    fn refuses() -> Outlook {
        Outlook::Refuses { exceeded: vec![Exceeded { limit: Limit::Memory, asked: 8 << 30, most: 4 << 30 }] }
    }

    fn open() -> JobView {
        JobView { asked: 3, seats: Vec::new(), ..failed_view(FailureKind::Disk, JobState::Open) }
    }

    #[test]
    fn equal_reasons_are_counted_together_and_the_commonest_comes_first() {
        let mut rows: Vec<OutlookRow> = (0..4).map(|index| row(index, refuses())).collect();
        rows.push(row(4, Outlook::Waits));
        let told = grouped(&open(), &rows);
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].ends_with("is open: 0 of 3 seats are filled"), "{told}");
        assert_eq!(lines[1], "  4 of 5 nodes: memory 8 GiB, at most 4 GiB");
        assert!(lines[2].starts_with("  1 of 5 nodes: its bid waits"), "{told}");
        assert!(lines[3].starts_with("hint: cancel it and ask for less"), "{told}");
    }

    #[test]
    fn the_next_command_follows_from_what_keeps_nodes_away() {
        let hint = |rows: &[OutlookRow]| next(&open(), rows).unwrap();
        assert!(hint(&[]).contains("assay serve --peer"));
        let excluded: Vec<OutlookRow> = (0..3).map(|index| row(index, Outlook::NotAllowed)).collect();
        assert!(hint(&excluded).contains("--allow"));
        let busy: Vec<OutlookRow> = (0..3).map(|index| row(index, Outlook::NoBid)).collect();
        assert!(hint(&busy).contains("as they have room"));
        let lacks = Outlook::CannotRun { reason: "http://x/ answers 404".to_owned() };
        assert_eq!(why(&lacks, &open().asset), "it cannot run the job: http://x/ answers 404");
        assert!(hint(&[row(0, lacks)]).contains("mend what the node lacks"));
        let ended = JobView { state: JobState::Verified, ..open() };
        assert!(next(&ended, &busy).unwrap().contains("job describe"));
    }
}
