//! The node that a command talks to: a running one over its API, or one that the command runs itself until it ends.
//!
//! The command's own node is a requester on a contract. It runs nothing for others, needs a container engine only to look up
//! an image's name, and does not announce its address: it connects to the nodes that the chain names. It has one state
//! directory for each chain, contract and key.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{
    CliError,
    args::{NodeArgs, SCHEDULER_VARIABLE},
    client::Client,
    keys,
    output::Output,
    running::{Running, RunningNote},
    settings::{self, ApiAddress, Requester},
};
use crate::{
    assembly::{Backend, Host, HostConfig, HostError},
    executor::{DockerExecutor, Executor, NoEngine},
    node::{Admission, ComputeLimits, Keep, NodeError, UrlLimits},
    scheduler::{
        BackendError,
        contract::{ConnectError, ContractReader},
    },
    store::DirError,
};

/// How long the command's own node gets to stop in order. Its earlier work is stored before.
const STOP: Duration = Duration::from_secs(5);

/// Reading the chain deserves a message after the first time, and has failed after the second without progress.
const SLOW: Duration = Duration::from_secs(2);
const STUCK: Duration = Duration::from_secs(60);

/// What a command needs from its node besides answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Answers,
    /// The ability to resolve an image's name.
    Images,
}

/// A node to talk to.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    /// The flags by which another command finds this node, or acts as this requester.
    flags: String,
    is_own: bool,
}

impl Session {
    /// The client of the node.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// The command that resumes work on a job.
    pub(super) fn wait_command(&self, job: &str) -> String {
        format!("assay job wait {job} {}", self.flags).trim_end().to_owned()
    }

    /// The command that takes up a group, and fetches results into the same directory.
    pub(super) fn group_wait_command(&self, group: &str, dir: Option<&Path>) -> String {
        let into = dir.map(|dir| format!(" --output-dir {}", quoted(&dir.display().to_string())));
        let into = into.unwrap_or_default();
        format!("assay group wait {group}{into} {}", self.flags).trim_end().to_owned()
    }

    /// The command that fetches the results of a group.
    pub(super) fn group_fetch_command(&self, group: &str, dir: &Path) -> String {
        let dir = quoted(&dir.display().to_string());
        format!("assay results fetch --group {group} --output-dir {dir} {}", self.flags).trim_end().to_owned()
    }

    /// Shows what is awaited before something is sent.
    pub(super) fn tell_of_the_chain(&self, output: Output) {
        if self.is_own {
            output.note("sending a transaction, and waiting until it is in a block");
        }
    }

    /// The fate of a job that nobody waits for.
    pub(super) const fn without_us(&self) -> &'static str {
        if self.is_own {
            "nodes finish what they have begun, but bids are accepted only while the requester waits for the job"
        } else {
            "the job goes on"
        }
    }
}

/// Runs `ask` with the node that the arguments name, or with the command's own node, which ends afterwards.
pub(super) async fn with_node<T>(
    args: &NodeArgs,
    need: Need,
    output: Output,
    ask: impl AsyncFnOnce(&Session) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let Some(requester) = settings::requester(args)? else {
        let client = Client::new(settings::api(&args.api)?, output);
        let flags = format!("--api {}", client.address());
        return ask(&Session { client, flags, is_own: false }).await;
    };
    let (host, _announced) = start(args, &requester, need, output).await?;
    let stop = host.stop_token();
    let session = Session {
        client: Client::new(ApiAddress::own(host.api(), host.token_file()), output),
        flags: flags(args),
        is_own: true,
    };
    let ready = catch_up(&host, output).await;
    let mut joined = Box::pin(host.join());
    let asked = async {
        ready?;
        ask(&session).await
    };
    let result = tokio::select! {
        result = asked => result,
        ended = &mut joined => {
            let stopped = || HostError::Node(NodeError::Backend(BackendError::Stopped));
            return Err(CliError::Host(ended.err().unwrap_or_else(stopped)));
        }
    };
    stop.cancel();
    // What it does not finish now, the next one does.
    let _ = timeout(STOP, joined).await;
    result
}

