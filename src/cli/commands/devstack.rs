//! `assay devstack`: a whole network in this process.

use std::sync::Arc;

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    cli::{
        CliError, ExitStatus,
        args::DevstackArgs,
        output::{Output, table},
        running::{Announced, Interrupts, ended},
        settings, text,
    },
    devstack::{Stack, StackConfig, StackNode},
    domain::NodeId,
    executor::DockerExecutor,
};

/// A devstack that is ready, for programs.
#[derive(Debug, Serialize)]
struct Ready {
    version: u32,
    scheduler: String,
    /// The node to ask: an honest one, if there is any.
    api: String,
    nodes: Vec<ReadyNode>,
}

#[derive(Debug, Serialize)]
struct ReadyNode {
    id: NodeId,
    api: String,
    addresses: Vec<String>,
    /// How it misbehaves; null if it is honest.
    fault: Option<&'static str>,
}

/// Runs several nodes until the user interrupts.
pub(in crate::cli) async fn run(args: DevstackArgs, output: Output) -> Result<ExitStatus, CliError> {
    let settings = settings::devstack(&args)?;
    let mut interrupts = Interrupts::new().map_err(CliError::Signals)?;
    let engine = DockerExecutor::connect(&settings::engine_socket()?).await.map_err(CliError::Engine)?;
    // Lives as long as the nodes; removed with all they kept, unless the user named a directory.
    let scratch = if args.data_dir.is_none() { Some(scratch()?) } else { None };
    let data_dir = args.data_dir.or_else(|| scratch.as_ref().map(|dir| dir.path().to_owned()));
    let config = StackConfig {
        backend: settings.backend,
        nodes: settings.nodes,
        bad: settings.bad,
        data_dir: data_dir.unwrap_or_default(),
        executor: Arc::new(engine),
    };
    let starting = Stack::start(config);
    let mut stack = tokio::select! {
        stack = starting => stack.map_err(CliError::Stack)?,
        () = interrupts.next() => return Ok(ExitStatus::Interrupted),
    };
    let ready = ready(&settings.backend.to_string(), stack.nodes());
    let _announced = Announced::new(&ready.api, output);
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

fn scratch() -> Result<TempDir, CliError> {
    let dir = tempfile::Builder::new().prefix("assay-devstack-").tempdir();
    dir.map_err(CliError::file("make a directory in", std::env::temp_dir()))
}

fn ready(scheduler: &str, nodes: &[StackNode]) -> Ready {
    let node = |node: &StackNode| ReadyNode {
        id: node.id,
        api: format!("http://{}", node.api),
        addresses: node.addresses.iter().map(ToString::to_string).collect(),
        fault: node.fault.map(crate::devstack::Fault::name),
    };
    let nodes: Vec<ReadyNode> = nodes.iter().map(node).collect();
    let api = nodes.first().map_or_else(String::new, |node| node.api.clone());
    Ready { version: 1, scheduler: scheduler.to_owned(), api, nodes }
}

fn describe(ready: &Ready) -> String {
    let rows = ready.nodes.iter().map(|node| {
        let kind = node.fault.map_or("honest".to_owned(), |fault| format!("bad: {fault}"));
        vec![text::node(node.id), kind, node.api.clone(), node.addresses.join(" ")]
    });
    let (api, count) = (&ready.api, ready.nodes.len().min(3));
    let confidence = count / 2 + 1;
    format!(
        "{}\nTry:\n  assay job submit --api {api} --concurrency {count} --confidence {confidence} assay/demo:1 -- echo hello\n  \
         assay job list --api {api}\n  assay node list --api {api}\n",
        table(&["NODE", "KIND", "API", "ADDRESS"], rows)
    )
}
