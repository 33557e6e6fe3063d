//! `assay job list --watch`: the list as it changes.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tokio::time::{self, Instant};

use super::job_rows::{listed, wanted};
use crate::{
    api::types::{JobList, JobRow},
    cli::{
        CliError, ExitStatus,
        args::ListArgs,
        client::{Client, Events},
        document::Document,
        output::Output,
        watch::gather,
    },
    domain::JobId,
};

/// Least pause between two lists, since many events at once need one.
const PAUSE: Duration = Duration::from_millis(200);

/// How often to list without an event: ages grow, and deadlines pass.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A job that is new or has changed, as a document of its own.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    row: &'a JobRow,
}

impl Document for Changed<'_> {}

/// Shows the jobs and their changes until the user interrupts.
pub(super) async fn watch(client: &Client, args: &ListArgs, output: Output) -> Result<ExitStatus, CliError> {
    tokio::select! {
        ended = follow(client, args, output) => ended,
        _ = tokio::signal::ctrl_c() => Ok(ExitStatus::Interrupted),
    }
}

async fn follow(client: &Client, args: &ListArgs, output: Output) -> Result<ExitStatus, CliError> {
    let failed = || CliError::node("follow the jobs");
    let mut events: Option<Events> = None;
    let mut known = Known::default();
    loop {
        let stream = match &mut events {
            Some(stream) => stream,
            // Opened before the list is requested, so that nothing falls between them.
            None => events.insert(client.all_events().await.map_err(failed())?),
        };
        let list = wanted(client, args).await?;
        show(&list, &mut known, output)?;
        let pause = Instant::now() + PAUSE;
        if let Ok(more) = time::timeout(LOOK_AGAIN, stream.next()).await
            && !more.map_err(failed())?
        {
            events = None;
        }
        gather(&mut events, pause).await.map_err(failed())?;
    }
}

fn show(list: &JobList, known: &mut Known, output: Output) -> Result<(), CliError> {
    if output.redraws() {
        return output.screen(&listed(&list.jobs));
    }
    let is_first = known.is_empty();
    let changed = known.changes(list);
    if output.is_document() {
        return changed.into_iter().try_for_each(|row| output.one_of_many(&Changed { row }));
    }
    output.more_rows(&listed(changed), is_first)
}

/// The jobs as they were shown.
#[derive(Debug, Default)]
struct Known(Option<BTreeMap<JobId, JobRow>>);

impl Known {
    const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// New jobs and changed ones, the oldest first. Jobs that left the list are forgotten.
    fn changes<'a>(&mut self, list: &'a JobList) -> Vec<&'a JobRow> {
        let before = self.0.take().unwrap_or_default();
        let changed = list.jobs.iter().rev().filter(|row| before.get(&row.job) != Some(*row)).collect();
        self.0 = Some(list.jobs.iter().map(|row| (row.job, row.clone())).collect());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobState, NodeId, Timestamp};

    fn id(number: u8) -> JobId {
        JobId::new([number; 32])
    }

    fn row(number: u8, state: JobState) -> JobRow {
        JobRow {
            job: id(number),
            requester: NodeId::ZERO,
            state,
            is_broken: false,
            fault: None,
            requester_gone: false,
            image: "i".to_owned(),
            member: None,
            command: vec!["c".to_owned()],
            concurrency: 3,
            seats: 1,
            accepted: None,
            submitted_at: Timestamp::from_secs(1),
            ended_at: None,
        }
    }

    #[test]
    fn each_change_is_shown_once_and_the_oldest_first() {
        let mut known = Known::default();
        let mut states = |jobs: Vec<JobRow>| {
            let list = JobList { total: jobs.len(), jobs, next: None };
            known.changes(&list).iter().map(|row| (row.job, row.state)).collect::<Vec<_>>()
        };
        let (one, two) = (row(1, JobState::Running), row(2, JobState::Open));
        let both = [(id(1), JobState::Running), (id(2), JobState::Open)];
        assert_eq!(states(vec![two.clone(), one.clone()]), both);
        assert_eq!(states(vec![two.clone(), one]), []);
        let verified = row(1, JobState::Verified);
        assert_eq!(states(vec![two.clone(), verified.clone()]), [(id(1), JobState::Verified)]);
        assert_eq!(states(vec![two.clone()]), []);
        assert_eq!(states(vec![two, verified]), [(id(1), JobState::Verified)], "it is back");
    }
}
