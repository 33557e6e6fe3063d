//! Why a verdict was, or was not, reached.

use super::text::{json_as_text, name_as_text};

/// Why a verdict was, or was not, reached, in the terms of `docs/verification.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A majority has the same output.
    EqualOutputs,
    /// A majority did like work, by their traces.
    Agreement,
    /// A majority has outputs equal to, or summaries near, those of one run.
    NearOutputs,
    /// A majority has the same output and did like work.
    EqualOutputsAndWork,
    /// A majority has near outputs and did like work.
    NearOutputsAndWork,
    /// There are no runs, too many runs, or too few for the confidence.
    BadParameters,
    /// No output has a majority, and the terms have no scorer.
    OutputsDisagree,
    /// No run has the trace that the method compares.
    NoTraces,
    /// Splitting off the runs far from the mean left no majority.
    NoMajorityNearMean,
    /// The runs that `kmeans` could not split are further apart than the tolerance.
    SpreadOverTolerance,
    /// The agreeing runs are not a strict majority of the seats asked for.
    NoMajorityAgrees,
    /// The agreeing runs are a majority, but fewer than the confidence.
    FewerThanConfidence,
}

/// The text is not a note.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown note of a verdict")]
pub struct UnknownNote;

impl Note {
    /// Every note.
    pub const ALL: [Self; 12] = [
        Self::EqualOutputs,
        Self::Agreement,
        Self::NearOutputs,
        Self::EqualOutputsAndWork,
        Self::NearOutputsAndWork,
        Self::BadParameters,
        Self::OutputsDisagree,
        Self::NoTraces,
        Self::NoMajorityNearMean,
        Self::SpreadOverTolerance,
        Self::NoMajorityAgrees,
        Self::FewerThanConfidence,
    ];

    /// The text form in files, in the API and on the command line.
    pub const fn text(self) -> &'static str {
        match self {
            Self::EqualOutputs => "equal outputs",
            Self::Agreement => "agreement",
            Self::NearOutputs => "near outputs",
            Self::EqualOutputsAndWork => "equal outputs and work",
            Self::NearOutputsAndWork => "near outputs and work",
            Self::BadParameters => "bad parameters",
            Self::OutputsDisagree => "outputs disagree",
            Self::NoTraces => "no traces",
            Self::NoMajorityNearMean => "no majority near the mean",
            Self::SpreadOverTolerance => "spread over the tolerance",
            Self::NoMajorityAgrees => "no majority agrees",
            Self::FewerThanConfidence => "fewer than M agree",
        }
    }
}

name_as_text!(Note, text, UnknownNote);
json_as_text!(Note);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_reads_back_from_its_words() {
        for note in Note::ALL {
            let json = serde_json::to_string(&note).unwrap();
            assert_eq!(json, format!("\"{note}\""));
            assert_eq!(serde_json::from_str::<Note>(&json).unwrap(), note);
        }
        assert!(serde_json::from_str::<Note>("\"agreed\"").is_err());
    }
}
