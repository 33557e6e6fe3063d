//! The figures of docs/contract.md are those that the contract's tests write.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// Rows of tables by their first cell. The last cells are these figures.
const ROWS: [(&str, &str, &[&str]); 17] = [
    ("1 job", "jobs", &["signed, all"]),
    ("10 jobs", "multicall", &["10 jobs, transactions", "10 jobs, a job"]),
    ("100 jobs", "multicall", &["100 jobs, transactions", "100 jobs, a job"]),
    ("plain", "jobs", &["plain, all"]),
    ("plain, openings revealed on the chain", "jobs", &["revealed, all"]),
    ("signed", "jobs", &["signed, all"]),
    ("plain, audited: one seat, spared", "jobs", &["spared, all"]),
    ("plain, audited: one seat, then two more drawn", "jobs", &["drawn, all"]),
    ("signed, audited: one seat, spared", "jobs", &["signed spared, all"]),
    (
        "plain, 2N + 3 transactions",
        "sizes",
        &["plain, 3 nodes", "plain, 7 nodes", "plain, 15 nodes", "plain, 31 nodes"],
    ),
    (
        "signed, 3 transactions",
        "sizes",
        &["signed, 3 nodes", "signed, 7 nodes", "signed, 15 nodes", "signed, 31 nodes"],
    ),
    ("`ball`, one liar", "verdicts", &["ball, 3 runs", "ball, 7 runs", "ball, 15 runs", "ball, 31 runs"]),
    (
        "`kmeans`, one liar",
        "verdicts",
        &["kmeans, 3 runs", "kmeans, 7 runs", "kmeans, 15 runs", "kmeans, 31 runs"],
    ),
    ("`near`, one liar", "verdicts", &["near, 3 runs", "near, 7 runs", "near, 15 runs", "near, 31 runs"]),
    (
        "`near`, one liar, the other outputs equal",
        "verdicts",
        &[
            "near, equal outputs, 3 runs",
            "near, equal outputs, 7 runs",
            "near, equal outputs, 15 runs",
            "near, equal outputs, 31 runs",
        ],
    ),
    (
        "`near` with work required, one liar",
        "verdicts",
        &[
            "near and work, 3 runs",
            "near and work, 7 runs",
            "near and work, 15 runs",
            "near and work, 31 runs",
        ],
    ),
    (
        "`hash` with work required, one liar",
        "verdicts",
        &[
            "equal outputs and work, 3 runs",
            "equal outputs and work, 7 runs",
            "equal outputs and work, 15 runs",
            "equal outputs and work, 31 runs",
        ],
    ),
];

fn json(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts").join(path);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// With commas, as the page writes numbers.
fn grouped(number: &str) -> String {
    let digits = number.as_bytes().rchunks(3).rev().map(|three| std::str::from_utf8(three).unwrap());
    digits.collect::<Vec<_>>().join(",")
}

#[test]
fn the_figures_of_the_contracts_page_are_those_that_were_measured() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/contract.md");
    let page = fs::read_to_string(page).unwrap();
    let rows: BTreeMap<&str, Vec<&str>> = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .map(|cells| (cells[0], cells[1..].to_vec()))
        .collect();
    for (row, file, keys) in ROWS {
        let measured = json(&format!("snapshots/{file}.json"));
        let expected: Vec<String> = keys.iter().map(|key| grouped(measured[key].as_str().unwrap())).collect();
        let found = rows.get(row).unwrap_or_else(|| panic!("docs/contract.md has no row {row:?}"));
        assert!(
            found.ends_with(&expected.iter().map(String::as_str).collect::<Vec<_>>()),
            "{row}: {expected:?}"
        );
    }
    let code = &json("artifacts/JobScheduler.json")["code"];
    let bytes = |part: &str| grouped(&code[part]["bytes"].to_string());
    let sizes = format!(
        "The code of `JobScheduler` takes {} bytes, that of `RareSteps` {};",
        bytes("scheduler"),
        bytes("rareSteps")
    );
    assert!(page.contains(&sizes), "docs/contract.md should say: {sizes}");
}
