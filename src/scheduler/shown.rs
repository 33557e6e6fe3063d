//! An entry of a job's log as JSON: what the API answers and what an exported log holds.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};

use super::LogItem;
use crate::domain::{Digest, Event, Facts, JobId, NodeId, Stamped, Timestamp};

/// One entry of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Its place in the job's log, from 1.
    pub height: u64,
    /// The hash that names it.
    pub entry: Digest,
    /// Whose signature it bears.
    pub author: NodeId,
    /// The sequencer's, or the block's, time.
    pub at: Timestamp,
    /// The revision of the deal that the author named.
    pub revision: Digest,
    /// What the backend knew, and the rules needed.
    pub facts: Facts,
    /// What happened.
    pub event: Event,
    /// The entry as nodes exchange it, in hex; empty where nothing is signed.
    pub proof: String,
}

impl LogEntry {
    /// The entry at this place in a job's log.
    pub(crate) fn new(height: u64, item: LogItem) -> Self {
        let LogItem { entry, stamped, proof, cursor: _ } = item;
        Self {
            height,
            entry,
            author: stamped.author,
            at: stamped.at,
            revision: stamped.revision,
            facts: stamped.facts,
            event: stamped.event,
            proof: hex::encode(proof),
        }
    }

    /// The event as the rules take it.
    pub fn stamped(&self, job: JobId) -> Stamped<Event> {
        let Self { author, at, revision, facts, ref event, .. } = *self;
        Stamped { job, author, at, revision, facts, event: event.clone() }
    }
}
