//! Logs as hostile hands would change them, and what the auditor says of each.

use super::{
    document::{DocumentError, LOG_VERSION, MAX_DOCUMENT_BYTES},
    *,
};
use crate::{
    domain::{
        Amount, Deal, Digest, Event, Job, JobId, JobState, SeatSet, Signature, SignedAction, Span, Spec,
    },
    scheduler::{
        Evidence, FaultKind, LogEntry, LogItem,
        libp2p::{
            entry::Entry,
            fixture::{DOMAIN, START, act, append, key, later, opening, submission},
            sequence::Sequencer,
        },
    },
};

fn now() -> Timestamp {
    later(100_000)
}

fn deal() -> Deal {
    Deal { escalation_limit: 31, ..Deal::default() }
}

/// Plays a job of key 1 on the seats of these keys, each of which reveals the result that is given.
fn play(parent: Option<&Job>, deal: &Deal, nonce: u64, seats: &[(u8, u8)]) -> Sequencer {
    let mut log = Sequencer::open(key(1), DOMAIN, parent, START, submission(&key(1), deal, nonce)).unwrap();
    for (node, _) in seats {
        append(&mut log, later(1), &key(*node), Event::BidPlaced { price: Amount::ZERO });
        append(&mut log, later(2), &key(1), Event::BidAccepted { node: key(*node).node_id() });
    }
    let job = log.job_log().job().id;
    for (seat, (node, result)) in (0..).zip(seats) {
        let commitment = opening(seat, *result).commitment(DOMAIN, job, seat, key(*node).node_id());
        append(&mut log, later(3), &key(*node), Event::Committed { commitment });
    }
    for (seat, (node, result)) in (0..).zip(seats) {
        append(&mut log, later(4), &key(*node), Event::Revealed { opening: opening(seat, *result) });
    }
    let openings = crate::rules::openings_of(log.job_log().job());
    let accepted = crate::rules::verdict_of(log.job_log().job(), &openings).accepted;
    append(&mut log, later(5), &key(seats[0].0), Event::VerdictPosted { openings: Vec::new(), accepted });
    log
}

/// Two of three nodes agree.
fn verified() -> Sequencer {
    let log = play(None, &deal(), 7, &[(2, 9), (3, 9), (4, 6)]);
    assert_eq!(log.job_log().job().state, JobState::Verified);
    log
}

fn shown(entry: &Entry) -> LogEntry {
    let (stamped, proof) = (entry.stamped(DOMAIN).unwrap(), entry.encode());
    LogEntry::new(
        entry.height,
        LogItem { cursor: Default::default(), entry: entry.hash(DOMAIN), stamped, proof },
    )
}

fn exported(logs: &[&Sequencer]) -> LogDocument {
    let log = |log: &&Sequencer| JobLog {
        job: log.job_log().job().id,
        entries: log.job_log().entries_after(0).iter().map(shown).collect(),
        evidence: Vec::new(),
    };
    let claim = Claim::of(logs.last().unwrap().job_log().job());
    LogDocument { version: LOG_VERSION, domain: DOMAIN, logs: logs.iter().map(log).collect(), claim }
}

fn honest() -> LogDocument {
    exported(&[&verified()])
}

/// An inconclusive job and its follow-up.
fn followed_up() -> LogDocument {
    let parent = play(None, &deal(), 7, &[(2, 5), (3, 6), (4, 7)]);
    assert_eq!(parent.job_log().job().state, JobState::Inconclusive);
    let job = parent.job_log().job();
    let child = play(
        Some(job),
        &job.deal.escalated(job.id).unwrap(),
        8,
        &[(11, 9), (12, 9), (13, 9), (14, 9), (15, 9), (16, 9), (17, 9)],
    );
    assert_eq!(child.job_log().job().state, JobState::Verified);
    exported(&[&parent, &child])
}

fn finding(document: &LogDocument) -> Finding {
    audit(document, now()).unwrap().finding
}

fn refusal(document: &LogDocument) -> AuditError {
    match audit(document, now()) {
        Err(error) => error,
        Ok(audit) => panic!("{:?}: {:?}", audit.finding, audit.found),
    }
}

