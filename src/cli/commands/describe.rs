//! `assay job describe`: a job on one screen.

use serde::Serialize;

use super::{describe_money::money_table, describe_steps::Steps, job_name};
use crate::{
    api::types::{JobView, LastWordsView, SeatView},
    cli::{
        CliError, ExitStatus, accepted,
        args::DescribeArgs,
        client::Client,
        document::Document,
        doubts::Doubts,
        ending, failure,
        job_file::written,
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{
        Asset, Audit, AuditStage, Deal, JobId, JobState, Method, OUTPUTS_DIR, SUMMARY_FILE, Spec, Timestamp,
    },
    scheduler::{Evidence, FaultKind},
};

/// A job with every step, as JSON.
#[derive(Debug, Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    view: &'a JobView,
    #[serde(flatten)]
    steps: &'a Steps,
    #[serde(flatten)]
    doubts: &'a Doubts,
    last_words: &'a [LastWordsView],
}

impl Document for Described<'_> {}

/// Shows everything about a job.
pub(in crate::cli) async fn run(args: &DescribeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        describe(session.client(), job, output).await
    })
    .await
}

async fn describe(client: &Client, job: &str, output: Output) -> Result<ExitStatus, CliError> {
    let view = client.job(job).await.map_err(CliError::node(format!("find job {job}")))?;
    if output.is_yaml() {
        return write_file(&view, output);
    }
    let id = view.job.to_string();
    let log = client.log(&id).await.map_err(CliError::node(format!("read the log of job {job}")))?;
    let anchors = client.anchors(&id).await;
    let anchors = anchors.map_err(CliError::node(format!("find the transactions of job {job}")))?;
    let steps = Steps::new(&log, &anchors, &view.asset);
    let doubts = Doubts::of(client, &view).await;
    let failed: Vec<&SeatView> = match accepted::seat(&view) {
        Some(_) => Vec::new(),
        None => view.seats.iter().collect(),
    };
    let last_words = failure::last_words(client, &view, &failed).await;
    if output.is_document() {
        output.document(&Described {
            view: &view,
            steps: &steps,
            doubts: &doubts,
            last_words: &last_words,
        })?;
        return Ok(ExitStatus::Success);
    }
    let mut sections =
        vec![head(&view), deal(&view.deal, view.audit, &view.seats, &view.asset), waits(&view), nodes(&view)];
    if view.verdict.is_some() {
        sections.extend(super::verdict::curves(&view));
    }
    sections.extend(Some(doubts.lines()).filter(|lines| !lines.is_empty()));
    sections.extend(Some(reasons(&last_words)).filter(|lines| !lines.is_empty()));
    sections.push(steps.table());
    sections.extend(view.money.as_ref().map(|money| money_table(money, view.requester, &view.asset)));
    sections.push(next(&view));
    if view.state == JobState::Open {
        let rows = client.outlooks(&id).await.map_err(CliError::node(format!("explain job {job}")))?;
        sections.push(super::explain::grouped(&view, &rows));
    }
    output.shown(&sections.join("\n"))?;
    Ok(ExitStatus::Success)
}

/// Writes the job as a file that `job submit` takes.
fn write_file(view: &JobView, output: Output) -> Result<ExitStatus, CliError> {
    let file = written(&view.spec, &view.deal);
    output.shown(&format!("# job {}, {}\n{}", view.job, view.state, file.text))?;
    for missing in &file.missing {
        output.note(&format!("the file lacks {}", printable(missing)));
    }
    if !file.missing.is_empty() {
        output.note(&format!(
            "hint: submit the job again with all of it: assay job rerun {}",
            text::job(view.job)
        ));
    }
    Ok(ExitStatus::Success)
}

fn head(view: &JobView) -> String {
    let spec = &view.spec;
    let mut lines = vec![
        ("Job", view.job.to_string()),
        ("State", state(view)),
        ("Requester", view.requester.to_string()),
        ("Submitted", text::relative(view.submitted_at, view.now)),
        ("Image", format!("{} ({})", spec.image_name, spec.image)),
    ];
    lines.extend(program(spec));
    let used = if spec.seeded { " (random numbers and wall time follow from it)" } else { "" };
    lines.push(("Seed", format!("{}{used}", view.seed)));
    lines.extend(room(spec));
    for warning in &view.warnings {
        lines.push(("Warning", format!("{}; hint: {}", printable(&warning.message), warning.hint)));
    }
    if let Some(evidence) = &view.evidence {
        lines.push(("Proof", proof(view.job, evidence)));
    }
    lines.extend(super::describe_replication::lines(view));
    if let Some(child) = view.followed_by {
        lines.push(("Followed by", child.to_string()));
    }
    fields(&lines)
}

/// The command that runs, after the image's name.
pub(super) fn program(spec: &Spec) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if !spec.entrypoint.is_empty() {
        lines.push(("Entrypoint", text::command(&spec.entrypoint)));
    }
    if !spec.command.is_empty() {
        lines.push(("Command", text::command(&spec.command)));
    }
    for (name, value) in &spec.environment {
        lines.push(("Environment", format!("{name}={value}")));
    }
    lines
}

