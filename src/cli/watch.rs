//! Waits for a job's end. The node's events say that something happened, and a view of the job says what.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::{
    CliError,
    client::{Client, ClientError, Events},
    output::Output,
    progress::Progress,
};
use crate::{api::types::JobView, domain::Timestamp};

/// Pause before a broken connection is retried, and the least pause between two views of a job.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a node may be unreachable before that is an error.
const AWAY_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait after the last deadline of a job: the node that ends it may be slow, and clocks differ.
pub(super) const OVERDUE: Duration = Duration::from_secs(120);

/// How long after a deadline to look at the job, so that others have acted on the deadline.
const GRACE_SECS: u64 = 3;

/// How often to look at a job without a deadline left, in seconds.
const LOOK_AGAIN: u64 = 3;

/// The outcome of waiting.
#[derive(Debug)]
pub(super) enum Watched {
    /// The job has ended.
    Ended(Box<JobView>),
    /// The user does not want to wait any longer.
    Interrupted,
    /// The user's time limit has passed.
    TimedOut,
    /// The job's last deadline passed [`OVERDUE`] ago, and the node says that the job goes on.
    Overdue(Box<JobView>),
}

/// Shows progress until the job has ended, the user interrupts, or it is `until`.
///
/// # Errors
/// When the node refuses, or is unreachable for longer than [`AWAY_LIMIT`].
pub(super) async fn watch(
    client: &Client,
    job: &str,
    until: Option<Instant>,
    output: Output,
) -> Result<Watched, CliError> {
    let mut progress = Progress::new(output);
    let limited = async {
        match until {
            Some(until) => time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let watched = tokio::select! {
        ended = until_over(client, job, &mut progress) => ended,
        _ = tokio::signal::ctrl_c() => Ok(Watched::Interrupted),
        () = limited => Ok(Watched::TimedOut),
    };
    progress.finish();
    watched.map_err(CliError::node(format!("follow job {job}")))
}

async fn until_over(client: &Client, job: &str, progress: &mut Progress) -> Result<Watched, ClientError> {
    let mut events: Option<Events> = None;
    let mut away: Option<Instant> = None;
    let mut bound = Bound::default();
    loop {
        let until = Instant::now() + PAUSE;
        let seen = match round(client, job, progress, &mut events, &mut bound).await {
            Ok(None) => gather(&mut events, until).await.map(|()| None),
            other => other,
        };
        match seen {
            Ok(Some(watched)) => return Ok(watched),
            Ok(None) => away = None,
            Err(error @ ClientError::Unreachable { .. }) => {
                let since = *away.get_or_insert_with(Instant::now);
                events = None;
                if since.elapsed() >= AWAY_LIMIT {
                    return Err(error);
                }
                time::sleep(5 * PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How long to wait for a job, by this process's clock, since that of the node or chain may stand still.
#[derive(Debug, Default)]
struct Bound(Option<(Timestamp, Instant)>);

impl Bound {
    /// The limit after this view. Only a later last deadline of the job moves it.
    fn after(&mut self, last: Timestamp, node_now: Timestamp, now: Instant) -> Instant {
        match self.0 {
            Some((known, until)) if known == last => until,
            Some(_) | None => {
                let over = last.as_secs() + OVERDUE.as_secs();
                let until = now + Duration::from_secs(over.saturating_sub(node_now.as_secs()));
                self.0 = Some((last, until));
                until
            }
        }
    }
}

/// Takes events until then, since many at once need one view. Returns earlier when the stream ends, which it does with the
/// job.
pub(super) async fn gather(events: &mut Option<Events>, until: Instant) -> Result<(), ClientError> {
    let Some(stream) = events else {
        time::sleep_until(until).await;
        return Ok(());
    };
    while let Ok(more) = time::timeout_at(until, stream.next()).await {
        if !more? {
            *events = None;
            return Ok(());
        }
    }
    Ok(())
}

/// Takes one view of the job, then waits for the next event or the next deadline.
async fn round(
    client: &Client,
    job: &str,
    progress: &mut Progress,
    events: &mut Option<Events>,
    bound: &mut Bound,
) -> Result<Option<Watched>, ClientError> {
    let stream = match events {
        Some(stream) => stream,
        // Opened before the view is requested, so that nothing falls between them.
        None => events.insert(client.events(job, 0).await?),
    };
    let view = client.job(job).await?;
    progress.show(&view);
    if view.state.is_terminal() || view.requester_gone || view.broken.is_some() {
        return Ok(Some(Watched::Ended(Box::new(view))));
    }
    let deadlines = || view.deadlines.iter().map(|deadline| deadline.at);
    let until = bound.after(deadlines().max().unwrap_or(view.now), view.now, Instant::now());
    if until <= Instant::now() {
        return Ok(Some(Watched::Overdue(Box::new(view))));
    }
    let next = deadlines().filter(|at| *at >= view.now).min();
    // Without a deadline left, wait for the limit and look again now and then.
    let wait = next.map_or(LOOK_AGAIN, |at| at.as_secs().saturating_sub(view.now.as_secs()) + GRACE_SECS);
    let wait = until.min(Instant::now() + Duration::from_secs(wait));
    if let Ok(more) = time::timeout_at(wait, stream.next()).await
        && !more?
    {
        *events = None;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Span;

    #[test]
    fn a_job_is_waited_for_until_its_last_deadline_and_a_margin_on_our_clock() {
        let (secs, start) = (Timestamp::from_secs, Instant::now());
        let mut bound = Bound::default();
        let until = start + Duration::from_secs(60) + OVERDUE;
        assert_eq!(bound.after(secs(160), secs(100), start), until);
        // A clock of the node that stands still moves nothing.
        assert_eq!(bound.after(secs(160), secs(100), start + Duration::from_secs(50)), until);
        // The next phase has a later deadline.
        let later = start + Duration::from_secs(70);
        assert_eq!(bound.after(secs(200), secs(150), later), later + Duration::from_secs(50) + OVERDUE);
        // A late caller does not start to wait.
        assert_eq!(Bound::default().after(secs(90), secs(90).plus(Span::from_secs(500)), later), later);
    }
}
