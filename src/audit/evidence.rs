//! Evidence against a requester: it counts only if the requester's own signatures prove it.

use super::{AuditError, proof};
use crate::{
    domain::LogDomain,
    scheduler::{
        Evidence, FaultKind,
        libp2p::{
            entry::Entry,
            sequence::{Arrival, Fault, Follower, Receipt},
        },
    },
};

/// Most pieces of evidence about one log: one is enough, and each costs signatures to check.
const MAX_PIECES: usize = 4;

/// What the evidence proves about the log that `follower` holds; `None` where there is none.
///
/// # Errors
/// [`AuditError::Evidence`] for a piece that proves nothing.
pub(super) fn check(
    domain: LogDomain,
    follower: &Follower,
    evidence: &[Evidence],
) -> Result<Option<FaultKind>, AuditError> {
    let unproven = || AuditError::Evidence { job: follower.job_log().job().id };
    if evidence.len() > MAX_PIECES {
        return Err(unproven());
    }
    let mut worst = None;
    for piece in evidence {
        let kind = proven(domain, follower, piece).ok_or_else(unproven)?;
        if worst != Some(FaultKind::TwoHistories) {
            worst = Some(kind);
        }
    }
    Ok(worst)
}

fn proven(domain: LogDomain, follower: &Follower, piece: &Evidence) -> Option<FaultKind> {
    let job = follower.job_log().job();
    let signed = |hex: &String| {
        let entry = proof::decode(hex).ok()?;
        (entry.job() == job.id && entry.signer(domain) == Ok(job.requester)).then_some(entry)
    };
    match piece.entries.as_slice() {
        [held, other] => {
            contradict(domain, &signed(held)?, &signed(other)?).then_some(FaultKind::TwoHistories)
        }
        [entry] => breaks(follower, signed(entry)?),
        _ => None,
    }
}

/// Whether two entries that one key signed cannot be of one history.
fn contradict(domain: LogDomain, held: &Entry, other: &Entry) -> bool {
    let (hash, next) = (held.hash(domain), held.height.checked_add(1));
    (other.height == held.height && other.hash(domain) != hash)
        || (Some(other.height) == next && other.prev != hash)
}

/// What a follower of the log makes of the entry.
fn breaks(follower: &Follower, entry: Entry) -> Option<FaultKind> {
    let mut follower = follower.clone();
    let broken = follower.receive(entry, Arrival::Stored) == Receipt::Broken;
    follower.fault().filter(|_| broken).map(Fault::kind)
}
