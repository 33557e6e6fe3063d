//! `assay config`.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::{
    CliError, ExitStatus,
    args::ConfigListArgs,
    config::{Config, Origin, SETTINGS},
    document::Document,
    output::{Output, table},
    session::is_public,
};

/// The settings, as JSON.
#[derive(Debug, Serialize)]
struct Settings {
    profile: Option<String>,
    /// The configuration files that were read; earlier ones count more.
    files: Vec<PathBuf>,
    settings: Vec<Row>,
}

impl Document for Settings {}

#[derive(Debug, Serialize)]
struct Row {
    key: &'static str,
    /// Apart by commas where there are several; null if nothing sets it.
    value: Option<String>,
    origin: Place,
}

/// Where a value comes from.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Place {
    Default,
    Variable { name: &'static str },
    File { path: PathBuf, line: usize, profile: Option<String> },
}

impl Place {
    fn text(&self) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::Variable { name } => (*name).to_owned(),
            Self::File { path, line, profile: None } => format!("{}:{line}", path.display()),
            Self::File { path, line, profile: Some(profile) } => {
                format!("{}:{line} (profile {profile})", path.display())
            }
        }
    }
}

/// Lists what commands get without flags.
pub(in crate::cli) fn list(
    args: &ConfigListArgs,
    profile: Option<&str>,
    output: Output,
) -> Result<ExitStatus, CliError> {
    let config = Config::here(profile)?;
    let rows = SETTINGS.iter().map(|setting| {
        let set = config.get(setting);
        let value = set.as_ref().map(|set| {
            let shown = set.values.iter().flat_map(|value| value.split(',')).map(shown);
            shown.collect::<Vec<_>>().join(",")
        });
        let origin = set.map_or(Place::Default, |set| match set.origin {
            Origin::Variable(name) => Place::Variable { name },
            Origin::File { path, line, profile } => Place::File { path, line, profile },
        });
        Row { key: setting.name, value, origin }
    });
    let document =
        Settings { settings: rows.collect(), profile: config.profile.clone(), files: config.files.clone() };
    output.result(&document, || {
        let headings: &[&str] =
            if args.show_origin { &["KEY", "VALUE", "ORIGIN"] } else { &["KEY", "VALUE"] };
        let rows = document.settings.iter().map(|row| {
            let value = row.value.clone().unwrap_or_else(|| "-".to_owned());
            let origin = args.show_origin.then(|| row.origin.text());
            [row.key.to_owned(), value].into_iter().chain(origin).collect()
        });
        table(headings, rows)
    })?;
    Ok(ExitStatus::Success)
}

/// The value; of an endpoint with more than a host only the host, since providers put secrets behind it.
fn shown(value: &str) -> String {
    match value.split_once("://") {
        Some((scheme, rest)) if !is_public(value) => {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            format!("{scheme}://{}/...", host.rsplit('@').next().unwrap_or_default())
        }
        Some(_) | None => value.to_owned(),
    }
}
