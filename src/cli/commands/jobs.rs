//! `assay job list`, `wait`, `cancel` and `update`.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::{
    job_name,
    job_rows::{listed, wanted},
    list_watch,
};
use crate::{
    api::types::JobView,
    cli::{
        CliError, ExitStatus,
        args::{CancelArgs, ListArgs, UpdateArgs, WaitArgs},
        document::Document,
        ending::{EndDocument, Ending},
        output::Output,
        session::{Need, Session, with_node},
        settings::{self, SettingsError},
        text,
        watch::{OVERDUE, Watched, watch},
    },
};

/// Lists jobs, newest first.
pub(in crate::cli) async fn list(args: &ListArgs, output: Output) -> Result<ExitStatus, CliError> {
    if args.watch {
        return with_node(&args.asked, Need::Answers, output, async |session: &Session| {
            list_watch::watch(session.client(), args, output).await
        })
        .await;
    }
    let list = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        wanted(session.client(), args).await
    });
    let list = list.await?;
    output.list(&list, || listed(&list.jobs))?;
    let (shown, total) = (list.jobs.len(), list.total);
    if shown < total {
        output.note(&format!("the newest {shown} of {total} jobs; --limit {total} lists all"));
    } else if list.next.is_some() {
        output.note(&format!("the newest {shown} jobs of more; a higher --limit lists more"));
    }
    Ok(ExitStatus::Success)
}

/// The ends of several jobs, as JSON.
#[derive(Debug, Serialize)]
struct Waited<'a> {
    /// In the order on the command line.
    jobs: Vec<EndDocument<'a>>,
    /// The exit code of this command.
    exit_code: u8,
}

impl Document for Waited<'_> {}

/// Waits for the verdicts of jobs and shows how they ended.
pub(in crate::cli) async fn wait(args: &WaitArgs, output: Output) -> Result<ExitStatus, CliError> {
    let jobs: Vec<&str> = args.jobs.iter().map(|job| job_name(job)).collect::<Result<_, _>>()?;
    let until = args.wait_timeout.map(|limit| Instant::now() + Duration::from_secs(limit.as_secs().into()));
    with_node(&args.asked, Need::Answers, output, async |session: &Session| match jobs[..] {
        [job] => match follow_to_end(session, &jobs, job, until, output).await? {
            Ok(view) => Ending::of(session.client(), view).await?.tell(output),
            Err(status) => Ok(status),
        },
        _ => wait_for_all(session, &jobs, until, output).await,
    })
    .await
}

/// The exit code: that of the first job, in the order on the command line, with a code other than 0.
async fn wait_for_all(
    session: &Session,
    jobs: &[&str],
    until: Option<Instant>,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let client = session.client();
    for job in jobs {
        client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
    }
    let mut endings = Vec::new();
    for (number, job) in (1..).zip(jobs) {
        output.note(&format!("job {job}, {number} of {}", jobs.len()));
        let view = match follow_to_end(session, &jobs[number - 1..], job, until, output).await? {
            Ok(view) => view,
            Err(status) => return Ok(status),
        };
        let ending = Ending::of(client, view).await?;
        if output.is_document() {
            ending.say_why(output);
        } else {
            ending.tell(output)?;
        }
        endings.push(ending);
    }
    let statuses = endings.iter().map(Ending::exit_status);
    let status = statuses.into_iter().find(|status| status.code() != 0).unwrap_or(ExitStatus::Success);
    if output.is_document() {
        let jobs = endings.iter().map(Ending::document).collect();
        output.document(&Waited { jobs, exit_code: status.code() })?;
    }
    Ok(status)
}

/// Waits for a job's end. If the wait ends early, says how to resume waiting for the `rest`, and returns an exit code.
pub(super) async fn follow_to_end(
    session: &Session,
    rest: &[&str],
    job: &str,
    until: Option<Instant>,
    output: Output,
) -> Result<Result<Box<JobView>, ExitStatus>, CliError> {
    let again = format!("hint: resume with: {}", session.wait_command(&rest.join(" ")));
    let meanwhile = session.without_us();
    match watch(session.client(), job, until, output).await? {
        Watched::Ended(view) => Ok(Ok(view)),
        Watched::Interrupted => {
            output.note(&format!("detached; {meanwhile}\n{again}"));
            Ok(Err(ExitStatus::Interrupted))
        }
        Watched::TimedOut => {
            output.outcome(&format!("gave up after --wait-timeout; {meanwhile}\n{again}"));
            Ok(Err(ExitStatus::Deadline))
        }
        Watched::Overdue(view) => {
            output.outcome(&format!(
                "gave up: job {} is still {}, {} s after its last deadline; its requester or the node that was asked \
                 is stuck, or cannot write its store\nhint: see the log of the node, and assay job describe {}",
                text::job(view.job),
                view.state,
                OVERDUE.as_secs(),
                text::job(view.job)
            ));
            Ok(Err(ExitStatus::Deadline))
        }
    }
}

/// Cancels a job before its first acceptance, or stops one that runs.
pub(in crate::cli) async fn cancel(args: &CancelArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let reply = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        session.client().cancel(job).await.map_err(CliError::node(format!("cancel job {job}")))
    });
    let reply = reply.await?;
    output.result(&reply, || format!("{}\n", reply.job))?;
    output.note(if reply.stopped {
        "stopped: the nodes that ran it are told and get the agreed pay"
    } else {
        "cancelled: no node had begun"
    });
    Ok(ExitStatus::Success)
}

/// Changes the terms of a job before its first acceptance.
pub(in crate::cli) async fn update(args: &UpdateArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let reply = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let view = client.job(job).await.map_err(CliError::node(format!("read the deal of job {job}")))?;
        let deal = settings::deal(&args.deal, view.deal.clone(), &view.asset)?;
        if deal == view.deal {
            return Err(SettingsError::NothingToUpdate.into());
        }
        let reply = client.update(job, &deal).await;
        reply.map_err(CliError::node(format!("change the deal of job {job}")))
    });
    let reply = reply.await?;
    output.result(&reply, || format!("{}\n", reply.revision))?;
    output.note("the deal changed; earlier bids are void, and nodes bid again");
    Ok(ExitStatus::Success)
}
