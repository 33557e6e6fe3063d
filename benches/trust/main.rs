//! What trust costs and what it keeps out: a thousand nodes, 100,000 jobs, liars of each kind, and other rules beside
//! `policy::trust`.
//!
//! The output depends on nothing but this folder and the library; `tests/trust.rs` holds `docs/verification.md` to it:
//!
//! `cargo bench --no-default-features --bench trust`

#![expect(clippy::print_stdout, reason = "the tables are the result")]

mod others;
mod ours;
mod requester;
mod table;
mod world;

use requester::{RULES, Rule, simulate};
use table::{REQUESTERS, SHARES, cell, head, per_job, scenes};

fn main() {
    for requesters in REQUESTERS {
        for liars in SHARES {
            println!("{}", head(liars, requesters));
            for (rule, name) in RULES {
                let cells: Vec<String> =
                    scenes(liars, requesters).map(|scene| cell(simulate(rule, scene))).collect();
                println!("| {name} | {} |", cells.join(" | "));
            }
            println!();
        }
    }
    println!(
        "`policy::trust`, in percent of jobs: found out later / without a verdict; honest results rejected"
    );
    for (requesters, liars) in REQUESTERS.into_iter().flat_map(|many| SHARES.map(|liars| (many, liars))) {
        for scene in scenes(liars, requesters) {
            let totals = simulate(Rule::Trust, scene);
            let percent = |count: u64| per_job(totals, 100 * count);
            println!(
                "{requesters} requester(s), {:?} {}: {} / {}; {}",
                scene.kind,
                scene.liars,
                percent(totals.corrected),
                percent(totals.none),
                percent(totals.honest_rejected)
            );
        }
    }
}
