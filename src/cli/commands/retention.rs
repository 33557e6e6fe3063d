//! `assay node usage`, `assay node prune` and `assay job forget`: what a node keeps on its disk.

use super::job_name;
use crate::{
    api::types::{ForgetReply, KeepView, PruneReply, UsagePart, UsageReply},
    cli::{
        CliError, ExitStatus,
        args::{ForgetArgs, NodeArgs, PruneArgs},
        document::Document,
        output::{Output, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::Timestamp,
    node::{Kind, Why, wall_clock},
};

impl Document for UsageReply {}
impl Document for PruneReply {}
impl Document for ForgetReply {}

/// Says what takes how much of the asked node's disk.
pub(in crate::cli) async fn usage(args: &NodeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let usage = with_node(args, Need::Answers, output, async |session: &Session| {
        session.client().usage().await.map_err(CliError::node("ask what the node keeps"))
    });
    let usage = usage.await?;
    output.result(&usage, || sheet(&usage, wall_clock()))?;
    Ok(ExitStatus::Success)
}

/// Deletes what nobody needs any more.
pub(in crate::cli) async fn prune(args: &PruneArgs, output: Output) -> Result<ExitStatus, CliError> {
    let pruned = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        session.client().prune(args.dry_run).await.map_err(CliError::node("delete what nobody needs"))
    });
    let pruned = pruned.await?;
    output.result(&pruned, || {
        let content = pruned.content.iter().map(|content| {
            let why = match content.why {
                Why::Age => "kept long enough",
                Why::Bytes => "no room for more",
            };
            let name = content.digest.to_string();
            vec![name_of(content.kind).to_owned(), text::bytes(content.bytes), why.to_owned(), name]
        });
        let logs = pruned.jobs.iter().map(|job| {
            vec!["log".to_owned(), "-".to_owned(), "kept long enough".to_owned(), job.to_string()]
        });
        table(&["WHAT", "SIZE", "WHY", "ID"], content.chain(logs))
    })?;
    let (pieces, logs, bytes) = (pruned.content.len(), pruned.jobs.len(), text::bytes(pruned.bytes));
    let would = if pruned.dry_run { "would delete" } else { "deleted" };
    output.note(&format!("{would} {pieces} inputs and results ({bytes}), and the logs of {logs} jobs"));
    Ok(ExitStatus::Success)
}

/// Deletes an ended job from the asked node.
pub(in crate::cli) async fn forget(args: &ForgetArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let reply = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        session.client().forget(job).await.map_err(CliError::node(format!("forget job {job}")))
    });
    let reply = reply.await?;
    output.result(&reply, || format!("{}\n", reply.job))?;
    let (pieces, bytes) = (reply.pieces, text::bytes(reply.bytes));
    output.note(&format!("forgotten, with {pieces} inputs and results that no other job uses ({bytes})"));
    Ok(ExitStatus::Success)
}

const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Live => "content of running jobs",
        Kind::OwnResult => "results of own jobs",
        Kind::Result => "results for others",
        Kind::Input => "inputs of ended jobs",
        Kind::Unused => "unused uploads",
    }
}

fn sheet(usage: &UsageReply, now: Timestamp) -> String {
    let KeepView { results, own, inputs, logs, bytes } = usage.keep;
    let kept = |kind| match kind {
        Kind::Live => "as long as they run".to_owned(),
        Kind::OwnResult => text::term(own),
        Kind::Result => text::term(results),
        Kind::Input | Kind::Unused => text::term(inputs),
    };
    let content = usage.content.iter().map(|(kind, UsagePart { pieces, bytes, next })| {
        let next = next.map_or_else(|| "-".to_owned(), |next| text::relative(next.max(now), now));
        vec![name_of(*kind).to_owned(), pieces.to_string(), text::bytes(*bytes), kept(*kind), next]
    });
    let database = vec![
        "logs of ended jobs".to_owned(),
        usage.ended_jobs.to_string(),
        text::bytes(usage.database_bytes),
        text::term(logs),
        "-".to_owned(),
    ];
    let rows = content.chain([database]);
    let total: u64 = usage.content.values().map(|part| part.bytes).sum();
    format!(
        "{}\nInputs and results take {} of {}. Those of ended jobs go, the oldest first, above {}.\n\
         The size of the logs is that of the whole database, of which {} are free for new logs.\n",
        table(&["WHAT", "COUNT", "SIZE", "KEPT FOR", "NEXT GOES"], rows),
        text::bytes(total),
        text::bytes(usage.cap_bytes),
        text::bytes(bytes),
        text::bytes(usage.database_free_bytes),
    )
}
