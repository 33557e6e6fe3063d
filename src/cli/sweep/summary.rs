//! How a group ended: its jobs by their end, its nodes by what verdicts said of them, and the jobs without a good result.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Plan;
use crate::{
    api::types::{JobRow, JobView},
    cli::{
        CliError, ExitStatus, accepted, document::Document, ending, fetch::FetchedResult, output::table, text,
    },
    domain::{JobId, JobState, NodeId},
    explain::{self, Hint as _},
};

/// One job of a group that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Ended {
    index: u32,
    job: JobId,
    /// What the matrix gave it, as NAME=VALUE.
    values: Vec<String>,
    state: JobState,
    /// The program's exit code in the accepted run; null without one.
    program_exit_code: Option<i32>,
    /// What `job wait` would exit with.
    exit_code: u8,
    /// Why there is no good result; null if there is one.
    reason: Option<String>,
    accepted: Vec<NodeId>,
    rejected: Vec<NodeId>,
    absent: Vec<NodeId>,
}

impl Ended {
    /// The end of a job, which is the `index`-th of its group and had these values.
    pub(in crate::cli) fn of(index: u32, values: &[(&str, &str)], view: &JobView) -> Self {
        let code = accepted::seat(view).and_then(|seat| seat.result).map(|result| result.exit_code);
        let status = ending::exit_status(view);
        let reason = match (status.code(), view.state) {
            (0, _) => None,
            (code, JobState::Verified) => Some(format!("the program ended with exit code {code}")),
            (_, _) => Some(view.failure.clone().unwrap_or_else(|| ending::summary(view))),
        };
        let nodes = |of: fn(&crate::api::types::VerdictView) -> &Vec<NodeId>| {
            view.verdict.as_ref().map(|verdict| of(verdict).clone()).unwrap_or_default()
        };
        Self {
            index,
            job: view.job,
            values: said(values),
            state: view.state,
            program_exit_code: code,
            exit_code: status.code(),
            reason,
            accepted: nodes(|verdict| &verdict.accepted),
            rejected: nodes(|verdict| &verdict.rejected),
            absent: nodes(|verdict| &verdict.absent),
        }
    }

    /// A job that ended as its row says, and whose node says no more of it because of this error.
    pub(in crate::cli) fn unseen(
        index: u32,
        values: &[(&str, &str)],
        row: &JobRow,
        error: &CliError,
    ) -> Self {
        Self {
            index,
            job: row.job,
            values: said(values),
            state: row.state,
            program_exit_code: None,
            exit_code: error.exit_status().code(),
            reason: Some(whole(error)),
            accepted: Vec::new(),
            rejected: Vec::new(),
            absent: Vec::new(),
        }
    }

    /// Whether there are results to keep.
    pub(in crate::cli) fn has_results(&self) -> bool {
        self.state == JobState::Verified
    }
}

/// An error with its causes, in a line.
fn whole(error: &CliError) -> String {
    std::iter::once(error.to_string()).chain(explain::causes(error)).collect::<Vec<_>>().join(": ")
}

/// An accepted result that could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Unfetched {
    index: u32,
    job: JobId,
    error: String,
    hint: Option<String>,
    exit_code: u8,
}

impl Unfetched {
    /// A result of the `index`-th job that did not come because of this error.
    pub(in crate::cli) fn new(index: u32, job: JobId, error: &CliError) -> Self {
        let (exit_code, hint) = (error.exit_status().code(), error.hint());
        Self { index, job, error: whole(error), hint, exit_code }
    }

    /// The code of the first, if there is one.
    pub(in crate::cli) fn exit_status(unfetched: &[Self]) -> ExitStatus {
        unfetched.first().map_or(ExitStatus::Success, |first| ExitStatus::Program(first.exit_code))
    }

    /// All of them under headings.
    pub(in crate::cli) fn table(unfetched: &[Self]) -> String {
        let rows = unfetched
            .iter()
            .map(|Self { index, job, error, .. }| vec![index.to_string(), text::job(*job), error.clone()]);
        table(&["INDEX", "JOB", "NOT FETCHED"], rows)
    }
}

/// A job of a group that no node took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Unsubmitted {
    index: u32,
    /// What the matrix gave it, as NAME=VALUE.
    values: Vec<String>,
    error: String,
    hint: Option<String>,
    exit_code: u8,
}

