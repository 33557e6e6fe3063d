//! The request for a run, and what a run leaves.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::ExecutorError;
use crate::domain::{Fingerprint, JobId, MAX_TIME_MS, NodeId, Sample, Seed, Span, Spec};

/// The first line of a `trace.csv`.
const CSV_HEADER: &str = "t_ms,rss_kib,cpu_ms,faults";

/// One run of one spec on this machine.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The job, for labels and logs.
    pub job: JobId,
    /// The node that runs it. Sweeps identify left-overs by it.
    pub node: NodeId,
    /// The seed in the container, the same in every seat.
    pub seed: Seed,
    /// What to run.
    pub spec: Spec,
    /// How long the container may run; a term of the deal.
    pub timeout: Span,
    /// The spec's inputs: fetched, checked and unpacked.
    pub inputs: Vec<InputMount>,
    /// Where the results go; created if absent. The caller keeps other users of the machine out of it, and drops the
    /// [`super::RunDir`] around it after the last read, because something may be mounted in it.
    pub result_dir: PathBuf,
    /// The scratch directory of this node's runs. Sweeps identify left-overs by it.
    pub scratch: PathBuf,
    /// How long after the request the image may take to arrive, so that the run still has its whole timeout.
    pub begin_within: Span,
    /// How long after the request the run may start again if its engine fails or goes away.
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

/// The outcome of a container that ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutcome {
    /// The exit code of the command, 0 to 255.
    pub exit_code: i32,
    /// Its memory, CPU time and page faults.
    pub trace: Trace,
}

/// A container's memory, CPU time and page faults over its run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// In order of time, which strictly increases. Empty if the run ended before the first reading.
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
    /// Time since the start of the container, in milliseconds.
    pub t_ms: u64,
    /// Anonymous resident memory, in KiB.
    pub rss_kib: u32,
    /// CPU time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Page faults so far, including major ones.
    pub faults: u64,
}

impl Trace {
    /// The fingerprint of the trace; `None`, never zeros, if the trace says too little.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let sample = |&Reading { t_ms, rss_kib, .. }: &Reading| Sample { t_ms, rss_kib };
        let samples: Vec<Sample> = self.readings.iter().map(sample).collect();
        Fingerprint::from_samples(&samples, (0, self.duration_ms), self.cpu_ms, self.faults)
    }

    /// The text of `trace.csv`: a header, and one line for each reading.
    pub fn to_csv(&self) -> String {
        let mut csv = format!("{CSV_HEADER}\n");
        for Reading { t_ms, rss_kib, cpu_ms, faults } in &self.readings {
            writeln!(csv, "{t_ms},{rss_kib},{cpu_ms},{faults}").expect("writing to a string cannot fail");
        }
        csv
    }

    /// The readings of a `trace.csv` that any node may have written; `None` if it is none, if it has no reading, or if its
    /// times do not increase or reach [`MAX_TIME_MS`].
    pub fn readings_of(csv: &str) -> Option<Vec<Reading>> {
        let mut lines = csv.lines();
        if lines.next() != Some(CSV_HEADER) {
            return None;
        }
        let readings: Vec<Reading> = lines.map(Reading::of_line).collect::<Option<_>>()?;
        (!readings.is_empty() && readings.is_sorted_by(|a, b| a.t_ms < b.t_ms)).then_some(readings)
    }
}

impl Reading {
    fn of_line(line: &str) -> Option<Self> {
        let mut numbers = line.split(',');
        let mut next = || numbers.next()?.parse::<u64>().ok();
        let (t_ms, rss_kib, cpu_ms, faults) = (next()?, u32::try_from(next()?).ok()?, next()?, next()?);
        let is_whole = numbers.next().is_none() && t_ms.max(cpu_ms) < MAX_TIME_MS;
        is_whole.then_some(Self { t_ms, rss_kib, cpu_ms, faults })
    }
}

impl RunOutcome {
    /// Writes `exit_code` and `trace.csv` into the result directory. Called again where a decorator changed them.
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
        assert_eq!(Trace::readings_of(&trace.to_csv()), Some(trace.readings));
    }

    #[test]
    fn what_is_no_trace_is_not_read() {
        let head = format!("{CSV_HEADER}\n");
        let after_head =
            ["", "1,2\n", "1,2,3\n", "1,2,3,4,5\n", "2,1,1,1\n1,1,1,1\n", "0,4294967296,1,1\n", "0,x,1,1\n"];
        for bad in after_head {
            assert_eq!(Trace::readings_of(&format!("{head}{bad}")), None, "{bad:?}");
        }
        for (t, cpu) in [(MAX_TIME_MS, 0), (0, MAX_TIME_MS), (0, u64::MAX)] {
            assert_eq!(Trace::readings_of(&format!("{head}{t},1,{cpu},1\n")), None, "it would overflow");
        }
        assert_eq!(Trace::readings_of("a,b\n1,2,3,4\n"), None);
    }
}