/// The container's limits, inputs and environment.
pub(super) fn room(spec: &Spec) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    for input in &spec.inputs {
        let (what, at) = (input.url.as_deref().unwrap_or("from the requester"), &input.target);
        lines.push(("Input", format!("{} ({}, {what}) at {at}", input.digest, text::bytes(input.bytes))));
    }
    if spec.public_result {
        lines.push(("Results", "public: anybody may fetch them once the job has ended".to_owned()));
    }
    if spec.summary_file != SUMMARY_FILE {
        lines.push(("Summary", format!("the numbers in {OUTPUTS_DIR}/{}", spec.summary_file)));
    }
    if let Some(platform) = &spec.platform {
        lines.push(("Platform", platform.clone()));
    }
    let limits = &spec.resources;
    let scratch = match limits.scratch_bytes {
        0 => String::new(),
        bytes => format!(", {} of scratch in {}", text::bytes(bytes), spec.scratch_dir),
    };
    lines.push((
        "Limits",
        format!(
            "{} memory, {} CPUs, {} processes, {} in /outputs{scratch}",
            text::bytes(limits.memory_bytes),
            text::thousandths(limits.cpu_millis),
            limits.pids,
            text::bytes(limits.disk_bytes)
        ),
    ));
    lines
}

fn proof(job: JobId, evidence: &Evidence) -> String {
    let height = evidence.height;
    let what = match evidence.kind {
        FaultKind::TwoHistories => {
            format!("its requester signed two histories, which part at entry {height}")
        }
        FaultKind::RuleBroken => format!("its requester signed entry {height}, which the rules refuse"),
    };
    format!("{what}; to show it to others: assay verdict export {job}")
}

fn state(view: &JobView) -> String {
    let gone =
        if view.requester_gone { "; overdue, and its requester cannot be reached (not final)" } else { "" };
    let why = view.failure.as_deref().map_or(String::new(), |failure| format!(": {failure}"));
    let broken = view.broken.as_deref().map_or(String::new(), |broken| format!(" when last seen; {broken}"));
    format!("{}{gone}{why}{broken}", view.state)
}

fn compared(deal: &Deal, seats: &[SeatView]) -> String {
    let traces = text::alike_work(deal, seats);
    let outputs = match deal.canonical {
        set if set.is_none() => "equal outputs".to_owned(),
        set => format!("outputs equal but for {set}"),
    };
    let work = if deal.require_work { format!(", and {traces}") } else { String::new() };
    match (deal.method, deal.summary) {
        _ if deal.deterministic => outputs,
        (Method::Near, Some(form)) => format!("{outputs}, or a summary within {form}{work}"),
        (Method::Hash | Method::Near, _) => format!("{outputs}{work}"),
        (Method::KMeans | Method::Ball, _) => format!("{outputs}; otherwise {}, {traces}", deal.method),
    }
}

/// The terms, with the limits in effect if runs of these seats were compared.
pub(super) fn deal(deal: &Deal, stage: AuditStage, seats: &[SeatView], asset: &Asset) -> String {
    let asked = deal.seats_at(stage);
    let mut lines = vec![
        ("Deal", format!("{asked} nodes run it, {} must agree", deal.quorum_of(asked))),
        ("Compared", compared(deal, seats)),
        (
            "Durations",
            format!(
                "open {}, run {} with a timeout of {}, reveal {}",
                text::term(deal.open),
                text::term(deal.run),
                text::term(deal.timeout),
                text::term(deal.reveal)
            ),
        ),
        ("Acceptance", deal.acceptance.to_string()),
    ];
    if !deal.price.is_zero() {
        lines.push(("Price", price(deal, asset)));
    }
    if !deal.allow_list.is_empty() {
        let nodes: Vec<String> = deal.allow_list.iter().map(|node| text::node(*node)).collect();
        lines.push(("Allowed", nodes.join(" ")));
    }
    if let Some(audit) = deal.audit {
        lines.push(("Audit", audited(audit, stage)));
    }
    if deal.escalation_limit > 0 {
        lines.push(("Escalation", format!("up to {} nodes when inconclusive", deal.escalation_limit)));
    }
    if let Some(parent) = deal.parent {
        lines.push(("Follows", parent.to_string()));
    }
    fields(&lines)
}

/// The chance of a second wave, and whether this job has one.
fn audited(audit: Audit, stage: AuditStage) -> String {
    let stage = match stage {
        AuditStage::None | AuditStage::Undrawn => "not drawn yet",
        AuditStage::Spared => "spared: the first wave decides alone",
        AuditStage::Drawn => "drawn: the second wave compares with the first",
    };
    format!("{} for {} more nodes; {stage}", text::percent(audit.permille), audit.seats)
}

