//! Recomputes a job offline from its exported log: no node, no network, nobody to trust.
//!
//! `assay verdict export JOB` writes such a log. The one that is shipped is of a job of three nodes, one of which lied.
//!
//! ```sh
//! cargo run --example fold_a_log [-- LOG.json]
//! ```

use std::{error::Error, fs::File, path::Path};

use assay::{
    audit::{Audit, LogDocument, audit},
    domain::{EventKind, JobState, NodeId, Timestamp},
    node::wall_clock,
    rules::Ledger,
};

/// The shipped log.
pub(crate) const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/verified.json");

/// One entry: who did what, and the state of the job after it.
pub(crate) type Line = (NodeId, EventKind, JobState);

/// Folds the log with the rules, entry by entry, then checks every signature in it.
pub(crate) fn fold(path: &Path, now: Timestamp) -> Result<(Vec<Line>, Audit), Box<dyn Error>> {
    let document = LogDocument::read(File::open(path)?)?;
    let mut ledger = Ledger::new(document.domain);
    let mut lines = Vec::new();
    for log in &document.logs {
        for entry in &log.entries {
            // The rules refuse what no job allows, whoever signed it.
            let job = ledger.apply(&entry.stamped(log.job))?;
            lines.push((entry.author, entry.event.kind(), job.state));
        }
    }
    Ok((lines, audit(&document, now)?))
}

#[expect(clippy::print_stdout, reason = "it is what the example is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| SAMPLE.to_owned());
    let (lines, audit) = fold(Path::new(&path), wall_clock())?;
    for (author, kind, state) in lines {
        println!("{author} {kind:?}: the job is {state:?}");
    }
    println!("{:?}, {} signed entries", audit.finding, audit.signed);
    Ok(())
}
