//! `assay node earnings`: what a node's seats brought, by day or by job.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::types::{EarnedJob, EarningsReply},
    cli::{
        CliError, ExitStatus,
        args::{EarningsArgs, EarningsBy},
        document::Document,
        output::{Output, table},
        session::{Need, Session, with_node},
        text,
    },
    domain::{Amount, Asset, Span, Timestamp},
    node::wall_clock,
};

/// What a node earned, as JSON.
#[derive(Debug, Serialize)]
struct Earnings {
    #[serde(flatten)]
    reply: EarningsReply,
    /// The newest day first.
    days: Vec<Day>,
}

impl Document for Earnings {}

/// The jobs that ended on one day, in UTC.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Day {
    day: String,
    jobs: usize,
    paid: Amount,
    lost: Amount,
}

/// Shows what the asked node earned.
pub(in crate::cli) async fn run(args: &EarningsArgs, output: Output) -> Result<ExitStatus, CliError> {
    let since = wall_clock().minus(Span::from_secs(args.days.saturating_mul(24 * 60 * 60)));
    let reply = with_node(&args.asked, Need::Answers, output, async |session: &Session| {
        let client = session.client();
        let node = client.node().await.map_err(CliError::node("ask the node for its asset"))?;
        let reply = client.earnings(since).await.map_err(CliError::node("ask what the node earned"))?;
        Ok((reply, node.asset))
    });
    let (reply, asset) = reply.await?;
    // Programs get the smallest units.
    let shown = (!args.csv).then_some(&asset);
    let earnings = Earnings { days: days(&reply.jobs), reply };
    let (head, rows) = match args.by {
        EarningsBy::Day => (&["DAY", "JOBS", "PAID", "LOST"][..], by_day(&earnings.days, shown)),
        EarningsBy::Job => {
            (&["JOB", "ENDED", "STATE", "PAID", "LOST", "REQUESTER"][..], by_job(&earnings.reply.jobs, shown))
        }
    };
    if args.csv {
        output.shown(&csv(head, &rows))?;
    } else {
        output.result(&earnings, || table(head, rows))?;
    }
    if earnings.reply.has_more {
        output.note("older jobs are left out: ask for fewer --days");
    }
    Ok(ExitStatus::Success)
}

fn days(jobs: &[EarnedJob]) -> Vec<Day> {
    let mut days: BTreeMap<u64, Day> = BTreeMap::new();
    for EarnedJob { ended_at, paid, lost, .. } in jobs {
        let day = days.entry(ended_at.as_secs() / 86_400).or_default();
        day.day = text::date(*ended_at);
        day.jobs += 1;
        // All the money of a chain has fewer than 96 bits.
        day.paid = day.paid.checked_add(*paid).unwrap_or(Amount::MAX);
        day.lost = day.lost.checked_add(*lost).unwrap_or(Amount::MAX);
    }
    days.into_values().rev().collect()
}

/// Money for people in its asset; for programs in the smallest units.
fn money(amount: Amount, asset: Option<&Asset>) -> String {
    asset.map_or_else(|| amount.to_string(), |asset| asset.show(amount))
}

fn by_day(days: &[Day], asset: Option<&Asset>) -> Vec<Vec<String>> {
    let row = |day: &Day| {
        vec![day.day.clone(), day.jobs.to_string(), money(day.paid, asset), money(day.lost, asset)]
    };
    days.iter().map(row).collect()
}

fn by_job(jobs: &[EarnedJob], asset: Option<&Asset>) -> Vec<Vec<String>> {
    let is_csv = asset.is_none();
    let time = |at: Timestamp| {
        if is_csv { at.as_secs().to_string() } else { format!("{} {}", text::date(at), text::clock(at)) }
    };
    let row = |earned: &EarnedJob| {
        let EarnedJob { job, requester, ended_at, state, paid, lost } = earned;
        let job = if is_csv { job.to_string() } else { text::job(*job) };
        let (paid, lost) = (money(*paid, asset), money(*lost, asset));
        vec![job, time(*ended_at), state.to_string(), paid, lost, requester.to_string()]
    };
    jobs.iter().map(row).collect()
}

/// Comma-separated values: no field here has a comma or a quote.
fn csv(head: &[&str], rows: &[Vec<String>]) -> String {
    let head = head.join(",").to_ascii_lowercase();
    let rows = rows.iter().map(|row| row.join(",") + "\n");
    format!("{head}\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobId, JobState, NodeId};

    fn earned(secs: u64, paid: u128, lost: u128) -> EarnedJob {
        EarnedJob {
            job: JobId::new([1; 32]),
            requester: NodeId::new([2; 20]),
            ended_at: Timestamp::from_secs(secs),
            state: JobState::Verified,
            paid: Amount::new(paid).unwrap(),
            lost: Amount::new(lost).unwrap(),
        }
    }

    #[test]
    fn jobs_add_up_to_days_in_utc_the_newest_first() {
        let jobs = [earned(86_400 * 2, 5, 0), earned(86_399, 1, 0), earned(10, 2, 3)];
        let days = days(&jobs);
        let rows = by_day(&days, None);
        assert_eq!(
            csv(&["DAY", "JOBS", "PAID", "LOST"], &rows),
            "day,jobs,paid,lost\n1970-01-03,1,5,0\n1970-01-01,2,3,3\n"
        );
        let rows = by_job(&jobs[..1], None);
        assert_eq!(rows[0][1..5], ["172800", "verified", "5", "0"]);
    }
}
