//! A whole job in one process: four nodes on a log in memory, without containers, chain or network.
//!
//! Three nodes run it; one of them prints something else, and the verdict leaves it out.
//!
//! ```sh
//! cargo run --example job_in_memory
//! ```

use std::{error::Error, sync::Arc};

use assay::{
    domain::{Deal, Job, LogDomain, Method, Spec, Timestamp},
    executor::{Executor, FakeExecutor, Script},
    identity::NodeKey,
    scheduler::local::LocalLog,
};

#[path = "town/mod.rs"]
mod town;

/// Runs the job to its verdict.
pub(crate) async fn run() -> Result<Job, Box<dyn Error>> {
    // A node runs only what is named by its content; scripts look at no image.
    let image = format!("sha256:{}", "0".repeat(64));
    let spec = Spec::builder(image).image_name("demo").command(["answer"]).build()?;
    let deal = Deal { concurrency: 3, confidence: 2, method: Method::Hash, ..Deal::default() };
    let executor = |answer: &'static str| -> Arc<dyn Executor> {
        Arc::new(FakeExecutor::new(move |_| Script::printing(answer)))
    };
    let log = LocalLog::new(LogDomain::default(), Timestamp::from_secs(1_700_000_000));
    let join = |key: &NodeKey| log.join(key.node_id());
    town::run(join, spec, deal, vec![executor("42"), executor("42"), executor("41")]).await
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is what the example is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let job = run().await?;
    println!("job {} is {:?}", job.id, job.state);
    for (index, seat) in (0..).zip(&job.seats) {
        let accepted = job.verdict.as_ref().is_some_and(|verdict| verdict.accepted.contains(index));
        println!("  {}: {}", seat.node, if accepted { "accepted" } else { "rejected" });
    }
    Ok(())
}
