//! `assay version`, `assay completion` and `assay man`: about the program itself.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::{
    Cli, CliError, ExitStatus,
    args::ApiArgs,
    client::{Client, ClientError},
    complete,
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
    output.data(&complete::script(shell))?;
    Ok(ExitStatus::Success)
}

/// The manual pages that were written, as JSON.
#[derive(Debug, Serialize)]
struct Manual {
    /// In order of their names.
    pages: Vec<PathBuf>,
}

impl Document for Manual {}

/// Writes a manual page of each command into `dir`.
pub(in crate::cli) fn man(dir: &Path, output: Output) -> Result<ExitStatus, CliError> {
    std::fs::create_dir_all(dir).map_err(CliError::file("make the directory", dir))?;
    let failed = || CliError::file("write manual pages to", dir);
    let mut pages = Vec::new();
    let mut command = Cli::command();
    command.build();
    write_pages(&command, "assay", dir, &mut pages).map_err(failed())?;
    pages.sort();
    output.result(&Manual { pages: pages.clone() }, || {
        pages.iter().map(|page| format!("{}\n", page.display())).collect()
    })?;
    Ok(ExitStatus::Success)
}

/// Writes the page of a command that is called `name`, and those of the commands below it.
fn write_pages(
    command: &clap::Command,
    name: &str,
    dir: &Path,
    pages: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        write_pages(below, &format!("{name}-{}", below.get_name()), dir, pages)?;
    }
    let path = dir.join(format!("{name}.1"));
    let page = clap_mangen::Man::new(command.clone()).title(name);
    let mut text = Vec::new();
    page.render(&mut text)?;
    std::fs::write(&path, text)?;
    pages.push(path);
    Ok(())
}
