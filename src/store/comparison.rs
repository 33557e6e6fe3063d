//! How the results of one job are compared: what its deal and its spec say.

use super::layout::{OUTPUTS, STDOUT};
use crate::domain::{Canonical, Deal, JobId, SUMMARY_FILE, Spec, SummaryForm};

/// How the results of one job are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The job.
    pub job: JobId,
    /// What the numbers of its summary are; `None` when there is none.
    pub summary: Option<SummaryForm>,
    /// What may differ in its texts.
    pub canonical: Canonical,
    /// Its text files, by their paths in `/outputs`.
    pub text_files: Vec<String>,
}

impl Comparison {
    /// How results of a job under this deal and of this spec are compared.
    pub fn of(job: JobId, deal: &Deal, spec: &Spec) -> Self {
        let (summary, canonical) = (deal.summary, deal.canonical);
        Self { job, summary, canonical, text_files: spec.text_files.clone() }
    }

    /// Results whose bytes are compared as they are.
    pub const fn plain(job: JobId) -> Self {
        Self { job, summary: None, canonical: Canonical::NONE, text_files: Vec::new() }
    }

    /// Whether a file of the result, by its path there, is not in the hash.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let file = path.strip_prefix(OUTPUTS).and_then(|rest| rest.strip_prefix('/'));
        self.summary.is_some() && file == Some(SUMMARY_FILE)
    }

    /// What may differ in a file of the result, by its path there.
    pub(super) fn masks(&self, path: &str) -> Canonical {
        let file = path.strip_prefix(OUTPUTS).and_then(|rest| rest.strip_prefix('/'));
        let is_text =
            path == STDOUT || file.is_some_and(|file| self.text_files.iter().any(|named| named == file));
        if is_text { self.canonical } else { Canonical::NONE }
    }
}
