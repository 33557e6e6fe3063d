//! Attestations as hostile hands would change them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::{
    audit::attestation::{
        AttestationError, BUNDLE_VERSION, Bundle, Envelope, Subject, attest, check, one_log, parse,
    },
    domain::NodeId,
};

fn subjects() -> Vec<Subject> {
    vec![Subject::new("outputs/program".to_owned(), Digest::sha256("program"))]
}

fn of(node: NodeId) -> Result<Envelope, AttestationError> {
    attest(&honest(), node, subjects(), now())
}

/// The envelope with another payload, and the signatures that it had.
fn with_payload(envelope: &Envelope, change: impl FnOnce(String) -> String) -> Envelope {
    let mut json = serde_json::to_value(envelope).unwrap();
    let payload = STANDARD.decode(json["payload"].as_str().unwrap()).unwrap();
    json["payload"] = STANDARD.encode(change(String::from_utf8(payload).unwrap())).into();
    serde_json::from_value(json).unwrap()
}

#[test]
fn an_attestation_names_job_node_result_and_files_and_proves_them_by_its_log() {
    let node = key(2).node_id();
    let attested = check(&of(node).unwrap(), now()).unwrap();
    assert_eq!((attested.node, attested.finding, attested.is_signed), (node, Finding::Agrees, false));
    assert_eq!(attested.opening, opening(0, 9));
    assert!(attested.subjects[0].has(Digest::sha256("program")));
    assert!(!attested.subjects[0].has(Digest::sha256("other")));
    let signed = of(node).unwrap().signed_by(&key(2)).unwrap();
    assert!(check(&signed, now()).unwrap().is_signed);
    // Another's signature holds, and is not the node's.
    let other = of(node).unwrap().signed_by(&key(3)).unwrap();
    assert!(!check(&other, now()).unwrap().is_signed);
}

