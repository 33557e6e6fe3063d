//! Waiting for a job's end: the node says that something happened, the view of the job says what.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::{
    CliError,
    client::{Client, ClientError, Events},
    output::Output,
    progress::Progress,
};
use crate::{api::types::JobView, domain::Span};

/// How long to wait before a broken connection is tried again, and between two views of a job at least.
const PAUSE: Duration = Duration::from_millis(100);

/// How often in a row a node may be away before that is an error: some ten seconds.
const MAX_ATTEMPTS: u32 = 20;

/// A deadline is looked at this long after it passed, so that whoever acts on it has acted.
const GRACE_SECS: u64 = 3;

/// What the waiting came to.
#[derive(Debug)]
pub(super) enum Watched {
    /// The job is over.
    Ended(Box<JobView>),
    /// The user does not want to wait any longer.
    Interrupted,
    /// The time that the user gave is over.
    TimedOut,
}

/// Shows progress until the job is over, the user interrupts, or `limit` has passed.
///
/// # Errors
/// When the node refuses, or is away for longer than [`MAX_ATTEMPTS`] attempts.
pub(super) async fn watch(
    client: &Client,
    job: &str,
    limit: Option<Span>,
    output: Output,
) -> Result<Watched, CliError> {
    let mut progress = Progress::new(output);
    let limited = async {
        match limit {
            Some(limit) => time::sleep(Duration::from_secs(limit.as_secs().into())).await,
            None => std::future::pending().await,
        }
    };
    let watched = tokio::select! {
        ended = until_over(client, job, &mut progress) => ended.map(|view| Watched::Ended(Box::new(view))),
        _ = tokio::signal::ctrl_c() => Ok(Watched::Interrupted),
        () = limited => Ok(Watched::TimedOut),
    };
    progress.finish();
    watched.map_err(CliError::node(format!("follow job {job}")))
}

async fn until_over(client: &Client, job: &str, progress: &mut Progress) -> Result<JobView, ClientError> {
    let mut events: Option<Events> = None;
    let mut failed = 0;
    loop {
        let until = Instant::now() + PAUSE;
        let seen = match round(client, job, progress, &mut events).await {
            Ok(None) => gather(&mut events, until).await.map(|()| None),
            other => other,
        };
        match seen {
            Ok(Some(view)) => return Ok(view),
            Ok(None) => failed = 0,
            Err(error @ ClientError::Unreachable { .. }) => {
                failed += 1;
                events = None;
                if failed == MAX_ATTEMPTS {
                    return Err(error);
                }
                time::sleep(5 * PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Takes what events come until then, since many at once need one view; not longer than there are any, since they end
/// with the job.
async fn gather(events: &mut Option<Events>, until: Instant) -> Result<(), ClientError> {
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

/// One view of the job; then waits for the next event, or for the deadline that comes without one.
async fn round(
    client: &Client,
    job: &str,
    progress: &mut Progress,
    events: &mut Option<Events>,
) -> Result<Option<JobView>, ClientError> {
    let stream = match events {
        Some(stream) => stream,
        // Opened before the view is asked for, so that nothing falls between them.
        None => events.insert(client.events(job, 0).await?),
    };
    let view = client.job(job).await?;
    progress.show(&view);
    if view.state.is_terminal() || view.requester_gone || view.broken.is_some() {
        return Ok(Some(view));
    }
    let deadlines = view.deadlines.iter().map(|deadline| deadline.at);
    let next = deadlines.filter(|at| *at >= view.now).min().unwrap_or(view.now);
    let wait = Duration::from_secs(next.as_secs().saturating_sub(view.now.as_secs()) + GRACE_SECS);
    if let Ok(more) = time::timeout(wait, stream.next()).await
        && !more?
    {
        *events = None;
    }
    Ok(None)
}