fn price(deal: &Deal, asset: &Asset) -> String {
    let fee = if deal.keeper_fee.is_zero() {
        String::new()
    } else {
        format!(", {} for posting the verdict", asset.show(deal.keeper_fee))
    };
    format!("{} a seat at most, bond {}{fee}", asset.show(deal.price), asset.show(deal.bond))
}

/// The bound of each wait: those known so far, or after the end those that were needed.
fn waits(view: &JobView) -> String {
    if let Some(ended) = view.ended_at {
        return ended_waits(view, ended);
    }
    let rows = view.deadlines.iter().map(|deadline| {
        vec![deadline.name.text().to_owned(), text::relative(deadline.at, view.now), deadline.bounds.clone()]
    });
    let table = table(&["DEADLINE", "WHEN", "UNTIL THEN"], rows);
    match failure::refill(view) {
        Some(refill) => format!("{table}{}, {}\n", refill.waits, refill.left),
        None => table,
    }
}

fn ended_waits(view: &JobView, ended: Timestamp) -> String {
    let names = |passed: bool| {
        let such = view.deadlines.iter().filter(|deadline| (deadline.at < ended) == passed);
        let names: Vec<&str> = such.map(|deadline| deadline.name.text()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let took = text::age(view.submitted_at, ended);
    fields(&[
        ("Ended", format!("{}, {took} after its submission", text::relative(ended, view.now))),
        ("Deadlines", format!("passed before the end: {}; not reached: {}", names(true), names(false))),
    ])
}

fn nodes(view: &JobView) -> String {
    if view.seats.is_empty() {
        return format!("No node is accepted yet; {} have bid.\n", view.bids.len());
    }
    let rows = view.seats.iter().map(|seat| {
        let result = seat.result.as_ref();
        let cpu = result.and_then(|result| result.cpu_ms);
        vec![
            text::node(seat.node),
            text::progress(seat, view.state),
            result.map_or("-".to_owned(), |result| result.exit_code.to_string()),
            cpu.map_or("-".to_owned(), |cpu| format!("{cpu} ms")),
            memory(seat),
            text::distance(seat, view),
            text::judgement(seat).to_owned(),
            failure::of_seat(seat, view).or_else(|| seat.reason.clone()).unwrap_or_default(),
        ]
    });
    let table = table(&["NODE", "STATE", "EXIT", "CPU", "MEMORY", "DISTANCE", "VERDICT", "WHY"], rows);
    if view.state.is_terminal() { format!("{table}\n{}\n", printable(&ending::summary(view))) } else { table }
}

/// Why runs failed, according to their nodes.
fn reasons(last_words: &[LastWordsView]) -> String {
    let line = |words: &LastWordsView| {
        printable(&format!("{} says: {}", text::node(words.node), words.reason)) + "\n"
    };
    last_words.iter().map(line).collect()
}

fn memory(seat: &SeatView) -> String {
    let row = seat.result.and_then(|result| result.memory_kib);
    let most = row.and_then(|row| row.into_iter().max());
    most.map_or("-".to_owned(), |kib| text::bytes(u64::from(kib) * 1024))
}

fn next(view: &JobView) -> String {
    let id = text::job(view.job);
    let commands = if !view.state.is_terminal() {
        [format!("assay job wait {id}"), format!("assay job cancel {id}")]
    } else if accepted::seat(view).is_some() {
        [format!("assay results fetch {id}"), format!("assay verdict check {id}")]
    } else {
        [format!("assay verdict show {id}"), format!("assay verdict check {id}")]
    };
    format!("Next:\n  {}\n", commands.join("\n  "))
}

pub(super) fn fields(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(name, value)| format!("{:<13}{}\n", format!("{name}:"), printable(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::failure::tests::{failed_view, verified_view},
        domain::{FailureKind, JobState},
    };

    #[test]
    fn a_job_that_goes_on_shows_what_it_waits_for_and_how_long() {
        let shown = waits(&failed_view(FailureKind::Disk, JobState::Running));
        assert!(shown.contains("refill_by  in 58s"), "{shown}");
        assert!(shown.ends_with("unless you cancel it, the job fails at 00:02:38 UTC, in 58s\n"), "{shown}");
    }

    #[test]
    fn the_chance_of_an_audit_is_told_in_percent() {
        let audit = Audit::requested(125, 2);
        assert_eq!(audited(audit, AuditStage::Undrawn), "12.5 % for 2 more nodes; not drawn yet");
    }

    #[test]
    fn an_ended_job_waits_for_nothing() {
        let shown = waits(&verified_view(0));
        assert_eq!(
            shown,
            "Ended:       now, 1m40s after its submission\n\
             Deadlines:   passed before the end: open_by; not reached: refill_by\n"
        );
        assert_eq!(state(&verified_view(0)), "verified");
        let broken =
            JobView { broken: Some("why".to_owned()), ..failed_view(FailureKind::Disk, JobState::Open) };
        assert_eq!(state(&broken), "open when last seen; why");
    }
}