fn entries(document: &mut LogDocument) -> &mut Vec<LogEntry> {
    &mut document.logs.last_mut().unwrap().entries
}

/// Heights as if nothing had been moved.
fn renumber(document: &mut LogDocument) {
    for (height, entry) in (1..).zip(entries(document)) {
        entry.height = height;
    }
}

/// What `examples/fold_a_log.rs` reads, and the front page of this module.
#[test]
fn the_shipped_log_is_that_of_an_honest_job() {
    const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/verified.json");
    let text = serde_json::to_string_pretty(&honest()).unwrap() + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(SHIPPED, &text).unwrap();
    }
    let shipped = std::fs::read_to_string(SHIPPED).unwrap();
    assert!(shipped == text, "{SHIPPED} is stale: run the tests once with UPDATE_VECTORS=1");
}

#[test]
fn an_honest_log_agrees() {
    let document = honest();
    let found = audit(&document, now()).unwrap();
    assert_eq!((found.finding, found.entries, found.signed), (Finding::Agrees, 14, 14));
    assert_eq!((found.found.accepted.len(), found.found.rejected.len()), (2, 1));
    assert_eq!(found.found, document.claim);
    assert_eq!(finding(&followed_up()), Finding::Agrees);
}

#[test]
fn a_stripped_log_is_refused() {
    let mut document = honest();
    for entry in entries(&mut document) {
        entry.proof.clear();
    }
    assert!(matches!(refusal(&document), AuditError::Unsigned { height: 1 }));
    // With nothing signed any more, anything can be said: a verdict that accepts the liar.
    entries(&mut document).last_mut().unwrap().event =
        Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b111) };
    assert!(matches!(refusal(&document), AuditError::Unsigned { height: 1 }));
}

#[test]
fn a_log_without_one_of_its_proofs_is_refused() {
    let document = honest();
    for index in 0..document.logs[0].entries.len() {
        let mut stripped = document.clone();
        entries(&mut stripped)[index].proof.clear();
        let height = document.logs[0].entries[index].height;
        assert!(matches!(refusal(&stripped), AuditError::Unsigned { height: at } if at == height));
    }
}

#[test]
fn a_parent_without_its_proofs_is_refused() {
    let document = followed_up();
    for index in [0, document.logs[0].entries.len() - 1] {
        let mut stripped = document.clone();
        stripped.logs[0].entries[index].proof.clear();
        assert!(matches!(refusal(&stripped), AuditError::Unsigned { .. }));
    }
}

#[test]
fn another_domain_does_not_make_proofs_needless() {
    let contract = NodeId::new([7; 20]);
    for domain in [
        LogDomain { chain_id: 1, contract },
        LogDomain { chain_id: 1, contract: NodeId::ZERO },
        LogDomain { chain_id: 0, contract },
    ] {
        let mut document = LogDocument { domain, ..honest() };
        refusal(&document);
        for entry in entries(&mut document) {
            entry.proof.clear();
        }
        refusal(&document);
    }
}

#[test]
fn a_log_in_another_order_is_refused() {
    let document = honest();
    let length = document.logs[0].entries.len();
    for (one, two) in (0..length).flat_map(|one| (one + 1..length).map(move |two| (one, two))) {
        let mut moved = document.clone();
        entries(&mut moved).swap(one, two);
        refusal(&moved);
        renumber(&mut moved);
        refusal(&moved);
    }
}

#[test]
fn a_log_without_its_beginning_or_its_middle_is_refused() {
    let document = honest();
    for index in 0..document.logs[0].entries.len() - 1 {
        let mut cut = document.clone();
        entries(&mut cut).remove(index);
        refusal(&cut);
        renumber(&mut cut);
        refusal(&cut);
    }
}

