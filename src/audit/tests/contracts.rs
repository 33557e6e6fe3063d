//! Logs of a contract, which the chain vouches for.

use super::*;
use crate::domain::Spec;

/// A log as a contract's would look in a file: the same steps, without a proof.
pub(super) fn of_a_contract() -> LogDocument {
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
fn the_log_of_a_parent_is_not_that_of_its_follow_up() {
    let domain = of_a_contract().domain;
    let whole = LogDocument { domain, ..followed_up() };
    assert!(on_chain::compare(&whole, domain, &whole.logs).is_ok());
    let mut cut = whole.clone();
    let child = cut.logs.pop().unwrap().job;
    for (document, chain, asked) in [(&cut, &whole, child), (&whole, &cut, whole.logs[0].job)] {
        let compared = on_chain::compare(document, domain, &chain.logs);
        assert!(
            matches!(&compared, Err(AuditError::OtherJob { wanted, .. }) if *wanted == asked.to_string()),
            "{compared:?}"
        );
    }
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
