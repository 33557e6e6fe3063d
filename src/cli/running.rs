//! Shared by commands that run nodes: signals, and the files by which other commands find the API and its token.

use std::{
    fs::{self, DirBuilder},
    io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CliError, ExitStatus, output::Output, settings};

/// Requests to end: Ctrl-C, and the signal of service managers.
#[derive(Debug)]
pub(super) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Takes over these signals, so that they no longer end the process by themselves.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next signal. Cancel safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Raises this process's limit of open files as far as allowed: every connection and database is one.
pub(super) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // A command that cannot raise it runs with the present limit.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// The result of a command whose nodes have ended.
pub(super) fn ended(joined: Result<(), CliError>) -> Result<ExitStatus, CliError> {
    joined.map(|()| ExitStatus::Success)
}

/// A running node, as other commands of this user find it.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// The address of its API.
    pub(super) api: SocketAddr,
    /// Its token file.
    pub(super) token_file: PathBuf,
}

/// The files by which other commands find this user's newest node, and each node's token. Dropping this removes them.
#[derive(Debug)]
pub(super) struct RunningNote(Vec<(PathBuf, String)>);

impl RunningNote {
    /// Writes the files. The first node answers commands that name none. A failure is not fatal, since users can name
    /// address and token themselves.
    pub(super) fn new(nodes: &[Running], output: Output) -> Self {
        Self::at(settings::state_file(), nodes, output)
    }

    /// The same, with another file for the address of the first node.
    pub(super) fn at(file: Option<PathBuf>, nodes: &[Running], output: Output) -> Self {
        let first = nodes.first().map(|node| format!("http://{}", node.api));
        let address = file.zip(first);
        let tokens = nodes.iter().filter_map(|node| {
            Some((settings::token_note(node.api)?, node.token_file.display().to_string()))
        });
        // The token first: whoever finds the address needs it.
        let files: Vec<_> = tokens.chain(address).collect();
        for (path, line) in &files {
            if let Err(error) = write(path, line) {
                output.note(&format!(
                    "{} cannot be written ({error}); name this node with --api, and its token file with \
                     ASSAY_API_TOKEN_FILE",
                    path.display()
                ));
            }
        }
        Self(files)
    }
}

impl Drop for RunningNote {
    fn drop(&mut self) {
        for (path, line) in &self.0 {
            if fs::read_to_string(path).is_ok_and(|text| text.trim() == line) {
                // A file that stays names a node that does not answer, and the next node overwrites it.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn write(path: &Path, line: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    fs::write(path, format!("{line}\n"))
}
