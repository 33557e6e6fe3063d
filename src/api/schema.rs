//! Schemas that no attribute can give: of values that JSON holds as text, and of bodies that are bytes.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type, schema::SchemaType},
};

use super::types::Cursor;
use crate::{
    domain::{
        Amount, AuditSecret, Canonical, Digest, FingerprintWord, JobId, Method, NodeId, Note, SecretHash,
        Seed, SummaryForm, SummaryWord,
    },
    node::{Hours, Pattern},
};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    text().enum_values(Some(names))
}

macro_rules! schemas {
    ($($name:ident: $form:expr, $about:literal;)+) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $form.description(Some($about)).into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

schemas! {
    NodeId: matching("^0x[0-9a-f]{40}$"), "A party: the Ethereum address of its key.";
    JobId: matching("^0x[0-9a-f]{64}$"), "A job.";
    Digest: matching("^0x[0-9a-f]{64}$"), "A hash of 32 bytes.";
    AuditSecret: matching("^0x[0-9a-f]{64}$"), "The secret behind the draw of an audit.";
    SecretHash: matching("^0x[0-9a-f]{60}$"), "The hash of an audit's secret.";
    Seed: matching("^[0-9a-f]{64}$"), "The seed of a job.";
    Amount: matching("^[0-9]{1,29}$"), "Money in the smallest unit; less than 2^96.";
    FingerprintWord: matching("^0x[0-9a-f]{64}$"), "Memory, CPU time and page faults of a run; all bits set for none.";
    SummaryWord: matching("^0x[0-9a-f]{64}$"), "The numbers of an output; all bits set for none.";
    SummaryForm: text(), "How each number of a summary is compared, with commas between them.";
    Canonical: text(), "What may differ between texts: names of masks, with commas between them.";
    Method: one_of(Method::ALL.map(Method::name)), "How runs with different outputs are compared.";
    Note: one_of(Note::ALL.map(Note::text)), "Why a verdict is what it is.";
    Cursor: matching("^[0-9]+-0x[0-9a-f]{64}$"), "A place in a list of jobs: the `next` of a page.";
    Pattern: text(), "A text in which each `*` stands for any characters.";
    Hours: text(), "Hours of the week in UTC, such as `mon-fri 18:00-08:00`.";
}

/// A body of bytes, whatever they are.
#[derive(Debug)]
pub(super) struct Bytes;

impl PartialSchema for Bytes {
    fn schema() -> RefOr<Schema> {
        // As OpenAPI 3.1 has it: no type, since the bytes are no JSON.
        ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
    }
}

impl ToSchema for Bytes {}
