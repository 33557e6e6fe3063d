//! In-toto links, looked at as `repro-threshold` does.

use alloy_primitives::hex;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use libp2p::identity::ed25519::PublicKey;
use serde_json::{Value, json};

use super::*;
use crate::{
    audit::attestation::{AttestationError, Metablock, Subject, link, public_pem},
    identity::voucher_of,
};

/// A link that a public rebuilder of Debian packages serves, and the key that it publishes.
const SERVED: &str = include_str!("../../../tests/vectors/rebuilderd.link.json");
const PUBLISHED: &str = "-----BEGIN PUBLIC KEY-----\nMCwwBwYDK2VwBQADIQATuimKMfCOSfiKc2AT/T1NKQhn9y39Kz5Suo0w5UUXGA==\n-----END PUBLIC KEY-----\n";

/// The last 32 bytes of a PEM text.
fn public(pem: &str) -> [u8; 32] {
    let bytes = STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
    assert_eq!(bytes.len(), 46);
    bytes[14..].try_into().unwrap()
}

/// The hash of the canonical form of a key.
fn key_id(public: &[u8; 32]) -> String {
    let key = json!({
        "keyid_hash_algorithms": ["sha256", "sha512"],
        "keytype": "ed25519",
        "keyval": { "public": hex::encode(public) },
        "scheme": "ed25519",
    });
    hex::encode(Digest::sha256(key.to_string()).as_bytes())
}

/// Whether a link is signed by this key: over its canonical form, in which keys are sorted.
fn is_signed(block: &Metablock, public: &[u8; 32]) -> bool {
    let block = serde_json::to_value(block).unwrap();
    let signatures = block["signatures"].as_array().unwrap();
    let signature = signatures.iter().find(|one| one["keyid"] == key_id(public));
    signature.is_some_and(|one| {
        let signature = hex::decode(one["sig"].as_str().unwrap()).unwrap();
        let key = PublicKey::try_from_bytes(public).unwrap();
        key.verify(block["signed"].to_string().as_bytes(), &signature)
    })
}

fn subjects(name: &str) -> Vec<Subject> {
    vec![Subject::new(name.to_owned(), Digest::sha256("program"))]
}

#[test]
fn what_rebuilderd_signs_has_this_form() {
    let read = |text: &str| serde_json::from_str::<Metablock>(text).unwrap();
    assert!(is_signed(&read(SERVED), &public(PUBLISHED)));
    assert!(!is_signed(&read(&SERVED.replace("32be9549", "32be9548")), &public(PUBLISHED)));
}

#[test]
fn a_link_names_job_node_and_files_and_the_node_vouches_for_its_key() {
    let node = key(2);
    let block = link(&honest(), None, &node, &subjects("outputs/program"), now()).unwrap();
    let pem = public_pem(&node.link_key());
    assert_eq!(pem[..41], PUBLISHED[..41], "the key has the form of a published one");
    assert!(is_signed(&block, &public(&pem)));
    assert!(!is_signed(&block, &public(&public_pem(&key(3).link_key()))));
    let signed: Value = serde_json::to_value(&block).unwrap()["signed"].clone();
    assert_eq!(signed["byproducts"]["assay-job"], honest().logs[0].job.to_string());
    let voucher = signed["byproducts"]["assay-voucher"].as_str().unwrap().parse().unwrap();
    assert_eq!(voucher_of(&public(&pem), voucher), Some(node.node_id()));
    assert_eq!(signed["byproducts"]["assay-node"], node.node_id().to_string());
    let hash = signed["products"]["outputs/program"]["sha256"].as_str().unwrap();
    assert_eq!(format!("0x{hash}"), Digest::sha256("program").to_string());
}

#[test]
fn no_link_is_made_of_a_node_that_was_not_accepted_or_of_a_name_that_tools_write_differently() {
    let refused = link(&honest(), None, &key(9), &subjects("outputs/program"), now());
    assert!(matches!(refused, Err(AttestationError::NotAccepted { .. })), "{refused:?}");
    for name in ["outputs/\u{e9}", "outputs/a\"b", "outputs/a\\nb", "outputs/a\nb"] {
        let refused = link(&honest(), None, &key(2), &subjects(name), now());
        assert!(matches!(refused, Err(AttestationError::Unlinkable { .. })), "{refused:?}");
    }
}

#[test]
fn no_link_is_made_of_a_contracts_log_that_is_not_the_chains() {
    let (log, files) = (contracts::of_a_contract(), subjects("outputs/program"));
    let link = |chain: Option<&LogDocument>| {
        link(&log, chain.map(|chain| (chain.domain, &chain.logs[..])), &key(2), &files, now())
    };
    assert!(matches!(link(None), Err(AttestationError::Unproven { job }) if job == log.logs[0].job));
    assert!(link(Some(&log)).is_ok());
    let mut other = log.clone();
    entries(&mut other)[3].at = Timestamp::from_secs(1);
    assert!(matches!(link(Some(&other)), Err(AttestationError::Audit(AuditError::NotTheChains { .. }))));
}
