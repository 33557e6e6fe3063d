//! `GET /api/v1/openapi.json`: what this API takes and answers, as an OpenAPI 3.1 document.
//!
//! Handlers and types describe themselves by their attributes and comments. What all operations share is added here: the
//! token, the one shape of errors, and the ids in paths. `docs/openapi.json` holds the same document; a test compares.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{http::header, response::IntoResponse};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, Content, Object, OpenApi as Document, Ref, Required, ResponseBuilder,
        SecurityRequirement,
        path::{Operation, ParameterBuilder, ParameterIn, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{content, events, health, intake, jobs, metrics, plot, refusal::ErrorReply, retention, sessions};

/// Where the document is.
pub(super) const PATH: &str = "/api/v1/openapi.json";

/// The name of the security scheme.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay",
        description = "The HTTP API of one node. Money is decimal text in the smallest unit, times are Unix seconds, ids and hashes \
                       `0x` and hex."
    ),
    servers((url = "/", description = "The node that serves this document")),
    paths(
        show,
        health::health,
        health::alive,
        health::ready,
        sessions::issue,
        sessions::redeem,
        metrics::show,
        jobs::node_info,
        retention::usage,
        retention::prune,
        jobs::earnings,
        intake::pause,
        intake::resume,
        jobs::nodes,
        jobs::defaults,
        events::all,
        jobs::list,
        jobs::submit,
        content::take_input,
        content::upload,
        jobs::describe,
        jobs::outlooks,
        events::follow,
        events::log,
        jobs::anchors,
        plot::plot,
        jobs::cancel,
        retention::forget,
        jobs::update,
        content::results,
        content::archive,
        content::last_words,
        content::output,
    ),
    components(schemas(ErrorReply, super::types::InputEvent)),
    modifiers(&Shared)
)]
struct Api;

/// The document as it is served.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = serde_json::to_value(Api::openapi())
        .expect("a document has string keys only, so that JSON can hold it");
    without_links(&mut document);
    format!("{document:#}\n")
});

/// What this API takes and answers.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    responses((status = 200, description = "This document", body = Value))
)]
pub(super) async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

/// What all operations share.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut Document) {
        // The default would name the authors of the crate.
        document.info.contact = None;
        let components = document.components.get_or_insert_with(Components::new);
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The 64 hex digits in the file api.token of the node's data directory"));
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme.build()));
        document.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                operation.tags = None;
                add_ids(path, operation);
                add_errors(operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    item.get.iter_mut().chain(&mut item.post)
}

/// The ids in a path.
fn add_ids(path: &str, operation: &mut Operation) {
    for (name, about) in [
        ("job", "The id of a job, or the beginning of one"),
        ("node", "The id of a node: `0x` and 40 hex digits"),
    ] {
        if path.contains(&format!("{{{name}}}")) {
            let id = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(about))
                .schema(Some(Object::with_type(utoipa::openapi::Type::String)));
            operation.parameters.get_or_insert_default().insert(0, id.build().into());
        }
    }
}

/// Every answer that is no success has one shape.
fn add_errors(operation: &mut Operation) {
    let errors: BTreeMap<&str, &str> =
        BTreeMap::from([("4XX", "Refused"), ("5XX", "Failed, loading, or without room for the client")]);
    for (status, about) in errors {
        let error = ResponseBuilder::new()
            .description(about)
            .content("application/json", Content::new(Some(Ref::from_schema_name("ErrorReply"))));
        operation.responses.responses.insert(status.to_owned(), error.build().into());
    }
}

/// Comments link to other comments, which readers of the document do not have.
fn without_links(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" || name == "summary" => {
                        *text = unlinked(text)
                    }
                    field => without_links(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_links),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text with `` [`Name`] `` and `` [`Name`](path) `` as `` `Name` ``.
fn unlinked(text: &str) -> String {
    let mut parts = text.split("[`");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('`');
        let Some((name, rest)) = part.split_once("`]") else {
            plain.push_str(part);
            continue;
        };
        let after =
            rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
        plain.push_str(name);
        plain.push('`');
        plain.push_str(after);
    }
    plain
}

#[cfg(test)]
mod tests;