impl Unsubmitted {
    /// The `index`-th job of a plan, which was refused so.
    pub(in crate::cli) fn new(index: u32, plan: &Plan, error: &CliError) -> Self {
        let (exit_code, hint) = (error.exit_status().code(), error.hint());
        Self { index, values: said(&plan.sweep.values(index)), error: whole(error), hint, exit_code }
    }

    /// The same of another job of the plan.
    pub(in crate::cli) fn of(self, index: u32, plan: &Plan) -> Self {
        Self { index, values: said(&plan.sweep.values(index)), ..self }
    }

    /// The same with what to do about an input that the node has deleted since.
    pub(in crate::cli) fn without_input(self) -> Self {
        let hint = "send the inputs again: submit any job with the same --input; a node keeps inputs of ended jobs for a day";
        Self { hint: Some(hint.to_owned()), ..self }
    }

    pub(in crate::cli) const fn index(&self) -> u32 {
        self.index
    }

    pub(in crate::cli) fn error(&self) -> &str {
        &self.error
    }

    /// What to say below a table of these; `again` is the command that submits them.
    pub(in crate::cli) fn outcome(unsubmitted: &[Self], again: &str) -> Option<String> {
        let first = unsubmitted.first()?;
        let hint = first.hint.as_ref().map(|hint| format!("{hint}; then ")).unwrap_or_default();
        let count = unsubmitted.len();
        let noun = if count == 1 { "job was" } else { "jobs were" };
        Some(format!("{count} {noun} not submitted\nhint: {hint}retry with: {again}"))
    }

    /// The code of the first, if there is one.
    pub(in crate::cli) fn exit_status(unsubmitted: &[Self]) -> ExitStatus {
        unsubmitted.first().map_or(ExitStatus::Success, |first| ExitStatus::Program(first.exit_code))
    }

    fn row(&self) -> Vec<String> {
        let values = if self.values.is_empty() { "-".to_owned() } else { self.values.join(" ") };
        vec![self.index.to_string(), "-".to_owned(), "not submitted".to_owned(), values, self.error.clone()]
    }
}

/// Values as NAME=VALUE.
fn said(values: &[(&str, &str)]) -> Vec<String> {
    values.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// What verdicts said of a node, over the jobs of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Judged {
    accepted: usize,
    rejected: usize,
    absent: usize,
}

/// The end of a group, as JSON.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct GroupEnd {
    group: String,
    /// By index.
    jobs: Vec<Ended>,
    /// The jobs that no node took, by index.
    unsubmitted: Vec<Unsubmitted>,
    /// What verdicts said of each node that ran any of them.
    nodes: BTreeMap<NodeId, Judged>,
    /// Where accepted results were fetched to, by index, if they were.
    results: BTreeMap<u32, Vec<FetchedResult>>,
    /// Accepted results that could not be fetched, by index.
    unfetched: Vec<Unfetched>,
    /// The exit code of this command.
    exit_code: u8,
}

impl Document for GroupEnd {}

impl GroupEnd {
    /// Of jobs in any order.
    pub(in crate::cli) fn new(
        group: String,
        mut jobs: Vec<Ended>,
        unsubmitted: Vec<Unsubmitted>,
        results: BTreeMap<u32, Vec<FetchedResult>>,
        unfetched: Vec<Unfetched>,
    ) -> Self {
        jobs.sort_by_key(|job| job.index);
        let mut nodes: BTreeMap<NodeId, Judged> = BTreeMap::new();
        for job in &jobs {
            job.accepted.iter().for_each(|node| nodes.entry(*node).or_default().accepted += 1);
            job.rejected.iter().for_each(|node| nodes.entry(*node).or_default().rejected += 1);
            job.absent.iter().for_each(|node| nodes.entry(*node).or_default().absent += 1);
        }
        let codes = jobs.iter().map(|job| (job.index, job.exit_code));
        let codes = codes.chain(unsubmitted.iter().map(|job| (job.index, job.exit_code)));
        let exit_code = codes.filter(|(_, code)| *code != 0).min().map(|(_, code)| code);
        let exit_code = exit_code.unwrap_or_else(|| Unfetched::exit_status(&unfetched).code());
        Self { group, jobs, unsubmitted, nodes, results, unfetched, exit_code }
    }

