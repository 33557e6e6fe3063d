//! Groups: submits the jobs of a sweep, waits for them, and shows how they ended. `assay group wait` takes up what an
//! interrupted command left.

mod collect;
mod follow;
mod sender;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use self::{
    collect::{Collected, Collector, default_dir, tell_unfetched},
    follow::{Followed, by_index},
    sender::{Patience, Sender},
};
use crate::{
    api::types::JobRow,
    cli::{
        CliError, ExitStatus,
        args::{GroupWaitArgs, NodeArgs},
        document::Document,
        fetch::FetchedResult,
        output::Output,
        session::{Need, Session, with_node},
        sweep::{Plan, Unfetched, Unsubmitted, group_name},
    },
    domain::{JobId, NodeId},
};

/// The jobs of a group that were submitted and are not waited for, as JSON.
#[derive(Debug, Serialize)]
struct Submitted<'a> {
    group: &'a str,
    /// By index; null for one that no node took.
    jobs: Vec<Option<JobId>>,
    /// The jobs that no node took, by index.
    unsubmitted: &'a [Unsubmitted],
}

impl Document for Submitted<'_> {}

/// What is done with a new sweep.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then<'a> {
    /// Nothing: its jobs go on.
    Detach,
    /// It is waited for, and accepted results are fetched into a directory if one is named.
    Wait(Option<&'a Path>),
}

/// Submits all jobs of a sweep.
pub(super) async fn submit(
    session: &Session,
    plan: &Plan,
    then: Then<'_>,
    output: Output,
) -> Result<ExitStatus, CliError> {
    plan.save()?;
    output.note(&format!("group {}: {} jobs", plan.group, plan.sweep.jobs()));
    match then {
        Then::Detach => {
            let mut sender = Sender::new(session.client(), plan, Patience::default());
            sender.send_all(output).await?;
            let jobs = (0..plan.sweep.jobs()).map(|index| sender.sent().get(&index).copied()).collect();
            let unsubmitted: Vec<Unsubmitted> = sender.refused().values().cloned().collect();
            let submitted = Submitted { group: &plan.group, jobs, unsubmitted: &unsubmitted };
            output.result(&submitted, || format!("{}\n", plan.group))?;
            let again = session.group_wait_command(&plan.group, None);
            match Unsubmitted::outcome(&unsubmitted, &again) {
                Some(told) => {
                    output.outcome(&format!("job {}: {}", unsubmitted[0].index(), unsubmitted[0].error()));
                    output.outcome(&told);
                }
                None => output.note(&format!("{}\nhint: resume with: {again}", session.without_us())),
            }
            Ok(Unsubmitted::exit_status(&unsubmitted))
        }
        Then::Wait(dir) => {
            let followed = Followed { group: &plan.group, plan: Some(plan), dir };
            followed.to_end(session, None, output).await
        }
    }
}

/// Waits for a group, and submits what an interrupted command did not.
pub(in crate::cli) async fn wait(args: &GroupWaitArgs, output: Output) -> Result<ExitStatus, CliError> {
    let name = group_name(&args.group)?;
    let planned = Plan::named(name)?;
    let until = args.wait_timeout.map(|limit| Instant::now() + Duration::from_secs(limit.as_secs().into()));
    with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let rows =
            session.client().group(name).await.map_err(CliError::node(format!("find group {name}")))?;
        let node = session.client().node().await.map_err(CliError::node("ask the node who it is"))?;
        let (group, plan) = meant(name, &planned, &rows.jobs, node.id)?;
        if let Some(plan) = plan.filter(|plan| plan.is_over() && rows.jobs.is_empty()) {
            plan.remove()?;
            return Err(CliError::ForgottenGroup { group });
        }
        let followed = Followed { group: &group, plan, dir: args.output_dir.as_deref() };
        followed.to_end(session, until, output).await
    })
    .await
}

/// The one group that is meant, and its plan if this user has it. Sweeps that other nodes submitted do not count.
fn meant<'a>(
    name: &str,
    planned: &'a [Plan],
    rows: &[JobRow],
    node: NodeId,
) -> Result<(String, Option<&'a Plan>), CliError> {
    let ours: Vec<&Plan> = planned.iter().filter(|plan| plan.requester == node).collect();
    let group = match (whole_name(name, ours.iter().map(|plan| plan.group.as_str()), rows), planned) {
        (Err(CliError::NoGroup { .. }), [other]) => return Err(other.of_other_node(node).into()),
        (group, _) => group?,
    };
    let plan = ours.into_iter().find(|plan| plan.group == group);
    Ok((group, plan))
}

