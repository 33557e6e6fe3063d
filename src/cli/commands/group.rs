//! Groups: submits the jobs of a sweep, waits for them, and shows how they ended. `assay group wait` takes up what an
//! interrupted command left.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio::time::{self, Instant};

use crate::{
    api::types::{JobRow, JobView},
    cli::{
        CliError, ExitStatus,
        args::GroupWaitArgs,
        client::{Client, ClientError, Events},
        document::Document,
        fetch::{FetchedResult, fetch_accepted},
        output::Output,
        session::{Need, Session, with_node},
        sweep::{Ended, GroupEnd, GroupProgress, Plan, group_name},
        watch::OVERDUE,
    },
    domain::{Deal, JobId, JobState, MAX_DURATION, NodeId},
};

/// Submissions that are in flight at a time, and how many follow each look at the group.
const AT_ONCE: usize = 8;
const EACH_LOOK: usize = 64;

/// The least pause between two looks at a group, and the longest: deadlines pass without an event.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long a node may be away before that is an error.
const AWAY_LIMIT: Duration = Duration::from_secs(30);

/// The jobs of a group that were submitted and are not waited for, as JSON.
#[derive(Debug, Serialize)]
struct Submitted<'a> {
    group: &'a str,
    /// By index.
    jobs: Vec<JobId>,
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
            let jobs = send(session.client(), plan, (0..plan.sweep.jobs()).collect()).await?;
            let jobs = jobs.into_values().collect();
            output.result(&Submitted { group: &plan.group, jobs }, || format!("{}\n", plan.group))?;
            output.note(&format!("{}\n{}", session.without_us(), resume(session, &plan.group)));
            Ok(ExitStatus::Success)
        }
        Then::Wait(dir) => {
            let followed = Followed { group: &plan.group, plan: Some(plan) };
            followed.to_end(session, None, dir, output).await
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
        let followed = Followed { group: &group, plan };
        followed.to_end(session, until, args.output_dir.as_deref(), output).await
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

fn resume(session: &Session, group: &str) -> String {
    format!("hint: resume with: {}", session.group_wait_command(group))
}

/// Submits these jobs of a sweep; which job each became.
async fn send(client: &Client, plan: &Plan, indices: Vec<u32>) -> Result<BTreeMap<u32, JobId>, CliError> {
    let submit = async |index: u32| {
        let reply = client.submit_as(&plan.request(index), &plan.key(index)).await;
        let reply = reply.map_err(CliError::node(format!("submit job {index} of the group")))?;
        Ok::<_, CliError>((index, reply.job))
    };
    stream::iter(indices).map(submit).buffer_unordered(AT_ONCE).try_collect().await
}

/// A group that is waited for.
#[derive(Debug, Clone, Copy)]
struct Followed<'a> {
    group: &'a str,
    /// The jobs that it is to have; without one, it has those that are there.
    plan: Option<&'a Plan>,
}

/// How waiting for a group ended.
enum Watched {
    Ended(BTreeMap<u32, JobRow>),
    Interrupted,
    TimedOut,
    /// Nothing has changed for longer than a job may take.
    Stuck,
}

