//! What a run is asked, and what it leaves.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::ExecutorError;
use crate::domain::{Fingerprint, JobId, NodeId, Sample, Seed, Span, Spec};

/// One run of one spec on this machine.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The job, for labels and logs.
    pub job: JobId,
    /// The node that runs it: left-overs are found again by it.
    pub node: NodeId,
    /// What the container finds as its seed, the same in every seat.
    pub seed: Seed,
    /// What to run.
    pub spec: Spec,
    /// How long it may take from the start of the container; a term of the deal.
    pub timeout: Span,
    /// The spec's inputs, fetched, checked and unpacked.
    pub inputs: Vec<InputMount>,
    /// Where the results go. Created when absent; the caller keeps other users of the machine out of it, and drops
    /// the [`super::RunDir`] around it when all was read: something may be mounted in it.
    pub result_dir: PathBuf,
    /// The directory that all runs of this node work in: left-overs are found again by it.
    pub scratch: PathBuf,
    /// How long after the run was asked for its image must be here, so that the run can still take its whole timeout.
    pub begin_within: Span,
    /// For how long after the run was asked for it may be begun again, when its engine fails or goes away.
    pub patience: Span,
}

/// One input, ready to be mounted read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputMount {
    /// The directory or file on this machine, readable by everybody.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: String,
}

/// How a container ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// Of the container's command, 0 to 255.
    pub exit_code: i32,
    /// Its memory, CPU time and page faults.
    pub trace: Trace,
}

/// A container's memory, CPU time and page faults over its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// In order of time, which strictly increases; empty when the run was over before it could be read.
    pub readings: Vec<Reading>,
    /// From the start of the container to its end, in milliseconds.
    pub duration_ms: u64,
    /// CPU time at exit, in milliseconds: the last reading, which may miss up to one sampling period.
    pub cpu_ms: u64,
    /// Page faults until exit, by the last reading.
    pub faults: u64,
}

/// One reading of a container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Since the start of the container, in milliseconds.
    pub t_ms: u64,
    /// Anonymous resident memory, in KiB.
    pub rss_kib: u32,
    /// CPU time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Page faults so far, major ones among them.
    pub faults: u64,
}

impl Trace {
    /// What the trace is reduced to; `None`, and never zeros, when it says too little.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let sample = |&Reading { t_ms, rss_kib, .. }: &Reading| Sample { t_ms, rss_kib };
        let samples: Vec<Sample> = self.readings.iter().map(sample).collect();
        Fingerprint::from_samples(&samples, (0, self.duration_ms), self.cpu_ms, self.faults)
    }

    /// The text of `trace.csv`: a header and one line a reading.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("t_ms,rss_kib,cpu_ms,faults\n");
        for Reading { t_ms, rss_kib, cpu_ms, faults } in &self.readings {
            writeln!(csv, "{t_ms},{rss_kib},{cpu_ms},{faults}").expect("writing to a string cannot fail");
        }
        csv
    }
}

impl RunOutcome {
    /// Writes `exit_code` and `trace.csv` into the result directory; again, where a decorator changed them.
    ///
    /// # Errors
    /// [`ExecutorError::ResultDir`] when a file cannot be written.
    pub async fn save(&self, result_dir: &Path) -> Result<(), ExecutorError> {
        write(result_dir.join("exit_code"), format!("{}\n", self.exit_code).as_bytes()).await?;
        write(result_dir.join("trace.csv"), self.trace.to_csv().as_bytes()).await
    }
}

/// Writes one file of the result directory.
pub(super) async fn write(path: PathBuf, content: &[u8]) -> Result<(), ExecutorError> {
    tokio::fs::write(&path, content).await.map_err(|source| ExecutorError::ResultDir { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_written_line_by_line() {
        let reading = |t_ms, rss_kib, cpu_ms, faults| Reading { t_ms, rss_kib, cpu_ms, faults };
        let readings = vec![reading(0, 3, 1, 90), reading(40, 25_600, 17, 6400)];
        let trace = Trace { readings, duration_ms: 50, cpu_ms: 17, faults: 6400 };
        assert_eq!(trace.to_csv(), "t_ms,rss_kib,cpu_ms,faults\n0,3,1,90\n40,25600,17,6400\n");
    }
}
