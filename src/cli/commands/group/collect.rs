//! Takes what jobs of a group leave as they end: how each ended, and its accepted results. A node owes results for a day, and a
//! group may take many. One that does not come hides nothing else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use futures::{Stream, StreamExt as _};

use crate::{
    api::types::JobRow,
    cli::{
        CliError,
        client::Client,
        fetch::{FetchedEach, FetchedResult, fetch_each},
        output::Output,
        sweep::{Ended, Plan, Unfetched},
    },
    domain::JobId,
};

/// Jobs whose results are fetched at a time.
const AT_ONCE: usize = 4;

/// Asks for what is left of jobs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collector<'a> {
    pub(super) client: &'a Client,
    pub(super) plan: Option<&'a Plan>,
    /// Where accepted results go, if they are wanted.
    pub(super) dir: Option<&'a Path>,
    pub(super) output: Output,
}

/// What is known of the jobs that ended, by index.
#[derive(Debug, Default)]
pub(in crate::cli::commands) struct Collected {
    ended: BTreeMap<u32, Ended>,
    pub(in crate::cli::commands) results: BTreeMap<u32, Vec<FetchedResult>>,
    /// Errors of results that did not come.
    failed: BTreeMap<u32, (JobId, Vec<CliError>)>,
    /// Why a job could not be described.
    unseen: BTreeMap<u32, CliError>,
}

impl Collector<'_> {
    /// Takes what is left of each job of the stream.
    pub(super) async fn collect(self, jobs: impl Stream<Item = (u32, JobId)>, into: &mut Collected) {
        let taken = jobs.map(|(index, job)| async move { (index, job, self.take(index, job).await) });
        let mut taken = std::pin::pin!(taken.buffer_unordered(AT_ONCE));
        while let Some((index, job, taken)) = taken.next().await {
            into.add(index, job, taken);
        }
    }

    /// The same of all these jobs that are not known yet, and once more of those whose node did not answer.
    pub(super) async fn complete(self, rows: &BTreeMap<u32, JobRow>, into: &mut Collected) {
        let missing = rows.iter().map(|(index, row)| (*index, row.job)).filter(|(index, _)| {
            let is_away = |(_, errors): &(JobId, Vec<CliError>)| errors.iter().any(is_passing);
            !into.ended.contains_key(index) || into.failed.get(index).is_some_and(is_away)
        });
        let missing: Vec<(u32, JobId)> = missing.collect();
        self.collect(futures::stream::iter(missing), into).await;
        for (index, row) in rows {
            if let Some(error) = into.unseen.remove(index)
                && !into.ended.contains_key(index)
            {
                let ended = Ended::unseen(*index, &self.values(*index), row, &error);
                if self.dir.is_some() && ended.has_results() {
                    into.failed.insert(*index, (row.job, vec![error]));
                }
                into.ended.insert(*index, ended);
            }
        }
    }

    async fn take(self, index: u32, job: JobId) -> Result<(Ended, FetchedEach), CliError> {
        let view = self.client.job(&job.to_string()).await;
        let view = view.map_err(CliError::node(format!("describe job {job}")))?;
        let ended = Ended::of(index, &self.values(index), &view);
        let place = self.dir.filter(|_| ended.has_results()).map(|dir| dir.join(index.to_string()));
        let fetched = match place {
            Some(place) => fetch_each(self.client, &view, &place, self.output).await,
            None => FetchedEach::default(),
        };
        Ok((ended, fetched))
    }

    fn values(&self, index: u32) -> Vec<(&str, &str)> {
        self.plan.map(|plan| plan.sweep.values(index)).unwrap_or_default()
    }
}

impl Collected {
    fn add(&mut self, index: u32, job: JobId, taken: Result<(Ended, FetchedEach), CliError>) {
        let (ended, FetchedEach { results, failed }) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                self.unseen.insert(index, error);
                return;
            }
        };
        self.ended.insert(index, ended);
        if !results.is_empty() {
            self.results.insert(index, results);
        }
        self.failed.remove(&index);
        if !failed.is_empty() {
            self.failed.insert(index, (job, failed));
        }
    }

    /// The ends, the results, and what did not come, each by index.
    pub(in crate::cli::commands) fn parts(
        self,
    ) -> (Vec<Ended>, BTreeMap<u32, Vec<FetchedResult>>, Vec<Unfetched>) {
        let unfetched = self.failed.iter().flat_map(|(index, (job, errors))| {
            errors.iter().map(|error| Unfetched::new(*index, *job, error))
        });
        let unfetched = unfetched.collect();
        (self.ended.into_values().collect(), self.results, unfetched)
    }
}

/// Whether the next attempt may succeed.
const fn is_passing(error: &CliError) -> bool {
    matches!(error, CliError::Node { .. })
}

/// What to say of results that did not come.
pub(super) fn tell_unfetched(unfetched: &[Unfetched], retry: &str, output: Output) {
    if !unfetched.is_empty() {
        let count = unfetched.len();
        let noun = if count == 1 { "result" } else { "results" };
        output.outcome(&format!("{count} {noun} could not be fetched\nhint: retry with: {retry}"));
    }
}

/// Where the results of a group go unless the user says otherwise.
pub(super) fn default_dir(group: &str) -> PathBuf {
    PathBuf::from(format!("group-{group}"))
}
