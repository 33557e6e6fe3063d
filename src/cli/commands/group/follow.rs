//! Follows a group until all its jobs have ended, and submits those that are missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use futures::channel::mpsc::{self, UnboundedSender};
use tokio::time::{self, Instant};

use super::{
    collect::{Collected, Collector, tell_unfetched},
    sender::{Patience, Sender},
};
use crate::{
    api::types::JobRow,
    cli::{
        CliError, ExitStatus,
        client::{Client, ClientError, Events},
        output::Output,
        session::Session,
        sweep::{GroupEnd, GroupProgress, Plan, Unsubmitted},
        watch::OVERDUE,
    },
    domain::{Deal, JobId, JobState, MAX_DURATION},
};

/// The least pause between two looks at a group, and the longest: deadlines pass without an event.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long a node may be away before that is an error.
const AWAY_LIMIT: Duration = Duration::from_secs(30);

/// A group that is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed<'a> {
    pub(super) group: &'a str,
    /// The jobs that it is to have; without one, it has those that are there.
    pub(super) plan: Option<&'a Plan>,
    /// Where accepted results go, if they are wanted.
    pub(super) dir: Option<&'a Path>,
}

/// How waiting for a group ended.
enum Watched {
    /// All have, but for those that no node took.
    Ended(Vec<Unsubmitted>),
    Interrupted,
    TimedOut,
    Stuck,
}

/// Why there is nothing more to wait for.
enum Over {
    Ended(BTreeMap<u32, JobRow>, Vec<Unsubmitted>),
    /// Nothing has changed for longer than a job may take.
    Stuck,
}

impl Followed<'_> {
    pub(super) async fn to_end(
        self,
        session: &Session,
        until: Option<Instant>,
        output: Output,
    ) -> Result<ExitStatus, CliError> {
        let again = format!("hint: resume with: {}", session.group_wait_command(self.group, self.dir));
        let mut collected = Collected::default();
        match self.watch(session.client(), until, &mut collected, output).await? {
            Watched::Ended(unsubmitted) => self.end(session, collected, unsubmitted, output),
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
        collected: &mut Collected,
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
            ended = self.collecting(client, &mut progress, collected, output) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Watched::Interrupted),
            () = limited => Ok(Watched::TimedOut),
        };
        progress.finish();
        watched
    }

    /// Follows the group, and takes what its jobs leave as they end.
    async fn collecting(
        self,
        client: &Client,
        progress: &mut GroupProgress,
        collected: &mut Collected,
        output: Output,
    ) -> Result<Watched, CliError> {
        // A line for each result would hide the group's own.
        let collector = Collector { client, plan: self.plan, dir: self.dir, output: output.quietly() };
        let (ended, queue) = mpsc::unbounded();
        let taking = async {
            collector.collect(queue, collected).await;
            Ok(())
        };
        let (over, ()) = tokio::try_join!(self.until_over(client, progress, ended), taking)?;
        let Over::Ended(rows, unsubmitted) = over else { return Ok(Watched::Stuck) };
        collector.complete(&rows, collected).await;
        Ok(Watched::Ended(unsubmitted))
    }

    /// Follows the group, and tells of each job that `ended`.
    async fn until_over(
        self,
        client: &Client,
        progress: &mut GroupProgress,
        ended: UnboundedSender<(u32, JobId)>,
    ) -> Result<Over, CliError> {
        let mut news = News::default();
        let mut told = BTreeSet::new();
        let wanted = self.plan.map(Plan::wanted).unwrap_or_default();
        let mut sender = self.plan.map(|plan| Sender::new(client, plan, Patience::default()));
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
            for (index, row) in rows.iter().filter(|(_, row)| row.state.is_terminal()) {
                if told.insert(*index) {
                    // Who collects them outlives this loop.
                    let _ = ended.unbounded_send((*index, row.job));
                }
            }
            if let (Some(sender), Some(plan)) = (&mut sender, self.plan) {
                let open = wanted.iter().copied().filter(|index| !rows.contains_key(index)).collect();
                let more = sender.next(&open, room(plan, &rows, sender));
                if !more.is_empty() {
                    if let Some(told) = sender.send(more).await? {
                        progress.note(&told);
                    }
                    still = Still::default();
                    continue;
                }
            }
            if is_over(&wanted, &rows, sender.as_ref()) {
                let unsubmitted = sender.map(|sender| sender.refused().values().cloned().collect());
                return Ok(Over::Ended(rows, unsubmitted.unwrap_or_default()));
            }
            if still.is_stuck(&rows, self.plan.map(|plan| &plan.request.deal)) {
                return Ok(Over::Stuck);
            }
            news.wait().await;
        }
    }

    /// How many jobs the group will have.
    fn jobs(self, rows: &BTreeMap<u32, JobRow>) -> usize {
        let unknown = |plan: &Plan| plan.wanted().iter().filter(|index| !rows.contains_key(index)).count();
        rows.len() + self.plan.map_or(0, unknown)
    }

    /// Shows the end of every job.
    fn end(
        self,
        session: &Session,
        collected: Collected,
        unsubmitted: Vec<Unsubmitted>,
        output: Output,
    ) -> Result<ExitStatus, CliError> {
        let (ended, results, unfetched) = collected.parts();
        let end = GroupEnd::new(self.group.to_owned(), ended, unsubmitted, results, unfetched);
        output.result(&end, || end.text())?;
        let again = session.group_wait_command(self.group, self.dir);
        if let Some(told) = Unsubmitted::outcome(end.unsubmitted(), &again) {
            output.outcome(&told);
        }
        if let Some(dir) = self.dir {
            tell_unfetched(end.unfetched(), &session.group_fetch_command(self.group, dir), output);
        }
        if let Some(plan) = self.plan {
            plan.end(end.unsubmitted().iter().map(Unsubmitted::index).collect())?;
        }
        Ok(end.exit_status())
    }
}

/// How many more jobs may be undecided.
fn room(plan: &Plan, rows: &BTreeMap<u32, JobRow>, sender: &Sender<'_>) -> usize {
    let undecided = rows.values().filter(|row| !has_ended(row)).count();
    let unseen = sender.sent().keys().filter(|index| !rows.contains_key(index)).count();
    plan.max_parallel.unwrap_or(usize::MAX).saturating_sub(undecided + unseen)
}

/// Whether each wanted job is there or was refused, and all that are there have ended.
fn is_over(wanted: &BTreeSet<u32>, rows: &BTreeMap<u32, JobRow>, sender: Option<&Sender<'_>>) -> bool {
    let is_refused = |index: &u32| sender.is_some_and(|sender| sender.refused().contains_key(index));
    wanted.iter().all(|index| rows.contains_key(index) || is_refused(index)) && rows.values().all(has_ended)
}

/// Whether nothing more will happen to the job, as far as its node can tell.
const fn has_ended(row: &JobRow) -> bool {
    row.state.is_terminal() || row.requester_gone || row.is_broken
}

/// The rows of a group, by index. Of two jobs with one index, the older counts.
pub(in crate::cli::commands) fn by_index(rows: Vec<JobRow>) -> BTreeMap<u32, JobRow> {
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