#[test]
fn a_log_that_ends_early_proves_no_end() {
    let document = honest();
    for length in 1..document.logs[0].entries.len() {
        let mut cut = document.clone();
        entries(&mut cut).truncate(length);
        assert_eq!(finding(&cut), Finding::Differs, "the claim still says verified");
        let nobody = Claim { accepted: vec![], rejected: vec![], absent: vec![], ..cut.claim.clone() };
        cut.claim = nobody.clone();
        assert_eq!(finding(&cut), Finding::Differs, "a claim that names nobody says verified all the same");
        for state in [JobState::Inconclusive, JobState::Cancelled] {
            cut.claim = Claim { state, ..nobody.clone() };
            assert_eq!(finding(&cut), Finding::Differs);
        }
        for state in
            [JobState::Open, JobState::Running, JobState::Revealing, JobState::Expired, JobState::Failed]
        {
            cut.claim = Claim { state, ..nobody.clone() };
            assert_eq!(finding(&cut), Finding::Undecided);
        }
    }
    let mut cut = document;
    entries(&mut cut).clear();
    assert!(matches!(refusal(&cut), AuditError::Empty));
    cut.logs.clear();
    assert!(matches!(refusal(&cut), AuditError::Empty));
}

#[test]
fn an_entry_that_stands_twice_is_refused() {
    let document = honest();
    for index in 0..document.logs[0].entries.len() {
        let mut doubled = document.clone();
        let again = entries(&mut doubled)[index].clone();
        entries(&mut doubled).insert(index, again);
        refusal(&doubled);
        renumber(&mut doubled);
        refusal(&doubled);
    }
}

#[test]
fn two_logs_spliced_are_refused() {
    let (one, two) = (honest(), exported(&[&play(None, &deal(), 8, &[(2, 9), (3, 9), (4, 6)])]));
    let length = one.logs[0].entries.len();
    for at in 1..length {
        let mut spliced = one.clone();
        entries(&mut spliced).splice(at.., two.logs[0].entries[at..].iter().cloned());
        refusal(&spliced);
        let mut single = one.clone();
        entries(&mut single)[at] = two.logs[0].entries[at].clone();
        refusal(&single);
    }
}

#[test]
fn another_history_of_the_same_requester_cannot_be_spliced_in() {
    let mut log = Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &deal(), 7)).unwrap();
    append(&mut log, later(1), &key(2), Event::BidPlaced { price: Amount::ZERO });
    let mut fork = log.clone();
    for (log, at) in [(&mut log, later(2)), (&mut fork, later(3))] {
        append(log, at, &key(3), Event::BidPlaced { price: Amount::ZERO });
        append(log, at, &key(1), Event::Cancelled);
    }
    let mut spliced = exported(&[&log]);
    assert_eq!(finding(&spliced), Finding::Agrees);
    entries(&mut spliced)[3] = exported(&[&fork]).logs[0].entries[3].clone();
    assert!(matches!(refusal(&spliced), AuditError::Signatures(_)));
}

#[test]
fn a_claim_that_says_something_else_differs() {
    let document = honest();
    let claims = [
        Claim { state: JobState::Failed, ..document.claim.clone() },
        Claim { state: JobState::Running, ..document.claim.clone() },
        Claim { accepted: document.claim.rejected.clone(), ..document.claim.clone() },
        Claim { rejected: vec![], ..document.claim.clone() },
        Claim { absent: vec![key(9).node_id()], ..document.claim.clone() },
        Claim {
            accepted: [document.claim.accepted.clone(), vec![key(9).node_id()]].concat(),
            ..document.claim.clone()
        },
    ];
    for claim in claims {
        assert_eq!(finding(&LogDocument { claim, ..document.clone() }), Finding::Differs);
    }
}

#[test]
fn what_is_shown_must_be_what_was_signed() {
    let changes: [fn(&mut LogEntry); 6] = [
        |entry| entry.author = key(9).node_id(),
        |entry| entry.at = entry.at.plus(Span::from_secs(1)),
        |entry| entry.revision = Digest::ZERO,
        |entry| entry.facts.paid_jobs = 1,
        |entry| entry.event = Event::Ticked,
        |entry| entry.entry = Digest::ZERO,
    ];
    for (index, change) in
        (0..honest().logs[0].entries.len()).flat_map(|index| changes.map(|change| (index, change)))
    {
        let mut changed = honest();
        change(&mut entries(&mut changed)[index]);
        assert!(matches!(refusal(&changed), AuditError::OtherProof { height } if height == index as u64 + 1));
    }
}

