//! JSON documents on standard output: each is an object with its schema version.

use serde::Serialize;

use crate::api::types::{CancelReply, JobList, SubmitReply, UpdateReply};

/// A JSON document of a command.
pub(super) trait Document: Serialize {
    /// The schema version. It increases when a field is removed or changes its meaning; a new field changes nothing.
    const VERSION: u32 = 1;
}

// Some commands pass on a node's document.
impl Document for CancelReply {}
impl Document for JobList {}
impl Document for SubmitReply {}
impl Document for UpdateReply {}

/// A document preceded by its version.
#[derive(Debug, Serialize)]
pub(super) struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    document: &'a T,
}

impl<'a, T: Document> Versioned<'a, T> {
    pub(super) const fn new(document: &'a T) -> Self {
        Self { version: T::VERSION, document }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize)]
    struct Told {
        job: &'static str,
    }

    impl Document for Told {
        const VERSION: u32 = 7;
    }

    #[test]
    fn a_document_begins_with_its_version() {
        let text = serde_json::to_string(&Versioned::new(&Told { job: "x" })).unwrap();
        assert_eq!(text, r#"{"version":7,"job":"x"}"#);
    }
}
