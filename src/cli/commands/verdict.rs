//! `assay verdict show` and `compute`.

use std::{
    fs::File,
    io::{self, BufReader},
};

use serde::Serialize;

use super::job_name;
use crate::{
    api::types::{JobView, SeatView, VerdictView},
    cli::{
        CliError, ExitStatus,
        args::{ComputeArgs, ShowArgs},
        document::Document,
        ending,
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{JobId, JobState, Method},
    verdict::batch::compute_lines,
};

/// A verdict and its inputs, as JSON.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    job: JobId,
    state: JobState,
    quorum: u8,
    verdict: Option<&'a VerdictView>,
    seats: &'a [SeatView],
}

impl Document for Explained<'_> {}

/// Explains a job's verdict.
pub(in crate::cli) async fn show(args: &ShowArgs, output: Output) -> Result<ExitStatus, CliError> {
    let job = job_name(&args.job)?;
    let view = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        session.client().job(job).await.map_err(CliError::node(format!("find job {job}")))
    });
    let view = view.await?;
    let explained = Explained {
        job: view.job,
        state: view.state,
        quorum: view.quorum,
        verdict: view.verdict.as_ref(),
        seats: &view.seats,
    };
    output.result(&explained, || explain(&view))?;
    Ok(ExitStatus::Success)
}

fn explain(view: &JobView) -> String {
    let mut sections = vec![format!("{}\n", printable(&ending::summary(view))), rule(view)];
    if !view.seats.is_empty() {
        sections.push(ending::verdict_table(view));
        sections.extend(curves(view));
    }
    sections.join("\n")
}

/// The memory of each run as a row of bars, all to one scale; `None` if every run was too short to be measured.
pub(super) fn curves(view: &JobView) -> Option<String> {
    let rows = view.seats.iter().filter_map(|seat| seat.result?.memory_kib);
    let most = rows.flatten().max()?;
    Some(format!(
        "Memory over the run, each row from 0 to {}:\n{}",
        text::bytes(u64::from(most) * 1024),
        table(&["NODE", "MEMORY", "CPU", "VERDICT"], view.seats.iter().map(|seat| profile(seat, most)))
    ))
}

fn profile(seat: &SeatView, most: u32) -> Vec<String> {
    let result = seat.result.as_ref();
    vec![
        text::node(seat.node),
        result.and_then(|result| result.memory_kib).map_or("-".to_owned(), |row| text::bars(&row, most)),
        result.and_then(|result| result.cpu_ms).map_or("-".to_owned(), |cpu| format!("{cpu} ms")),
        text::judgement(seat).to_owned(),
    ]
}

/// The rule that decides this job, with the job's own numbers.
fn rule(view: &JobView) -> String {
    let deal = &view.deal;
    let majority = format!(
        "1. Equal outputs of more than half of {} nodes decide, if at least {} agree.\n",
        view.asked, deal.confidence
    );
    if deal.method == Method::Near || deal.require_work {
        let near = deal.summary.map_or(String::new(), |form| format!(", or their summaries within {form}"));
        let work = if deal.require_work {
            format!(", and {}", text::alike_work(deal, &view.seats))
        } else {
            String::new()
        };
        return format!(
            "1. Two runs agree when their outputs are equal{near}{work}.\n\
             2. The largest set of runs that agree with one of them decides.\n   \
             It must hold at least {} of {} nodes.\n",
            view.quorum, view.asked
        );
    }
    if deal.deterministic || deal.method == Method::Hash {
        return majority + "2. Otherwise nothing decides: this job compares outputs alone.\n";
    }
    let method = match deal.method {
        Method::Ball => "the largest set of runs around one of them",
        Method::KMeans | Method::Hash | Method::Near => "the runs near the mean",
    };
    majority
        + &format!(
            "2. Otherwise {method} does, {}.\n   \
             It must hold at least {} of {} nodes. Nodes with nothing to compare count among them.\n",
            text::alike_work(deal, &view.seats),
            view.quorum,
            view.asked
        )
}

/// Decides cases, one JSON object a line. Asks no node.
pub(in crate::cli) fn compute(args: &ComputeArgs, output: Output) -> Result<ExitStatus, CliError> {
    let path = &args.file;
    let sink = output.sink();
    let bad = if path.as_os_str() == "-" {
        compute_lines(io::stdin().lock(), sink)?
    } else {
        let file = File::open(path).map_err(CliError::file("read", path))?;
        compute_lines(BufReader::new(file), sink)?
    };
    if bad > 0 { Err(CliError::BadCases { bad }) } else { Ok(ExitStatus::Success) }
}