    /// That of the first job, by index, whose exit code is not 0, or else that of the first result that did not come.
    pub(in crate::cli) fn exit_status(&self) -> ExitStatus {
        // A job's own code may be any; what it means stands in the table.
        if self.exit_code == 0 { ExitStatus::Success } else { ExitStatus::Program(self.exit_code) }
    }

    pub(in crate::cli) fn unsubmitted(&self) -> &[Unsubmitted] {
        &self.unsubmitted
    }

    pub(in crate::cli) fn unfetched(&self) -> &[Unfetched] {
        &self.unfetched
    }

    /// The four tables, without those that would be empty.
    pub(in crate::cli) fn text(&self) -> String {
        let mut tables = vec![self.states()];
        if !self.nodes.is_empty() {
            tables.push(self.judged());
        }
        if !self.unsubmitted.is_empty() || self.jobs.iter().any(|job| job.reason.is_some()) {
            tables.push(self.without_result());
        }
        if !self.unfetched.is_empty() {
            tables.push(Unfetched::table(&self.unfetched));
        }
        tables.join("\n")
    }

    fn states(&self) -> String {
        let mut states: BTreeMap<(JobState, bool), usize> = BTreeMap::new();
        for job in &self.jobs {
            *states.entry((job.state, job.reason.is_some())).or_default() += 1;
        }
        let rows = states.iter().map(|((state, is_bad), count)| {
            let bad = if *state == JobState::Verified && *is_bad { ", exit code not 0" } else { "" };
            vec![format!("{state}{bad}"), count.to_string()]
        });
        let unsubmitted = Some(self.unsubmitted.len()).filter(|count| *count > 0);
        let unsubmitted = unsubmitted.map(|count| vec!["not submitted".to_owned(), count.to_string()]);
        table(&["STATE", "JOBS"], rows.chain(unsubmitted))
    }

    fn judged(&self) -> String {
        let rows = self.nodes.iter().map(|(node, judged)| {
            let counts = [judged.accepted, judged.rejected, judged.absent].map(|count| count.to_string());
            std::iter::once(text::node(*node)).chain(counts).collect()
        });
        table(&["NODE", "ACCEPTED", "REJECTED", "ABSENT"], rows)
    }

    fn without_result(&self) -> String {
        let bad = self.jobs.iter().filter_map(|job| Some((job, job.reason.clone()?)));
        let bad = bad.map(|(job, reason)| {
            let values = if job.values.is_empty() { "-".to_owned() } else { job.values.join(" ") };
            (
                job.index,
                vec![job.index.to_string(), text::job(job.job), job.state.to_string(), values, reason],
            )
        });
        let unsubmitted = self.unsubmitted.iter().map(|job| (job.index, job.row()));
        let mut rows: Vec<(u32, Vec<String>)> = bad.chain(unsubmitted).collect();
        rows.sort_by_key(|(index, _)| *index);
        let rows = rows.into_iter().map(|(_, row)| row);
        table(&["INDEX", "JOB", "STATE", "VALUES", "WHY"], rows)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        api::types::{ErrorBody, ErrorCode, Member},
        cli::{
            client::ClientError,
            failure::tests::{failed_view, verified_view},
            sweep::tests::plan,
        },
        domain::{FailureKind, Timestamp},
    };

    pub(in crate::cli) fn row(index: u32, state: JobState) -> JobRow {
        JobRow {
            job: JobId::new([1; 32]),
            requester: NodeId::new([1; 20]),
            state,
            is_broken: false,
            fault: None,
            requester_gone: false,
            image: "demo".to_owned(),
            member: Some(Member { group: "0123456789ab".to_owned(), index }),
            command: Vec::new(),
            concurrency: 3,
            seats: 0,
            accepted: None,
            submitted_at: Timestamp::ZERO,
            ended_at: None,
        }
    }

