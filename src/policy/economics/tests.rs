//! The figures of `docs/economics.md` are those of the functions, and the defaults are what it says of them.

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/economics.md");
const VERIFICATION: &str = include_str!("../../../docs/verification.md");

/// A price of 1000 makes amounts permille of the price.
fn checks(seats: u8, evidence: Evidence) -> Checks {
    let price = Amount::new(1000).unwrap();
    let quorum = seats / 2 + 1;
    Checks { seats, quorum, evidence, audit_permille: 0, audit_seats: 0, price, bond: price, burns: false }
}

fn percent(permille: u16) -> String {
    format!("{} %", permille / 10)
}

/// The settings of the document's table.
fn settings() -> Vec<(&'static str, Checks)> {
    let audited = |bond: u128, burns| Checks {
        audit_permille: 100,
        audit_seats: 2,
        bond: Amount::new(bond).unwrap(),
        burns,
        ..checks(1, Evidence::Outputs)
    };
    vec![
        ("defaults, outputs agree", checks(3, Evidence::Outputs)),
        ("the same, `--deterministic`", Checks { burns: true, ..checks(3, Evidence::Outputs) }),
        ("defaults, outputs differ: `ball`", checks(3, Evidence::Traces(Method::Ball))),
        ("the same, `kmeans`", checks(3, Evidence::Traces(Method::KMeans))),
        ("`--concurrency 2`", checks(2, Evidence::Outputs)),
        ("`--concurrency 1`", checks(1, Evidence::Outputs)),
        ("one seat, a second wave of two with 10 %", audited(1000, false)),
        ("the same, `--deterministic`, bond of 9 prices", audited(9000, true)),
    ]
}

#[test]
fn the_document_has_the_figures_of_each_setting() {
    for (name, checks) in settings() {
        let cell = |liar| {
            let Prospect { unpaid_permille, burnt_permille, pays_above, .. } = prospect(&checks, liar);
            let (units, tenths) = (pays_above.units() / 1000, pays_above.units() % 1000 / 100);
            format!("{} / {} / {units}.{tenths}", percent(unpaid_permille), percent(burnt_permille))
        };
        let row = format!("| {name} | {} |", Liar::ALL.map(cell).join(" | "));
        assert!(DOCUMENT.contains(&row), "docs/economics.md lacks the row\n{row}");
    }
    for seats in [1, 3, 5, 7] {
        let cell = |share| {
            let ppm = majority_ppm(seats, share);
            format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100)
        };
        let row = format!("| {seats} | {} |", [5, 20, 40].map(cell).join(" | "));
        assert!(DOCUMENT.contains(&row), "docs/economics.md lacks the row\n{row}");
    }
}

/// The functions that the files of a directory define, in Rust or Solidity.
fn functions(dir: &std::path::Path, found: &mut std::collections::BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names = text.lines().filter_map(|line| {
            let line = line.trim_start();
            let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("function "))?;
            rest.split_once('(').map(|(name, _)| name.to_owned())
        });
        found.extend(names);
    }
}

#[test]
fn each_game_of_the_document_is_played_by_a_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut played = std::collections::BTreeSet::new();
    functions(&root.join("contracts/test/unit"), &mut played);
    functions(&root.join("src/policy"), &mut played);
    let games = DOCUMENT.split("## Other games").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = games.lines().filter(|line| line.starts_with("| a ") || line.starts_with("| two "));
    let tests: Vec<&str> =
        rows.clone().flat_map(|row| row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    assert!(tests.len() >= rows.count(), "a row names no test");
    for test in tests {
        assert!(played.contains(test), "docs/economics.md names {test}, which is no test");
    }
}

#[test]
fn traces_see_what_the_evaluation_measured() {
    let row = |start: &str| {
        let line = VERIFICATION.lines().find(|line| line.starts_with(start)).unwrap();
        let recall = |cell: &str| cell.trim().split(' ').next().unwrap().parse::<u16>().unwrap();
        let cells: Vec<&str> = line.split('|').collect();
        (recall(cells[5]), recall(cells[6]))
    };
    let (kmeans, ball) = row("| idle, for 10 s |");
    let (kmeans_cut, ball_cut) = row("| partial 60 %, stopped |");
    let expected = ((ball, ball_cut), (kmeans, kmeans_cut));
    assert_eq!(
        (BALL_SEES, KMEANS_SEES),
        expected,
        "the evaluation has other figures: change these, and docs/economics.md"
    );
}

#[test]
fn by_default_no_lie_pays_for_work_worth_up_to_the_price_where_outputs_agree() {
    let price = Amount::new(1000).unwrap();
    let deal = Deal { price, bond: price, ..Deal::default() };
    for deal in [
        Deal { method: Method::Hash, ..deal.clone() },
        Deal { deterministic: true, ..deal.clone() },
        deal.clone(),
    ] {
        let seeded = deal.method == Method::Ball && !deal.deterministic;
        for liar in Liar::ALL {
            let prospect = prospect(&Checks::of(&deal, seeded), liar);
            assert!(prospect.pays_above >= price, "{liar:?}: {prospect:?}");
        }
    }
    let replay = prospect(&Checks::of(&deal, false), Liar::Replayer);
    assert!(replay.pays_above.is_zero(), "traces see no replay: the document says so");
}

#[test]
fn two_seats_blame_nobody_and_one_compares_nothing() {
    let two = prospect(&Checks { burns: true, ..checks(2, Evidence::Outputs) }, Liar::Idle);
    assert_eq!((two.unpaid_permille, two.burnt_permille), (500, 0), "half the price");
    let one = prospect(&Checks { burns: true, ..checks(1, Evidence::Outputs) }, Liar::Idle);
    assert_eq!((one.unpaid_permille, one.burnt_permille), (0, 0));
    // More must agree than there are others: no verdict, nobody pays.
    let strict = Checks { burns: true, quorum: 3, ..checks(3, Evidence::Outputs) };
    assert_eq!(prospect(&strict, Liar::Idle).burnt_permille, 0);
}

#[test]
fn a_majority_is_as_likely_as_the_binomial_distribution_says() {
    let ppm = |seats| [5, 20, 40].map(|percent| majority_ppm(seats, percent));
    assert_eq!(ppm(1), [50_000, 200_000, 400_000]);
    assert_eq!(ppm(3), [7250, 104_000, 352_000]);
    assert_eq!(ppm(7), [193, 33_344, 289_792]);
    assert_eq!((majority_ppm(31, 100), majority_ppm(31, 0)), (1_000_000, 0));
    assert!(majority_ppm(31, 49) < 500_000 && majority_ppm(31, 51) > 500_000);
}

#[test]
fn the_largest_amounts_do_not_overflow() {
    let most = Checks { price: Amount::MAX, bond: Amount::MAX, burns: true, ..checks(3, Evidence::Outputs) };
    assert_eq!(prospect(&most, Liar::CutShort).loses, Amount::MAX);
}