impl Followed<'_> {
    async fn to_end(
        self,
        session: &Session,
        until: Option<Instant>,
        dir: Option<&Path>,
        output: Output,
    ) -> Result<ExitStatus, CliError> {
        let again = resume(session, self.group);
        match self.watch(session.client(), until, output).await? {
            Watched::Ended(rows) => self.end(session.client(), &rows, dir, output).await,
            Watched::Interrupted => {
                let rest =
                    if self.plan.is_some() { "; jobs that were not submitted yet wait for that" } else { "" };
                output.note(&format!("detached; {}\n{again}{rest}", session.without_us()));
                Ok(ExitStatus::Interrupted)
            }
            Watched::TimedOut => {
                output.outcome(&format!("gave up after --wait-timeout; {}\n{again}", session.without_us()));
                Ok(ExitStatus::Deadline)
            }
            Watched::Stuck => {
                output.outcome(&format!(
                    "gave up: no job of group {} has changed for longer than one may take\nhint: see assay job list --group {}",
                    self.group, self.group
                ));
                Ok(ExitStatus::Deadline)
            }
        }
    }

    async fn watch(
        self,
        client: &Client,
        until: Option<Instant>,
        output: Output,
    ) -> Result<Watched, CliError> {
        let mut progress = GroupProgress::new(output);
        let limited = async {
            match until {
                Some(until) => time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let watched = tokio::select! {
            ended = self.until_over(client, &mut progress) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Watched::Interrupted),
            () = limited => Ok(Watched::TimedOut),
        };
        progress.finish();
        watched
    }

    async fn until_over(self, client: &Client, progress: &mut GroupProgress) -> Result<Watched, CliError> {
        let mut news = News::default();
        let mut sent = BTreeSet::new();
        let mut still = Still::default();
        let mut away: Option<Instant> = None;
        loop {
            let rows = match news.look(client, self.group).await {
                Ok(rows) => rows,
                Err(error @ ClientError::Unreachable { .. }) => {
                    news = News::default();
                    if away.get_or_insert_with(Instant::now).elapsed() >= AWAY_LIMIT {
                        return Err(CliError::node(format!("follow group {}", self.group))(error));
                    }
                    time::sleep(5 * PAUSE).await;
                    continue;
                }
                Err(error) => return Err(CliError::node(format!("follow group {}", self.group))(error)),
            };
            away = None;
            progress.show(rows.values(), self.jobs(&rows));
            let more = self.next(&rows, &sent);
            if more.is_empty() && self.is_over(&rows, &sent) {
                return Ok(Watched::Ended(rows));
            }
            if !more.is_empty() {
                let plan = self.plan.expect("only a plan has jobs to submit");
                sent.extend(send(client, plan, more).await?.into_keys());
                still = Still::default();
                continue;
            }
            if still.is_stuck(&rows, self.plan.map(|plan| &plan.request.deal)) {
                return Ok(Watched::Stuck);
            }
            news.wait().await;
        }
    }

    /// How many jobs the group will have.
    fn jobs(self, rows: &BTreeMap<u32, JobRow>) -> usize {
        let unknown = |plan: &Plan| plan.wanted().iter().filter(|index| !rows.contains_key(index)).count();
        rows.len() + self.plan.map_or(0, unknown)
    }

    /// The jobs to submit now.
    fn next(self, rows: &BTreeMap<u32, JobRow>, sent: &BTreeSet<u32>) -> Vec<u32> {
        let Some(plan) = self.plan else { return Vec::new() };
        let is_known = |index: &u32| rows.contains_key(index) || sent.contains(index);
        let undecided = rows.values().filter(|row| !has_ended(row)).count();
        let unseen = sent.iter().filter(|index| !rows.contains_key(index)).count();
        let room = plan.max_parallel.unwrap_or(usize::MAX).saturating_sub(undecided + unseen);
        plan.wanted().into_iter().filter(|index| !is_known(index)).take(room.min(EACH_LOOK)).collect()
    }

    fn is_over(self, rows: &BTreeMap<u32, JobRow>, sent: &BTreeSet<u32>) -> bool {
        let is_there = |index: u32| rows.contains_key(&index);
        let all = self.plan.is_none_or(|plan| plan.wanted().into_iter().all(is_there));
        all && sent.iter().all(|index| is_there(*index)) && rows.values().all(has_ended)
    }

    /// Shows the end of every job, and fetches results if that is wanted.
    async fn end(
        self,
        client: &Client,
        rows: &BTreeMap<u32, JobRow>,
        dir: Option<&Path>,
        output: Output,
    ) -> Result<ExitStatus, CliError> {
        let views = views(client, rows).await?;
        let of = |(index, view): &(u32, JobView)| {
            let values = self.plan.map(|plan| plan.sweep.values(*index)).unwrap_or_default();
            Ended::of(*index, &values, view)
        };
        let ended: Vec<Ended> = views.iter().map(of).collect();
        let mut results = BTreeMap::new();
        if let Some(dir) = dir {
            results = fetch_all(client, &views, dir, output).await?;
        }
        let end = GroupEnd::new(self.group.to_owned(), ended, results);
        output.result(&end, || end.text())?;
        if let Some(plan) = self.plan {
            plan.end(BTreeSet::new())?;
        }
        Ok(end.exit_status())
    }
}