/// An entry that the requester signs over whatever action it is given.
fn forged(log: &Sequencer, action: SignedAction) -> LogEntry {
    let job_log = log.job_log();
    let entry = Entry::sign(&key(1), DOMAIN, (job_log.height() + 1, job_log.head()), later(9), action);
    let author = entry.action.author(DOMAIN).unwrap_or(NodeId::ZERO);
    let action = &entry.action.action;
    let stamped = crate::domain::Stamped {
        job: action.job,
        author,
        at: entry.at,
        revision: action.revision,
        facts: crate::domain::Facts::MONEYLESS,
        event: action.event.clone(),
    };
    let item =
        LogItem { cursor: Default::default(), entry: entry.hash(DOMAIN), stamped, proof: entry.encode() };
    LogEntry::new(entry.height, item)
}

#[test]
fn an_action_that_its_author_did_not_sign_is_refused() {
    let mut log = Sequencer::open(key(1), DOMAIN, None, START, submission(&key(1), &deal(), 7)).unwrap();
    append(&mut log, later(1), &key(2), Event::BidPlaced { price: Amount::ZERO });
    let bid = act(log.job_log(), &key(3), Event::BidPlaced { price: Amount::ZERO });
    for signature in [[0; 65], [0xff; 65]] {
        let mut document = exported(&[&log]);
        let unsigned = SignedAction { signature: Signature::new(signature), ..bid.clone() };
        entries(&mut document).push(forged(&log, unsigned));
        assert!(matches!(refusal(&document), AuditError::OtherProof { height: 3 }));
    }
    // The requester signs in the node's place.
    let mut document = exported(&[&log]);
    let stolen = SignedAction { signature: key(1).sign(bid.action.signing_digest(DOMAIN)), ..bid };
    entries(&mut document).push(forged(&log, stolen));
    assert!(matches!(refusal(&document), AuditError::Signatures(_)));
}

#[test]
fn an_entry_that_breaks_the_rules_is_refused_though_both_signed_it() {
    let log = verified();
    for event in [
        Event::Cancelled,
        Event::Expired,
        Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b111) },
    ] {
        let mut document = exported(&[&log]);
        entries(&mut document).push(forged(&log, act(log.job_log(), &key(1), event)));
        assert!(matches!(refusal(&document), AuditError::Signatures(_)));
    }
}

#[test]
fn a_stamp_from_the_future_is_refused() {
    let document = honest();
    let ended = document.logs[0].entries.last().unwrap().at;
    assert!(audit(&document, ended.minus(Span::from_secs(30))).is_ok());
    let early = audit(&document, ended.minus(Span::from_secs(31)));
    assert!(matches!(early, Err(AuditError::Future { height: 14, .. })), "{early:?}");
}

#[test]
fn a_follow_up_needs_the_log_of_its_parent_and_no_other() {
    let document = followed_up();
    let mut orphan = document.clone();
    orphan.logs.remove(0);
    assert!(matches!(refusal(&orphan), AuditError::MissingParent { .. }));

    let mut foreign = document.clone();
    foreign.logs[0] = exported(&[&play(None, &deal(), 9, &[(2, 5), (3, 6), (4, 7)])]).logs.remove(0);
    assert!(matches!(refusal(&foreign), AuditError::ForeignParent { .. }));
    // A parent that claims another's id is found out by its own entries.
    foreign.logs[0].job = document.logs[0].job;
    assert!(matches!(refusal(&foreign), AuditError::Misplaced { .. }));

    let mut decided = document.clone();
    decided.logs[0] = honest().logs.remove(0);
    assert_eq!(decided.logs[0].job, document.logs[0].job, "another end of the same job");
    assert!(
        matches!(refusal(&decided), AuditError::Signatures(_)),
        "only an inconclusive job is followed up"
    );

    let mut open = document.clone();
    open.logs[0].entries.pop();
    assert!(matches!(refusal(&open), AuditError::Signatures(_)), "a job without an end is not followed up");

    let mut unrelated = honest();
    unrelated.logs.insert(0, document.logs[0].clone());
    assert!(matches!(refusal(&unrelated), AuditError::ForeignParent { .. }));
    let mut many = document;
    many.logs.extend(std::iter::repeat_n(many.logs[1].clone(), 6));
    assert!(matches!(refusal(&many), AuditError::TooManyLogs { found: 8 }));
}

