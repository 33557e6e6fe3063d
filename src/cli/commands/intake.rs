//! `assay node pause`, `resume` and `drain`: whether a node takes on work.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    api::types::{IntakeReply, MAX_DRAIN_WAIT, Obligations},
    cli::{
        CliError, ExitStatus,
        args::{DrainArgs, NodeArgs},
        document::Document,
        output::Output,
        session::{Need, Session, with_node},
    },
};

impl Document for IntakeReply {}

/// Has the asked node take on no more work.
pub(in crate::cli) async fn pause(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let paused = with_node(args, Need::Answers, output, async |session: &Session| {
        session.client().pause(0).await.map_err(CliError::node("pause the node"))
    });
    tell(&paused.await?, output)?;
    output.note("paused, also after a restart; assay node resume ends that");
    Ok(ExitStatus::Success)
}

/// Has the asked node take on work again.
pub(in crate::cli) async fn resume(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let resumed = with_node(args, Need::Answers, output, async |session: &Session| {
        session.client().resume().await.map_err(CliError::node("resume the node"))
    });
    tell(&resumed.await?, output)?;
    Ok(ExitStatus::Success)
}

/// Has the asked node take on no more work, and waits until it owes nothing.
pub(in crate::cli) async fn drain(args: &DrainArgs, output: Output) -> Result<ExitStatus, CliError> {
    let limit = args.timeout.map(|timeout| Duration::from_secs(timeout.as_secs().into()));
    let drained = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let (began, mut told) = (Instant::now(), None);
        loop {
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            let wait = left.map_or(MAX_DRAIN_WAIT, |left| {
                u32::try_from(left.as_secs()).unwrap_or(u32::MAX).min(MAX_DRAIN_WAIT)
            });
            // The first request only pauses, so that the user learns at once what is owed.
            let wait = if told.is_none() { 0 } else { wait.max(1) };
            let reply = session.client().pause(wait).await.map_err(CliError::node("drain the node"))?;
            if is_settled(&reply) || left.is_some_and(|left| left.is_zero()) {
                return Ok(reply);
            }
            if told != Some(reply.owes) {
                output.note(&format!("draining: {}", owed_of(&reply)));
                told = Some(reply.owes);
            }
        }
    });
    let drained = drained.await?;
    tell(&drained, output)?;
    if is_settled(&drained) {
        output.note("drained: the node owes nothing; stop it, or let it go on with assay node resume");
        return Ok(ExitStatus::Success);
    }
    output.note(
        "the time has passed; the node stays paused, and works off the rest: assay node drain waits again",
    );
    Ok(ExitStatus::Deadline)
}

fn is_settled(reply: &IntakeReply) -> bool {
    reply.owes == Some(Obligations::default())
}

fn tell(reply: &IntakeReply, output: Output) -> Result<(), CliError> {
    output.result(reply, || {
        let state = if reply.paused_since.is_some() { "takes on no work" } else { "takes on work" };
        format!("the node {state}; {}\n", owed_of(reply))
    })
}

fn owed_of(reply: &IntakeReply) -> String {
    reply.owes.as_ref().map_or_else(|| "it still reads its log".to_owned(), owed)
}

/// What a node owes, for people.
pub(super) fn owed(owed: &Obligations) -> String {
    let Obligations { bids, seats, openings } = *owed;
    let parts = [(bids, "bids to withdraw"), (seats, "seats to work off"), (openings, "results to reveal")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { "it owes nothing".to_owned() } else { format!("it owes {}", parts.join(", ")) }
}
