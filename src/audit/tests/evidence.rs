//! Logs with proofs of what the requester did wrong.

use super::*;
use crate::scheduler::{Evidence, FaultKind};

fn accused(mut document: LogDocument, kind: FaultKind, entries: &[&Entry]) -> LogDocument {
    let height = entries.last().map_or(0, |entry| entry.height);
    let entries = entries.iter().map(|entry| alloy_primitives::hex::encode(entry.encode())).collect();
    document.logs[0].evidence = vec![Evidence { kind, height, entries }];
    document
}

/// An entry of key 1 at a height of a log, as it might stand in another history.
fn of_another_history(log: &Sequencer, height: u64) -> Entry {
    let entry = log.job_log().entry(height).unwrap();
    Entry::sign(
        &key(1),
        DOMAIN,
        (height, entry.prev),
        entry.at.plus(Span::from_secs(1)),
        entry.action.clone(),
    )
}

#[test]
fn a_log_with_the_proof_of_a_fork_does_not_agree() {
    let log = verified();
    let document = exported(&[&log]);
    let kind = FaultKind::TwoHistories;
    for height in 1..=14 {
        let (held, other) = (log.job_log().entry(height).unwrap(), of_another_history(&log, height));
        assert_eq!(finding(&accused(document.clone(), kind, &[held, &other])), Finding::Forked);
        assert_eq!(finding(&accused(document.clone(), kind, &[&other])), Finding::Forked);
    }
    let (held, other) = (of_another_history(&log, 5), log.job_log().entry(6).unwrap());
    let forked = accused(document.clone(), kind, &[&held, other]);
    assert_eq!(finding(&forked), Finding::Forked, "6 stands over another 5");
    let lying = LogDocument { claim: Claim { state: JobState::Failed, ..forked.claim.clone() }, ..forked };
    assert_eq!(finding(&lying), Finding::Forked);
    let read: LogDocument = serde_json::from_slice(&serde_json::to_vec(&lying).unwrap()).unwrap();
    assert_eq!(read, lying, "evidence is part of the document");

    // What it follows up was forked.
    let mut child = followed_up();
    let parent = play(None, &deal(), 7, &[(2, 5), (3, 6), (4, 7)]);
    child = accused(child, kind, &[&of_another_history(&parent, 2)]);
    assert_eq!(finding(&child), Finding::Forked);
}

#[test]
fn a_log_with_the_proof_of_a_broken_rule_does_not_agree() {
    let log = verified();
    let job_log = log.job_log();
    let late = act(log.job_log(), &key(1), Event::Cancelled);
    let entry = Entry::sign(&key(1), DOMAIN, (job_log.height() + 1, job_log.head()), later(9), late);
    let document = accused(exported(&[&log]), FaultKind::RuleBroken, &[&entry]);
    assert_eq!(finding(&document), Finding::Broken);
}

#[test]
fn evidence_that_the_requester_did_not_sign_is_refused() {
    let log = verified();
    let document = exported(&[&log]);
    let held = log.job_log().entry(5).unwrap();
    let mut forged = of_another_history(&log, 5);
    forged.signature = key(9).sign(forged.hash(DOMAIN));
    let foreign = play(None, &deal(), 8, &[(2, 9), (3, 9), (4, 6)]);
    let foreign = of_another_history(&foreign, 5);
    let sound = log.job_log().entry(6).unwrap();
    let pieces: [&[&Entry]; 8] = [
        &[held, &forged],
        &[&forged],
        &[held, held],
        &[held],
        &[held, sound],
        &[&foreign],
        &[held, &foreign],
        &[],
    ];
    for entries in pieces {
        let accused = accused(document.clone(), FaultKind::TwoHistories, entries);
        assert!(matches!(refusal(&accused), AuditError::Evidence { .. }), "{entries:?}");
    }
    let mut many = accused(document, FaultKind::TwoHistories, &[&of_another_history(&log, 5)]);
    many.logs[0].evidence = vec![many.logs[0].evidence[0].clone(); 5];
    assert!(matches!(refusal(&many), AuditError::Evidence { .. }));
}
