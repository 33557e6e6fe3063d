//! `assay job calibrate`: runs pilots of a job and proposes tolerances for their numbers.

use serde::Serialize;
use tempfile::tempdir;

use super::{
    jobs::follow_to_end,
    submit::{
        check_spec, environment, outlast_standstills, places, request, send_inputs, tell_unseeded,
        warn_of_secrets,
    },
};
use crate::{
    api::types::JobView,
    cli::{
        CliError, ExitStatus, accepted,
        args::{CalibrateArgs, DealArgs},
        asset,
        document::Document,
        fetch,
        output::{Output, printable, table},
        session::{Need, Session, with_node},
        settings, text,
    },
    domain::{
        Asset, Deal, JobId, Kind, Method, Proposal, ProposalFault, SUMMARY_FILE, SummaryFault, SummaryForm,
        propose_summary,
    },
    explain::Hint,
    store::{ResultError, summary_content},
};

/// A proposal, as JSON.
#[derive(Debug, Serialize)]
struct Calibrated<'a> {
    /// The pilots whose numbers were used.
    pilots: &'a [JobId],
    /// The value for `--summary`.
    summary: SummaryForm,
    numbers: Vec<NumberView<'a>>,
    honest_rejected_ppm: u32,
    left_out_rejected: usize,
    liars: Vec<LiarView>,
}

impl Document for Calibrated<'_> {}

#[derive(Debug, Serialize)]
struct NumberView<'a> {
    kind: String,
    least: &'a str,
    greatest: &'a str,
}

#[derive(Debug, Serialize)]
struct LiarView {
    does: &'static str,
    passes: bool,
}

/// Runs pilots, and proposes how to compare their numbers.
pub(in crate::cli) async fn run(args: CalibrateArgs, output: Output) -> Result<ExitStatus, CliError> {
    let asset = asset::of(&args.price, &args.asked, output).await?;
    let deals = deals(&args, &asset)?;
    let CalibrateArgs { image, command, container, asked, .. } = args;
    let environment = environment(&container, output)?;
    let mut request = request(image, command, environment, &container, Deal::default());
    let places = places(&container);
    request.working_directory = check_spec(&request, &places)?.working_directory;
    warn_of_secrets(&request, output);
    with_node(&asked, Need::Images, output, async |session: &Session| {
        let client = session.client();
        send_inputs(session, &places, &mut request, output).await?;
        let mut jobs = Vec::new();
        for deal in deals {
            request.deal = deal;
            outlast_standstills(client, &mut request.deal).await?;
            let reply = client.submit(&request).await.map_err(CliError::node("submit a pilot"))?;
            if jobs.is_empty() {
                tell_unseeded(&reply, output);
            }
            jobs.push(reply.job.to_string());
        }
        let (mut pilots, mut contents) = (Vec::new(), Vec::new());
        for (place, job) in jobs.iter().enumerate() {
            output.note(&format!("pilot {} of {}: job {job}", place + 1, jobs.len()));
            let rest: Vec<&str> = jobs[place..].iter().map(String::as_str).collect();
            let view = match follow_to_end(session, &rest, job, None, output).await? {
                Ok(view) => view,
                Err(status) => return Ok(status),
            };
            if let Some(summary) = pilot(session, &view, place + 1, output).await? {
                pilots.push(view.job);
                contents.push(summary);
            }
        }
        let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let proposal = propose_summary(&contents).map_err(|source| CliError::Pilots { source })?;
        tell(&pilots, &proposal, &request.summary_file, output)?;
        Ok(ExitStatus::Success)
    })
    .await
}

/// The deal of each pilot: one seat, whose output is accepted.
fn deals(args: &CalibrateArgs, asset: &Asset) -> Result<Vec<Deal>, CliError> {
    let pilot = |number: u8| {
        let allowed = args.allow.iter().cycle().nth(usize::from(number));
        let deal = DealArgs {
            concurrency: Some(1),
            method: Some(Method::Hash),
            allow: allowed.into_iter().copied().collect(),
            timeout: args.timeout,
            open: args.open,
            price: args.price.clone(),
            ..DealArgs::default()
        };
        settings::deal(&deal, Deal::default(), asset)
    };
    Ok((0..args.pilots).map(pilot).collect::<Result<_, _>>()?)
}

