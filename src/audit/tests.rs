//! Logs as hostile hands would change them, and what the auditor says of each.

mod attestation;
mod bytes;
mod contracts;
mod evidence;
mod link;

use super::{document::LOG_VERSION, *};
use crate::{
    domain::{Amount, Deal, Digest, Event, Job, JobId, JobState, SeatSet, Signature, SignedAction, Span},
    scheduler::{
        LogEntry, LogItem,
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
        append(&mut log, later(4), &key(*node), Event::Revealed { seat, opening: opening(seat, *result) });
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
        |entry| entry.facts.paid = Amount::MAX,
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
    assert!(matches!(refusal(&many), AuditError::TooManyLogs { found: 8, limit: 6 }));
}

#[test]
fn the_job_of_a_log_is_that_of_its_entries() {
    let mut document = honest();
    document.logs[0].job = JobId::new([7; 32]);
    assert!(matches!(refusal(&document), AuditError::Misplaced { height: 1 }));
}
