//! `assay store`: checks, copies and mends what a node keeps, without the node.

use std::path::PathBuf;

use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::{
    cli::{
        CliError, ExitStatus,
        args::{BackupArgs, StoreArgs, StoreCommand},
        document::Document,
        output::Output,
        settings, text,
    },
    domain::{Digest, JobId},
    store::{self, BackedUp, CheckError, Checked, Repaired},
};

/// What a check found, as JSON.
#[derive(Debug, Serialize)]
struct CheckDocument {
    data_dir: PathBuf,
    sound: bool,
    schema: u32,
    entries: u64,
    runs: u64,
    files: u64,
    bytes: u64,
    pages: Vec<String>,
    altered_entries: Vec<AlteredEntry>,
    altered_runs: Vec<JobId>,
    damaged: Vec<Digest>,
    missing: Vec<Digest>,
}

#[derive(Debug, Serialize)]
struct AlteredEntry {
    job: JobId,
    height: u64,
}

/// What a repair did, as JSON.
#[derive(Debug, Serialize)]
struct RepairDocument {
    indexes: bool,
    removed: usize,
    bytes: u64,
    disclaimed: usize,
    left: CheckDocument,
}

/// What a backup holds, as JSON.
#[derive(Debug, Serialize)]
struct BackupDocument {
    target: PathBuf,
    database_bytes: u64,
    files: u64,
    bytes: u64,
    has_key: bool,
}

impl Document for CheckDocument {}
impl Document for RepairDocument {}
impl Document for BackupDocument {}

/// Runs one of the commands.
pub(in crate::cli) async fn run(command: StoreCommand, output: Output) -> Result<ExitStatus, CliError> {
    match command {
        StoreCommand::Check(args) => check(args, output).await,
        StoreCommand::Backup(args) => backup(args, output).await,
        StoreCommand::Repair(args) => repair(args, output).await,
    }
}

async fn check(args: StoreArgs, output: Output) -> Result<ExitStatus, CliError> {
    let dir = dir_of(args)?;
    let looked = dir.clone();
    let checked = blocking(move || store::check(&looked)).await?;
    let document = document(dir, checked);
    output.result(&document, || sheet(&document))?;
    Ok(status(&document))
}

async fn backup(args: BackupArgs, output: Output) -> Result<ExitStatus, CliError> {
    let (dir, target, with_content) = (dir_of(args.of)?, args.target, !args.no_content);
    let to = target.clone();
    let BackedUp { database, files, bytes, has_key } =
        blocking(move || store::back_up(&dir, &to, with_content)).await?;
    let document = BackupDocument { target, database_bytes: database, files, bytes, has_key };
    output.result(&document, || {
        let (database, bytes) = (text::bytes(database), text::bytes(bytes));
        format!(
            "{}: a database of {database}, {files} inputs and results of {bytes}\n",
            document.target.display()
        )
    })?;
    let key =
        if has_key { "it holds the node's key: keep it as safe as the node" } else { "it holds no key" };
    output.note(&format!("{key}; to go back to it: assay serve --data-dir {}", document.target.display()));
    Ok(ExitStatus::Success)
}

async fn repair(args: StoreArgs, output: Output) -> Result<ExitStatus, CliError> {
    let dir = dir_of(args)?;
    let looked = dir.clone();
    let Repaired { indexes, removed, bytes, disclaimed, left } =
        blocking(move || store::repair(&looked)).await?;
    let repaired = RepairDocument { indexes, removed, bytes, disclaimed, left: document(dir, left) };
    output.result(&repaired, || {
        let built = if indexes { "indexes built again; " } else { "" };
        let bytes = text::bytes(bytes);
        format!(
            "{built}{removed} damaged files removed ({bytes}), {disclaimed} claims to content deleted\n{}",
            sheet(&repaired.left)
        )
    })?;
    Ok(status(&repaired.left))
}

fn dir_of(args: StoreArgs) -> Result<PathBuf, CliError> {
    Ok(args.data_dir.map_or_else(settings::default_data_dir, Ok)?)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CheckError> + Send + 'static,
) -> Result<T, CliError> {
    spawn_blocking(work).await.expect("looking at a store returns its errors").map_err(CliError::Store)
}

const fn status(checked: &CheckDocument) -> ExitStatus {
    if checked.sound { ExitStatus::Success } else { ExitStatus::Failure }
}

fn document(data_dir: PathBuf, checked: Checked) -> CheckDocument {
    let sound = checked.is_sound();
    let Checked {
        schema,
        entries,
        runs,
        files,
        bytes,
        pages,
        altered_entries,
        altered_runs,
        damaged,
        missing,
    } = checked;
    let altered_entries =
        altered_entries.into_iter().map(|(job, height)| AlteredEntry { job, height }).collect();
    CheckDocument {
        data_dir,
        sound,
        schema,
        entries,
        runs,
        files,
        bytes,
        pages,
        altered_entries,
        altered_runs,
        damaged,
        missing,
    }
}

fn sheet(checked: &CheckDocument) -> String {
    let CheckDocument { entries, runs, files, bytes, schema, .. } = checked;
    let mut lines = vec![format!(
        "read {entries} entries, {runs} runs and {files} inputs and results ({}); schema {schema}",
        text::bytes(*bytes)
    )];
    lines.extend(checked.pages.iter().map(|problem| format!("database: {problem}")));
    let entry = |entry: &AlteredEntry| {
        format!(
            "entry {} of job {} is not as it was written: the node follows that log no further",
            entry.height, entry.job
        )
    };
    lines.extend(checked.altered_entries.iter().map(entry));
    lines.extend(
        checked.altered_runs.iter().map(|job| format!("the run of job {job} is not as it was written")),
    );
    lines.extend(checked.damaged.iter().map(|digest| format!("content {digest} is damaged")));
    lines.extend(checked.missing.iter().map(|digest| format!("content {digest} is missing")));
    let verdict = if checked.sound {
        "everything is as it was written"
    } else if checked.pages.is_empty()
        && checked.altered_entries.is_empty()
        && checked.altered_runs.is_empty()
    {
        "hint: stop the node and run assay store repair: what is needed is fetched again"
    } else {
        "hint: go back to a backup (assay serve --data-dir BACKUP), or stop the node and run assay store repair, which mends \
         indexes and content; a node on a contract with a new data directory and the same key reads its log again from the chain"
    };
    lines.push(verdict.to_owned());
    lines.join("\n") + "\n"
}
