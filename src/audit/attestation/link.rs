//! In-toto links: the older form of attestations, which `rebuilderd` serves and `repro-threshold` reads.
//!
//! A link names files by their SHA-256 and is signed by an Ed25519 key. Nothing in it proves the run: whoever reads it trusts
//! the key. So one is made only of a node whose log has been checked, a contract's against its chain. It says by which job,
//! and which node the key is of.

use std::collections::BTreeMap;

use alloy_primitives::hex;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    AttestationError, accepted,
    statement::{Subject, sha256_of},
    verified,
};
use crate::{
    audit::{Finding, JobLog, LogDocument, on_chain},
    domain::{Digest, Job, LogDomain, Spec, Timestamp},
    identity::{LinkKey, NodeKey},
};

/// The ASN.1 before a public key, as these tools read it: the parameters of the algorithm are NULL.
const SPKI: [u8; 14] = [0x30, 0x2c, 0x30, 0x07, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x05, 0x00, 0x03, 0x21, 0x00];

/// By their names, files by their hashes.
type Files = BTreeMap<String, BTreeMap<String, String>>;

/// A signed link. Its fields are in the order of the canonical form, which is what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metablock {
    signatures: Vec<LinkSignature>,
    signed: Link,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkSignature {
    keyid: String,
    sig: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    #[serde(rename = "_type")]
    kind: String,
    byproducts: BTreeMap<String, String>,
    command: Vec<String>,
    environment: Option<BTreeMap<String, String>>,
    materials: Files,
    name: String,
    products: Files,
}

/// The link of an accepted node over the files of its result, signed by its Ed25519 key. `chain` is what the chain has of a
/// contract's job, `now` the clock of this machine.
///
/// # Errors
/// As [`super::attest`], [`AttestationError::Unproven`] and [`AttestationError::Unlinkable`].
pub fn link(
    log: &LogDocument,
    chain: Option<(LogDomain, &[JobLog])>,
    key: &NodeKey,
    subjects: &[Subject],
    now: Timestamp,
) -> Result<Metablock, AttestationError> {
    let (job, finding) = verified(log, now)?;
    if finding == Finding::NotChecked {
        let (domain, logs) = chain.ok_or(AttestationError::Unproven { job: job.id })?;
        on_chain::compare(log, domain, logs)?;
    }
    accepted(&job, key.node_id())?;
    let key_of_links = key.link_key();
    let signed = Link::of(&job, key, &key_of_links, subjects);
    let texts = [&signed.materials, &signed.products].into_iter().flat_map(BTreeMap::keys);
    if let Some(name) = texts.into_iter().find(|name| !is_plain(name)) {
        return Err(AttestationError::Unlinkable { name: name.clone() });
    }
    let sig = hex::encode(key_of_links.sign(&signed.canonical()));
    let signatures = vec![LinkSignature { keyid: key_id(&key_of_links.public()), sig }];
    Ok(Metablock { signatures, signed })
}

/// The public key of a node's links, in PEM.
pub fn public_pem(key: &LinkKey) -> String {
    let encoded = STANDARD.encode([SPKI.as_slice(), &key.public()].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n")
}

/// SHA-256 of the canonical JSON of a public key.
fn key_id(public: &[u8; 32]) -> String {
    let public = hex::encode(public);
    let json = format!(
        r#"{{"keyid_hash_algorithms":["sha256","sha512"],"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#
    );
    hex::encode(Digest::sha256(json).as_bytes())
}

/// Whether canonical JSON, which escapes less than JSON does, writes a text as JSON does: tools differ about all others.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\')
}

impl Link {
    fn of(job: &Job, key: &NodeKey, key_of_links: &LinkKey, subjects: &[Subject]) -> Self {
        let files = subjects.iter().map(|file| (file.name.clone(), file.hashes().clone()));
        let said = [
            ("assay-job", job.id.to_string()),
            ("assay-node", key.node_id().to_string()),
            ("assay-voucher", key_of_links.voucher().to_string()),
        ];
        Self {
            kind: "link".to_owned(),
            byproducts: said.map(|(name, text)| (name.to_owned(), text)).into(),
            // The job's id stands for it.
            command: Vec::new(),
            // `rebuilderd` writes null, which other readers refuse.
            environment: Some(BTreeMap::new()),
            materials: materials(&job.spec),
            name: format!("assay job {}", job.id),
            products: files.collect(),
        }
    }

    /// What is signed: canonical JSON, in which keys are sorted and nothing is between them.
    fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a link has string keys only, so that JSON can hold it")
    }
}

/// The image and the inputs of a run.
fn materials(spec: &Spec) -> Files {
    let pinned = spec
        .image
        .rsplit_once("sha256:")
        .map(|(_, hex)| (spec.image_name.clone(), BTreeMap::from([("sha256".to_owned(), hex.to_owned())])));
    let inputs = spec.inputs.iter().map(|input| (input.target.clone(), sha256_of(input.digest)));
    pinned.into_iter().chain(inputs).collect()
}