/// Whether nothing more will happen to the job, as far as its node can tell.
const fn has_ended(row: &JobRow) -> bool {
    row.state.is_terminal() || row.requester_gone || row.is_broken
}

/// The whole view of each job, by index.
pub(super) async fn views(
    client: &Client,
    rows: &BTreeMap<u32, JobRow>,
) -> Result<Vec<(u32, JobView)>, CliError> {
    let look = async |(index, row): (&u32, &JobRow)| {
        let view = client.job(&row.job.to_string()).await;
        Ok::<_, CliError>((*index, view.map_err(CliError::node(format!("describe job {}", row.job)))?))
    };
    stream::iter(rows).map(look).buffered(AT_ONCE).try_collect().await
}

/// Fetches the accepted results of every verified job into a directory of its index.
pub(super) async fn fetch_all(
    client: &Client,
    views: &[(u32, JobView)],
    dir: &Path,
    output: Output,
) -> Result<BTreeMap<u32, Vec<FetchedResult>>, CliError> {
    let mut results = BTreeMap::new();
    for (index, view) in views.iter().filter(|(_, view)| !view.seats.is_empty()) {
        let ended = Ended::of(*index, &[], view);
        if ended.has_results() {
            let place = dir.join(ended.index().to_string());
            results.insert(*index, fetch_accepted(client, view, &place, output).await?);
        }
    }
    Ok(results)
}

/// The rows of a group, by index. Of two jobs with one index, the older counts.
pub(super) fn by_index(rows: Vec<JobRow>) -> BTreeMap<u32, JobRow> {
    // Newest first.
    rows.into_iter().filter_map(|row| Some((row.member.as_ref()?.index, row))).collect()
}

/// Tells when to look at a group again.
#[derive(Debug, Default)]
struct News(Option<Events>);

impl News {
    /// The jobs of the group, after the stream of news was opened, so that nothing falls between the two.
    async fn look(&mut self, client: &Client, group: &str) -> Result<BTreeMap<u32, JobRow>, ClientError> {
        if self.0.is_none() {
            self.0 = Some(client.all_events().await?);
        }
        Ok(by_index(client.group(group).await?.jobs))
    }

    /// Waits for the next event, or for a while.
    async fn wait(&mut self) {
        let earliest = Instant::now() + PAUSE;
        if let Some(stream) = &mut self.0
            && !matches!(time::timeout(LOOK_AGAIN, stream.next()).await, Ok(Ok(true)) | Err(_))
        {
            // The stream ended or broke: the next look opens another, or says that the node is away.
            self.0 = None;
        }
        time::sleep_until(earliest).await;
    }
}

/// What is seen of a group's jobs, by index: the state, and how many seats are filled.
type Seen = BTreeMap<u32, (JobState, usize)>;

/// For how long no job of a group has changed.
#[derive(Debug, Default)]
struct Still {
    seen: Seen,
    since: Option<Instant>,
}

impl Still {
    /// Whether that is longer than a job of this deal may take.
    fn is_stuck(&mut self, rows: &BTreeMap<u32, JobRow>, deal: Option<&Deal>) -> bool {
        let seen = rows.iter().map(|(index, row)| (*index, (row.state, row.seats))).collect();
        match self.since.filter(|_| self.seen == seen) {
            Some(since) => since.elapsed() > longest(deal),
            None => {
                *self = Self { seen, since: Some(Instant::now()) };
                false
            }
        }
    }
}

/// The longest that a job may stand still: its longest phase, and a margin.
fn longest(deal: Option<&Deal>) -> Duration {
    let phases = deal.map_or(Duration::from_secs(MAX_DURATION.as_secs().into()), |deal| {
        let longest = deal.open.max(deal.run).max(deal.reveal);
        Duration::from_secs(longest.as_secs().into())
    });
    phases + OVERDUE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sweep::{
        PlanError,
        tests::{plan, row},
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
