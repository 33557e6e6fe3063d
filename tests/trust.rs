//! The figures of `docs/verification.md` on trust are those of the simulation, and they meet what the policy is for.
//!
//! The whole table takes minutes; `cargo bench --no-default-features --bench trust` prints it. Here one row is run again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../benches/trust/others.rs"]
mod others;
#[path = "../benches/trust/ours.rs"]
mod ours;
#[path = "../benches/trust/requester.rs"]
mod requester;
#[path = "../benches/trust/table.rs"]
mod table;
#[path = "../benches/trust/world.rs"]
mod world;

use requester::{RULES, Rule, simulate};
use table::{REQUESTERS, SHARES, cell, head, per_job, scenes};
use world::{Kind, Totals};

const DOCUMENT: &str = include_str!("../docs/verification.md");

/// The cells of the policy's row in the document, by table.
fn documented(liars: usize, requesters: usize) -> Vec<&'static str> {
    let head = head(liars, requesters);
    let (_, table) = DOCUMENT.split_once(&head).unwrap_or_else(|| panic!("the document has no table {head}"));
    let rows: Vec<&str> = table.lines().skip(1).take(RULES.len()).collect();
    let names = rows.iter().map(|row| row.split('|').nth(1).unwrap().trim());
    assert!(names.eq(RULES.iter().map(|(_, name)| *name)), "{rows:?}");
    rows[0].split('|').skip(2).map(str::trim).collect()
}

fn of_cartel(rule: Rule, liars: usize, requesters: usize) -> Totals {
    let mut scenes = scenes(liars, requesters);
    simulate(rule, scenes.find(|scene| scene.kind == Kind::Cartel).unwrap())
}

#[test]
fn the_document_has_every_table() {
    for requesters in REQUESTERS {
        for liars in SHARES {
            assert!(documented(liars, requesters).len() >= scenes(liars, requesters).count());
        }
    }
}

#[test]
fn a_cartel_of_a_fifth_costs_and_gains_what_the_document_says() {
    let column = scenes(200, 1).position(|scene| scene.kind == Kind::Cartel).unwrap();
    let corrected = REQUESTERS.map(|requesters| {
        let totals = of_cartel(Rule::Trust, 200, requesters);
        assert_eq!(documented(200, requesters)[column], cell(totals));
        assert!(totals.runs * 100 <= totals.jobs * 135, "at most 1.35 runs a job: {totals:?}");
        assert!(totals.wrong * 1000 <= totals.jobs, "at most 0.1 % wrong: {totals:?}");
        assert!(
            totals.none * 1000 <= totals.jobs && totals.honest_rejected * 200 <= totals.jobs,
            "{totals:?}"
        );
        per_job(totals, 100 * totals.corrected)
    });
    let said = corrected.map(|percent| format!("{percent} %")).join(" and ");
    assert!(DOCUMENT.contains(&said), "the document does not say how many were corrected: {said}");
}
