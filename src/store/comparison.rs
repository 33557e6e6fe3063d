//! How the results of one job are compared: what its deal and its spec say.

use super::{
    layout::{EXIT_CODE, OUTPUTS, STDERR, STDOUT, TRACE},
    tree::Node,
};
use crate::domain::{Canonical, Deal, JobId, SUMMARY_FILE, Spec, SummaryForm};

/// How the results of one job are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The job.
    pub job: JobId,
    /// What the numbers of its summary are; `None` when there is none.
    pub summary: Option<SummaryForm>,
    /// Where they are, by its path in `/outputs`.
    pub summary_file: String,
    /// What may differ in its texts.
    pub canonical: Canonical,
    /// Its text files, by their paths in `/outputs`.
    pub text_files: Vec<String>,
}

impl Comparison {
    /// How results of a job under this deal and of this spec are compared.
    pub fn of(job: JobId, deal: &Deal, spec: &Spec) -> Self {
        let (summary, canonical) = (deal.summary, deal.canonical);
        let (text_files, summary_file) = (spec.text_files.clone(), spec.summary_file.clone());
        Self { job, summary, summary_file, canonical, text_files }
    }

    /// Results whose bytes are compared as they are.
    pub fn plain(job: JobId) -> Self {
        Self {
            job,
            summary: None,
            summary_file: SUMMARY_FILE.to_owned(),
            canonical: Canonical::NONE,
            text_files: Vec::new(),
        }
    }

    /// What of a result directory neither the hash nor the summary covers, in words: it could be anything, and the result
    /// would compare the same.
    pub fn left_out(&self) -> Vec<String> {
        let mut left_out = vec![
            format!(
                "all files but {STDOUT}, {EXIT_CODE} and those in {OUTPUTS}, such as {STDERR} and {TRACE}"
            ),
            "modes of files".to_owned(),
            "empty directories".to_owned(),
        ];
        if !self.canonical.is_none() {
            let named = self.text_files.iter().map(|file| format!(", {OUTPUTS}/{file}"));
            let texts = STDOUT.to_owned() + &named.collect::<String>();
            left_out.push(format!("what --canonical {} leaves out of {texts}", self.canonical));
        }
        if self.summary.is_some() {
            let file = &self.summary_file;
            left_out.push(format!("{OUTPUTS}/{file}, but for its numbers within their rounding"));
        }
        left_out
    }

    /// Whether a file of the result, by its path there, is not in the hash. A link in place of the summary is: it has no
    /// numbers, so nothing else would compare it.
    pub(super) fn leaves_out(&self, path: &str, node: &Node) -> bool {
        let file = path.strip_prefix(OUTPUTS).and_then(|rest| rest.strip_prefix('/'));
        let is_summary = self.summary.is_some() && file == Some(self.summary_file.as_str());
        is_summary && matches!(node, Node::File { .. })
    }

    /// What may differ in a file of the result, by its path there.
    pub(super) fn masks(&self, path: &str) -> Canonical {
        let file = path.strip_prefix(OUTPUTS).and_then(|rest| rest.strip_prefix('/'));
        let is_text =
            path == STDOUT || file.is_some_and(|file| self.text_files.iter().any(|named| named == file));
        if is_text { self.canonical } else { Canonical::NONE }
    }
}