/// The summary of a pilot; `None`, with a message, for a pilot that failed.
async fn pilot(
    session: &Session,
    view: &JobView,
    number: usize,
    output: Output,
) -> Result<Option<Vec<u8>>, CliError> {
    let Some(seat) = accepted::seat(view) else {
        let why = view.failure.as_deref().unwrap_or("it has no result");
        output.outcome(&printable(&format!("pilot {number} does not count: {why}")));
        return Ok(None);
    };
    if let Some(code) = accepted::bad_exit(view) {
        output.outcome(&format!("pilot {number} does not count: its program ended with exit code {code}"));
        return Ok(None);
    }
    let scratch = tempdir().map_err(CliError::file("make a temporary directory in", std::env::temp_dir()))?;
    let result = scratch.path().join("result");
    fetch::fetch(session.client(), view, seat, &result).await?;
    let bad = |error: ResultError| CliError::Fetch { job: view.job, node: seat.node, source: error.into() };
    let summary = summary_content(&result, &view.spec.summary_file).map_err(bad)?;
    let void = |fault| CliError::Pilots { source: ProposalFault::Void { pilot: number, fault } };
    summary.map(Some).map_err(void)
}

fn tell(pilots: &[JobId], proposal: &Proposal, file: &str, output: Output) -> Result<(), CliError> {
    let Proposal { form, numbers, honest_rejected_ppm, left_out_rejected, liars } = proposal;
    let document = Calibrated {
        pilots,
        summary: *form,
        numbers: numbers
            .iter()
            .map(|number| NumberView {
                kind: number.kind.to_string(),
                least: &number.least,
                greatest: &number.greatest,
            })
            .collect(),
        honest_rejected_ppm: *honest_rejected_ppm,
        left_out_rejected: *left_out_rejected,
        liars: liars.iter().map(|(liar, passes)| LiarView { does: liar.text(), passes: *passes }).collect(),
    };
    output.result(&document, || shown(pilots.len(), proposal, file))
}

fn shown(pilots: usize, proposal: &Proposal, file: &str) -> String {
    let mut flags = vec!["--summary".to_owned(), proposal.form.to_string()];
    if file != SUMMARY_FILE {
        flags.extend(["--summary-file".to_owned(), file.to_owned()]);
    }
    let rows = (1..).zip(&proposal.numbers).map(|(number, proposed): (usize, _)| {
        let kind = proposed.kind.to_string();
        vec![number.to_string(), proposed.least.clone(), proposed.greatest.clone(), kind]
    });
    let liars = |passing: bool| {
        let such = proposal.liars.iter().filter(|(_, passes)| *passes == passing);
        let such: Vec<&str> = such.map(|(liar, _)| liar.text()).collect();
        if such.is_empty() { "none of those that are known".to_owned() } else { such.join("; ") }
    };
    let ppm = proposal.honest_rejected_ppm;
    let is_fixed = proposal.numbers.iter().all(|number| number.kind == Kind::Exact);
    let honest = if is_fixed {
        format!("no number differs between {pilots} pilots, so honest runs agree as long as they never do")
    } else {
        format!(
            "at most {}.{:02} % would be rejected if the noise is normal; the others reject {} of {pilots} pilots",
            ppm / 10_000,
            ppm % 10_000 / 100,
            proposal.left_out_rejected
        )
    };
    format!(
        "{}\nUse:     {}\nHonest:  {honest}\nPass:    {}\nCaught:  {}\n",
        table(&["NUMBER", "LEAST", "GREATEST", "KIND"], rows),
        text::command(&flags),
        liars(true),
        liars(false)
    )
}

impl Hint for ProposalFault {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooFew { .. } => "see why pilots failed: assay job list, assay job describe JOB",
            Self::Void { fault: SummaryFault::Missing, .. } => {
                "have the program write one to ten numbers, separated by white space, to /outputs/summary, or name its file with --summary-file"
            }
            Self::Void { fault: SummaryFault::NotAFile, .. } => {
                "have the program write its numbers to a regular file; links are not followed"
            }
            Self::Void { .. } | Self::Numbers { .. } => {
                "have every run write the same one to ten decimal numbers, separated by white space"
            }
            Self::TooWide { .. } => "write a number that says more of the work, or its logarithm",
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_can_be_pasted_and_says_who_would_pass() {
        let pilots = ["100.0 3", "100.01 3", "100.02 3"].map(str::as_bytes);
        let told = shown(3, &propose_summary(&pilots).unwrap(), SUMMARY_FILE);
        assert_eq!(
            told,
            "NUMBER  LEAST  GREATEST  KIND\n\
             1       100.0  100.02    rel:600ppm\n\
             2       3      3         exact\n\n\
             Use:     --summary rel:600ppm,exact\n\
             Honest:  at most 5.61 % would be rejected if the noise is normal; the others reject 0 of 3 pilots\n\
             Pass:    replays an earlier run of its own; averages over 60 % of the work\n\
             Caught:  writes no numbers; writes zeros; knows each number to 10 %; knows each number to 1 %\n"
        );
    }
}
