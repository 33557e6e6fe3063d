//! What commands that run nodes share: signals, and the file by which other commands find the API.

use std::{fs, io, path::PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CliError, ExitStatus, output::Output, settings};

/// Requests to end: Ctrl-C, and what service managers send.
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From here on these signals do not end the process by themselves.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next one. Cancel safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// How a command ends whose nodes have ended.
pub(super) fn ended(joined: Result<(), CliError>) -> Result<ExitStatus, CliError> {
    joined.map(|()| ExitStatus::Success)
}

/// The file that names the API of the newest node of this user; taken back when this is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    file: Option<PathBuf>,
    api: String,
}

impl Announced {
    /// Writes the file. Without it the address has to be named, which is no reason to stop.
    pub(super) fn new(api: &str, output: Output) -> Self {
        Self::at(settings::state_file(), api, output)
    }

    /// The same in another file.
    pub(super) fn at(file: Option<PathBuf>, api: &str, output: Output) -> Self {
        if let Some(path) = &file
            && let Err(error) = write(path, api)
        {
            output
                .note(&format!("{} cannot be written ({error}); name this node with --api", path.display()));
        }
        Self { file, api: api.to_owned() }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(path) = &self.file
            && fs::read_to_string(path).is_ok_and(|text| text.trim() == self.api)
        {
            // What is left names a node that does not answer, and the next one overwrites it.
            let _ = fs::remove_file(path);
        }
    }
}

fn write(path: &std::path::Path, api: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, format!("{api}\n"))
}
