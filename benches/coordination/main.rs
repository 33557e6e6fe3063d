//! Nodes without containers, and what they are compared with, for `scripts/bench`.
//!
//! Prints one JSON object when it is ready, then one for each line of standard input, and ends with the input:
//!
//! - `stack SCHEDULER NODES EXECUTOR`: a devstack, its executor `stub` or `docker`. Lines: `run COUNT CONCURRENCY WINDOW`
//!   has so many jobs of so many seats verified, at most `WINDOW` of them unfinished at a time; `memory`; `replay` sends
//!   the transactions of this chain to a new Anvil as fast as that takes them.
//! - `bare NODES LINKS`: as many bare swarms, each with at most so many links to earlier ones. Lines: `memory`.
//! - `anvil`: an Anvil that listens, with nothing on it.
//! - `sample SECONDS`: one busy container under the sampler, and the CPU time of both.

#![expect(clippy::print_stdout, reason = "the figures are the result")]
#![expect(clippy::disallowed_methods, reason = "real time is what is measured")]

mod bare;
mod chain;
mod own;
mod sample;
mod stack;

use std::{env, error::Error, os::fd::AsFd as _};

use serde_json::{Value, json};
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, BufReader, Lines},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo bench` adds `--bench`.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    tokio::runtime::Runtime::new()?.block_on(async {
        match *words.as_slice() {
            ["stack", scheduler, nodes, executor] => stack::serve(scheduler, nodes.parse()?, executor).await,
            ["bare", nodes, links] => bare::serve(nodes.parse()?, links.parse()?).await,
            ["anvil"] => chain::serve().await,
            ["sample", seconds] => sample::run(seconds.parse()?).await,
            _ => {
                let usage = "stack SCHEDULER NODES EXECUTOR | bare NODES LINKS | anvil | sample SECONDS";
                Err(format!("expected: {usage}; scripts/bench runs this").into())
            }
        }
    })
}

/// Says one thing to whoever started this.
fn say(value: &Value) {
    println!("{value}");
}

/// The orders to come.
fn orders() -> Outcome<Lines<BufReader<File>>> {
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(BufReader::new(File::from_std(input.into())).lines())
}

/// What every mode answers to `memory`.
fn memory() -> Outcome<Value> {
    Ok(json!({ "rss_kib": own::rss_kib()? }))
}