#[test]
fn a_statement_has_the_form_that_tools_of_supply_chains_read() {
    let mut payload = String::new();
    with_payload(&of(key(2).node_id()).unwrap(), |text| {
        payload.clone_from(&text);
        text
    });
    let said: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(said["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(said["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(said["subject"][0]["name"], "outputs/program");
    assert_eq!(said["subject"][0]["digest"]["sha256"].as_str().unwrap().len(), 64);
    let run = &said["predicate"]["runDetails"];
    assert_eq!(run["builder"]["id"], format!("urn:assay:node:{}", key(2).node_id()));
    assert_eq!(run["metadata"]["invocationId"], honest().logs[0].job.to_string());
    let build = &said["predicate"]["buildDefinition"];
    assert_eq!(build["buildType"], "urn:assay:run:v1");
    assert_eq!(build["externalParameters"]["spec"]["image"], "sha256:00");
    assert_eq!(build["resolvedDependencies"][0]["digest"]["sha256"], "00");
}

#[test]
fn only_accepted_nodes_of_a_verified_job_are_attested() {
    for liar_or_stranger in [4, 9] {
        let refused = of(key(liar_or_stranger).node_id()).unwrap_err();
        assert!(matches!(refused, AttestationError::NotAccepted { .. }), "{refused}");
    }
    let undecided = play(None, &deal(), 7, &[(2, 5), (3, 6), (4, 7)]);
    let refused = attest(&exported(&[&undecided]), key(2).node_id(), subjects(), now()).unwrap_err();
    assert!(matches!(refused, AttestationError::NotVerified { .. }), "{refused}");
    let mut stripped = honest();
    entries(&mut stripped)[3].proof.clear();
    let refused = attest(&stripped, key(2).node_id(), subjects(), now()).unwrap_err();
    assert!(matches!(refused, AttestationError::Audit(_)), "{refused}");
}

#[test]
fn a_statement_that_says_something_else_than_its_log_is_refused() {
    let honest = of(key(2).node_id()).unwrap();
    let (node, other) = (key(2).node_id().to_string(), key(3).node_id().to_string());
    let changes: [(&str, &str, String); 5] = [
        ("exit code", r#""exitCode":0"#, r#""exitCode":1"#.to_owned()),
        ("command", r#""command":["true"]"#, r#""command":["false"]"#.to_owned()),
        ("job", &honest_job(), JobId::ZERO.to_string()),
        ("type", "slsa.dev/provenance/v1", "slsa.dev/provenance/v2".to_owned()),
        ("space", r#"{"_type""#, r#"{ "_type""#.to_owned()),
    ];
    for (what, from, to) in changes {
        let refused = check(&with_payload(&honest, |text| text.replacen(from, &to, 1)), now()).unwrap_err();
        assert!(matches!(refused, AttestationError::OtherStatement), "{what}: {refused}");
    }
    // The log says as much of another accepted node with the same result: it is that node's attestation, which nobody signed.
    let moved = check(&with_payload(&honest, |text| text.replace(&node, &other)), now()).unwrap();
    assert_eq!((moved.node, moved.is_signed), (key(3).node_id(), false));
    let liar = key(4).node_id().to_string();
    let refused = check(&with_payload(&honest, |text| text.replace(&node, &liar)), now()).unwrap_err();
    assert!(matches!(refused, AttestationError::NotAccepted { .. }), "{refused}");
    let signed = honest.signed_by(&key(2)).unwrap();
    let refused =
        check(&with_payload(&signed, |text| text.replace("program", "Program")), now()).unwrap_err();
    assert!(matches!(refused, AttestationError::Envelope(_)), "{refused}");
}

fn honest_job() -> String {
    honest().logs[0].job.to_string()
}

#[test]
fn two_histories_of_one_job_are_refused_together_and_a_longer_one_is_not() {
    // The requester hears node 3 say two things, and has the first node of each history accepted with another.
    let (one, other) = (
        play(None, &deal(), 7, &[(2, 9), (3, 9), (4, 6)]),
        play(None, &deal(), 7, &[(2, 9), (3, 6), (4, 9)]),
    );
    let (one, other) = (exported(&[&one]), exported(&[&other]));
    assert_eq!(one.logs[0].job, other.logs[0].job);
    let checked = |log: &LogDocument, node: u8| {
        let envelope = attest(log, key(node).node_id(), subjects(), now()).unwrap();
        check(&envelope, now()).unwrap()
    };
    one_log(&[checked(&one, 2), checked(&one, 3)]).unwrap();
    let refused = one_log(&[checked(&one, 2), checked(&one, 3), checked(&other, 4)]).unwrap_err();
    assert!(matches!(refused, AttestationError::OtherLog { height, .. } if height > 1), "{refused}");
    // An exporter who heard less, before one who heard all, and after; and two that go on differently from there.
    let mut shorter = checked(&one, 2);
    shorter.log.logs[0].entries.pop();
    one_log(&[shorter, checked(&one, 3)]).unwrap();
    let mut shorter = checked(&one, 2);
    shorter.log.logs[0].entries.truncate(1);
    let between = [checked(&one, 3), shorter, checked(&other, 4)];
    assert!(matches!(one_log(&between), Err(AttestationError::OtherLog { .. })));
}

#[test]
fn a_bundle_has_a_version_and_something_in_it() {
    let bundle = Bundle { version: BUNDLE_VERSION, attestations: vec![of(key(3).node_id()).unwrap()] };
    let bytes = |bundle: &Bundle| serde_json::to_vec(bundle).unwrap();
    assert_eq!(parse(&bytes(&bundle)).unwrap(), bundle);
    let later = parse(&bytes(&Bundle { version: 2, ..bundle.clone() })).unwrap_err();
    assert!(matches!(later, AttestationError::Version { found: 2 }), "{later}");
    let empty = parse(&bytes(&Bundle { attestations: Vec::new(), ..bundle })).unwrap_err();
    assert!(matches!(empty, AttestationError::Empty), "{empty}");
    assert!(matches!(parse(b"[[[["), Err(AttestationError::Json(_))));
}
