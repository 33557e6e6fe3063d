//! A chain of one's own: Anvil as a child process, on a port that nobody else has.
//!
//! It ends with its [`Anvil`], and with this process however that ends: a shell between the two holds the other end of
//! a pipe, and kills Anvil when the pipe closes. The kernel could do the same (`PR_SET_PDEATHSIG`), but by unsafe
//! code, and would take the end of a thread for that of the process.

use std::{
    env, fmt, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use alloy_primitives::hex;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinSet,
    time::timeout,
};

use crate::{
    domain::NodeId,
    identity::{KeyError, NodeKey},
};

/// How long Anvil may take to listen: a second on an idle machine.
const START: Duration = Duration::from_secs(60);

/// The longest line that is read of what Anvil prints while it starts, and how many.
const MAX_LINES: usize = 200;

/// Runs its arguments, says their process id, and kills them when its standard input closes. Anvil moves old states to
/// its disk, and leaves them there when it is killed: they get a directory that goes with it.
const WATCH: &str = r#"
states=$(mktemp -d) || exit
exec 3<&0 </dev/null
"$@" --cache-path "$states" 3<&- &
watched=$!
echo "process $watched"
(read -r _ <&3; kill -KILL $watched; rm -rf "$states") >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $watched
kill $watcher 2>/dev/null
rm -rf "$states"
"#;

/// A running Anvil.
pub struct Anvil {
    /// Where it listens.
    pub rpc_url: String,
    /// The same for WebSockets.
    pub ws_url: String,
    /// Its chain.
    pub chain_id: u64,
    /// The accounts that have money from the start, as Anvil prints them.
    pub accounts: Vec<DevAccount>,
    process_id: Option<u32>,
    /// The shell before it, whose standard input keeps it alive.
    child: Child,
    _drain: JoinSet<()>,
}

/// An account of this chain, whose key Anvil prints; worth nothing outside.
#[derive(Debug, Clone)]
pub struct DevAccount {
    /// Its address.
    pub id: NodeId,
    /// Its key, in hex.
    pub secret: String,
    /// The same as a key.
    pub key: NodeKey,
}

/// How Anvil is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnvilOptions {
    /// Seconds between blocks; a block for every transaction when absent.
    pub block_time: Option<u32>,
    /// How many accounts have money from the start; ten when absent.
    pub accounts: Option<usize>,
    /// The time of the first block, in Unix seconds; now when absent.
    pub timestamp: Option<u64>,
    /// The endpoint of another chain, to begin as a copy of it; a chain of its own when absent.
    pub fork_of: Option<String>,
}

/// Why there is no Anvil.
#[derive(Debug, thiserror::Error)]
pub enum AnvilError {
    /// It is not installed.
    #[error(
        "there is no anvil in node_modules or on the PATH; run `npm ci` in the checkout, or install Foundry"
    )]
    NotFound,
    /// It cannot be run.
    #[error("cannot run {path}", path = path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended, or said nothing, before it listened.
    #[error("{path} did not start to listen; its last line was {last:?}", path = path.display())]
    Silent {
        /// The program.
        path: PathBuf,
        /// What it said last.
        last: String,
    },
}

impl Anvil {
    /// Starts Anvil on a free port of this machine and waits until it listens.
    ///
    /// # Errors
    /// [`AnvilError`].
    pub async fn start(options: AnvilOptions) -> Result<Self, AnvilError> {
        let path = find().ok_or(AnvilError::NotFound)?;
        let chain_id = 31337;
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh"]).arg(&path);
        command.args(["--host", "127.0.0.1", "--port", "0", "--chain-id", &chain_id.to_string()]);
        // Nodes take these accounts. With the keys that Anvil has everywhere, a node would take the containers of the
        // one with its id in another devstack on this machine for left-overs of its own, and remove them.
        command.args(["--mnemonic-random", "12"]);
        if let Some(seconds) = options.block_time {
            command.args(["--block-time", &seconds.to_string()]);
        }
        if let Some(accounts) = options.accounts {
            command.args(["--accounts", &accounts.to_string()]);
        }
        if let Some(timestamp) = options.timestamp {
            command.args(["--timestamp", &timestamp.to_string()]);
        }
        if let Some(url) = options.fork_of {
            command.args(["--fork-url", &url]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| AnvilError::Spawn { path: path.clone(), source })?;
        let stdout = child.stdout.take().expect("its output was asked for");
        let mut lines = BufReader::new(stdout).lines();
        let mut greeting = Greeting::default();
        let listening = timeout(START, greeting.read(&mut lines)).await;
        let (Ok(Some(port)), Some(accounts)) = (listening, greeting.accounts()) else {
            return Err(AnvilError::Silent { path, last: greeting.last });
        };
        // It logs every request: what nobody reads would fill the pipe and stop it.
        let mut drain = JoinSet::new();
        drain.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (rpc_url, ws_url) = (format!("http://127.0.0.1:{port}"), format!("ws://127.0.0.1:{port}"));
        let process_id = greeting.process_id;
        Ok(Self { rpc_url, ws_url, chain_id, accounts, process_id, child, _drain: drain })
    }

    /// The process, to be named to people.
    pub const fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    /// Ends it now, and waits until it is gone.
    pub async fn kill(&mut self) {
        drop(self.child.stdin.take());
        // It may have ended by itself.
        drop(self.child.wait().await);
    }
}

/// What Anvil prints before it serves.
#[derive(Debug, Default)]
struct Greeting {
    addresses: Vec<NodeId>,
    secrets: Vec<String>,
    process_id: Option<u32>,
    last: String,
}

impl Greeting {
    /// Reads up to the line that names the port.
    async fn read(&mut self, lines: &mut Lines<BufReader<ChildStdout>>) -> Option<u16> {
        for _ in 0..MAX_LINES {
            let line = lines.next_line().await.ok()??;
            if let Some(address) = line.trim().strip_prefix("Listening on ") {
                return address.rsplit(':').next()?.parse().ok();
            }
            self.take(&line);
            self.last = line;
        }
        None
    }

