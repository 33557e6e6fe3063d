//! The statement: who ran what, and which files came of it.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{super::LogDocument, EnvelopeError};
use crate::domain::{Digest, Job, JobId, NodeId, Opening, Spec};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

/// How a run is described: its parameters are a spec of this project.
const BUILD_TYPE: &str = "urn:assay:run:v1";

/// What stands before a node's address in the name of a builder.
const BUILDER: &str = "urn:assay:node:";

/// The name of the log among the by-products.
const LOG: &str = "log";

/// The most files that an attestation names: as many as a result may have.
const MAX_SUBJECTS: usize = 100_000;

/// One file of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its path in the result, such as `outputs/program`.
    pub name: String,
    /// Its hashes, by the name of the function.
    digest: BTreeMap<String, String>,
}

/// A result has more files than an attestation names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the result has {found} files, an attestation names at most {MAX_SUBJECTS}")]
pub struct TooManySubjects {
    found: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Provenance,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provenance {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ExternalParameters {
    spec: Spec,
}

/// What the verdict compared.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct InternalParameters {
    result_hash: Digest,
    exit_code: i32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RunDetails {
    builder: Builder,
    metadata: Metadata,
    byproducts: Vec<Resource>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Builder {
    id: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metadata {
    invocation_id: JobId,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Resource {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    digest: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

impl Subject {
    /// A file by its path and the SHA-256 of its content.
    pub fn new(name: String, sha256: Digest) -> Self {
        Self { name, digest: sha256_of(sha256) }
    }

    /// Its hashes, by the name of the function.
    pub(super) const fn hashes(&self) -> &BTreeMap<String, String> {
        &self.digest
    }

    /// Whether it is a file with this SHA-256.
    pub fn has(&self, sha256: Digest) -> bool {
        self.digest == sha256_of(sha256)
    }
}

impl Statement {
    pub(super) fn of(
        job: &Job,
        node: NodeId,
        opening: &Opening,
        subject: Vec<Subject>,
        log: &LogDocument,
    ) -> Result<Self, TooManySubjects> {
        if subject.len() > MAX_SUBJECTS {
            return Err(TooManySubjects { found: subject.len() });
        }
        let log = serde_json::to_vec(log).expect("a log has string keys only, so that JSON can hold it");
        let log = Resource {
            name: Some(LOG.to_owned()),
            media_type: Some("application/json".to_owned()),
            content: Some(STANDARD.encode(log)),
            ..Resource::default()
        };
        let Opening { result_hash, exit_code, .. } = *opening;
        let predicate = Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.to_owned(),
                external_parameters: ExternalParameters { spec: (*job.spec).clone() },
                internal_parameters: InternalParameters { result_hash, exit_code },
                resolved_dependencies: dependencies(&job.spec),
            },
            run_details: RunDetails {
                builder: Builder { id: format!("{BUILDER}{node}") },
                metadata: Metadata { invocation_id: job.id },
                byproducts: vec![log],
            },
        };
        let (kind, predicate_type) = (STATEMENT_TYPE.to_owned(), PREDICATE_TYPE.to_owned());
        Ok(Self { kind, subject, predicate_type, predicate })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a statement has string keys only, so that JSON can hold it")
    }

    /// Reads what anybody may have written.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The bytes of the log in it; none if there is no log.
    pub(super) fn log(&self) -> Result<Vec<u8>, EnvelopeError> {
        let log = self.predicate.run_details.byproducts.first().and_then(|log| log.content.as_deref());
        Ok(STANDARD.decode(log.unwrap_or_default())?)
    }

    /// The node that it speaks of.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.predicate.run_details.builder.id.strip_prefix(BUILDER)?.parse().ok()
    }

    pub(super) fn into_subjects(self) -> Vec<Subject> {
        self.subject
    }
}

/// The image and the inputs of a run.
fn dependencies(spec: &Spec) -> Vec<Resource> {
    let pinned = spec.image.rsplit_once("sha256:").map(|(_, hex)| hex.to_owned());
    let image = Resource {
        name: Some("image".to_owned()),
        uri: Some(spec.image_name.clone()),
        digest: pinned.map(|hex| ("sha256".to_owned(), hex)).into_iter().collect(),
        ..Resource::default()
    };
    let inputs = spec.inputs.iter().map(|input| Resource {
        name: Some(input.target.clone()),
        uri: input.url.clone(),
        digest: sha256_of(input.digest),
        ..Resource::default()
    });
    std::iter::once(image).chain(inputs).collect()
}

/// Hashes as in-toto writes them: hex without a prefix.
pub(super) fn sha256_of(digest: Digest) -> BTreeMap<String, String> {
    let hex = digest.to_string();
    BTreeMap::from([("sha256".to_owned(), hex.strip_prefix("0x").unwrap_or(&hex).to_owned())])
}