/// The one group, of those with jobs or a plan, that is meant.
pub(super) fn whole_name<'a>(
    name: &str,
    planned: impl IntoIterator<Item = &'a str>,
    rows: &'a [JobRow],
) -> Result<String, CliError> {
    let of_rows = rows.iter().filter_map(|row| Some(row.member.as_ref()?.group.as_str()));
    let mut found: BTreeSet<&str> = of_rows.chain(planned).collect();
    match (found.pop_first(), found.len()) {
        (Some(group), 0) => Ok(group.to_owned()),
        (None, _) => Err(CliError::NoGroup { group: name.to_owned() }),
        (Some(_), more) => Err(CliError::ManyGroups { group: name.to_owned(), matches: more + 1 }),
    }
}

/// What was fetched of a group, as JSON.
#[derive(Debug, Serialize)]
struct Fetched {
    group: String,
    /// By index; jobs without an accepted result are absent.
    results: BTreeMap<u32, Vec<FetchedResult>>,
    /// Accepted results that could not be fetched, by index.
    unfetched: Vec<Unfetched>,
    /// The number of jobs without an accepted result.
    without: usize,
}

impl Document for Fetched {}

/// Fetches the accepted results of a group's jobs, each below a directory of its index.
pub(in crate::cli) async fn fetch(
    name: &str,
    dir: Option<PathBuf>,
    asked: &NodeArgs,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let name = group_name(name)?;
    with_node(asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let rows = client.group(name).await.map_err(CliError::node(format!("find group {name}")))?;
        let group = whole_name(name, [], &rows.jobs)?;
        let dir = dir.unwrap_or_else(|| default_dir(&group));
        let mut collected = Collected::default();
        let collector = Collector { client, plan: None, dir: Some(&dir), output };
        collector.complete(&by_index(rows.jobs), &mut collected).await;
        let (ended, results, unfetched) = collected.parts();
        let without = ended.iter().filter(|job| !job.has_results()).count();
        let fetched = Fetched { group, results, unfetched, without };
        output.result(&fetched, || {
            let lines = fetched.results.values().flatten();
            lines.map(|result| format!("{}\n", result.directory.display())).collect()
        })?;
        if without > 0 {
            output.outcome(&format!("{without} jobs of the group have no accepted result"));
        }
        if !fetched.unfetched.is_empty() && !output.is_document() {
            output.outcome(Unfetched::table(&fetched.unfetched).trim_end());
        }
        tell_unfetched(&fetched.unfetched, &session.group_fetch_command(&fetched.group, &dir), output);
        Ok(match Unfetched::exit_status(&fetched.unfetched) {
            ExitStatus::Success if fetched.results.is_empty() => ExitStatus::NoResult,
            status => status,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::sweep::{
            PlanError,
            tests::{plan, row},
        },
        domain::JobState,
    };

    #[test]
    fn a_prefix_finds_the_plan_among_others_that_begin_so() {
        let (us, them) = (NodeId::new([7; 20]), NodeId::new([8; 20]));
        let mut plans = [plan(), plan()];
        plans[0].group = "0123456789ab".to_owned();
        plans[1].group = "01ffffffffff".to_owned();
        let known = [row(0, JobState::Verified)];
        let of = |plans: &[Plan], rows: &[JobRow], node| {
            meant("01", plans, rows, node).map(|(group, plan)| (group, plan.map(|plan| plan.group.clone())))
        };
        // Jobs of both may be missing.
        assert!(matches!(of(&plans, &known, us), Err(CliError::ManyGroups { matches: 2, .. })));
        plans[1].requester = them;
        let one = ("0123456789ab".to_owned(), Some("0123456789ab".to_owned()));
        assert_eq!(of(&plans, &known, us).unwrap(), one);
        assert_eq!(of(&plans, &[], us).unwrap(), one);
        assert_eq!(of(&[], &known, us).unwrap(), (one.0, None));
        assert!(matches!(of(&plans[1..], &[], us), Err(CliError::Plan(PlanError::OtherNode { .. }))));
        assert!(matches!(of(&[], &[], us), Err(CliError::NoGroup { .. })));
    }
}
