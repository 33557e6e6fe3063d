//! `assay devstack`: a whole network in this process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    assembly::Backend,
    cli::{
        CliError, ExitStatus,
        args::{DevstackArgs, SchedulerArg},
        document::Document,
        output::{Output, table},
        running::{Interrupts, Running, RunningNote, allow_many_files, ended},
        settings, text,
    },
    devstack::{
        Stack, StackConfig, StackNode,
        anvil::DevAccount,
        chain::{DEPOSIT, LocalChain},
    },
    domain::{Amount, NodeId},
    executor::DockerExecutor,
    scheduler::contract::Deployed,
};

/// A devstack that is ready, as JSON.
#[derive(Debug, Serialize)]
struct Ready {
    scheduler: String,
    /// The API of an honest node, if there is one.
    api: String,
    /// The chain with the contract; null without one.
    chain: Option<ReadyChain>,
    nodes: Vec<ReadyNode>,
}

impl Document for Ready {}

#[derive(Debug, Serialize)]
struct ReadyChain {
    rpc_url: String,
    chain_id: u64,
    contract: NodeId,
    first_block: u64,
    accounts: Vec<ReadyAccount>,
}

/// The funded accounts of a chain that the devstack started.
#[derive(Debug, Serialize)]
struct ReadyAccount {
    id: NodeId,
    key: String,
}

#[derive(Debug, Serialize)]
struct ReadyNode {
    id: NodeId,
    api: String,
    /// The token file of the API.
    token_file: PathBuf,
    addresses: Vec<String>,
    /// The kind of bad node; null if it is honest.
    fault: Option<&'static str>,
}

/// Runs several nodes until the user interrupts.
pub(in crate::cli) async fn run(args: DevstackArgs, output: Output) -> Result<ExitStatus, CliError> {
    let settings = settings::devstack(&args)?;
    allow_many_files();
    let mut interrupts = Interrupts::new().map_err(CliError::Signals)?;
    let engine = DockerExecutor::connect(&settings::engine_socket()?).await.map_err(CliError::Engine)?;
    // Lives as long as the nodes. Removed with all their data, unless the user named a directory.
    let scratch = if args.data_dir.is_none() { Some(scratch()?) } else { None };
    let data_dir = args.data_dir.or_else(|| scratch.as_ref().map(|dir| dir.path().to_owned()));
    let starting = async {
        match args.scheduler {
            SchedulerArg::Libp2p => Ok(None),
            SchedulerArg::Contract => match &args.rpc_url {
                Some(url) => LocalChain::join(url, settings.nodes).await.map(Some),
                None => LocalChain::start(settings.nodes).await.map(Some),
            },
        }
    };
    // The chain ends with the nodes.
    let chain = tokio::select! {
        chain = starting => chain.map_err(CliError::Chain)?,
        () = interrupts.next() => return Ok(ExitStatus::Interrupted),
    };
    let backend = chain.as_ref().map_or(Backend::Libp2p, LocalChain::backend);
    let accounts = chain.as_ref().map_or([].as_slice(), LocalChain::accounts);
    let config = StackConfig {
        max_bond: chain.as_ref().map_or(Amount::ZERO, |_| DEPOSIT),
        ask: args.ask,
        backend,
        keys: accounts.iter().map(|account| account.key.clone()).collect(),
        nodes: settings.nodes,
        slots: args.slots,
        bad: settings.bad,
        data_dir: place(&data_dir.unwrap_or_default(), chain.as_ref()),
        executor: Arc::new(engine),
    };
    let starting = Stack::start(config);
    let mut stack = tokio::select! {
        stack = starting => stack.map_err(CliError::Stack)?,
        () = interrupts.next() => return Ok(ExitStatus::Interrupted),
    };
    let ready = ready(chain.as_ref(), stack.nodes());
    let running = |node: &StackNode| Running { api: node.api, token_file: node.token_file.clone() };
    let _announced = RunningNote::new(&stack.nodes().iter().map(running).collect::<Vec<_>>(), output);
    output.result(&ready, || describe(&ready))?;
    output.note("ready; Ctrl-C stops all nodes");
    tokio::select! {
        joined = stack.join() => return ended(joined.map_err(CliError::Host)),
        () = interrupts.next() => {}
    }
    output.note("stopping; Ctrl-C again to stop at once");
    stack.stop();
    tokio::select! {
        joined = stack.join() => ended(joined.map_err(CliError::Host)),
        () = interrupts.next() => Ok(ExitStatus::Interrupted),
    }
}

/// Where the nodes keep their data. What they knew of an earlier contract would be in the way on this one.
fn place(data_dir: &Path, chain: Option<&LocalChain>) -> PathBuf {
    let contract = |chain: &LocalChain| data_dir.join(format!("contract-{}", chain.deployed().contract));
    chain.map_or_else(|| data_dir.to_owned(), contract)
}

fn scratch() -> Result<TempDir, CliError> {
    let dir = tempfile::Builder::new().prefix("assay-devstack-").tempdir();
    dir.map_err(CliError::file("make a directory in", std::env::temp_dir()))
}

fn ready_chain(chain: &LocalChain) -> ReadyChain {
    let account = |account: &DevAccount| ReadyAccount { id: account.id, key: account.secret.clone() };
    let Deployed { chain_id, contract, receipt } = chain.deployed();
    ReadyChain {
        rpc_url: chain.rpc_url().to_owned(),
        chain_id,
        contract,
        first_block: receipt.block,
        accounts: chain.accounts().iter().map(account).collect(),
    }
}

fn ready(chain: Option<&LocalChain>, nodes: &[StackNode]) -> Ready {
    let node = |node: &StackNode| ReadyNode {
        id: node.id,
        api: format!("http://{}", node.api),
        token_file: node.token_file.clone(),
        addresses: node.addresses.iter().map(ToString::to_string).collect(),
        fault: node.fault.map(crate::devstack::Fault::name),
    };
    let nodes: Vec<ReadyNode> = nodes.iter().map(node).collect();
    let api = nodes.first().map_or_else(String::new, |node| node.api.clone());
    let scheduler = chain.map_or(Backend::Libp2p, LocalChain::backend).to_string();
    Ready { scheduler, api, chain: chain.map(ready_chain), nodes }
}

fn describe(ready: &Ready) -> String {
    let rows = ready.nodes.iter().map(|node| {
        let kind = node.fault.map_or("honest".to_owned(), |fault| format!("bad: {fault}"));
        vec![text::node(node.id), kind, node.api.clone(), node.addresses.join(" ")]
    });
    let chain = ready.chain.as_ref().map_or_else(String::new, describe_chain);
    let (api, count) = (&ready.api, ready.nodes.len().min(3));
    let confidence = count / 2 + 1;
    format!(
        "{}{chain}\nTry:\n  assay job submit --api {api} --concurrency {count} --confidence {confidence} assay/demo:1 -- echo hello\n  \
         assay job list --api {api}\n  assay node list --api {api}\n",
        table(&["NODE", "KIND", "API", "ADDRESS"], rows)
    )
}

fn describe_chain(chain: &ReadyChain) -> String {
    let ReadyChain { rpc_url, chain_id, contract, first_block, accounts } = chain;
    let keys = accounts.iter().map(|account| vec![account.id.to_string(), account.key.clone()]);
    format!(
        "\nChain:     {chain_id} at {rpc_url}\nContract:  {contract} from block {first_block}\n\n{}",
        table(&["ACCOUNT", "KEY"], keys)
    )
}
