//! `assay job validate` and `assay job schema`.

use std::{ffi::OsString, path::Path};

use clap::{CommandFactory as _, Parser as _};
use serde::Serialize;

use super::submit;
use crate::cli::{
    Cli, CliError, ExitStatus,
    args::{Command, JobCommand, SubmitArgs, ValidateArgs},
    asset,
    document::Document,
    job_file::{self, JobFileError},
    output::Output,
    sweep::Sweep,
};

/// A job file without a fault.
#[derive(Debug, Serialize)]
struct Valid<'a> {
    file: &'a Path,
    image: &'a str,
}

impl Document for Valid<'_> {}

/// Checks all of a job file that can be checked without a node.
pub(in crate::cli) fn validate(args: &ValidateArgs, output: Output) -> Result<ExitStatus, CliError> {
    let path = &args.file;
    let words = ["assay", "job", "submit", "--file"].map(OsString::from).into_iter();
    let words = words.chain([path.as_os_str().to_owned()]).collect();
    let words = job_file::expand(words, &mut Cli::command())?;
    let refused = |error: clap::Error| JobFileError::refused(path, &error);
    let SubmitArgs { image, command, deal, container, sweep, .. } =
        match Cli::try_parse_from(words).map_err(refused)? {
            Cli { command: Command::Job(JobCommand::Submit(args)), .. } => *args,
            other => unreachable!("a submission is no {other:?}"),
        };
    let deal = submit::terms(&deal, &container, &asset::supposed(&deal))?;
    let environment = submit::environment(&container, output)?;
    let sweep = Sweep::of(&sweep, &environment)?;
    let request = submit::request(image, command, environment, &container, deal);
    let places = submit::places(&container);
    for (path, _) in &places {
        std::fs::metadata(path).map_err(CliError::file("find the input", path))?;
    }
    let spec = submit::check_spec(&request, &places)?;
    if let Some(sweep) = sweep {
        submit::check_sweep(&sweep, &request, &places)?;
    }
    submit::warn_of_secrets(&request, output);
    output.result(&Valid { file: path, image: &spec.image_name }, || {
        format!("{} is valid\n", path.display())
    })?;
    Ok(ExitStatus::Success)
}

/// Prints what a job file may have, for editors and programs.
pub(in crate::cli) fn schema(output: Output) -> Result<ExitStatus, CliError> {
    output.file(&job_file::schema(&mut Cli::command()))?;
    Ok(ExitStatus::Success)
}
