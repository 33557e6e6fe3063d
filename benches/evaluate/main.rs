//! How well verdicts tell good runs from bad ones, on recorded runs: the tables of `docs/verification.md`.
//!
//! The output depends on nothing but these files, their data and the library. `tests/evaluate.rs` holds the document to it:
//!
//! `cargo bench --no-default-features --bench evaluate`

#![expect(clippy::print_stdout, reason = "the tables are the result")]

mod draw;
mod outputs;
mod traces;
mod work;

fn main() {
    for table in traces::tables().into_iter().chain(work::tables()).chain(outputs::tables()) {
        println!("{table}\n");
    }
    for (liar, recall) in outputs::near_recall(&outputs::evaluate()) {
        println!("With a seed, `near` rejects of \"{liar}\": {recall:.1} %");
    }
    let [idle, faker, none] = work::required();
    let wrong = idle.plus(faker);
    let rejected = [wrong, none].map(|tally| format!("{:.1}", tally.honest_rejected())).join(" / ");
    println!(
        "With work required, wrong traces accepted: {:.1} %; honest rejected: {rejected} %",
        wrong.accepted()
    );
}
