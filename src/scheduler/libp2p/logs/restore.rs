//! Continues a log from the store.
//!
//! Before this node stored an entry it checked both signatures. The store keeps the author with the row and notices an
//! altered row, so signatures are recovered, and hashes computed, only for rows from before there were authors.

use super::{
    super::{
        entry::{Entry, Hashed},
        job_log::parent_of,
        sequence::{Follower, Kept, RebuildError, Sequencer},
    },
    HeldLog,
};
use crate::{
    domain::{Job, JobId, LogDomain, NodeId},
    identity::NodeKey,
    scheduler::{BackendError, stored::store_error},
    store::{EventLog, NewEntry, StoredEntry},
};

/// Entries read from the store at a time.
const PAGE: u32 = 64;

/// A log as the store has it.
pub(super) struct Restored {
    pub(super) log: HeldLog,
    /// Who signed the actions of the rows that do not say so.
    pub(super) recovered: Vec<(JobId, u64, NodeId)>,
}

/// Why a stored log cannot be continued.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error("entry {height}: {}", StoredEntry::ALTERED)]
    Altered { height: u64 },
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

/// A log as the store has it, given what `parent` knows of the job that it follows up; the inner error says why it
/// cannot be continued.
pub(super) fn restore(
    key: &NodeKey,
    domain: LogDomain,
    store: &EventLog,
    parent: impl FnOnce(JobId) -> Option<Job>,
    job: JobId,
) -> Result<Result<Restored, RestoreError>, BackendError> {
    let mut entries: Vec<Kept> = Vec::new();
    loop {
        let after = entries.last().map_or(0, |kept| kept.hashed.entry.height);
        let page = store.read_job(job, after, PAGE).map_err(|error| store_error(&error))?;
        if page.is_empty() {
            return Ok(rebuild(key, domain, parent, entries).map_err(RestoreError::from));
        }
        for StoredEntry { entry: stored, is_intact, .. } in page {
            match Entry::decode(&stored.bytes) {
                Ok(entry) if is_intact => entries.push(kept(entry, &stored, domain)),
                Ok(_) | Err(_) => return Ok(Err(RestoreError::Altered { height: stored.height })),
            }
        }
    }
}

/// The log of a retired job; `None` for a live or an unknown one, and, with a word in the node's own log, for one that
/// cannot be read.
pub(super) fn retired(key: &NodeKey, domain: LogDomain, store: &EventLog, job: JobId) -> Option<HeldLog> {
    if !store.ended().contains(job).unwrap_or_default() {
        return None;
    }
    // No job follows up itself, so this ends.
    let parent = |parent| Some(retired(key, domain, store, parent)?.job().clone());
    match restore(key, domain, store, parent, job) {
        Ok(Ok(Restored { log, .. })) => Some(log),
        Ok(Err(error)) => {
            tracing::error!(%job, %error, "cannot read the log of an ended job");
            None
        }
        Err(error) => {
            tracing::error!(%job, %error, "cannot read the log of an ended job");
            None
        }
    }
}

/// An entry as its row has it. The checksum of a row with an author vouches for the hash too.
fn kept(entry: Entry, stored: &NewEntry, domain: LogDomain) -> Kept {
    let hashed = match stored.author {
        Some(_) => Hashed { entry, hash: stored.entry_hash, length: stored.bytes.len() },
        None => Hashed::new(entry, domain),
    };
    Kept { hashed, author: stored.author }
}

fn rebuild(
    key: &NodeKey,
    domain: LogDomain,
    parent: impl FnOnce(JobId) -> Option<Job>,
    entries: Vec<Kept>,
) -> Result<Restored, RebuildError> {
    let first = entries.first().ok_or(RebuildError::Empty)?;
    let parent = parent_of(first.hashed.entry.event()).and_then(parent);
    let parent = parent.as_ref();
    let orderer = first.author.or_else(|| first.hashed.entry.signer(domain).ok());
    let nameless = entries.iter().filter(|kept| kept.author.is_none());
    let nameless: Vec<_> = nameless.map(|kept| (kept.hashed.entry.job(), kept.hashed.entry.height)).collect();
    let log = if orderer == Some(key.node_id()) {
        HeldLog::Own(Box::new(Sequencer::rebuild_kept(key.clone(), domain, parent, entries)?))
    } else {
        HeldLog::Followed(Box::new(Follower::rebuild_kept(domain, parent, entries)?))
    };
    let recovered = nameless.into_iter();
    let recovered =
        recovered.filter_map(|(job, height)| Some((job, height, log.job_log().author_at(height)?)));
    let recovered = recovered.collect();
    Ok(Restored { log, recovered })
}
