//! The jobs of `assay job list`, and their columns.

use super::group;
use crate::{
    api::types::{JobFilter, JobList, JobRow, Member},
    cli::{
        CliError,
        args::ListArgs,
        client::Client,
        list::{Cell, Column, List},
        sweep::group_name,
        text,
    },
    domain::Timestamp,
    node::wall_clock,
    scheduler::FaultKind,
};

/// The jobs that the arguments name.
pub(super) async fn wanted(client: &Client, args: &ListArgs) -> Result<JobList, CliError> {
    let since = args.since.map(|age| wall_clock().minus(age));
    let wanted =
        JobFilter { limit: Some(args.limit), group: None, state: args.state.clone(), since, after: None };
    let failed = CliError::node("list the jobs");
    let Some(name) = &args.group else {
        return client.jobs(&wanted).await.map_err(failed);
    };
    let name = group_name(name)?;
    let mut list = client.group(name).await.map_err(failed)?;
    group::whole_name(name, [], &list.jobs)?;
    list.jobs.retain(|row| wanted.has(row));
    list.total = list.jobs.len();
    list.jobs.truncate(args.limit);
    Ok(list)
}

const COLUMNS: [Column; 10] = [
    Column::new("JOB"),
    Column::new("AGE").named("submitted_at"),
    Column::new("STATE"),
    Column::new("NODES"),
    Column::new("AGREED"),
    Column::new("IMAGE").gives_way(),
    Column::new("COMMAND").gives_way(),
    Column::new("TOOK").named("ended_at").wide(),
    Column::new("GROUP").wide(),
    Column::new("REQUESTER").wide(),
];

/// The jobs as a list.
pub(super) fn listed<'a>(jobs: impl IntoIterator<Item = &'a JobRow>) -> List {
    // Times are from the backend's clock. It agrees with everybody's, or nothing would work.
    let now = wall_clock();
    let secs = |at: Timestamp| at.as_secs().to_string();
    let row = |row: &JobRow| {
        vec![
            Cell::Id { short: text::job(row.job), whole: row.job.to_string() },
            Cell::Quantity { shown: text::age(row.submitted_at, now), raw: secs(row.submitted_at) },
            Cell::text(&state(row)),
            Cell::text(&format!("{}/{}", row.seats, row.concurrency)),
            Cell::text(&row.accepted.map_or("-".to_owned(), |accepted| accepted.to_string())),
            Cell::text(&row.image),
            Cell::text(&text::command(&row.command)),
            Cell::Quantity {
                shown: row.ended_at.map_or("-".to_owned(), |end| text::age(row.submitted_at, end)),
                raw: row.ended_at.map_or(String::new(), secs),
            },
            Cell::text(
                &row.member
                    .as_ref()
                    .map_or("-".to_owned(), |Member { group, index }| format!("{group}/{index}")),
            ),
            Cell::text(&row.requester),
        ]
    };
    List { columns: &COLUMNS, rows: jobs.into_iter().map(row).collect() }
}

fn state(row: &JobRow) -> String {
    let fault = match (row.fault, row.is_broken) {
        (Some(FaultKind::TwoHistories), _) => "forked",
        (Some(FaultKind::RuleBroken), _) | (None, true) => "broken",
        (None, false) if row.requester_gone => "overdue, not final",
        (None, false) => return row.state.to_string(),
    };
    format!("{} ({fault})", row.state)
}