    /// `(0) 0x<40 digits> (10000.000000000000000000 ETH)` or `(0) 0x<64 digits>`.
    fn take(&mut self, line: &str) {
        if let Some(id) = line.strip_prefix("process ") {
            self.process_id = id.parse().ok();
            return;
        }
        let mut words = line.split_whitespace();
        let Some(value) = words.next().filter(|word| word.starts_with('(')).and_then(|_| words.next()) else {
            return;
        };
        match value.trim_matches('"').len() {
            42 => self.addresses.extend(value.trim_matches('"').parse::<NodeId>()),
            66 => self.secrets.push(value.to_owned()),
            _ => {}
        }
    }

    /// The accounts, if every address has its key.
    fn accounts(&self) -> Option<Vec<DevAccount>> {
        let accounts: Option<Vec<DevAccount>> = self.secrets.iter().map(|secret| account(secret)).collect();
        let ids = |accounts: &Vec<DevAccount>| accounts.iter().map(|account| account.id).collect::<Vec<_>>();
        accounts.filter(|accounts| !accounts.is_empty() && ids(accounts) == self.addresses)
    }
}

impl DevAccount {
    /// A new account; no chain gives it money by itself.
    ///
    /// # Errors
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        loop {
            getrandom::fill(&mut bytes).map_err(KeyError::Randomness)?;
            // As good as never does a key fail to be one.
            if let Some(account) = account(&hex::encode_prefixed(bytes)) {
                return Ok(account);
            }
        }
    }
}

fn account(secret: &str) -> Option<DevAccount> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(secret, &mut bytes).ok()?;
    let key = NodeKey::from_bytes(&bytes)?;
    Some(DevAccount { id: key.node_id(), secret: secret.to_owned(), key })
}

/// Anvil of this checkout, or of the machine. The program itself, not the script that npm puts before it: a script
/// that is killed leaves its child behind.
pub fn find() -> Option<PathBuf> {
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let folders = starts.iter().flatten().flat_map(|start| start.ancestors());
    let installed = folders.filter_map(|folder| in_modules(&folder.join("node_modules/@foundry-rs"))).next();
    installed.or_else(|| {
        let path = env::var_os("PATH")?;
        env::split_paths(&path).map(|folder| folder.join("anvil")).find(|file| file.is_file())
    })
}

fn in_modules(scope: &Path) -> Option<PathBuf> {
    let packages = scope.read_dir().ok()?.flatten();
    let mut programs: Vec<PathBuf> = packages
        .filter(|package| package.file_name().to_string_lossy().starts_with("anvil-"))
        .map(|package| package.path().join("bin/anvil"))
        .filter(|program| program.is_file())
        .collect();
    programs.sort();
    programs.into_iter().next()
}

impl fmt::Debug for Anvil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anvil").field("rpc_url", &self.rpc_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_as_anvil_prints_them() {
        let mut greeting = Greeting::default();
        for line in [
            "Available Accounts",
            "==================",
            "",
            "(0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (10000.000000000000000000 ETH)",
            "Private Keys",
            "(0) 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
            "Mnemonic:          test test test test test test test test test test test junk",
        ] {
            greeting.take(line);
        }
        let accounts = greeting.accounts().unwrap();
        assert_eq!(accounts[0].id.to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        greeting.secrets.clear();
        assert!(greeting.accounts().is_none());
    }
}
