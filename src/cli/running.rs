//! What commands that run nodes share: signals, and the files by which other commands find the API and its token.

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

/// Allows this process as many open files as the system lets it have: every connection and database is some.
pub(super) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // A command that cannot raise it runs with what it has.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// How a command ends whose nodes have ended.
pub(super) fn ended(joined: Result<(), CliError>) -> Result<ExitStatus, CliError> {
    joined.map(|()| ExitStatus::Success)
}

/// A running node, as other commands of this user find it.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// Where its API listens.
    pub(super) api: SocketAddr,
    /// Where its token is.
    pub(super) token_file: PathBuf,
}

/// The files by which other commands find the newest node of this user, and the token of each; taken back when this is
/// dropped.
#[derive(Debug)]
pub(super) struct RunningNote(Vec<(PathBuf, String)>);

impl RunningNote {
    /// Writes the files; the first node is the one that is asked when none is named. Without them the address and
    /// the token have to be named, which is no reason to stop.
    pub(super) fn new(nodes: &[Running], output: Output) -> Self {
        Self::at(settings::state_file(), nodes, output)
    }

    /// The same, with another file for the address of the first.
    pub(super) fn at(file: Option<PathBuf>, nodes: &[Running], output: Output) -> Self {
        let first = nodes.first().map(|node| format!("http://{}", node.api));
        let address = file.zip(first);
        let tokens = nodes.iter().filter_map(|node| {
            Some((settings::token_note(node.api)?, node.token_file.display().to_string()))
        });
        // The token first: who finds the address needs it.
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
                // What is left names a node that does not answer, and the next one overwrites it.
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
