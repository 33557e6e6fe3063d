//! The figures as `docs/verification.md` shows them.

use super::{
    requester::Scene,
    world::{Kind, LIARS, Totals},
};

/// Jobs of a scene.
const JOBS: usize = 100_000;

/// Liars in a thousand nodes.
pub(super) const SHARES: [usize; 3] = [50, 200, 400];

/// How many requesters there are.
pub(super) const REQUESTERS: [usize; 2] = [1, 10];

/// The scenes of a table's row.
pub(super) fn scenes(liars: usize, requesters: usize) -> impl Iterator<Item = Scene> {
    let scene = move |kind, liars| Scene { kind, liars, requesters, jobs: JOBS };
    std::iter::once(scene(Kind::Honest, 0)).chain(LIARS.iter().map(move |(kind, _)| scene(*kind, liars)))
}

/// The head of a table.
pub(super) fn head(liars: usize, requesters: usize) -> String {
    let names: Vec<&str> = LIARS.iter().map(|(_, name)| *name).collect();
    let requesters =
        if requesters == 1 { "one requester".to_owned() } else { format!("{requesters} requesters") };
    format!(
        "| {requesters}, {} % liars | none | {} |\n|---{}|",
        liars / 10,
        names.join(" | "),
        "|---".repeat(7)
    )
}

/// Runs per job, and wrong results in percent of the jobs.
pub(super) fn cell(totals: Totals) -> String {
    format!("{} / {}", per_job(totals, totals.runs), per_job(totals, 100 * totals.wrong))
}

/// A figure per job, to two decimals.
pub(super) fn per_job(totals: Totals, figure: u64) -> String {
    let hundredths = (100 * figure + totals.jobs / 2) / totals.jobs;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
