//! `assay node earnings`: what a node's seats brought, by day or by job.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    api::types::{EarnedJob, EarningsReply},
    cli::{
        CliError, ExitStatus,
        args::{EarningsArgs, EarningsBy},
        document::Document,
        list::{Cell, Column, List},
        output::Output,
        session::{Need, Session, with_node},
        text,
    },
    domain::{Amount, Asset, Span},
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
    let earnings = Earnings { days: days(&reply.jobs), reply };
    let output = if args.csv { output.as_csv() } else { output };
    output.list(&earnings, || match args.by {
        EarningsBy::Day => by_day(&earnings.days, &asset),
        EarningsBy::Job => by_job(&earnings.reply.jobs, &asset),
    })?;
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
fn money(amount: Amount, asset: &Asset) -> Cell {
    Cell::Quantity { shown: asset.show(amount), raw: amount.to_string() }
}

fn by_day(days: &[Day], asset: &Asset) -> List {
    const COLUMNS: [Column; 4] =
        [Column::new("DAY"), Column::new("JOBS"), Column::new("PAID"), Column::new("LOST")];
    let row = |day: &Day| {
        vec![Cell::text(&day.day), Cell::text(&day.jobs), money(day.paid, asset), money(day.lost, asset)]
    };
    List { columns: &COLUMNS, rows: days.iter().map(row).collect() }
}

fn by_job(jobs: &[EarnedJob], asset: &Asset) -> List {
    const COLUMNS: [Column; 6] = [
        Column::new("JOB"),
        Column::new("ENDED"),
        Column::new("STATE"),
        Column::new("PAID"),
        Column::new("LOST"),
        Column::new("REQUESTER"),
    ];
    let row = |earned: &EarnedJob| {
        let EarnedJob { job, requester, ended_at, state, paid, lost } = earned;
        vec![
            Cell::Id { short: text::job(*job), whole: job.to_string() },
            Cell::Quantity {
                shown: format!("{} {}", text::date(*ended_at), text::clock(*ended_at)),
                raw: ended_at.as_secs().to_string(),
            },
            Cell::text(&state),
            money(*paid, asset),
            money(*lost, asset),
            Cell::Id { short: text::node(*requester), whole: requester.to_string() },
        ]
    };
    List { columns: &COLUMNS, rows: jobs.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobId, JobState, NodeId, Timestamp};

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
        let list = by_day(&days, &Asset::Ether);
        assert_eq!(list.csv(), "day,jobs,paid,lost\n1970-01-03,1,5,0\n1970-01-01,2,3,3\n");
        assert!(list.table().contains("5 wei"), "{}", list.table());
        let by_job = by_job(&jobs[..1], &Asset::Ether).csv();
        assert!(by_job.contains(",172800,verified,5,0,0x0202"), "{by_job}");
    }
}