#[test]
fn the_job_of_a_log_is_that_of_its_entries() {
    let mut document = honest();
    document.logs[0].job = JobId::new([7; 32]);
    assert!(matches!(refusal(&document), AuditError::Misplaced { height: 1 }));
}

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

/// A log as a contract's would look in a file: the same steps, without a proof.
fn of_a_contract() -> LogDocument {
    let domain = LogDomain { chain_id: 1, contract: NodeId::new([7; 20]) };
    let mut document = LogDocument { domain, ..honest() };
    let job = match &document.logs[0].entries[0].event {
        Event::Submitted { deal, spec, nonce } => {
            domain.job_id(key(1).node_id(), *nonce, Spec::hash_document(spec), deal.revision())
        }
        other => panic!("{other:?}"),
    };
    document.logs[0].job = job;
    for entry in entries(&mut document) {
        entry.proof.clear();
        let (seat, node) = match &entry.event {
            Event::Committed { .. } => (u8::try_from(entry.height - 8).unwrap(), entry.author),
            _ => continue,
        };
        let result = if seat == 2 { 6 } else { 9 };
        entry.event =
            Event::Committed { commitment: opening(seat, result).commitment(domain, job, seat, node) };
    }
    document
}

#[test]
fn a_contracts_log_without_the_chain_is_not_checked() {
    let document = of_a_contract();
    let found = audit(&document, now()).unwrap();
    assert_eq!((found.finding, found.signed, found.agrees()), (Finding::NotChecked, 0, false));
    let mut cut = document.clone();
    entries(&mut cut).truncate(5);
    cut.claim = Claim { state: JobState::Open, accepted: vec![], rejected: vec![], absent: vec![] };
    assert_eq!(finding(&cut), Finding::NotChecked);
    let mut lying = document.clone();
    lying.claim.rejected.clear();
    assert_eq!(finding(&lying), Finding::Differs);
    let mut signed = document;
    entries(&mut signed)[1].proof = "00".to_owned();
    assert!(matches!(refusal(&signed), AuditError::Unexpected { height: 2 }));
}

#[test]
fn a_contracts_log_is_compared_with_the_chain_entry_by_entry() {
    let document = of_a_contract();
    let (domain, chain) = (document.domain, document.logs.clone());
    assert!(on_chain::compare(&document, domain, &chain).is_ok());
    assert!(matches!(on_chain::compare(&honest(), domain, &chain), Err(AuditError::NotOnChain)));
    let other = LogDomain { chain_id: 2, ..domain };
    assert!(matches!(on_chain::compare(&document, other, &chain), Err(AuditError::OtherDomain { .. })));
    for index in 0..chain[0].entries.len() {
        let mut changed = document.clone();
        entries(&mut changed)[index].at = now();
        let height = index as u64 + 1;
        let compared = on_chain::compare(&changed, domain, &chain);
        assert!(matches!(compared, Err(AuditError::NotTheChains { height: at, .. }) if at == height));
    }
    let mut cut = document.clone();
    entries(&mut cut).pop();
    let compared = on_chain::compare(&cut, domain, &chain);
    assert!(matches!(compared, Err(AuditError::OtherLength { found: 13, on_chain: 14, .. })));
    let mut renamed = document.clone();
    renamed.logs[0].job = JobId::new([7; 32]);
    assert!(matches!(on_chain::compare(&renamed, domain, &chain), Err(AuditError::OtherJob { .. })));
    let mut longer = document;
    longer.logs.insert(0, followed_up().logs.remove(0));
    assert!(on_chain::compare(&longer, domain, &chain).is_err());
}

