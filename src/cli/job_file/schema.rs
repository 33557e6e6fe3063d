//! The JSON schema of job files, made of the flags.

use clap::{Arg, ArgAction, Command};
use serde_json::{Map, Value, json};

use super::{is_repeatable, keys, takes_map};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a job file, from the arguments of the program's `job submit`.
pub(in crate::cli) fn schema(program: &mut Command) -> Value {
    program.build();
    let submit = program.find_subcommand("job").and_then(|job| job.find_subcommand("submit"));
    let submit = submit.expect("job submit is a command");
    let mut properties = Map::new();
    properties.insert(
        "image".to_owned(),
        json!({"type": "string", "description": "Image, by name and tag or by digest"}),
    );
    properties.insert(
        "command".to_owned(),
        json!({
            "type": "array",
            "items": {"type": ["string", "number", "boolean"]},
            "description": "Arguments for the image's entrypoint, or the whole command if the image has none; public",
        }),
    );
    properties.extend(keys(submit).filter_map(|arg| Some((arg.get_long()?.to_owned(), property(arg)))));
    json!({
        "$schema": DIALECT,
        "title": "Assay job",
        "description": "A job for assay job submit --file. Keys are the long flags of assay job submit.",
        "type": "object",
        "required": ["image"],
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(arg: &Arg) -> Value {
    let mut property = Map::new();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    property.insert("description".to_owned(), help.into());
    let one = json!({"type": ["string", "number"]});
    let choices: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let many = json!({"type": "array", "items": one});
    let form = match arg.get_action() {
        ArgAction::SetTrue => json!({"type": "boolean"}),
        _ if takes_map(arg) => json!({
            "oneOf": [{"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}, many]
        }),
        _ if !choices.is_empty() => json!({"enum": choices}),
        _ if is_repeatable(arg) => json!({"oneOf": [one, many]}),
        _ => json!({"type": ["string", "number", "array"], "items": one}),
    };
    property.extend(form.as_object().cloned().unwrap_or_default());
    if let [default] = arg.get_default_values() {
        property.insert("default".to_owned(), default.to_string_lossy().into());
    }
    property.into()
}