async fn start(
    args: &NodeArgs,
    requester: &Requester,
    need: Need,
    output: Output,
) -> Result<(Host, RunningNote), CliError> {
    let key = keys::load(&args.key)?;
    let chain = &requester.chain;
    let reader = ContractReader::connect(&chain.rpc_urls, chain.contract, chain.chain_id).await?;
    let domain = reader.domain();
    let data_dir = settings::requester_dir(domain, key.node_id())?;
    let executor: Arc<dyn Executor> = match need {
        Need::Answers => Arc::new(NoEngine),
        Need::Images => match DockerExecutor::connect(&settings::engine_socket()?).await {
            Ok(engine) => Arc::new(engine),
            Err(error) => {
                output.note(&format!("no engine here ({error}): the image must be named as name@sha256:.."));
                Arc::new(NoEngine)
            }
        },
    };
    let config = HostConfig {
        backend: Backend::Contract { chain: chain.clone(), first_block: requester.first_block },
        data_dir: data_dir.clone(),
        key: Some(key),
        // Nodes do not connect to a requester that is gone in a minute, so it connects to them.
        listen: Vec::new(),
        peers: Vec::new(),
        dial_private: false,
        api: SocketAddr::from(([127, 0, 0, 1], 0)),
        compute_slots: 0,
        limits: ComputeLimits::default(),
        sisters: Vec::new(),
        admission: Admission::default(),
        deliver: false,
        // The user's own words name them, on the user's own machine.
        urls: UrlLimits::ALL,
        keep: Keep::default(),
        executor,
    };
    let host = Host::start(config).await.map_err(|error| match error {
        HostError::Dir(DirError::Locked { path }) => CliError::Busy { api: recorded(&path), path },
        error => CliError::Host(error),
    })?;
    let running = Running { api: host.api(), token_file: host.token_file() };
    let announced = RunningNote::at(Some(api_file(&data_dir)), &[running], output);
    Ok((host, announced))
}

/// Waits until the node knows the chain's present state.
async fn catch_up(host: &Host, output: Output) -> Result<(), CliError> {
    let Some(mut reading) = host.reading() else { return Ok(()) };
    let (began, mut said) = (Instant::now(), false);
    loop {
        let seen = *reading.borrow_and_update();
        if seen.is_complete() {
            break;
        }
        if !said && began.elapsed() >= SLOW {
            said = true;
            output.note(&format!(
                "reading the contract's log: block {} of {}; --first-block skips those before the contract",
                seen.read, seen.head
            ));
        }
        let news = timeout(if said { STUCK } else { SLOW }, reading.changed()).await;
        if matches!(news, Ok(Err(_))) || (news.is_err() && said) {
            let reason = format!("reading its log stopped at block {} of {}", seen.read, seen.head);
            return Err(CliError::Connect(ConnectError::Chain(BackendError::Chain { reason })));
        }
    }
    // From here on only this process matters: a node that cannot get there reports it by itself.
    let _ = timeout(STUCK, host.caught_up()).await;
    Ok(())
}

/// The file in which the command that holds a directory leaves its API's address.
fn api_file(data_dir: &Path) -> PathBuf {
    data_dir.join("api")
}

fn recorded(data_dir: &Path) -> Option<String> {
    Some(fs::read_to_string(api_file(data_dir)).ok()?.trim().to_owned())
}

/// The flags that name the same requester again, without what the environment provides.
fn flags(args: &NodeArgs) -> String {
    let mut flags = Vec::new();
    let mut add = |flag: &str, variable: &str, value: &str| {
        if std::env::var(variable).ok().as_deref() != Some(value) {
            flags.push(format!("{flag} {}", quoted(value)));
        }
    };
    add("--scheduler", SCHEDULER_VARIABLE, "contract");
    let urls = &args.chain.rpc.rpc_url;
    let joined = urls.join(",");
    if std::env::var("ETH_RPC_URL").is_ok_and(|set| set == joined) {
        // The next command finds it there, too.
    } else if urls.iter().all(|url| is_public(url))
        || std::env::var("ASSAY_RPC_URL").is_ok_and(|set| set == joined)
    {
        add("--rpc-url", "ASSAY_RPC_URL", &joined);
    } else {
        add("--rpc-url", "", "URL");
    }
    let shown = |value: Option<&PathBuf>| value.map(|path| path.display().to_string());
    let optional = [
        ("--contract", "ASSAY_CONTRACT", args.chain.contract.map(|contract| contract.to_string())),
        ("--chain-id", "", args.chain.rpc.chain_id.map(|id| id.to_string())),
        ("--confirmations", "", args.chain.confirmations.map(|number| number.to_string())),
        ("--first-block", "ASSAY_FIRST_BLOCK", number(args.chain.first_block)),
        ("--key", "ASSAY_KEY", shown(args.key.key.as_ref())),
        ("--passphrase-file", "ASSAY_PASSPHRASE_FILE", shown(args.key.passphrase_file.as_ref())),
    ];
    for (flag, variable, value) in optional {
        if let Some(value) = value {
            add(flag, variable, &value);
        }
    }
    flags.join(" ")
}

/// Whether an endpoint may appear on a screen. Providers put secrets into paths and names.
pub(super) fn is_public(url: &str) -> bool {
    !url.contains('@') && url.trim_end_matches('/').matches('/').count() == 2
}

/// A number that differs from the default.
fn number(number: u64) -> Option<String> {
    (number > 0).then(|| number.to_string())
}

/// A word, quoted for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,@%+=~".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("http://127.0.0.1:8545"), "http://127.0.0.1:8545");
        assert_eq!(quoted("my key"), "'my key'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