    #[test]
    fn a_group_ends_with_the_code_of_its_first_job_without_a_good_result() {
        let good = Ended::of(0, &[("lr", "1")], &verified_view(0));
        let failed = Ended::of(2, &[("lr", "3")], &failed_view(FailureKind::Image, JobState::Failed));
        let exited = Ended::of(1, &[("lr", "2")], &verified_view(7));
        assert_eq!((good.exit_code, failed.exit_code, exited.exit_code), (0, 120, 7));
        let of = |jobs: &[&Ended]| {
            let jobs = jobs.iter().map(|job| (*job).clone()).collect();
            GroupEnd::new("0123456789ab".to_owned(), jobs, Vec::new(), BTreeMap::new(), Vec::new())
        };
        assert_eq!(of(&[&failed, &exited, &good]).exit_status(), ExitStatus::Program(7));
        assert_eq!(of(&[&good, &failed]).exit_status(), ExitStatus::Program(120));
        assert_eq!(of(&[&good]).exit_status(), ExitStatus::Success);

        let text = of(&[&failed, &exited, &good]).text();
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        assert!(has("verified                   1"), "{text}");
        assert!(has("verified, exit code not 0  1"), "{text}");
        assert!(has("failed                     1"), "{text}");
        let bad: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("INDEX")).skip(1).collect();
        assert!(
            bad[0].starts_with("1 ") && bad[0].contains("lr=2") && bad[0].ends_with("exit code 7"),
            "{text}"
        );
        assert!(bad[1].starts_with("2 ") && bad[1].contains("failed"), "{text}");
        let fine = of(&[&good]).text();
        assert!(!fine.contains("WHY"), "{fine}");
    }

    #[test]
    fn a_result_that_does_not_come_hides_no_end_and_counts_after_the_jobs() {
        let away = || {
            let api = "http://127.0.0.1:1".to_owned();
            let source =
                ClientError::Unreachable { api, assumed: false, reason: "gone".to_owned(), sent: false };
            CliError::Node { doing: "fetch the result of node 1a2b in job 3c4d".to_owned(), source }
        };
        let end = |code| {
            let job = Ended::of(1, &[], &verified_view(code));
            let unfetched = vec![Unfetched::new(1, job.job, &away())];
            GroupEnd::new("0123456789ab".to_owned(), vec![job], Vec::new(), BTreeMap::new(), unfetched)
        };
        assert_eq!(end(0).exit_status(), ExitStatus::Program(ExitStatus::Unreachable.code()));
        assert_eq!(end(7).exit_status(), ExitStatus::Program(7));
        let text = end(0).text();
        assert!(text.starts_with("STATE") && text.contains("NOT FETCHED"), "{text}");
        assert!(
            text.contains("in job 3c4d: the node at http://127.0.0.1:1 cannot be reached: gone"),
            "{text}"
        );

        let unseen = Ended::unseen(0, &[("lr", "1")], &row(0, JobState::Failed), &away());
        assert_eq!((unseen.state, unseen.exit_code), (JobState::Failed, ExitStatus::Unreachable.code()));
        assert!(!unseen.has_results() && unseen.reason.is_some());
    }

    #[test]
    fn a_job_that_no_node_took_counts_at_its_index() {
        let plan = plan();
        let body = ErrorBody {
            code: ErrorCode::InvalidSpec,
            message: "the spec is not valid".to_owned(),
            hint: Some("mend it".to_owned()),
        };
        let error = CliError::node("submit job 1 of the group")(ClientError::Refused {
            api: "http://127.0.0.1:1".to_owned(),
            body,
        });
        let unsubmitted = || vec![Unsubmitted::new(1, &plan, &error)];
        let end =
            |jobs| GroupEnd::new("0123456789ab".to_owned(), jobs, unsubmitted(), BTreeMap::new(), Vec::new());
        let good = end(vec![Ended::of(0, &[], &verified_view(0))]);
        assert_eq!(good.exit_status(), ExitStatus::Program(ExitStatus::Usage.code()));
        assert_eq!(end(vec![Ended::of(0, &[], &verified_view(7))]).exit_status(), ExitStatus::Program(7));
        let text = good.text();
        assert!(text.contains("not submitted  1"), "{text}");
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("1 ") && last.contains("lr=2") && last.ends_with("is not valid"), "{text}");
        let told = Unsubmitted::outcome(&unsubmitted(), "assay group wait 01").unwrap();
        assert_eq!(told, "1 job was not submitted\nhint: mend it; then retry with: assay group wait 01");
    }
}
