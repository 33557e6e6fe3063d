//! `assay version` and `assay completion`: about the program itself.

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{
    Cli, CliError, ExitStatus,
    args::ApiArgs,
    client::{Client, ClientError},
    document::Document,
    output::Output,
    settings,
};

/// The versions of this program and of the asked node, if one answered.
#[derive(Debug, Serialize)]
struct Versions {
    program: &'static str,
    node: Option<NodeVersion>,
}

impl Document for Versions {}

#[derive(Debug, Serialize)]
struct NodeVersion {
    api: String,
    version: String,
    backend: String,
}

/// Shows the versions. It is fine if no node answers, because the program has a version without one.
pub(in crate::cli) async fn version(args: &ApiArgs, output: Output) -> Result<ExitStatus, CliError> {
    let client = Client::new(settings::api(args)?, output);
    let node = match client.node().await {
        Ok(node) => Some(NodeVersion {
            api: client.address().to_owned(),
            version: node.version,
            backend: node.backend,
        }),
        Err(ClientError::Unreachable { .. }) => None,
        Err(error) => return Err(CliError::node("ask the node for its version")(error)),
    };
    let versions = Versions { program: env!("CARGO_PKG_VERSION"), node };
    output.result(&versions, || match &versions.node {
        Some(node) => format!(
            "assay {}\nnode  {} ({}, at {})\n",
            versions.program,
            crate::cli::output::printable(&node.version),
            crate::cli::output::printable(&node.backend),
            node.api
        ),
        None => format!("assay {}\n", versions.program),
    })?;
    Ok(ExitStatus::Success)
}

/// Writes the completion script for `shell`.
pub(in crate::cli) fn completion(shell: Shell, output: Output) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "assay", &mut script);
    output.data(&script)?;
    Ok(ExitStatus::Success)
}