#[test]
fn a_posted_verdict_is_compared_with_that_of_the_rules() {
    let LogDocument { domain, logs, .. } = of_a_contract();
    assert!(on_chain::recompute(domain, logs.clone()).unwrap().agrees());
    let mut lie = logs;
    lie[0].entries.last_mut().unwrap().event =
        Event::VerdictPosted { openings: Vec::new(), accepted: SeatSet::from_bits(0b111) };
    let posted = on_chain::recompute(domain, lie.clone()).unwrap();
    assert!(!posted.agrees());
    assert_eq!(posted.audit.found.accepted.len(), 2);
    lie[0].entries.pop();
    let posted = on_chain::recompute(domain, lie).unwrap();
    assert_eq!((posted.agrees(), posted.accepted), (false, None));
}

#[test]
fn a_document_that_is_none_is_refused_before_it_is_decoded() {
    let bytes = serde_json::to_vec(&honest()).unwrap();
    assert_eq!(LogDocument::parse(&bytes).unwrap(), honest());
    for length in (0..bytes.len()).step_by(97) {
        assert!(matches!(LogDocument::parse(&bytes[..length]), Err(DocumentError::Json(_))));
    }
    assert!(LogDocument::parse(&[bytes.as_slice(), b"{}"].concat()).is_err(), "nothing may follow");
    let endless = std::io::Read::take(std::io::repeat(b'['), MAX_DOCUMENT_BYTES + 10);
    assert!(matches!(LogDocument::read(endless), Err(DocumentError::TooLong)));
    for nested in
        ["[".repeat(1 << 20), "{\"version\":".repeat(1 << 18), "{\"version\":1,\"logs\":".repeat(1 << 16)]
    {
        assert!(matches!(LogDocument::parse(nested.as_bytes()), Err(DocumentError::Json(_))));
    }
    let later = br#"{"version": 99, "something": ["new"]}"#;
    assert!(matches!(
        LogDocument::parse(later),
        Err(DocumentError::Version(AuditError::Version { found: 99 }))
    ));
    let twice = String::from_utf8(bytes).unwrap().replacen("\"claim\":", "\"claim\":null,\"claim\":", 1);
    assert!(LogDocument::parse(twice.as_bytes()).is_err());
}

/// Another byte that may stand where this one does, so that what follows is not merely another syntax.
const fn neighbour(byte: u8) -> u8 {
    match byte {
        b'9' => b'0',
        b'f' => b'a',
        b'0'..=b'8' | b'a'..=b'e' => byte + 1,
        _ => byte ^ 0x20,
    }
}

/// Changes every byte of a part of an exported document: it is refused, or the audit is the same in all that it says,
/// or it says that the claim is another.
fn change_each_byte(part: usize, parts: usize) {
    let deal = Deal { concurrency: 1, confidence: 1, ..deal() };
    let document = exported(&[&play(None, &deal, 7, &[(2, 9)])]);
    let expected = audit(&document, now()).unwrap();
    assert_eq!(expected.finding, Finding::Agrees);
    let bytes = serde_json::to_vec(&document).unwrap();
    let claim = bytes.windows(9).position(|window| window == b"\"claim\":{").unwrap();
    let (mut changed, mut refused) = (0, 0);
    for index in (part..bytes.len()).step_by(parts) {
        let mut bytes = bytes.clone();
        bytes[index] = neighbour(bytes[index]);
        changed += 1;
        match LogDocument::parse(&bytes).ok().and_then(|document| audit(&document, now()).ok()) {
            None => refused += 1,
            Some(found) if found == expected => {}
            Some(found) => {
                assert!(index > claim, "byte {index} of {}: {found:?}", bytes.len());
                assert_eq!((found.finding, &found.found), (Finding::Differs, &expected.found));
            }
        }
    }
    assert!(refused > changed * 9 / 10, "{refused} of {changed} refused");
}

// In parts, since they may run side by side and each has a minute.
#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_first_part() {
    change_each_byte(0, 3);
}

#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_second_part() {
    change_each_byte(1, 3);
}

#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_third_part() {
    change_each_byte(2, 3);
}
